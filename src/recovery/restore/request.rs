//! Restore requests: the backup or commit, the destination, and the options.

use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::target::TargetQuery;
use crate::domain::{DatabaseName, Line, RecoveryTarget, TableName};
use crate::recovery::{Archiving, Selection};
use crate::tools::LoadOptions;

/// The version of the request format. The journal of an in-place restore contains a request.
pub(super) const VERSION: u32 = 1;

/// A request to restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreRequest {
    /// The version of the format.
    pub version: u32,
    /// A backup (an id or a prefix of it, a name, `latest`, `oldest`), or a commit.
    pub what: String,
    /// The database whose backups are considered; `None` for all.
    pub database: Option<DatabaseName>,
    /// The tool whose backups are considered; `None` for all.
    #[serde(default)]
    pub tool: Option<Line>,
    /// The commit to migrate to. Only valid with a backup.
    pub commit: Option<String>,
    /// True if the database stays at the commit of the backup. Only valid with a commit.
    pub no_migrate: bool,
    /// True if a schema difference is reported and is not an error.
    pub allow_schema_difference: bool,
    /// True if the schema of the commit need not be known.
    #[serde(default)]
    pub allow_unproved: bool,
    /// Additional locations of the bytes: URLs, or absolute paths.
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

/// A database to create.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseDestination {
    /// The name of the database. If a database is replaced, the default is the database of the backup.
    pub name: Option<String>,
    /// The server; by default the server of the configured database.
    pub server: Option<String>,
    /// The schemas to restore; all if empty.
    pub schemas: Vec<String>,
    /// The tables to restore; all if empty.
    pub tables: Vec<TableName>,
    /// The database in a physical backup, if it differs from the recorded database.
    pub from_database: Option<String>,
    /// True if missing roles are created.
    pub globals: bool,
    /// True if owners are not restored.
    pub no_owner: bool,
    /// True if privileges are not restored.
    pub no_privileges: bool,
    /// True if everything is restored into the default tablespace of the database.
    #[serde(default)]
    pub no_tablespaces: bool,
    /// True if objects that cannot be restored are left out.
    #[serde(default)]
    pub keep_going: bool,
    /// The number of parallel jobs; one if `None`.
    #[serde(default)]
    pub jobs: Option<NonZeroU32>,
    /// True if the sessions of others in a replaced database are terminated.
    pub disconnect: bool,
}

/// A data directory to create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryDestination {
    /// The absolute path of the data directory.
    pub path: PathBuf,
    /// The tablespaces, as pairs of the original directory and the new directory.
    pub tablespaces: Vec<(PathBuf, PathBuf)>,
    /// The WAL archiving of the new cluster.
    pub archiving: Archiving,
    /// The recovery target.
    pub until: RecoveryTarget,
    /// The store with the WAL archive; by default the configured store.
    pub wal_store: Option<String>,
    /// True if the schema is compared even if no migration has to run.
    pub check_schema: bool,
    /// True if a server is started on the data directory and keeps running.
    pub start: bool,
}

impl DatabaseDestination {
    /// Returns the part of the database to restore.
    pub(super) fn selection(&self) -> Selection {
        Selection { schemas: self.schemas.clone(), tables: self.tables.clone() }
    }

    /// Returns the options of the load.
    pub(super) fn options(&self) -> LoadOptions {
        LoadOptions {
            no_owner: self.no_owner,
            no_privileges: self.no_privileges,
            no_tablespaces: self.no_tablespaces,
            keep_going: self.keep_going,
            jobs: self.jobs,
        }
    }
}

impl RestoreRequest {
    /// Returns a request for a backup or a commit, without further options.
    pub fn new(what: impl Into<String>, destination: Destination) -> Self {
        Self {
            version: VERSION,
            what: what.into(),
            database: None,
            tool: None,
            commit: None,
            no_migrate: false,
            allow_schema_difference: false,
            allow_unproved: false,
            from: Vec::new(),
            destination,
        }
    }

    /// Returns the recovery target.
    pub fn until(&self) -> &RecoveryTarget {
        match &self.destination {
            Destination::Database(_) => &RecoveryTarget::Immediate,
            Destination::Directory(directory) => &directory.until,
        }
    }

    /// Returns the query for the wanted backup.
    pub(super) fn query(&self) -> TargetQuery<'_> {
        let only_physical = match &self.destination {
            Destination::Database(database) => database.from_database.is_some(),
            Destination::Directory(_) => true,
        };
        TargetQuery {
            what: &self.what,
            database: self.database.as_ref(),
            tool: self.tool.as_ref(),
            commit: self.commit.as_deref(),
            // After a point-in-time recovery the commit is unknown, so no migration can run.
            no_migrate: self.no_migrate || *self.until() != RecoveryTarget::Immediate,
            only_commit: false,
            only_physical,
            or_physical: true,
            allow_unproved: self.allow_unproved,
        }
    }
}
