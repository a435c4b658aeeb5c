//! `git pggit schedule`: scheduled backups.

mod catch_up;
mod cron;
mod list;
mod next;
mod run;
mod systemd;

use std::path::Path;

use clap::Subcommand;

use crate::automation::{self, Invocation, ScheduledRule};
use crate::cli::Context;
use crate::config::Config;
use crate::domain::DatabaseName;
use crate::failure::{Code, Failure};
use crate::queue::Filter;
use crate::workspace::queue;

/// Show, enqueue and export scheduled backups
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    List(list::Args),
    Next(next::Args),
    Run(run::Args),
    CatchUp(catch_up::Args),
    Systemd(systemd::Args),
    Cron(cron::Args),
}

pub(super) fn run(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::List(args) => list::run(&args, context),
        Command::Next(args) => next::run(&args, context),
        Command::Run(args) => run::run(&args, context),
        Command::CatchUp(args) => catch_up::run(&args, context),
        Command::Systemd(args) => systemd::run(&args, context),
        Command::Cron(args) => cron::run(&args, context),
    }
}

/// Returns the scheduled runs for `database`, or for all databases. An invalid setting of the named
/// database is an error. An invalid setting of any other one is a warning.
fn planned(database: Option<&str>, context: &Context) -> Result<Vec<ScheduledRule>, Failure> {
    let config = context.config()?;
    let overview = context.ledger()?.overview()?;
    let chosen = database.map(|name| config.default_database(Some(name))).transpose()?;
    let jobs = queue::open(context)?.list(&Filter::default())?.jobs;
    let tables = automation::timetables(config, &overview, &jobs, context.now());
    let wanted = |name: &DatabaseName| chosen.as_ref().is_none_or(|chosen| chosen == name);
    for (name, error) in tables.problems {
        match &chosen {
            Some(chosen) if *chosen == name => return Err(error.into()),
            Some(_) => {}
            None => context.ui.warning(&format!("database {name}: {error}")),
        }
    }
    let planned: Vec<ScheduledRule> = tables.rules.into_iter().filter(|it| wanted(&it.database)).collect();
    if planned.is_empty() {
        context.ui.hint(&how_to(config));
    }
    Ok(planned)
}

fn how_to(config: &Config) -> String {
    let name = config.databases().first().map_or("<database>".to_owned(), ToString::to_string);
    format!("nothing is scheduled; 'git config pggit.{name}.schedule daily' makes a backup every night")
}

/// Returns the command that makes the backup of `it` from any working directory.
fn invocation(it: &ScheduledRule, program: Option<&Path>, context: &Context) -> Result<Invocation, Failure> {
    let program = match program {
        Some(program) => context.cwd().join(program),
        None => std::env::current_exe()
            .map_err(|error| Failure::of(Code::Fatal, &error).hint("name this program with --program"))?,
    };
    Ok(Invocation::new(it, &program, &context.repository()?.top())?)
}
