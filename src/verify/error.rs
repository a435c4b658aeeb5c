//! What can keep a verification from coming to a verdict.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::words;
use crate::domain::{BackupId, human_bytes};
use crate::process::interrupt::Signal;
use crate::tools::Program;
use crate::{artifacts, config, ledger, pg, process, recovery, store, tools, workspace};

/// An error of the room `verify`. None of them says anything about the backup:
/// what does is a verdict.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// A server failed.
    #[error(transparent)]
    Pg(#[from] pg::Error),
    /// A tool failed.
    #[error(transparent)]
    Tools(#[from] tools::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A data directory could not be made.
    #[error(transparent)]
    Recovery(recovery::Error),
    /// A program failed.
    #[error(transparent)]
    Process(process::Error),
    /// The repository, its configuration, a store or the queue cannot be opened.
    #[error(transparent)]
    Workspace(Box<workspace::Error>),
    /// The tool of the backup cannot be set up.
    #[error(transparent)]
    Artifacts(Box<artifacts::Error>),
    /// The tool that made the backup is not known.
    #[error("backup {backup} was made by {tool}, which cannot be asked here")]
    UnknownTool {
        /// The backup.
        backup: BackupId,
        /// The name of the tool.
        tool: String,
    },
    /// The backup cannot be verified as it is.
    #[error("backup {backup} cannot be verified: {reason}")]
    NotVerifiable {
        /// The backup.
        backup: BackupId,
        /// Why not.
        reason: String,
    },
    /// A server of the right version is not installed.
    #[error("no {program} of PostgreSQL {major} is installed{}", found.as_ref().map_or_else(String::new, |found| format!(" (there is {found})")))]
    ServerMissing {
        /// What was looked for.
        program: Program,
        /// The major version of the server that was backed up.
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
    /// The scratch directory cannot be used.
    #[error("cannot {action} {}", path.display())]
    Scratch {
        /// What was to be done.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Its path is too long for a socket.
    #[error("the path of the scratch directory {} is too long for a socket", path.display())]
    TooLong {
        /// The path.
        path: PathBuf,
    },
    /// It is inside of a data directory.
    #[error("the scratch directory {} is inside of a data directory of PostgreSQL", path.display())]
    InsideDataDirectory {
        /// The path.
        path: PathBuf,
    },
    /// There is not enough room.
    #[error("not enough room in {} for a restore: {} are needed, {} are free", path.display(), human_bytes(*needed), human_bytes(*free))]
    NoRoom {
        /// Where.
        path: PathBuf,
        /// How much is needed, in bytes.
        needed: u64,
        /// How much there is.
        free: u64,
    },
    /// The scratch cluster did not start.
    #[error("the scratch cluster does not start: {reason}")]
    NotStarted {
        /// The end of its log.
        reason: String,
    },
    /// Something else than the scratch cluster answered.
    #[error("what answers at {} is not the scratch cluster", path.display())]
    NotScratch {
        /// The directory of the socket.
        path: PathBuf,
    },
    /// This machine lacks something that the backup needs.
    #[error("the backup cannot be restored on this machine: {reason}")]
    Unsuitable {
        /// What.
        reason: String,
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
}

impl From<workspace::Error> for Error {
    fn from(error: workspace::Error) -> Self {
        match error {
            workspace::Error::Ledger(error) => Self::Ledger(error),
            workspace::Error::Pg(error) => Self::Pg(error),
            workspace::Error::Store(error) => Self::Store(error),
            other => Self::Workspace(Box::new(other)),
        }
    }
}

impl From<config::Error> for Error {
    fn from(error: config::Error) -> Self {
        Self::from(workspace::Error::from(error))
    }
}

impl From<artifacts::Error> for Error {
    fn from(error: artifacts::Error) -> Self {
        Self::Artifacts(Box::new(error))
    }
}

impl From<recovery::Error> for Error {
    fn from(error: recovery::Error) -> Self {
        use recovery::Error as Other;
        match error {
            Other::ServerMissing { program, major, found } => Self::ServerMissing { program, major, found },
            Other::ServerNotStarted { log } => Self::NotStarted { reason: words::log_tail(&log) },
            Other::NoUser { name } => Self::NoUser { name },
            Other::NotPrivate { path } => Self::NotScratch { path },
            Other::Deadline { after } => Self::Deadline { after },
            Other::Interrupted { signal } => Self::Interrupted { signal },
            Other::Process(error) => error.into(),
            Other::Pg(error) => error.into(),
            other => Self::Recovery(other),
        }
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

impl Error {
    /// May the same succeed a little later?
    pub fn retry(&self) -> bool {
        match self {
            Self::Ledger(ledger::Error::Git(error)) => error.retry_later(),
            Self::Ledger(error) => error.retry(),
            Self::Pg(error) => error.retry(),
            Self::Tools(error) => error.retry() || error.is_unexplained(),
            Self::Store(error) => error.retry(),
            Self::Process(error) => error.retry(),
            Self::Recovery(error) => error.retry(),
            Self::Workspace(error) => error.retry(),
            Self::Artifacts(error) => error.retry(),
            Self::Scratch { source, .. } => process::may_pass(source),
            Self::NoRoom { .. }
            | Self::Deadline { .. }
            | Self::NotStarted { .. }
            | Self::Interrupted { .. } => true,
            Self::UnknownTool { .. }
            | Self::NotVerifiable { .. }
            | Self::ServerMissing { .. }
            | Self::NoUser { .. }
            | Self::TooLong { .. }
            | Self::InsideDataDirectory { .. }
            | Self::NotScratch { .. }
            | Self::Unsuitable { .. } => false,
        }
    }

    /// The same, or the deadline that is behind it.
    pub(super) fn in_time(self, after: Duration) -> Self {
        match self {
            Self::Tools(tools::Error::Process(process::Error::Deadline { .. }))
            | Self::Process(process::Error::Deadline { .. }) => Self::Deadline { after },
            other => other,
        }
    }

    /// What a tool said, with what a store said through it.
    pub(super) fn of_tool(error: tools::Error) -> Self {
        match artifacts::of_store(error) {
            Self::Tools(tools::Error::Process(process::Error::Interrupted { signal })) => {
                Self::Interrupted { signal }
            }
            other => other,
        }
    }
}
