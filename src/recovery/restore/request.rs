//! A request to restore: which backup or commit, where to, and how.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::target::TargetQuery;
use crate::domain::{DatabaseName, RecoveryTarget, TableName};
use crate::recovery::{Archiving, Leniency, Selection};

/// The version of the format. The journal of a restore in place has a request.
pub(super) const VERSION: u32 = 1;

/// A request to restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreRequest {
    /// The version of the format.
    pub version: u32,
    /// A backup (an id or its beginning, a name, `latest`, `oldest`), or a commit.
    pub what: String,
    /// Only backups of this database are considered.
    pub database: Option<DatabaseName>,
    /// With a backup: the commit to migrate to.
    pub commit: Option<String>,
    /// With a commit: the database stays at the commit of the backup.
    pub no_migrate: bool,
    /// A schema that differs from the expected one is only reported.
    pub allow_schema_difference: bool,
    /// Places to read the bytes from, beside the configured ones: URLs, or absolute paths.
    pub from: Vec<String>,
    /// The database or data directory to create.
    pub destination: Destination,
}

/// The database or data directory that a restore creates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// A database of a server.
    Database(DatabaseDestination),
    /// A data directory.
    Directory(DirectoryDestination),
}

/// A database that is created.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseDestination {
    /// Its name. If a database is replaced, the default is that of the backup.
    pub name: Option<String>,
    /// The server; by default that of the configured database.
    pub server: Option<String>,
    /// Only these schemas.
    pub schemas: Vec<String>,
    /// Only these tables.
    pub tables: Vec<TableName>,
    /// The database in a physical backup, if it is not the one that was backed up.
    pub from_database: Option<String>,
    /// Roles that the server lacks are created.
    pub globals: bool,
    /// Owners are not restored.
    pub no_owner: bool,
    /// Privileges are not restored.
    pub no_privileges: bool,
    /// The sessions of others in a database that is replaced are ended.
    pub disconnect: bool,
}

/// A data directory that is created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryDestination {
    /// Its absolute path.
    pub path: PathBuf,
    /// The directories of tablespaces: the original one, and the new one.
    pub tablespaces: Vec<(PathBuf, PathBuf)>,
    /// Whether the new cluster archives its WAL.
    pub archiving: Archiving,
    /// The end of the WAL replay.
    pub until: RecoveryTarget,
    /// The store with the WAL; by default the configured one.
    pub wal_store: Option<String>,
    /// The schema is compared even if nothing has to be migrated.
    pub check_schema: bool,
    /// A server is started on the directory, and stays.
    pub start: bool,
}

impl DatabaseDestination {
    /// The part of the database to restore.
    pub(super) fn selection(&self) -> Selection {
        Selection { schemas: self.schemas.clone(), tables: self.tables.clone() }
    }

    /// The differences of the schema that follow from what is left out.
    pub(super) fn leniency(&self) -> Leniency {
        Leniency { owners: self.no_owner, privileges: self.no_privileges }
    }
}

impl RestoreRequest {
    /// A request for a backup or a commit, with no further options.
    pub fn new(what: impl Into<String>, destination: Destination) -> Self {
        Self {
            version: VERSION,
            what: what.into(),
            database: None,
            commit: None,
            no_migrate: false,
            allow_schema_difference: false,
            from: Vec::new(),
            destination,
        }
    }

    /// The end of the WAL replay.
    pub fn until(&self) -> &RecoveryTarget {
        match &self.destination {
            Destination::Database(_) => &RecoveryTarget::Immediate,
            Destination::Directory(directory) => &directory.until,
        }
    }

    /// Which backup is wanted.
    pub(super) fn query(&self) -> TargetQuery<'_> {
        let only_physical = match &self.destination {
            Destination::Database(database) => database.from_database.is_some(),
            Destination::Directory(_) => true,
        };
        TargetQuery {
            what: &self.what,
            database: self.database.as_ref(),
            commit: self.commit.as_deref(),
            // After a point-in-time recovery the commit is not known, so nothing can be migrated.
            no_migrate: self.no_migrate || *self.until() != RecoveryTarget::Immediate,
            only_commit: false,
            only_physical,
            or_physical: true,
        }
    }
}
