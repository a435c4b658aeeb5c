//! Results of the commands of backups.

mod catalogue;
mod coverage;
pub mod fields;
mod log;
mod show;
mod tables;
mod verify;
mod words;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::Value;

use crate::backup::displayed_status;
use crate::domain::{
    Backup, BackupId, BackupName, BackupType, CommitId, DatabaseName, Event, EventId, Line, Location,
    Metadata, Timestamp, VerificationKind, VerificationStatus,
};
use crate::migrations::{CommitWarning, Doubt};
use crate::recovery::{Candidate, Relation};
use crate::report::{Branch, Coverage, Tally};
use crate::terminal::ListOutput;

pub use log::{add_event, event_table};
pub use show::BackupStory;
pub use tables::{backup_table, candidate_table};
pub use words::{print_changed, print_commit_warnings, title};

/// The record of a backup, as [format.md](format.md) describes it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Record")]
pub struct RecordOutput {
    /// The record.
    #[serde(flatten)]
    pub backup: Backup,
    /// The displayed status: `interrupted` if the status is `in_progress` and the process of the backup has
    /// crashed, otherwise the status.
    pub displayed_status: String,
}

impl From<&Backup> for RecordOutput {
    fn from(backup: &Backup) -> Self {
        Self { backup: backup.clone(), displayed_status: displayed_status(backup).to_owned() }
    }
}

/// The result of `backup list`: the selected records.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RecordList {
    /// The records.
    pub backups: Vec<RecordOutput>,
}

impl ListOutput for RecordList {
    const FIELD: &'static str = "backups";
    type Element = RecordOutput;
}

/// The records of interrupted backups that are now recorded as failed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SettledBackups {
    /// The records.
    pub settled: Vec<RecordOutput>,
}

/// The record of a backup with its commit, events and dependent backups.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShownBackup {
    /// The record.
    #[serde(flatten)]
    pub record: RecordOutput,
    /// The first line of the message of the schema commit; empty if the commit cannot be read.
    pub subject: String,
    /// The branches and tags that are at the schema commit.
    pub names: Vec<String>,
    /// The ids of the backups that cannot be restored without this one.
    pub needed_by: Vec<BackupId>,
    /// The events of the record, in the order in which they are applied.
    pub events: Vec<EventOutput>,
    /// The ignored events.
    pub ignored: Vec<IgnoredEvent>,
    /// The reasons to doubt that the backup is of its commit.
    pub warnings: Vec<CommitWarningOutput>,
    /// The place of the record.
    pub ledger: LedgerPlace,
}

/// A reason to doubt that a backup is of its commit.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CommitWarningOutput {
    /// The id of the backup.
    pub backup: BackupId,
    /// The reason.
    pub code: Doubt,
    /// The details, for a person.
    pub message: String,
}

impl CommitWarningOutput {
    /// Returns the warnings about a backup.
    pub fn of(backup: BackupId, warnings: Vec<CommitWarning>) -> Vec<Self> {
        let output = |CommitWarning { doubt: code, message }| Self { backup, code, message };
        warnings.into_iter().map(output).collect()
    }
}

/// An ignored event.
#[derive(Debug, Serialize, JsonSchema)]
pub struct IgnoredEvent {
    /// The id of the event.
    pub id: EventId,
    /// The reason.
    pub reason: String,
}

/// The place of a record in git.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LedgerPlace {
    /// The ref.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The commit that the ref is at.
    pub commit: String,
}

/// An event as it is stored.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct EventOutput(Value);

impl From<&Event> for EventOutput {
    fn from(event: &Event) -> Self {
        Self(event.to_value())
    }
}

/// An event of a record. It has further fields, which depend on its kind; see [format.md](format.md).
#[derive(JsonSchema)]
#[schemars(rename = "Event", extend("additionalProperties" = true))]
#[allow(dead_code)]
struct EventFields {
    /// The version of the format.
    format: u32,
    /// The id of the event.
    id: EventId,
    /// The id of the backup.
    backup: BackupId,
    /// The kind: `registered`, `started`, `completed`, ...
    kind: String,
    /// The Lamport clock of the record: 1 and the highest that the writer saw.
    clock: u64,
    /// The time of the event, by the clock of the writer.
    at: Timestamp,
    /// The author; absent if the writer did not name one.
    #[schemars(skip_serializing_if = "Option::is_none")]
    by: Option<Line>,
    /// The machine; absent if the writer did not name one.
    #[schemars(skip_serializing_if = "Option::is_none")]
    host: Option<Line>,
}

