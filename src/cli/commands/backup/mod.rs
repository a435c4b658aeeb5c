//! `git pggit backup`: making, recording and finding backups.

mod annotate;
mod append;
mod cat;
mod cat_artifact;
mod catalogue;
mod complete;
mod coverage;
pub(super) mod create;
mod diff;
mod document;
mod facts;
mod fail;
mod find;
mod for_each;
mod guard;
mod hold;
mod import;
mod list;
mod log;
mod plan;
mod reconcile;
mod register;
mod release;
mod restore;
mod restore_args;
mod restore_in_place;
mod restore_options;
mod restore_print;
mod restore_rows;
pub(in crate::cli) mod select;
mod show;
mod start;
mod tag;
mod untag;
pub(super) mod verify;

use clap::Subcommand;

use crate::cli::Context;
use crate::cli::after_change::after_change;
use crate::failure::Failure;

/// Make, record, find and restore backups
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Create(Box<create::Args>),
    Restore(Box<restore_options::Given<restore::Args>>),
    Plan(Box<restore_options::Given<plan::Args>>),
    Guard(guard::Args),
    Verify(Box<verify::Args>),
    Register(Box<register::Args>),
    Start(start::Args),
    Complete(Box<complete::Args>),
    Fail(fail::Args),
    Tag(tag::Args),
    Untag(untag::Args),
    Hold(hold::Args),
    Release(release::Args),
    Annotate(annotate::Args),
    List(Box<list::Args>),
    Show(show::Args),
    Log(Box<log::Args>),
    Coverage(coverage::Args),
    Find(find::Args),
    Diff(diff::Args),
    Cat(cat::Args),
    CatArtifact(cat_artifact::Args),
    ForEach(Box<for_each::Args>),
    Append(append::Args),
    Import(import::Args),
    Reconcile(reconcile::Args),
}

impl Command {
    /// Returns true if the command does not change records, or shares its changes itself.
    fn only_reads(&self) -> bool {
        use Command::{
            Cat, CatArtifact, Coverage, Diff, Find, ForEach, List, Log, Plan, Restore, Show, Verify,
        };
        matches!(
            self,
            List(_)
                | Show(_)
                | Log(_)
                | Coverage(_)
                | Find(_)
                | Diff(_)
                | Cat(_)
                | CatArtifact(_)
                | ForEach(_)
                | Restore(_)
                | Plan(_)
                // `verify` itself shares the verdicts that it recorded, including failures.
                | Verify(_)
        )
    }
}

pub(super) fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let only_reads = command.only_reads();
    let result = dispatch(command, context);
    if !only_reads && result.is_ok() {
        after_change(context);
    }
    result
}

fn dispatch(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Create(args) => create::run(&args, context),
        Command::Restore(args) => restore::run(&args, context),
        Command::Plan(args) => plan::run(&args, context),
        Command::Guard(args) => guard::run(&args, context),
        Command::Verify(args) => verify::run(&args, context),
        Command::Register(args) => register::run(&args, context),
        Command::Start(args) => start::run(&args, context),
        Command::Complete(args) => complete::run(&args, context),
        Command::Fail(args) => fail::run(&args, context),
        Command::Tag(args) => tag::run(&args, context),
        Command::Untag(args) => untag::run(&args, context),
        Command::Hold(args) => hold::run(&args, context),
        Command::Release(args) => release::run(&args, context),
        Command::Annotate(args) => annotate::run(&args, context),
        Command::List(args) => list::run(&args, context),
        Command::Show(args) => show::run(&args, context),
        Command::Log(args) => log::run(&args, context),
        Command::Coverage(args) => coverage::run(&args, context),
        Command::Find(args) => find::run(&args, context),
        Command::Diff(args) => diff::run(&args, context),
        Command::Cat(args) => cat::run(&args, context),
        Command::CatArtifact(args) => cat_artifact::run(&args, context),
        Command::ForEach(args) => for_each::run(&args, context),
        Command::Append(args) => append::run(&args, context),
        Command::Import(args) => import::run(&args, context),
        Command::Reconcile(args) => reconcile::run(&args, context),
    }
}
