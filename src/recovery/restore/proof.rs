//! The proof that a restored database is at its commit.

use super::target::Target;
use crate::domain::{BackupId, DatabaseName, RecoveryTarget, named_enum};
use crate::git::Oid;
use crate::migrations::Tool;
use crate::pg::{Client, ConnInfo};
use crate::recovery::Expected;
use crate::tools::LeftOut;
use crate::workspace::migrations::examine;
use crate::workspace::{Workspace, connect};

/// The maximum number of missing objects that a proof names.
const NAMED_MAX: usize = 10;

named_enum! {
    /// The level of a proof, the strongest first.
    ProofLevel("level of a proof") {
        /// The schema equals the schema that was recorded with a backup of the commit, or of a commit with
        /// the same migrations.
        RecordedSchema = "recorded-schema",
        /// The schema equals the schema that all migrations of the commit create in an empty database.
        BuiltSchema = "built-schema",
        /// The table of the migration tool has exactly the migrations of the commit, with their checksums.
        StateTable = "state-table",
        /// Nothing is proved.
        None = "none",
    }
}

/// The result of a schema comparison of a restored database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaComparison {
    /// A description of the expected schema.
    pub with: String,
    /// The schema difference, if there is one.
    pub difference: Option<String>,
}

impl SchemaComparison {
    /// Returns the result of a comparison with a schema; `None` if there was no comparison.
    pub(super) fn of(with: Option<String>, difference: Option<String>) -> Option<Self> {
        with.map(|with| Self { with, difference })
    }

    /// Returns true if the schemas are equal.
    pub fn is_equal(&self) -> bool {
        self.difference.is_none()
    }
}

/// The proof that a restored database is at its commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The level.
    pub level: ProofLevel,
    /// The statement that is proved, or the reason why nothing is.
    pub text: String,
}

/// The state of the migration tool in a restored database, compared with the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredState {
    /// The tool.
    pub tool: Tool,
    /// The table, with its schema.
    pub table: String,
    /// True if exactly the migrations of the commit are applied.
    pub is_equal: bool,
    /// True if each of them was compared by a checksum.
    pub by_checksum: bool,
}

impl RestoredState {
    /// Reads the state of a restored database. Returns `None` if the database has no table of a migration
    /// tool, or if the comparison with the commit is not possible.
    pub(super) fn read(
        info: &ConnInfo,
        database: &DatabaseName,
        commit: Oid,
        workspace: &Workspace,
    ) -> Option<Self> {
        let config = workspace.config().ok()?.database(database).ok()?;
        let client = Client::connect(info, connect::APPLICATION).ok()?;
        let examination = examine(&client, &config, commit, workspace.repository().ok()?).ok()??;
        let (applied, comparison) = (examination.applied?, examination.comparison.ok()?);
        Some(Self {
            tool: applied.tool,
            table: applied.table,
            is_equal: comparison.is_equal(),
            by_checksum: comparison.by_checksum,
        })
    }
}

impl Proof {
    /// Returns the strongest proof.
    pub(super) fn of(
        target: &Target,
        schema: Option<&SchemaComparison>,
        state: Option<&RestoredState>,
        workspace: &Workspace,
    ) -> Self {
        match (schema, &target.expected) {
            (Some(SchemaComparison { with, difference: None }), Expected::Recorded { backup, .. }) => {
                // The schema is that of the commit only if the backup is.
                let doubt = doubt(*backup, workspace).map(|doubt| format!("; {doubt}")).unwrap_or_default();
                let text = format!("the schema equals {with}{doubt}");
                Self { level: ProofLevel::RecordedSchema, text }
            }
            (Some(SchemaComparison { with, difference: None }), _) => {
                Self { level: ProofLevel::BuiltSchema, text: format!("the schema equals {with}") }
            }
            (Some(SchemaComparison { with, .. }), _) => Self::none(format!("the schema differs from {with}")),
            (None, _) => Self::without_schema(target, state),
        }
    }

    fn without_schema(target: &Target, state: Option<&RestoredState>) -> Self {
        if let Some(state) = state.filter(|state| state.is_equal && state.by_checksum) {
            let (table, commit) = (&state.table, target.commit.to_commit());
            let text = format!("{table} has exactly the migrations of commit {}", commit.short());
            return Self { level: ProofLevel::StateTable, text: format!("{text}, with their checksums") };
        }
        Self::none(match &target.unproved {
            Some(reason) => reason.clone(),
            None if target.expected == Expected::Unknown => {
                "no schema is recorded with the backup".to_owned()
            }
            None => "the schema was not compared".to_owned(),
        })
    }

    /// Returns the proof of a data directory that was recovered to `until`.
    pub(super) fn of_directory(
        target: &Target,
        schema: Option<&SchemaComparison>,
        until: &RecoveryTarget,
        workspace: &Workspace,
    ) -> Self {
        match (schema, until) {
            (None, RecoveryTarget::Immediate) if target.unproved.is_none() => {
                Self::none("the schema was not compared; --check-schema compares it".to_owned())
            }
            (None, until) if *until != RecoveryTarget::Immediate => {
                Self::none(format!("the commit at {until} is not known"))
            }
            _ => Self::of(target, schema, None, workspace),
        }
    }

    /// Returns the proof of a database that lacks these objects.
    pub(super) fn of_incomplete(left_out: &[LeftOut]) -> Self {
        let mut labels: Vec<String> = left_out.iter().take(NAMED_MAX).map(LeftOut::label).collect();
        if let Some(more @ 1..) = left_out.len().checked_sub(NAMED_MAX) {
            labels.push(format!("and {more} more"));
        }
        Self::none(format!("objects are missing: {}", labels.join(", ")))
    }

    /// Returns the proof of a part of a database, which is at no commit.
    pub(super) fn of_part() -> Self {
        Self::none("a part of a database is at no commit".to_owned())
    }

    fn none(text: String) -> Self {
        Self { level: ProofLevel::None, text }
    }

    /// Returns true if something is proved.
    pub fn is_some(&self) -> bool {
        self.level != ProofLevel::None
    }
}

/// Returns the first reason to doubt the commit of a backup.
fn doubt(backup: BackupId, workspace: &Workspace) -> Option<String> {
    let ledger = workspace.ledger().ok()?;
    let warnings = ledger.commit_warnings(&ledger.by_id(backup).ok()?).ok()?;
    Some(warnings.into_iter().next()?.message)
}
