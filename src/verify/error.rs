//! Errors that prevent a verdict.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::excerpt;
use crate::domain::{BackupId, human_bytes};
use crate::process::interrupt::Signal;
use crate::tools::Program;
use crate::{artifacts, config, ledger, pg, process, recovery, store, tools, workspace};

/// An error of the room `verify`. An error says nothing about the backup; only a verdict does.
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
    /// A data directory could not be restored.
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
    #[error("backup {backup} was made by {tool}, which is unknown here")]
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
        /// The reason.
        reason: String,
    },
    /// A server of the right version is not installed.
    #[error("no {program} of PostgreSQL {major} is installed{}", found.as_ref().map_or_else(String::new, |found| format!(" (there is {found})")))]
    ServerMissing {
        /// The missing program.
        program: Program,
        /// The major version of the server that was backed up.
        major: u32,
        /// The version that was found instead, if any.
        found: Option<tools::ToolVersion>,
    },
    /// PostgreSQL refuses to run as root, and the configured user does not exist.
    #[error("a scratch cluster cannot be run by root, and there is no user `{name}`")]
    NoUser {
        /// The name of the user.
        name: String,
    },
    /// The scratch directory cannot be used.
    #[error("cannot {action} {}", path.display())]
    Scratch {
        /// The action that failed.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The path of the scratch directory is too long for a socket.
    #[error("the path of the scratch directory {} is too long for a socket", path.display())]
    TooLong {
        /// The path.
        path: PathBuf,
    },
    /// The scratch directory is inside of a data directory.
    #[error("the scratch directory {} is inside of a data directory of PostgreSQL", path.display())]
    InsideDataDirectory {
        /// The path.
        path: PathBuf,
    },
    /// There is not enough free disk space.
    #[error("not enough room in {} for a restore: {} are needed, {} are free", path.display(), human_bytes(*needed), human_bytes(*free))]
    NoRoom {
        /// The directory.
        path: PathBuf,
        /// The required space in bytes.
        needed: u64,
        /// The free space in bytes.
        free: u64,
    },
    /// The scratch cluster did not start.
    #[error("the scratch cluster does not start: {reason}")]
    NotStarted {
        /// The end of the server log.
        reason: String,
    },
    /// Another server than the scratch cluster answered.
    #[error("the server at {} is not the scratch cluster", path.display())]
    NotScratch {
        /// The directory of the socket.
        path: PathBuf,
    },
    /// This machine lacks something that the backup needs.
    #[error("the backup cannot be restored on this machine: {reason}")]
    Unsuitable {
        /// The missing part.
        reason: String,
    },
    /// The verification exceeded its time limit.
    #[error("timed out after {} s", after.as_secs_f64())]
    Deadline {
        /// The time limit.
        after: Duration,
    },
    /// A signal interrupted the verification.
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
            Other::ServerNotStarted { log } => Self::NotStarted { reason: excerpt::log_tail(&log) },
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
    /// Returns true if the same verification may succeed later.
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

    /// Returns [`Error::Deadline`] if the cause is an exceeded time limit, or else the error itself.
    pub(super) fn in_time(self, after: Duration) -> Self {
        match self {
            Self::Tools(tools::Error::Process(process::Error::Deadline { .. }))
            | Self::Process(process::Error::Deadline { .. }) => Self::Deadline { after },
            other => other,
        }
    }

    /// Converts the error of a tool. If a store caused it, the result is the error of the store.
    pub(super) fn of_tool(error: tools::Error) -> Self {
        match artifacts::of_store(error) {
            Self::Tools(tools::Error::Process(process::Error::Interrupted { signal })) => {
                Self::Interrupted { signal }
            }
            other => other,
        }
    }
}