impl JsonSchema for EventOutput {
    fn schema_name() -> Cow<'static, str> {
        "Event".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        EventFields::json_schema(generator)
    }
}

/// The events of records, the newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EventLog {
    /// The events.
    pub events: Vec<LoggedEvent>,
}

impl ListOutput for EventLog {
    const FIELD: &'static str = "events";
    type Element = LoggedEvent;
}

/// An event of a record, with further fields, which depend on its kind; see [format.md](format.md).
#[derive(Debug, Serialize, JsonSchema)]
pub struct LoggedEvent {
    /// The event.
    #[serde(flatten)]
    pub event: EventOutput,
    /// The name of the backup.
    pub backup_name: BackupName,
    /// The configured database.
    pub backup_database: DatabaseName,
    /// The signature of the commit that recorded the event; absent without `--show-signature`, or if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<SignatureOutput>,
}

/// The signature of a commit.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SignatureOutput {
    /// The verdict of git in one word.
    pub verdict: String,
    /// The signer; empty if git does not know.
    pub signer: String,
    /// The key; empty if git does not know.
    pub key: String,
}

/// The difference between two recorded schemas.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SchemaDiff {
    /// True if the schemas differ.
    pub differs: bool,
    /// The difference as git prints it; empty if there is none.
    pub diff: String,
}

/// A migration that succeeded with a backup before it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct GuardedMigration {
    /// The id of the backup.
    pub backup: BackupId,
    /// Always true: a migration that fails is an error.
    pub migrated: bool,
}

/// The coverage of branches.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BranchCoverage {
    /// The branches.
    pub branches: Vec<Branch>,
    /// The numbers of all backups.
    pub totals: Tally,
    /// The reasons to doubt that the backups from which the tips can be restored are of their commits.
    pub warnings: Vec<CommitWarningOutput>,
}

/// The coverage of the commits of a range.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RangeCoverage {
    /// The commits, the newest first.
    pub commits: Vec<Coverage>,
    /// The numbers of commits and backups.
    pub totals: RangeTotals,
}

/// The numbers of commits and backups of a range.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RangeTotals {
    /// Number of commits.
    pub commits: usize,
    /// Number of commits that can be restored.
    pub ok: usize,
    /// Number of backups that the commits have.
    pub backups: usize,
}

/// The backups near a commit.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FoundBackups {
    /// The commit.
    pub commit: CommitId,
    /// The id of the backup that a restore would choose; null if there is none.
    pub best: Option<BackupId>,
    /// The backups, the best first.
    pub candidates: Vec<CandidateOutput>,
}

/// A backup near a commit.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CandidateOutput {
    /// The id of the backup.
    pub backup: BackupId,
    /// The name of the backup.
    pub name: String,
    /// The schema commit of the backup.
    pub commit: CommitId,
    /// The type of the backup.
    #[serde(rename = "type")]
    pub kind: BackupType,
    /// The tool that made the backup.
    pub tool: String,
    /// The time of its completion; null if that is not recorded.
    pub completed_at: Option<Timestamp>,
    /// Bytes of the content; null if that is not recorded.
    pub size_bytes: Option<u64>,
    /// True if its verification passed.
    pub verified: bool,
    /// The relation of the schema commit to the wanted commit.
    pub relation: RelationKind,
    /// Number of commits between the two; absent if `relation` is `exact` or `side`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commits: Option<usize>,
    /// Number of migrations that a restore runs, or, if the candidate is not usable, of files that differ
    /// between the two; absent if `relation` is `exact`, or if no migrations lead from one to the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migrations: Option<usize>,
    /// The reason why it cannot be used, in words; null if it can.
    pub unusable: Option<String>,
    /// True if a restore may choose it.
    pub eligible: bool,
    /// Its relation to the commit, or the reason why it cannot be used, in words.
    pub reason: String,
}

/// The relation of a schema commit to the wanted commit.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum RelationKind {
    /// The schema commit is the wanted commit.
    Exact,
    /// The schema commit is in the history of the wanted commit.
    Ancestor,
    /// The wanted commit is in the history of the schema commit.
    Newer,
    /// Neither of the two is in the history of the other.
    Side,
}

