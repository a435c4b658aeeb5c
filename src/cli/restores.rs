//! Functions shared by all commands that restore: running a program on a database, signals, warnings.

use std::ffi::OsString;

use super::Context;
use super::after_change::after_change;
use crate::backup::FailedRun;
use crate::failure::{Code, Failure};
use crate::pg::ConnInfo;
use crate::process::{Cmd, Status, interrupt};
use crate::recovery::Error;
use crate::recovery::restore::{Proof, RestoreOutcome, RestoredState, SchemaComparison};
use crate::tools::reaching;

/// Installs handlers for signals that interrupt the work instead of the process, so that it can be
/// undone.
pub(super) fn watch_signals() -> Result<(), Failure> {
    interrupt::install().map_err(|error| Failure::of(Code::Fatal, &error))
}

/// Runs a program of the user on a database. Fails if the program cannot be started.
pub(super) fn attach(command: &[OsString], info: &ConnInfo, context: &Context) -> Result<Status, Failure> {
    let (program, arguments) =
        command.split_first().ok_or_else(|| Failure::new(Code::Usage, "no program was given"))?;
    let cmd = Cmd::new(program).args(arguments).inherit_env().cwd(context.cwd());
    Ok(reaching(cmd, info).run_attached()?)
}

/// Returns the error of a restore, or that of an interruption.
pub(super) fn failed(error: Error) -> Failure {
    let Some(signal) = interrupt::requested() else { return error.into() };
    let failure = Failure::new(Code::Interrupted, format!("interrupted ({signal}); nothing was restored"));
    match error {
        Error::LeftBehind { id, .. } => failure.left_behind(&id),
        // The new database or directory is complete.
        error @ Error::NotReplaced { .. } => error.into(),
        _ => failure,
    }
}

/// Warns if a schema differs from the expected one.
pub(super) fn warn_of_difference(schema: Option<&SchemaComparison>, context: &Context) {
    if let Some(difference) = schema.and_then(|schema| schema.difference.as_ref()) {
        context.ui.warning(&format!("the schema differs from the expected one:\n{difference}"));
    }
}

/// Prints the proof that a restored database is at its commit. `has_migrated` is true if migrations were run:
/// then a missing proof is a warning.
pub(super) fn print_proof(proof: &Proof, has_migrated: bool, context: &Context) {
    if proof.is_some() {
        context.ui.status(&format!("proved: {}", proof.text));
    } else if has_migrated {
        context.ui.warning(&format!("NOT PROVED: {}", proof.text));
    } else {
        context.ui.status(&format!("NOT PROVED: {}", proof.text));
    }
}

/// Warns if the migration tool would not take a restored database as being at its commit.
pub(super) fn warn_of_state(outcome: &RestoreOutcome, context: &Context) {
    let Some(RestoredState { tool, table, is_equal: false, .. }) = &outcome.state else { return };
    let commit = outcome.commit.short();
    context.ui.warning(&format!("{table} does not record exactly the migrations of commit {commit}"));
    context
        .ui
        .hint(&format!("{tool} would run or refuse migrations: 'git pggit migrations' shows their states"));
}

/// Warns if a restored database has no mark, with advice.
pub(super) fn warn_not_marked(dbname: &str, reason: Option<&str>, context: &Context) {
    let Some(reason) = reason else { return };
    context.ui.warning(&format!("database {dbname} is not marked with its commit: {reason}"));
    context.ui.hint(
        "a superuser can grant the privilege: GRANT SET ON PARAMETER \"pggit.commit\" TO <role> (PostgreSQL 15 and later)",
    );
}

/// Shares the record of a restore if that is configured. An error about the record is only a warning,
/// because the restore has succeeded.
pub(super) fn recorded(result: Result<(), Error>, context: &Context) {
    match result {
        Ok(()) => {
            after_change(context);
        }
        Err(error) => {
            let failure = Failure::from(error);
            context.ui.warning(&format!("the restore is not recorded in the ledger: {}", failure.message()));
        }
    }
}

/// Returns the failure of a backup. Warns if it could not be recorded.
pub(super) fn backup_failure(unsuccessful: FailedRun, context: &Context) -> Failure {
    if let Some(error) = &unsuccessful.not_recorded {
        context.ui.warning(&format!("the failure could not be recorded: {error}"));
    }
    let failure = Failure::from(*unsuccessful.error);
    match unsuccessful.entry {
        Some(entry) if unsuccessful.not_recorded.is_none() => {
            failure.hint(format!("recorded as {} backup {}", entry.backup.status, entry.backup.id))
        }
        _ => failure,
    }
}
