//! Results of the commands for databases, marks, clones and settings.

mod render;

use schemars::JsonSchema;
use serde::Serialize;

use crate::config::{KeyScope, Row, Trust};
use crate::domain::{BackupId, BackupType, CommitId, DatabaseName};
use crate::recovery::CloneLabel;

/// The configured databases.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DatabaseList {
    /// The databases.
    pub databases: Vec<DatabaseOutput>,
}

/// A configured database.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DatabaseOutput {
    /// The name of the database.
    pub name: DatabaseName,
    /// True for the default database of commands.
    pub default: bool,
    /// The connection, without a password; null if none is configured.
    pub url: Option<String>,
    /// The tool that makes backups.
    pub tool: String,
    /// The type of backups.
    #[serde(rename = "type")]
    pub kind: BackupType,
    /// The format of dumps.
    pub format: String,
    /// The directory for backups; null if none is configured.
    pub output: Option<String>,
}

/// The settings of one database.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DatabaseSettings {
    /// The name of the database.
    pub name: DatabaseName,
    /// Every key of the database.
    pub keys: Vec<KeyOutput>,
}

/// A key of the configuration and its values.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Key")]
pub struct KeyOutput {
    /// The whole key.
    pub key: String,
    /// The database that the key belongs to; null if it belongs to the repository.
    pub database: Option<DatabaseName>,
    /// The effective values; empty if the key is not set and has no default.
    pub values: Vec<ValueOutput>,
    /// The default value; null if there is none.
    pub default: Option<String>,
    /// True if the values are valid.
    pub valid: bool,
}

/// A value of a key.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Value")]
pub struct ValueOutput {
    /// The value; null if it must not be shown.
    pub value: Option<String>,
    /// The origin of the value.
    pub origin: OriginOutput,
}

/// The origin of a value.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Origin")]
pub struct OriginOutput {
    /// `command-line`, `environment`, `committed`, `default`, or a scope of git such as `local`.
    pub kind: String,
    /// The origin in words.
    pub name: String,
}

impl From<&Row> for KeyOutput {
    fn from(row: &Row) -> Self {
        let values = row.values.iter().map(|setting| ValueOutput {
            value: setting.value.clone(),
            origin: OriginOutput { kind: setting.origin.kind().to_owned(), name: setting.origin.to_string() },
        });
        Self {
            key: row.key.clone(),
            database: row.database.clone(),
            values: values.collect(),
            default: row.default.map(str::to_owned),
            valid: row.valid,
        }
    }
}

/// The effective settings.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Settings {
    /// Every key: those of the repository, then those of each database.
    pub keys: Vec<KeyOutput>,
    /// The invalid settings, in words.
    pub problems: Vec<String>,
    /// The ignored settings, in words.
    pub warnings: Vec<String>,
}

/// The known keys.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KeyList {
    /// The keys.
    pub keys: Vec<KeyDescription>,
}

/// A known key.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KeyDescription {
    /// The key; `<name>` stands for the name of a database.
    pub key: String,
    /// The scope of the key.
    pub scope: KeyScope,
    /// The values that it can have, in words.
    pub expected: String,
    /// True if it can have several values.
    pub several: bool,
    /// The default value; null if there is none.
    pub default: Option<String>,
    /// The environment variable that sets it; null if there is none.
    pub environment: Option<String>,
    /// The places that may set the key.
    pub trust: Trust,
    /// The purpose of the key.
    pub description: String,
}

/// The result of a connection to a database and of a search for the programs that backups need.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DatabaseCheck {
    /// The name of the configured database.
    pub name: String,
    /// The name of the database in its server.
    pub dbname: String,
    /// The server: host and port, or directory of the socket.
    pub target: String,
    /// The role that is connected.
    pub user: String,
    /// True if the role is a superuser.
    pub superuser: bool,
    /// The version of the server: `15.18`.
    pub server_version: String,
    /// The version as a number: `150018`.
    pub server_version_num: u32,
    /// The system identifier of the cluster; null if the role may not read it.
    pub system_identifier: Option<String>,
    /// True if the server is a standby.
    pub in_recovery: bool,
    /// Bytes of the database in the server.
    pub size_bytes: u64,
    /// The commit recorded in the database; null if there is none.
    pub mark: Option<String>,
    /// The programs that backups need.
    pub programs: Vec<ProgramOutput>,
}

/// A program that backups need. It has either a path and a version or an error.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProgramOutput {
    /// The name of the program.
    pub program: String,
    /// The file of the program; absent if there is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The version of the program; absent if there is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The reason why the program cannot be used, in words; absent if it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The mark of a database after it was changed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChangedMark {
    /// The configured database.
    pub database: DatabaseName,
    /// The commit that the database is marked with; null if the mark was removed.
    pub commit: Option<CommitId>,
    /// The mark before; null if there was none.
    pub previous: Option<String>,
}

/// The mark of a database that has none.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NoMark {
    /// The configured database.
    pub database: DatabaseName,
    /// Always null.
    pub commit: (),
}

/// The commit that is recorded in a database.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MarkOutput {
    /// The configured database.
    pub database: DatabaseName,
    /// The commit that the database is marked with.
    pub commit: String,
    /// True if the commit is in this repository.
    pub known: bool,
    /// The first line of the message of the commit; null if it is not known.
    pub subject: Option<String>,
    /// Number of commits of HEAD that are not in the history of the mark; null if it is not known.
    pub behind: Option<usize>,
    /// Number of commits of the mark that are not in the history of HEAD; null if it is not known.
    pub ahead: Option<usize>,
}

/// The clone databases.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CloneList {
    /// The clones.
    pub clones: Vec<CloneOutput>,
}

/// A clone database.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CloneOutput {
    /// The name of the clone in its server.
    pub dbname: String,
    /// The state of the clone.
    pub state: CloneState,
    /// The origin of the clone.
    pub clone: CloneLabel,
}

/// The state of a clone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub enum CloneState {
    /// The clone is kept until it is removed.
    #[serde(rename = "kept")]
    Kept,
    /// The command that created the clone is running.
    #[serde(rename = "in use")]
    InUse,
    /// The command that created the clone has crashed.
    #[serde(rename = "abandoned")]
    Abandoned,
}

impl CloneState {
    /// Returns the word for the state.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::InUse => "in use",
            Self::Abandoned => "abandoned",
        }
    }
}

/// The clones that were dropped.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DroppedClones {
    /// The names of the databases.
    pub dropped: Vec<String>,
}

/// A new clone database.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CheckedOutClone {
    /// The name of the clone in its server.
    pub dbname: String,
    /// The connection to the clone, without a password.
    pub connection: String,
    /// The commit of the clone.
    pub commit: CommitId,
    /// The id of the backup that was restored.
    pub backup: BackupId,
    /// The configured database.
    pub database: DatabaseName,
}
