//! The state of the migration tool of a database, read with a dump.

use serde_json::{Value, json};

use crate::config::DatabaseConfig;
use crate::domain::{Digest, Metadata};
use crate::git::{Oid, Repository};
use crate::migrations::{Comparison, OTHER_STATES, State};
use crate::pg::{Client, ConnInfo};
use crate::workspace::Error;
use crate::workspace::derived_commit::derive_commit;
use crate::workspace::migration_state::{DatabaseState, state_of};
use crate::workspace::migrations::examine_state;

/// The largest number of migrations that a record names.
const EXAMPLES_MAX: usize = 3;
/// The largest number of characters of the name of a migration in a record.
const NAME_CHARS_MAX: usize = 60;

/// The state of the migration tool in the snapshot of a dump. An error does not make the dump worse, so it
/// is recorded.
pub(super) struct ToolState(Result<DatabaseState, String>);

impl ToolState {
    /// Reads the state as `snapshot` sees it.
    pub(super) fn read(server: &ConnInfo, snapshot: &str, database: &DatabaseConfig) -> Self {
        let read = || -> Result<DatabaseState, Error> {
            let client = Client::connect(server, "git-pggit")?;
            client.begin_in_snapshot(snapshot)?;
            state_of(&client, database.migration_tool.value)
        };
        Self(read().map_err(|error| error.to_string()))
    }

    /// Returns the newest commit in the history of `tip` whose migrations are exactly the applied ones, or the
    /// reason why none is found. Returns `None` if the database has no table of a migration tool.
    pub(super) fn commit(
        &self,
        database: &DatabaseConfig,
        tip: Oid,
        repository: &Repository,
    ) -> Option<Result<Oid, String>> {
        match &self.0 {
            Ok(DatabaseState::None) => None,
            Ok(DatabaseState::Applied(applied)) => {
                let found = derive_commit(applied, database, tip, repository);
                Some(found.unwrap_or_else(|error| Err(error.to_string())))
            }
            Ok(DatabaseState::Unreadable(reason)) | Err(reason) => Some(Err(reason.clone())),
        }
    }

    /// Returns the state and its comparison with the files of `commit` as a fact of the record. Returns
    /// `None` if the database has no table of a migration tool.
    pub(super) fn fact(
        &self,
        commit: Oid,
        database: &DatabaseConfig,
        repository: &Repository,
    ) -> Option<Value> {
        let value = match &self.0 {
            Ok(state) => described(state, commit, database, repository).map_err(|error| error.to_string()),
            Err(error) => Err(error.clone()),
        };
        let value = value.unwrap_or_else(|error| Some(json!({ "error": error })))?;
        // The names of migrations may look like URLs with a password, which records must not have.
        match Metadata::try_from(value.clone()) {
            Ok(_) => Some(value),
            Err(_) => {
                Some(json!({ "error": "the state of the migration tool has texts that are not recorded" }))
            }
        }
    }
}

fn described(
    state: &DatabaseState,
    commit: Oid,
    database: &DatabaseConfig,
    repository: &Repository,
) -> Result<Option<Value>, Error> {
    let Some(examination) = examine_state(state, database, commit, repository)? else { return Ok(None) };
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
            if let Some(examples) = examples(comparison) {
                value["examples"] = examples.into();
            }
        }
        Err(reason) => {
            value["at_commit"] = Value::Null;
            value["reason"] = reason.as_str().into();
        }
    }
    Ok(Some(value))
}

/// Returns the first migrations that are not applied as the commit has them; `None` if there are none.
fn examples(comparison: &Comparison) -> Option<String> {
    let differing = || comparison.migrations.iter().filter(|migration| migration.state != State::Applied);
    let named: Vec<String> = differing()
        .take(EXAMPLES_MAX)
        .map(|migration| {
            let name = if migration.version.is_empty() { &migration.name } else { &migration.version };
            let name: String = name.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect();
            let state = match migration.state {
                State::Changed => "was edited after it ran",
                State::Unknown => "is applied and not in the commit",
                State::Incomplete => "has failed or is not finished",
                State::Pending | State::Applied => "is pending",
            };
            format!("{name} {state}")
        })
        .collect();
    let more = differing().count().saturating_sub(named.len());
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    (!named.is_empty()).then(|| format!("{}{more}", named.join(", ")))
}
