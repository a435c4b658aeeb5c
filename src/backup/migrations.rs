//! The state of the migration tool of a database, recorded with a dump.

use serde_json::{Value, json};

use crate::config::DatabaseConfig;
use crate::domain::{Backup, Digest, Metadata};
use crate::git::{Oid, Repository};
use crate::migrations::State;
use crate::pg::{Client, ConnInfo};
use crate::workspace::Error;
use crate::workspace::migrations::examine;

/// The fact of the metadata that has the state.
pub(super) const MIGRATIONS: &str = "migrations";
/// The states that prevent a database from being at a commit.
const OTHER_STATES: [State; 4] = [State::Pending, State::Changed, State::Unknown, State::Incomplete];

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
    let Some(examination) = examine(&client, database, commit, repository)? else { return Ok(None) };
    let mut value = match &examination.applied {
        Some(applied) => json!({
            "tool": applied.tool.as_str(),
            "table": applied.table,
            "applied": applied.migrations.len(),
            "digest": Digest::of(applied.to_text().as_bytes()).to_string(),
        }),
        None => json!({}),
    };
    match &examination.comparison {
        Ok(comparison) => {
            value["at_commit"] = comparison.is_equal().into();
            value["by_checksum"] = comparison.by_checksum.into();
            for state in OTHER_STATES {
                value[state.as_str()] = comparison.in_state(state).count().into();
            }
        }
        Err(reason) => {
            value["at_commit"] = Value::Null;
            value["reason"] = reason.as_str().into();
        }
    }
    Ok(Some(value))
}

/// Returns a warning if the migrations that were applied are not those of the commit of the backup.
pub fn migration_warning(backup: &Backup) -> Option<String> {
    let recorded = backup.metadata.as_map().get(MIGRATIONS)?;
    let commit = backup.commit.short();
    let text = |key: &str| recorded.get(key).and_then(Value::as_str);
    if let Some(error) = text("error") {
        return Some(format!("the migrations could not be compared with commit {commit}: {error}"));
    }
    match recorded.get("at_commit")? {
        Value::Bool(true) => None,
        Value::Bool(false) => {
            let count =
                |state: State| Some((recorded.get(state.as_str())?.as_u64().filter(|n| *n > 0)?, state));
            let counts: Vec<String> = OTHER_STATES
                .into_iter()
                .filter_map(count)
                .map(|(count, state)| format!("{count} {state}"))
                .collect();
            let tool = text("tool").unwrap_or("the migration tool");
            Some(format!(
                "according to {tool}, the database is not at commit {commit}: {}",
                counts.join(", ")
            ))
        }
        _ => {
            let reason = text("reason").unwrap_or("the reason is not recorded");
            Some(format!("cannot determine if the database is at commit {commit}: {reason}"))
        }
    }
}
