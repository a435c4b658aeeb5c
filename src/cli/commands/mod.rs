//! The commands: one file per leaf command, and this list of them.

pub(in crate::cli) mod backup;
mod checkout;
mod clone;
mod completions;
mod config;
mod database;
mod doctor;
mod fsck;
mod hooks;
mod init;
mod ledger;
mod maintenance;
mod man;
mod mark;
mod migrations;
mod queue;
mod run_job;
mod schedule;
mod store;
mod sync;
mod wal;
mod with;
mod worker;

use clap::Subcommand;

use super::after_change;
use super::context::Context;
use crate::failure::Failure;

/// A command of `git pggit`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::Args),
    Doctor(doctor::Args),
    #[command(subcommand)]
    Backup(Box<backup::Command>),
    #[command(subcommand)]
    Database(database::Command),
    Mark(mark::Args),
    Migrations(migrations::Args),
    With(Box<with::Args>),
    Checkout(Box<checkout::Args>),
    #[command(subcommand)]
    Clone(clone::Command),
    Config(config::Args),
    Sync(sync::Args),
    Fsck(fsck::Args),
    #[command(subcommand)]
    Ledger(ledger::Command),
    #[command(subcommand)]
    Schedule(schedule::Command),
    #[command(subcommand)]
    Hooks(hooks::Command),
    #[command(subcommand)]
    Store(store::Command),
    #[command(subcommand)]
    Queue(queue::Command),
    Worker(worker::Args),
    #[command(hide = true)]
    RunJob(run_job::Args),
    #[command(subcommand)]
    Wal(wal::Command),
    Maintenance(maintenance::Args),
    #[command(hide = true)]
    Man(man::Args),
    #[command(hide = true)]
    Completions(completions::Args),
}

pub(super) fn run(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Backup(command) => backup::run(*command, context),
        Command::Init(args) => init::run(&args, context),
        Command::Doctor(args) => doctor::run(&args, context),
        Command::Database(command) => database::run(command, context),
        Command::Mark(args) => mark::run(&args, context),
        Command::Migrations(args) => migrations::run(&args, context),
        Command::With(args) => with::run(&args, context),
        Command::Checkout(args) => checkout::run(&args, context),
        Command::Clone(command) => clone::run(command, context),
        Command::Config(args) => config::run(&args, context),
        Command::Fsck(args) => fsck::run(&args, context),
        Command::Ledger(command) => ledger::run(command, context),
        Command::Hooks(command) => hooks::run(command, context),
        Command::Schedule(command) => schedule::run(command, context),
        Command::Store(command) => store::run(command, context),
        Command::Queue(command) => queue::run(command, context),
        Command::Worker(args) => worker::run(&args, context),
        Command::RunJob(args) => run_job::run(&args, context),
        Command::Wal(command) => wal::run(command, context),
        Command::Sync(args) => sync::run(&args, context).inspect(|()| after_change::maintain(context)),
        Command::Maintenance(args) => maintenance::run(&args, context),
        Command::Man(args) => man::run(&args, context),
        Command::Completions(args) => completions::run(&args, context),
    }
}