impl From<&Candidate> for CandidateOutput {
    fn from(candidate: &Candidate) -> Self {
        let (relation, commits, migrations) = match candidate.relation {
            Relation::Exact => (RelationKind::Exact, None, None),
            Relation::Ancestor { commits, migrations } => {
                (RelationKind::Ancestor, Some(commits), Some(migrations))
            }
            Relation::Newer { commits, migrations } => (RelationKind::Newer, Some(commits), migrations),
            Relation::Side { migrations } => (RelationKind::Side, None, migrations),
        };
        Self {
            backup: candidate.backup,
            name: candidate.name.clone(),
            commit: candidate.commit.clone(),
            kind: candidate.kind,
            tool: candidate.tool.clone(),
            completed_at: candidate.completed_at,
            size_bytes: candidate.size_bytes,
            verified: candidate.verified,
            relation,
            commits,
            migrations,
            unusable: candidate.unusable.clone(),
            eligible: candidate.is_eligible(),
            reason: candidate.reason(),
        }
    }
}

/// The backups that a tool has in its own repository, after the import.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ImportedBackups {
    /// The tool.
    pub tool: String,
    /// The configured database.
    pub database: DatabaseName,
    /// The backups of the tool.
    pub backups: Vec<ImportedBackup>,
}

/// A backup of a tool.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ImportedBackup {
    /// The name of the backup in the tool.
    pub label: String,
    /// The result for it.
    pub outcome: ImportOutcome,
    /// The id of the backup; null if it was left out.
    pub id: Option<BackupId>,
    /// The reason why it was left out, in words; null if it was not.
    pub reason: Option<String>,
}

/// The result for a backup of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum ImportOutcome {
    /// The backup was registered.
    Imported,
    /// The existing record of the backup was completed.
    Completed,
    /// The backup was recorded already.
    Known,
    /// The backup was not registered.
    LeftOut,
}

/// The differences between the records and the repository of a tool.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ToolDifferences {
    /// The tool.
    pub tool: String,
    /// True if `--record` has recorded the missing backups as deleted.
    pub recorded: bool,
    /// Number of backups that are the same in both.
    pub same: usize,
    /// The backups that are recorded and that the tool does not have.
    pub gone: Vec<GoneBackup>,
    /// The backups that the tool has and that are not recorded.
    pub unknown: Vec<UnknownBackup>,
    /// The backups that are recorded differently.
    pub changed: Vec<ChangedBackup>,
}

/// A recorded backup that is missing in its tool.
#[derive(Debug, Serialize, JsonSchema)]
pub struct GoneBackup {
    /// The id of the backup.
    pub id: BackupId,
    /// The recorded location; null if there is none.
    pub location: Option<Location>,
}

/// A backup of a tool that is not recorded.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UnknownBackup {
    /// The name of the backup in the tool.
    pub label: String,
    /// The location.
    pub location: Location,
    /// The reason why it cannot be imported, in words; null if it can.
    pub unusable: Option<String>,
}

/// A backup that is recorded differently.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChangedBackup {
    /// The id of the backup.
    pub id: BackupId,
    /// The recorded location; null if there is none.
    pub location: Option<Location>,
    /// The differences, in words.
    pub changes: Vec<String>,
}

/// The verifications that were made.
#[derive(Debug, Serialize, JsonSchema)]
pub struct VerificationResults {
    /// The verifications.
    pub verifications: Vec<VerificationResult>,
}

/// A verification and its verdict.
#[derive(Debug, Serialize, JsonSchema)]
pub struct VerificationResult {
    /// The id of the backup.
    pub backup: BackupId,
    /// The name of the backup.
    pub name: BackupName,
    /// The configured database.
    pub database: DatabaseName,
    /// The schema commit.
    pub commit: CommitId,
    /// The kind of the verification.
    pub kind: VerificationKind,
    /// The verdict.
    pub status: VerificationStatus,
    /// The reasons for the verdict, in words; empty if there are none.
    pub reasons: Vec<String>,
    /// True if this is an earlier verification that is still valid.
    pub reused: bool,
    /// The time of the verification.
    pub at: Timestamp,
    /// The author of the verification.
    pub by: Line,
    /// The id of the event that recorded it.
    pub event: EventId,
    /// Evidence; see [verification.md](verification.md).
    pub details: Metadata,
}

/// The verifications that are due.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DueVerifications {
    /// The verifications.
    pub due: Vec<DueVerification>,
}

/// A verification that is due.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DueVerification {
    /// The id of the backup.
    pub backup: BackupId,
    /// The name of the backup.
    pub name: BackupName,
    /// The configured database.
    pub database: DatabaseName,
    /// The kind of the verification that is due.
    pub kind: VerificationKind,
    /// The reason why it is due, in words; null if the backup was named.
    pub reason: Option<String>,
}
