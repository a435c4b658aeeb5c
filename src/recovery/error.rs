//! What can go wrong while a backup is brought back.

use std::io;
use std::path::PathBuf;

use super::Gap;
use crate::{pg, store, tools};

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
    /// The migrations do not lead from the backup to the commit.
    #[error(transparent)]
    Gap(#[from] Gap),
    /// A directory for files that are needed for a while cannot be made.
    #[error("cannot make {}", path.display())]
    Staging {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
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
    /// May the same request succeed a little later with nothing changed by us?
    pub fn retry(&self) -> bool {
        match self {
            Self::InProgress { .. } => true,
            Self::TargetExists { .. }
            | Self::TemporaryTaken { .. }
            | Self::NotRestorable { .. }
            | Self::SchemaDiffers { .. }
            | Self::NoExpectedSchema { .. }
            | Self::Gap(_)
            | Self::Staging { .. } => false,
            Self::Store(error) => error.retry(),
            Self::Tools(error) => error.retry(),
            Self::Pg(error) => error.retry(),
        }
    }
}
