//! `git pggit store`: the stores for the bytes of backups.

mod check;
mod copy;
mod gc;
mod get;
mod init;
mod key;
mod list;
mod put;
mod remove;
mod show;
mod stats;

use clap::Subcommand;

use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::store::{ListedArtifact, Store};

/// Manage the store of backup data
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::Args),
    Show(show::Args),
    List(list::Args),
    Put(put::Args),
    Get(get::Args),
    #[command(subcommand)]
    Key(key::Command),
    Check(check::Args),
    Copy(copy::Args),
    Remove(remove::Args),
    Gc(gc::Args),
    Stats(stats::Args),
}

pub(super) fn run(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Init(args) => init::run(&args, context),
        Command::Show(args) => show::run(&args, context),
        Command::List(args) => list::run(&args, context),
        Command::Put(args) => put::run(&args, context),
        Command::Get(args) => get::run(&args, context),
        Command::Key(command) => key::run(command, context),
        Command::Check(args) => check::run(&args, context),
        Command::Copy(args) => recorded(copy::run(&args, context), context),
        Command::Remove(args) => recorded(remove::run(&args, context), context),
        Command::Gc(args) => gc::run(&args, context),
        Command::Stats(args) => stats::run(&args, context),
    }
}

/// Shares changed records with the remote if that is configured. Returns `done`.
fn recorded(done: Result<(), Failure>, context: &Context) -> Result<(), Failure> {
    if context.repository().is_ok() {
        crate::cli::after_change::share(context);
    }
    done
}

/// The store of a command.
#[derive(Debug, clap::Args)]
struct StoreOption {
    /// The store: a directory or a URL; by default the configured one
    #[arg(short, long, value_name = "URL")]
    store: Option<String>,
}

impl StoreOption {
    fn open(&self, context: &Context) -> Result<Store, Failure> {
        Ok(crate::workspace::store::open(context, self.store.as_deref())?)
    }

    fn url(&self) -> Option<&str> {
        self.store.as_deref()
    }
}

/// Returns the artifact whose id is `id` or begins with it. Fails if no artifact or several artifacts
/// match.
fn find(store: &Store, id: &str) -> Result<ListedArtifact, Failure> {
    let artifacts = store.list()?;
    let mut found = artifacts.into_iter().filter(|listed| !id.is_empty() && listed.id.starts_with(id));
    match (found.next(), found.next()) {
        (Some(listed), None) => Ok(listed),
        (Some(_), Some(_)) => {
            Err(Failure::new(Code::Ambiguous, format!("several artifacts begin with '{id}'")))
        }
        (None, _) => Err(Failure::new(Code::NotFound, format!("no artifact '{id}' in {}", store.url()))
            .hint("'git pggit store list' lists all artifacts")),
    }
}
