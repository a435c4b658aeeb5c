//! Errors of restores.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::MigrationConflict;
use super::restore::Refusal;
use super::server::last_word;
use crate::domain::{Invalid, human_bytes};
use crate::process::interrupt::Signal;
use crate::{artifacts, config, git, ledger, pg, process, store, tools, workspace};

/// An error of this module.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The target already exists. Nothing was changed.
    #[error("database \"{dbname}\" already exists")]
    TargetExists {
        /// The name of the database.
        dbname: String,
    },
    /// Another process is restoring into the same database name.
    #[error("database \"{dbname}\" is being restored by another process")]
    InProgress {
        /// The name of the new database.
        dbname: String,
    },
    /// A database that this program did not create has the temporary name.
    #[error("database \"{temporary}\" already exists, and is not a leftover of an earlier restore")]
    TemporaryTaken {
        /// The temporary name.
        temporary: String,
    },
    /// The backup cannot be restored.
    #[error("backup {backup} cannot be restored: {reason}")]
    NotRestorable {
        /// The id of the backup.
        backup: String,
        /// The reason.
        reason: String,
    },
    /// The schema of the restored database differs from the expected schema. The restored database
    /// was removed.
    #[error("the schema of \"{dbname}\" differs from the expected schema:\n{diff}")]
    SchemaDiffers {
        /// The name that the database was to get.
        dbname: String,
        /// The schema difference.
        diff: String,
    },
    /// The expected schema could not be determined.
    #[error("the migrations of the commit do not produce a schema to compare with: {reason}")]
    NoExpectedSchema {
        /// The reason.
        reason: String,
    },
    /// Values of type money would be read incorrectly.
    #[error(
        "its amounts of type money are written as in locale \"{locale}\", which this server does not have"
    )]
    NoMonetary {
        /// The locale of the backup.
        locale: String,
    },
    /// The migrations do not lead from the backup to the commit.
    #[error(transparent)]
    MigrationConflict(#[from] MigrationConflict),
    /// The migrations were not run, because the table of the migration tool does not agree with them.
    #[error("{table} of the restored database is not as {tool} would have it: {differences}")]
    StateDiffers {
        /// The migration tool.
        tool: String,
        /// The table, with its schema.
        table: String,
        /// The first differences.
        differences: String,
    },
    /// A migration cannot be recorded as the migration tool records it.
    #[error("the migrations cannot be recorded as their tool does: {reason}")]
    NotRecordable {
        /// The reason.
        reason: String,
    },
    /// The restored database has the table of a migration tool, and the migrations would not be recorded in it.
    #[error("the restored database has {table} of {tool}, in which the migrations would not be recorded")]
    StateIgnored {
        /// The migration tool.
        tool: String,
        /// The table, with its schema.
        table: String,
    },
    /// Rows cannot be put back into a live table. Nothing was changed.
    #[error("rows of table {table} cannot be put back: {reason}")]
    RowsNotBack {
        /// The table.
        table: String,
        /// The reason.
        reason: String,
    },
    /// A setting of the original database cannot be set in the new database.
    #[error("the database sets {name}, which cannot be set here: {source}")]
    Setting {
        /// The name of the setting.
        name: String,
        /// The error of the server.
        source: pg::Error,
    },
    /// A directory for temporary files cannot be created.
    #[error("cannot create {}", path.display())]
    Staging {
        /// The directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The directory cannot become a data directory. Nothing was changed.
    #[error("{} {reason}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The problem with the directory.
        reason: String,
        /// The remedy.
        hint: &'static str,
    },
    /// The backup has tablespaces outside the directory that the caller has not mapped. Nothing was
    /// changed.
    #[error("the backup has {} outside of {}: {}", unmapped(places.len()), path.display(), listed(places))]
    Unmapped {
        /// The data directory.
        path: PathBuf,
        /// The original directories of the tablespaces.
        places: Vec<PathBuf>,
    },
    /// The free disk space is not sufficient.
    #[error("not enough disk space in {}: {} are free, {} are needed", path.display(), human_bytes(*free), human_bytes(*needed))]
    NoRoom {
        /// A directory of the file system.
        path: PathBuf,
        /// The free space, in bytes.
        free: u64,
        /// The required space, in bytes.
        needed: u64,
    },
    /// An operation on a file of the new data directory failed.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// The operation.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The program of a step failed.
    #[error("{what}: {source}")]
    Step {
        /// The purpose of the program.
        what: String,
        /// The error of the program.
        source: process::Error,
    },
    /// A server of the right version is not installed.
    #[error("no {program} of PostgreSQL {major} is installed{}", found.as_ref().map_or_else(String::new, |found| format!(" (there is {found})")))]
    ServerMissing {
        /// The missing program.
        program: tools::Program,
        /// The major version of the data.
        major: u32,
        /// The installed version with another major version, if there is one.
        found: Option<tools::ToolVersion>,
    },
    /// PostgreSQL refuses to run as root, and the user for scratch servers does not exist.
    #[error("a scratch cluster cannot be run by root, and there is no user `{name}`")]
    NoUser {
        /// The name of the user.
        name: String,
    },
    /// The user for scratch servers owns a running server. Code from a backup would get control over
    /// it.
    #[error("a scratch cluster cannot be run as `{name}`, who owns a running server (process {pid})")]
    OwnsServer {
        /// The user.
        name: String,
        /// The process id of that server.
        pid: i32,
    },
    /// The requested object is not in the backup.
    #[error("there is no {what} in the backup")]
    NotInBackup {
        /// The object.
        what: String,
    },
    /// A part could not be extracted completely.
    #[error("some tables could not be copied: {}", missing.join(", "))]
    NotTaken {
        /// The tables that are missing or empty.
        missing: Vec<String>,
        /// Messages of the programs.
        why: Vec<String>,
    },
    /// A role is missing, so that owners or privileges of a part would be lost.
    #[error("a role is missing: {what}")]
    LacksRole {
        /// The statement, and the message of the server.
        what: String,
    },
    /// A server does not start on the restored data directory.
    #[error("the server does not start on the restored data directory: {}", last_word(log))]
    ServerNotStarted {
        /// The end of the server log.
        log: String,
    },
    /// The server on the socket is not the private server.
    #[error("the server at {} is not the one that was started", path.display())]
    NotPrivate {
        /// The directory of the socket.
        path: PathBuf,
    },
    /// The time limit expired.
    #[error("timed out after {} s", after.as_secs_f64())]
    Deadline {
        /// The time limit.
        after: Duration,
    },
    /// A signal interrupted the operation.
    #[error("interrupted ({signal})")]
    Interrupted {
        /// The signal.
        signal: Signal,
    },
    /// A program failed.
    #[error(transparent)]
    Process(process::Error),
    /// The database to replace does not exist.
    #[error("there is no database \"{dbname}\" to replace")]
    NothingThere {
        /// The name of the database.
        dbname: String,
    },
    /// Sessions are connected to the database to replace.
    #[error("{sessions} session(s) are connected to database \"{dbname}\"")]
    InUse {
        /// The name of the database.
        dbname: String,
        /// The number of sessions.
        sessions: u64,
    },
    /// An earlier restore into the same target is unfinished.
    #[error("an earlier restore into {what} is unfinished: {id}")]
    NotOver {
        /// The target.
        what: String,
        /// The id of the restore.
        id: String,
    },
    /// No unfinished restore has this id.
    #[error("there is no unfinished restore '{id}'")]
    NoRestore {
        /// The id.
        id: String,
    },
    /// Another process holds the lock of the restore.
    #[error("another process is working on restore {id}")]
    Busy {
        /// The id of the restore.
        id: String,
    },
    /// The directories or databases do not have the names that the restore gave them.
    #[error("{what} {stand}")]
    Strange {
        /// The target.
        what: String,
        /// The problem.
        stand: &'static str,
    },
    /// The migration program failed.
    #[error("{}", failed_command(command, why))]
    Command {
        /// The command, quoted for a shell.
        command: String,
        /// The error of the program.
        why: process::Error,
    },
    /// The restore request is refused.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// The request names no server to restore on, and the database is not configured.
    #[error(transparent)]
    NoServer(config::Error),
    /// The creation of the new database or directory failed, and not all of it could be removed.
    #[error("{source}")]
    LeftBehind {
        /// The id of the restore.
        id: String,
        /// The error.
        source: Box<Self>,
    },
    /// The new database or directory is complete, but could not replace the old one.
    #[error("{source}")]
    NotReplaced {
        /// The id of the restore.
        id: String,
        /// The error.
        source: Box<Self>,
    },
    /// The database is restored, but could not exchange names with the database that it replaces.
    #[error("{source}")]
    NotSwapped {
        /// The database to replace.
        dbname: String,
        /// The restored database.
        restored: String,
        /// The new name for the old database.
        aside: String,
        /// The error.
        source: Box<Self>,
    },
    /// A name is not valid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The workspace cannot be opened.
    #[error(transparent)]
    Workspace(Box<workspace::Error>),
    /// The tool of a backup cannot be set up.
    #[error(transparent)]
    Artifacts(Box<artifacts::Error>),
    /// An error of the repository.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// A record cannot be read.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The content of an artifact differs from its checksum.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// An error of the backup tool.
    #[error(transparent)]
    Tools(#[from] tools::Error),
    /// An error of the server.
    #[error(transparent)]
    Pg(#[from] pg::Error),
}

impl Error {
    pub(super) fn file(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File { action, path: path.to_owned(), source }
    }

    /// Returns true if the same request may succeed later without a change by this program.
    pub fn retry(&self) -> bool {
        match self {
            Self::InProgress { .. } | Self::Busy { .. } | Self::InUse { .. } | Self::Deadline { .. } => true,
            Self::TargetExists { .. }
            | Self::NoUser { .. }
            | Self::OwnsServer { .. }
            | Self::NotInBackup { .. }
            | Self::NotTaken { .. }
            | Self::LacksRole { .. }
            | Self::TemporaryTaken { .. }
            | Self::NotRestorable { .. }
            | Self::SchemaDiffers { .. }
            | Self::NoExpectedSchema { .. }
            | Self::NoMonetary { .. }
            | Self::Setting { .. }
            | Self::MigrationConflict(_)
            | Self::RowsNotBack { .. }
            | Self::StateDiffers { .. }
            | Self::NotRecordable { .. }
            | Self::StateIgnored { .. }
            | Self::Directory { .. }
            | Self::Unmapped { .. }
            | Self::NoRoom { .. }
            | Self::File { .. }
            | Self::Step { .. }
            | Self::ServerMissing { .. }
            | Self::ServerNotStarted { .. }
            | Self::NotPrivate { .. }
            | Self::Interrupted { .. }
            | Self::NothingThere { .. }
            | Self::NotOver { .. }
            | Self::NoRestore { .. }
            | Self::Strange { .. }
            | Self::Command { .. }
            | Self::Refused(_)
            | Self::Invalid(_)
            | Self::Staging { .. } => false,
            Self::LeftBehind { source, .. }
            | Self::NotReplaced { source, .. }
            | Self::NotSwapped { source, .. } => source.retry(),
            Self::Workspace(error) => error.retry(),
            Self::Artifacts(error) => error.retry(),
            Self::Process(error) => error.retry(),
            Self::Git(error) => error.retry(),
            Self::Ledger(error) => error.retry(),
            Self::Config(error) | Self::NoServer(error) => error.retry(),
            Self::Store(error) => error.retry(),
            Self::Tools(error) => error.retry(),
            Self::Pg(error) => error.retry(),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

impl From<workspace::Error> for Error {
    fn from(error: workspace::Error) -> Self {
        match error {
            workspace::Error::Git(error) => Self::Git(error),
            workspace::Error::Config(error) => Self::Config(error),
            workspace::Error::Ledger(error) => Self::Ledger(error),
            workspace::Error::Pg(error) => Self::Pg(error),
            workspace::Error::Store(error) => Self::Store(error),
            other => Self::Workspace(Box::new(other)),
        }
    }
}

impl From<artifacts::Error> for Error {
    fn from(error: artifacts::Error) -> Self {
        Self::Artifacts(Box::new(error))
    }
}

impl From<process::Error> for Error {
    fn from(error: process::Error) -> Self {
        match error {
            process::Error::Interrupted { signal } => Self::Interrupted { signal },
            other => Self::Process(other),
        }
    }
}

fn failed_command(command: &str, why: &process::Error) -> String {
    match why {
        process::Error::Failed { status, stderr, .. } => {
            format!("'{command}': {status}\n{}", stderr.trim()).trim_end().to_owned()
        }
        other => format!("'{command}': {other}"),
    }
}

fn unmapped(count: usize) -> String {
    match count {
        1 => "an unmapped tablespace".to_owned(),
        count => format!("{count} unmapped tablespaces"),
    }
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
