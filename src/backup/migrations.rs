//! The state of the migration tool of a database, recorded with a dump.

use serde_json::{Value, json};

use crate::config::DatabaseConfig;
use crate::domain::{Backup, Digest, Metadata};
use crate::git::{Oid, Repository};
use crate::migrations::{Applied, Comparison, State, compare};
use crate::pg::{Client, ConnInfo};
use crate::workspace::Error;
use crate::workspace::migrations::{CommitMigrations, applied};

/// The fact of the metadata that has the state.
pub(super) const MIGRATIONS: &str = "migrations";

/// Returns the state that the migration tool has recorded in the database, as `snapshot` sees it, and its
/// comparison with the files of `commit`. Returns `None` if the database has no table of a migration
/// tool. An error does not make the dump worse, so it is recorded instead.
pub(super) fn migrations(
    server: &ConnInfo,
    snapshot: &str,
    repository: &Repository,
    commit: Oid,
    database: &DatabaseConfig,
) -> Option<Value> {
    let value = read(server, snapshot, repository, commit, database)
        .unwrap_or_else(|error| Some(json!({ "error": error.to_string() })))?;
    // The names of migrations may look like URLs with a password, which records must not have.
    match Metadata::try_from(value.clone()) {
        Ok(_) => Some(value),
        Err(_) => Some(json!({ "error": "the state of the migration tool has texts that are not recorded" })),
    }
}

fn read(
    server: &ConnInfo,
    snapshot: &str,
    repository: &Repository,
    commit: Oid,
    database: &DatabaseConfig,
) -> Result<Option<Value>, Error> {
    let client = Client::connect(server, "git-pggit")?;
    client.begin_in_snapshot(snapshot)?;
    let found = applied(&client)?;
    let state = match (found.applied.as_slice(), found.unreadable.as_slice()) {
        ([], []) => return Ok(None),
        ([one], []) => one,
        (several, unreadable) => {
            let tables: Vec<&String> = several.iter().map(|it| &it.table).chain(unreadable).collect();
            let reason =
                if unreadable.is_empty() { "several tools" } else { "tables that the role may not read" };
            return Ok(Some(json!({ "tables": tables, "at_commit": null, "reason": reason })));
        }
    };
    let mut value = json!({
        "tool": state.tool.as_str(),
        "table": state.table,
        "applied": state.migrations.len(),
        "digest": Digest::of(state.to_text().as_bytes()).to_string(),
    });
    match against(state, repository, commit, database) {
        Ok(comparison) => {
            value["at_commit"] = comparison.is_equal().into();
            value["by_checksum"] = comparison.by_checksum.into();
            for state in [State::Pending, State::Changed, State::Unknown, State::Incomplete] {
                value[state.as_str()] = comparison.in_state(state).count().into();
            }
        }
        Err(reason) => {
            value["at_commit"] = Value::Null;
            value["reason"] = reason.into();
        }
    }
    Ok(Some(value))
}

/// Compares the state with the files of a commit. Fails with a reason if the files are not understood.
fn against(
    state: &Applied,
    repository: &Repository,
    commit: Oid,
    database: &DatabaseConfig,
) -> Result<Comparison, String> {
    let found = CommitMigrations::at(commit, Some(database), Some(state.tool), repository);
    let found = found.map_err(|error| error.to_string())?;
    let Some(history) = &found.history else {
        return Err(format!("the commit has no migrations of {}", state.tool));
    };
    match history.problems.first() {
        Some(problem) => Err(problem.to_string()),
        None => Ok(compare(history, state, &|path| found.read(path))),
    }
}

/// Returns a warning if the migrations that were applied are not those of the commit of the backup.
pub fn migration_warning(backup: &Backup) -> Option<String> {
    let recorded = backup.metadata.as_map().get(MIGRATIONS)?;
    let commit = backup.commit.short();
    let text = |key: &str| recorded.get(key).and_then(Value::as_str);
    if let Some(error) = text("error") {
        return Some(format!("the state of the migration tool could not be read: {error}"));
    }
    match recorded.get("at_commit")? {
        Value::Bool(true) => None,
        Value::Bool(false) => {
            let count =
                |state: State| Some((recorded.get(state.as_str())?.as_u64().filter(|n| *n > 0)?, state));
            let states = [State::Pending, State::Changed, State::Unknown, State::Incomplete];
            let counts: Vec<String> = states
                .into_iter()
                .filter_map(count)
                .map(|(count, state)| format!("{count} {state}"))
                .collect();
            let tool = text("tool").unwrap_or("the migration tool");
            Some(format!("by {tool}, the database is not at commit {commit}: {}", counts.join(", ")))
        }
        _ => {
            let reason = text("reason").unwrap_or("the reason is not recorded");
            Some(format!("it is not known whether the database is at commit {commit}: {reason}"))
        }
    }
}
