//! The reasons why a request to restore is refused.

use crate::config::Origin;
use crate::domain::{BackupId, CommitId, DatabaseName, Lsn, Timestamp};
use crate::ledger;
use crate::recovery::MigrationConflict;

/// A request that is refused. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The request names neither a backup nor a commit.
    #[error("{result}")]
    NoSuchBackup {
        /// The result of the search for a backup.
        result: ledger::Error,
        /// True if a second commit was given, which is only valid with a backup.
        has_commit: bool,
    },
    /// The backups belong to several databases.
    #[error("several databases have backups, and none was selected: {}", names.join(", "))]
    SeveralDatabases {
        /// The names of the databases.
        names: Vec<String>,
    },
    /// The backup, or a backup that it needs, has failed its latest verification.
    #[error("{}", failed_verification(name, *backup, *failed))]
    FailedVerification {
        /// The name of the backup.
        name: String,
        /// The id of the backup.
        backup: BackupId,
        /// The backup that has failed.
        failed: BackupId,
        /// The commit of the backup.
        commit: CommitId,
    },
    /// No backup can be restored for the commit.
    #[error("commit {} has no backup that it can be restored from", commit.short())]
    NoCandidate {
        /// The commit.
        commit: CommitId,
        /// The nearest backups, and the reason why each of them cannot be used.
        reasons: Vec<String>,
        /// True if the migrations are a reason.
        has_gap: bool,
    },
    /// The migrations do not lead from the nearest backup to the commit.
    #[error("{gap}")]
    NoWay {
        /// The reason.
        gap: MigrationConflict,
        /// The name of the nearest backup.
        name: String,
        /// The id of the nearest backup.
        backup: BackupId,
        /// The commit of the nearest backup.
        commit: CommitId,
    },
    /// The commit does not have the script that masks the data.
    #[error("commit {} has no {script}, which has to mask the data", commit.short())]
    NoMask {
        /// The commit.
        commit: CommitId,
        /// The path of the script.
        script: String,
        /// The database.
        database: DatabaseName,
        /// The origin of the setting.
        origin: Origin,
    },
    /// No physical backup was complete at the given time.
    #[error("no physical backup was complete at {at}")]
    NoneCompleteAt {
        /// The time.
        at: Timestamp,
    },
    /// Other sessions are connected to a database that is about to be migrated.
    #[error("{sessions} other session(s) are connected to database {dbname}")]
    OthersConnected {
        /// The number of other sessions.
        sessions: u64,
        /// The database.
        dbname: String,
    },
    /// The request does not name the new database.
    #[error("name a new database with --into, or a directory with --to")]
    NoName,
    /// No schema is known to compare with.
    #[error("--check-schema: there is no schema of commit {} to compare with", commit.short())]
    NoSchema {
        /// The commit.
        commit: CommitId,
    },
    /// The record does not name the database in PostgreSQL.
    #[error("the record of backup {backup} does not name its database")]
    NoDatabaseName {
        /// The backup.
        backup: BackupId,
        /// The configured database of the backup.
        database: DatabaseName,
    },
    /// The record names an unknown tool.
    #[error("backup {backup} has an unknown tool: {tool}")]
    NoTool {
        /// The backup.
        backup: BackupId,
        /// The text in the record.
        tool: String,
    },
    /// A tool that restores from its own repository cannot keep archiving on.
    #[error("--archive-mode preserve: the tool leaves archiving off")]
    ArchivingOff,
    /// A location was given for a backup that a tool keeps in its own repository.
    #[error("--from does not apply: backup {backup} is stored by {tool}")]
    KeptByTool {
        /// The backup.
        backup: BackupId,
        /// The tool.
        tool: String,
    },
    /// The ledger lacks a backup of the backup chain.
    #[error("backup {backup} needs backup {missing}, which is not in the ledger")]
    DependencyMissing {
        /// The backup.
        backup: BackupId,
        /// The missing backup.
        missing: BackupId,
    },
    /// A backup depends on itself.
    #[error("backup {backup} needs itself")]
    DependencyCycle {
        /// The backup.
        backup: BackupId,
    },
    /// A part of a database cannot be migrated.
    #[error("a part of a database cannot be migrated from commit {}", commit.short())]
    PartOfDatabase {
        /// The commit of the backup.
        commit: CommitId,
    },
    /// The option is only for dumps.
    #[error("{option} is only for dumps: backup {backup} was made by {tool}")]
    NotADump {
        /// The option.
        option: &'static str,
        /// The backup.
        backup: BackupId,
        /// The tool.
        tool: String,
    },
    /// A database that may lack objects cannot be migrated.
    #[error("a database that may lack objects cannot be migrated from commit {}", commit.short())]
    MigrationsOfIncomplete {
        /// The commit of the backup.
        commit: CommitId,
    },
    /// The backup is a dump of another database.
    #[error("backup {backup} is a dump of database {dbname:?}")]
    OtherDatabase {
        /// The backup.
        backup: BackupId,
        /// The database of the dump.
        dbname: String,
    },
    /// The WAL does not lead from the backup to the recovery target.
    #[error("{0}")]
    Wal(#[from] WalRefusal),
    /// An in-place restore replaces a whole database or directory, and starts no server on it.
    #[error(
        "an in-place restore replaces only a whole database or data directory, and starts no server on it"
    )]
    NotWhole,
    /// The server belongs to another cluster.
    #[error("{server} belongs to another cluster now")]
    OtherCluster {
        /// The URL of the server.
        server: String,
        /// The system identifier of the cluster that was restored into.
        expected: String,
    },
    /// The database or directory to replace does not exist any more.
    #[error("{what} does not exist any more")]
    Gone {
        /// The database or directory.
        what: String,
    },
    /// The user did not confirm the replacement.
    #[error("nothing was done")]
    NotConfirmed,
    /// An unfinished restore is in a state in which the request is not possible.
    #[error("restore {id} {state}")]
    State {
        /// The id of the restore.
        id: String,
        /// The state.
        state: &'static str,
        /// The option that is possible instead.
        option: &'static str,
    },
    /// The restore has not replaced anything yet.
    #[error("restore {id} is not in place")]
    NotInPlace {
        /// The id of the restore.
        id: String,
    },
    /// No restore is unfinished.
    #[error("there is no unfinished restore")]
    NoUnfinished,
    /// Several restores are unfinished.
    #[error("several restores are unfinished: name one")]
    SeveralUnfinished,
    /// `--disconnect` was given for a data directory.
    #[error("--disconnect has no effect on restore {id}")]
    NoSessions {
        /// The id of the restore.
        id: String,
    },
    /// The request of an unfinished restore cannot be read.
    #[error("the request of restore {id} cannot be read: {reason}")]
    Request {
        /// The id of the restore.
        id: String,
        /// The reason.
        reason: String,
    },
    /// A request cannot be serialized, so that the restore could not be resumed.
    #[error("the request cannot be saved: {reason}")]
    NotWritable {
        /// The reason.
        reason: String,
    },
    /// The path of this program is unknown.
    #[error("cannot determine the path of this program: {reason}")]
    NoProgram {
        /// The reason.
        reason: String,
    },
    /// The backup was deleted or has failed in the meantime, so the restore is not recorded.
    #[error("backup {backup} is {status}")]
    NotRecordable {
        /// The backup.
        backup: BackupId,
        /// The status of the backup.
        status: String,
    },
}

