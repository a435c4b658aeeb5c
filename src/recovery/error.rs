//! What can go wrong while a backup is brought back.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Gap;
use super::restore::Refusal;
use super::server::last_word;
use crate::domain::{Invalid, human_bytes};
use crate::process::interrupt::Signal;
use crate::{artifacts, config, git, ledger, pg, process, store, tools, workspace};

/// A failure of this room.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The target is there already; nothing was touched.
    #[error("database \"{dbname}\" already exists")]
    TargetExists {
        /// Its name.
        dbname: String,
    },
    /// Another process is restoring into the same name.
    #[error("database \"{dbname}\" is being restored by another process")]
    InProgress {
        /// The name it will have.
        dbname: String,
    },
    /// The temporary name is taken by a database that we did not make.
    #[error("database \"{temporary}\" is in the way: it is not a leftover of an earlier restore")]
    TemporaryTaken {
        /// Its name.
        temporary: String,
    },
    /// The backup cannot be restored as it is.
    #[error("backup {backup} cannot be restored: {reason}")]
    NotRestorable {
        /// Its id.
        backup: String,
        /// Why not.
        reason: String,
    },
    /// The schema of what was restored is not what it should be; nothing is left
    /// of it.
    #[error("the schema of \"{dbname}\" is not what it should be:\n{diff}")]
    SchemaDiffers {
        /// The name it would have had.
        dbname: String,
        /// In what.
        diff: String,
    },
    /// What the schema has to be could not be found out.
    #[error("the migrations of the commit do not make a schema to compare with: {reason}")]
    NoExpectedSchema {
        /// Why not.
        reason: String,
    },
    /// Amounts of type money would be read incorrectly.
    #[error(
        "its amounts of type money are written as in locale \"{locale}\", which this server does not have"
    )]
    NoMonetary {
        /// The locale of the backup.
        locale: String,
    },
    /// The migrations do not lead from the backup to the commit.
    #[error(transparent)]
    Gap(#[from] Gap),
    /// A setting of the original database cannot be set in the new one.
    #[error("the database sets {name}, which cannot be set here: {source}")]
    Setting {
        /// The name of the setting.
        name: String,
        /// The error of the server.
        source: pg::Error,
    },
    /// A directory for files that are needed for a while cannot be made.
    #[error("cannot make {}", path.display())]
    Staging {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The directory cannot become a data directory; nothing was touched.
    #[error("{} {reason}", path.display())]
    Directory {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What to do about it.
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
    /// There is not room enough.
    #[error("{} has room for {}, and the backup needs {}", path.display(), human_bytes(*free), human_bytes(*needed))]
    NoRoom {
        /// Where.
        path: PathBuf,
        /// What is free there, in bytes.
        free: u64,
        /// What is needed, in bytes.
        needed: u64,
    },
    /// A file of the new directory could not be made as it should be.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was to be done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program of one step failed.
    #[error("{what}: {source}")]
    Step {
        /// What it does.
        what: String,
        /// What it said.
        source: process::Error,
    },
    /// A server of the right version is not installed.
    #[error("no {program} of PostgreSQL {major} is installed{}", found.as_ref().map_or_else(String::new, |found| format!(" (there is {found})")))]
    ServerMissing {
        /// What was looked for.
        program: tools::Program,
        /// The major version of the data.
        major: u32,
        /// What was found instead.
        found: Option<tools::ToolVersion>,
    },
    /// PostgreSQL refuses root, and there is nobody else.
    #[error("a scratch cluster cannot be run by root, and there is no user `{name}`")]
    NoUser {
        /// Who was looked for.
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
    /// What is wanted is not in the backup.
    #[error("there is no {what} in the backup")]
    NotInBackup {
        /// What.
        what: String,
    },
    /// A part could not be taken out.
    #[error("not all of it could be copied: {}", missing.join(", "))]
    NotTaken {
        /// The tables that are missing or empty.
        missing: Vec<String>,
        /// What was said about it.
        why: Vec<String>,
    },
    /// A server does not start on what was restored.
    #[error("a server does not start on what was restored: {}", last_word(log))]
    ServerNotStarted {
        /// The end of its log.
        log: String,
    },
    /// Something else than the private server answered.
    #[error("what answers at {} is not the server that was started", path.display())]
    NotPrivate {
        /// The directory of the socket.
        path: PathBuf,
    },
    /// It took too long.
    #[error("not done after {} s", after.as_secs_f64())]
    Deadline {
        /// How long it was given.
        after: Duration,
    },
    /// A signal ended it.
    #[error("interrupted ({signal})")]
    Interrupted {
        /// The signal.
        signal: Signal,
    },
    /// A program failed.
    #[error(transparent)]
    Process(process::Error),
    /// There is nothing to replace.
    #[error("there is no database \"{dbname}\" to replace")]
    NothingThere {
        /// Its name.
        dbname: String,
    },
    /// Somebody is connected to what is to be replaced.
    #[error("{sessions} session(s) are connected to database \"{dbname}\"")]
    InUse {
        /// Its name.
        dbname: String,
        /// How many.
        sessions: u64,
    },
    /// An earlier restore into the same place is not over.
    #[error("an earlier restore into {what} is not over: {id}")]
    NotOver {
        /// The place.
        what: String,
        /// The id of the restore.
        id: String,
    },
    /// There is no restore of this id.
    #[error("there is no unfinished restore '{id}'")]
    NoRestore {
        /// The id.
        id: String,
    },
    /// Another process works on it.
    #[error("another process works on restore {id}")]
    Busy {
        /// The id.
        id: String,
    },
    /// Things are not where the restore has put them.
    #[error("{what} {stand}")]
    Strange {
        /// The place.
        what: String,
        /// What is the matter.
        stand: &'static str,
    },
    /// The program that migrates failed.
    #[error("{}", failed_command(command, why))]
    Command {
        /// As it would be written in a shell.
        command: String,
        /// How it ended and what it said.
        why: process::Error,
    },
    /// The request is refused.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// No server to restore on is named, and the database is not configured.
    #[error(transparent)]
    NoServer(config::Error),
    /// The creation of the new one failed, and not all of it could be removed.
    #[error("{source}")]
    LeftBehind {
        /// The id of the restore.
        id: String,
        /// The error.
        source: Box<Self>,
    },
    /// The new one is complete, and could not be put in place.
    #[error("{source}")]
    NotReplaced {
        /// The id of the restore.
        id: String,
        /// The error.
        source: Box<Self>,
    },
    /// A database is restored, and could not change its name with the one that it replaces.
    #[error("{source}")]
    NotSwapped {
        /// The database to replace.
        dbname: String,
        /// The restored database.
        restored: String,
        /// The name that the old one should get.
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
    /// The repository said no.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// A record cannot be read.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// Its bytes are not what they should be.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The tool said no.
    #[error(transparent)]
    Tools(#[from] tools::Error),
    /// The server said no.
    #[error(transparent)]
    Pg(#[from] pg::Error),
}

impl Error {
    pub(super) fn file(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File { action, path: path.to_owned(), source }
    }

    /// May the same request succeed a little later with nothing changed by us?
    pub fn retry(&self) -> bool {
        match self {
            Self::InProgress { .. } | Self::Busy { .. } | Self::InUse { .. } | Self::Deadline { .. } => true,
            Self::TargetExists { .. }
            | Self::NoUser { .. }
            | Self::OwnsServer { .. }
            | Self::NotInBackup { .. }
            | Self::NotTaken { .. }
            | Self::TemporaryTaken { .. }
            | Self::NotRestorable { .. }
            | Self::SchemaDiffers { .. }
            | Self::NoExpectedSchema { .. }
            | Self::NoMonetary { .. }
            | Self::Setting { .. }
            | Self::Gap(_)
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
