//! The facts of a record about the commit of its backup: the source of the commit, and its agreement with
//! the state of the migration tool.

use serde_json::Value;

use super::compare::State;
use super::tool::Tool;
use crate::domain::{BackupId, CommitId, Metadata, named_enum};

/// The fact of the metadata that has the state of the migration tool.
pub const MIGRATIONS: &str = "migrations";
/// The fact of the metadata that has the source of the commit.
pub const COMMIT_SOURCE: &str = "commit_source";
/// The fact of the metadata that has the commit recorded in the database, if it is another one.
pub const COMMIT_IN_DATABASE: &str = "commit_in_database";

/// The fact of the metadata that has the reason why the commit could not be derived from the applied
/// migrations.
pub const COMMIT_NOT_DERIVED: &str = "commit_not_derived";

/// The states that prevent a database from being at a commit.
pub const OTHER_STATES: [State; 4] = [State::Pending, State::Changed, State::Unknown, State::Incomplete];

named_enum! {
    /// The source of the commit of a backup.
    CommitSource("source of a commit") {
        /// A revision of the command line or of a job.
        Commit = "commit",
        /// The tip of a branch of the command line or of a job.
        Branch = "branch",
        /// The commit recorded in the database.
        Database = "database",
        /// The newest commit whose migrations are those that the database has applied.
        Migrations = "migrations",
        /// HEAD, because none of these is known.
        Head = "head",
        /// The tip of a branch that has moved, because none of these is known.
        Tip = "tip",
        /// An annotation in the catalogue of the tool, for an imported backup.
        Annotation = "annotation",
        /// The tip of the branch when an imported backup ended.
        Inferred = "inferred",
    }
}

named_enum! {
    /// The use of [`CommitWarning`]s when a backup is made.
    CommitCheck("check of the commit") {
        /// They are printed.
        Warn = "warn",
        /// They prevent the backup.
        Require = "require",
    }
}

named_enum! {
    /// A reason to doubt the commit of a backup.
    Doubt("reason to doubt a commit") {
        /// The database does not tell which commit it has.
        Assumed = "commit-assumed",
        /// The commit recorded in the database is another one.
        MarkDiffers = "mark-differs",
        /// The migrations that the database has applied are not those of the commit.
        MigrationsDiffer = "migrations-differ",
        /// It is not known whether they are.
        MigrationsUnknown = "migrations-unknown",
        /// Another backup of the commit has recorded another schema.
        SchemasDiffer = "schemas-differ",
    }
}

/// The state of the migration tool, as a backup has recorded it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedState {
    /// The tool, if the record names one that is known.
    pub tool: Option<Tool>,
    /// True if exactly the migrations of the commit of the backup were applied. `None` if that is not known.
    pub at_commit: Option<bool>,
}

impl RecordedState {
    /// Returns the state that a record has; `None` if it has none.
    pub fn of(metadata: &Metadata) -> Option<Self> {
        let state = metadata.as_map().get(MIGRATIONS)?;
        Some(Self {
            tool: state.get("tool").and_then(Value::as_str).and_then(|tool| tool.parse().ok()),
            at_commit: state.get("at_commit").and_then(Value::as_bool),
        })
    }
}

/// A reason to doubt the commit of a backup, and its details.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitWarning {
    /// The reason.
    pub doubt: Doubt,
    /// The details, for a person.
    pub message: String,
}