/// The reason why the archived WAL does not lead from a backup to a recovery target.
#[derive(Debug, thiserror::Error)]
pub enum WalRefusal {
    /// The record of the backup has no WAL positions.
    #[error("the record of backup {backup} has no WAL positions")]
    NoPositions {
        /// The backup.
        backup: BackupId,
    },
    /// The backup was completed after the wanted time.
    #[error("backup {backup} was not complete at {at}")]
    NotComplete {
        /// The backup.
        backup: BackupId,
        /// The time.
        at: Timestamp,
    },
    /// The store has no WAL of the cluster.
    #[error("{store} has no WAL of cluster {system}")]
    NoArchive {
        /// The store.
        store: String,
        /// The system identifier of the cluster.
        system: String,
    },
    /// WAL between the beginning and the end of the backup is missing.
    #[error("the WAL of backup {backup} is incomplete in {store}")]
    Incomplete {
        /// The backup.
        backup: BackupId,
        /// The store.
        store: String,
    },
    /// The wanted position is before the end of the backup.
    #[error("backup {backup} is consistent from {from} on, not at {wanted}")]
    BeforeEnd {
        /// The backup.
        backup: BackupId,
        /// The end of the backup.
        from: Lsn,
        /// The wanted position.
        wanted: Lsn,
    },
    /// The archive ends before the wanted position.
    #[error("the WAL in {store} ends at {until}")]
    AfterEnd {
        /// The store.
        store: String,
        /// The end of the archive.
        until: Lsn,
    },
}

fn failed_verification(name: &str, backup: BackupId, failed: BackupId) -> String {
    match failed == backup {
        true => format!("backup {name} ({backup}) has failed its latest verification"),
        false => {
            format!(
                "backup {name} ({backup}) needs backup {failed}, which has failed its latest verification"
            )
        }
    }
}
