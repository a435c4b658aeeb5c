//! Errors of archiving WAL.

use std::io;
use std::path::PathBuf;

use crate::domain::{Invalid, WalName};
use crate::{pg, process, store, tools, workspace};

/// An error of the room `wal`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The repository, its configuration, a store or the queue cannot be opened.
    #[error(transparent)]
    Workspace(#[from] workspace::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The server failed.
    #[error(transparent)]
    Pg(#[from] pg::Error),
    /// pg_receivewal failed.
    #[error(transparent)]
    Tools(#[from] tools::Error),
    /// The name of a file is not the name of a WAL file.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The control file of the data directory cannot be read.
    #[error("{}: cannot be read", path.display())]
    ControlFile {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file to archive cannot be read.
    #[error("{}: cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A received segment cannot be read.
    #[error("{}: cannot be read", path.display())]
    Segment {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The target file of `restore_command` cannot be written.
    #[error("cannot write {}", path.display())]
    Target {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The spool directory cannot be used.
    #[error("{}: cannot be used", path.display())]
    Spool {
        /// The directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The directory for received segments cannot be used.
    #[error("{}: cannot be used", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Another process receives into the directory.
    #[error("another process receives WAL into {}", directory.display())]
    Occupied {
        /// The directory.
        directory: PathBuf,
    },
    /// The store does not have the file.
    #[error("{name} is not in {store}")]
    NotArchived {
        /// The file.
        name: WalName,
        /// The store.
        store: String,
    },
    /// The role may not read the system identifier.
    #[error("the system identifier of the server cannot be read")]
    NoSystemIdentifier,
    /// No WAL ends at position 0.
    #[error("WAL does not end at 0/0")]
    NoEnd,
    /// Signals cannot be handled.
    #[error(transparent)]
    Signals(io::Error),
}

impl Error {
    /// Returns true if a retry may succeed.
    pub fn retry(&self) -> bool {
        match self {
            Self::Workspace(error) => error.retry(),
            Self::Store(error) => error.retry(),
            Self::Pg(error) => error.retry(),
            Self::Tools(error) => error.retry(),
            Self::ControlFile { source, .. }
            | Self::File { source, .. }
            | Self::Segment { source, .. }
            | Self::Target { source, .. }
            | Self::Spool { source, .. }
            | Self::Directory { source, .. }
            | Self::Signals(source) => process::may_pass(source),
            Self::Occupied { .. } => true,
            Self::Invalid(_) | Self::NotArchived { .. } | Self::NoSystemIdentifier | Self::NoEnd => false,
        }
    }
}