impl CommitWarning {
    /// Returns the warnings that follow from the commit and the metadata of a backup alone.
    pub fn of(commit: &CommitId, metadata: &Metadata) -> Vec<Self> {
        let facts = metadata.as_map();
        let text = |key: &str| facts.get(key).and_then(Value::as_str);
        let commit = commit.short();
        let mut warnings = Vec::new();
        let mut add = |doubt, message| warnings.push(Self { doubt, message });
        let state = facts.get(MIGRATIONS);
        let source = text(COMMIT_SOURCE).and_then(|source| source.parse().ok());
        if matches!(source, Some(CommitSource::Head | CommitSource::Tip | CommitSource::Inferred))
            && !is_confirmed(state)
        {
            let nothing = "the database has neither a mark nor the table of a migration tool";
            let reason = text(COMMIT_NOT_DERIVED).unwrap_or(nothing);
            add(Doubt::Assumed, format!("commit {commit} is assumed: {reason}"));
        }
        if let Some(mark) = text(COMMIT_IN_DATABASE) {
            let mark = mark.get(..commit.len()).unwrap_or(mark);
            add(Doubt::MarkDiffers, format!("the database is marked with commit {mark}, not with {commit}"));
        }
        if let Some((doubt, message)) = state.and_then(|state| state_doubt(state, commit)) {
            add(doubt, message);
        }
        warnings
    }
}

/// Returns the message of [`Doubt::SchemasDiffer`]. `other` is the backup with the other schema.
pub fn schemas_differ(other: BackupId) -> String {
    format!("backup {other} of the same commit has recorded another schema")
}

/// Returns true if the applied migrations are exactly those of the commit.
fn is_confirmed(state: Option<&Value>) -> bool {
    state.and_then(|state| state.get("at_commit")) == Some(&Value::Bool(true))
}

/// Returns the doubt that follows from the state of the migration tool, if there is one.
fn state_doubt(state: &Value, commit: &str) -> Option<(Doubt, String)> {
    let text = |key: &str| state.get(key).and_then(Value::as_str);
    if let Some(error) = text("error") {
        let message = format!("the migrations could not be compared with commit {commit}: {error}");
        return Some((Doubt::MigrationsUnknown, message));
    }
    match state.get("at_commit") {
        Some(Value::Bool(true)) => None,
        Some(Value::Bool(false)) => {
            let count = |other: State| Some((state.get(other.as_str())?.as_u64().filter(|n| *n > 0)?, other));
            let counts: Vec<String> = OTHER_STATES
                .into_iter()
                .filter_map(count)
                .map(|(count, other)| format!("{count} {other}"))
                .collect();
            let tool = text("tool").unwrap_or("the migration tool");
            let examples = text("examples").map(|named| format!(" ({named})")).unwrap_or_default();
            let message = format!(
                "according to {tool}, the database is not at commit {commit}: {}{examples}",
                counts.join(", ")
            );
            Some((Doubt::MigrationsDiffer, message))
        }
        _ => {
            let reason = text("reason").unwrap_or("the reason is not recorded");
            let message = format!("cannot determine if the database is at commit {commit}: {reason}");
            Some((Doubt::MigrationsUnknown, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn doubts(state: &Value) -> Option<(Doubt, String)> {
        state_doubt(state, "abc")
    }

    #[test]
    fn each_state_has_its_warning() {
        assert_eq!(doubts(&json!({"at_commit": true})), None);
        let pending = json!({"at_commit": false, "tool": "sqlx", "pending": 2, "changed": 0,
            "examples": "0042 pending"});
        let (doubt, message) = doubts(&pending).unwrap();
        assert_eq!(doubt, Doubt::MigrationsDiffer);
        assert_eq!(message, "according to sqlx, the database is not at commit abc: 2 pending (0042 pending)");
        let unknown = json!({"at_commit": null, "reason": "a reason"});
        assert_eq!(doubts(&unknown).unwrap().0, Doubt::MigrationsUnknown);
        // A record of somebody else may have anything.
        assert_eq!(doubts(&json!(7)).unwrap().0, Doubt::MigrationsUnknown);
        assert_eq!(doubts(&json!({"error": "x"})).unwrap().0, Doubt::MigrationsUnknown);
        assert!(is_confirmed(Some(&json!({"at_commit": true}))));
        assert!(!is_confirmed(Some(&json!({"at_commit": "true"}))) && !is_confirmed(None));
    }
}
