//! What can be wrong with a configuration.

use super::origin::Origin;
use super::url::InvalidUrl;
use crate::domain::{DatabaseName, InvalidDatabaseName};

/// A value that cannot be used, or a choice that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A value is not what its key expects.
    #[error("bad value {} for {}: expected {expected}", shown(.value.as_deref()), place(.key, .origin))]
    Value {
        /// The whole key.
        key: String,
        /// Where the value stands.
        origin: Origin,
        /// The value, made printable; `None` when the key has no `=`.
        value: Option<String>,
        /// What would be right.
        expected: &'static str,
    },
    /// A value cannot be used, for a reason of its own.
    #[error("bad value {} for {}: {reason}", shown(.value.as_deref()), place(.key, .origin))]
    Reason {
        /// The whole key.
        key: String,
        /// Where the value stands.
        origin: Origin,
        /// The value, made printable.
        value: Option<String>,
        /// What is wrong with it.
        reason: String,
    },
    /// A connection cannot be used. The text is never repeated.
    #[error("bad value for {}: {reason}", place(.key, .origin))]
    Url {
        /// The whole key.
        key: String,
        /// Where the value stands.
        origin: Origin,
        /// What is wrong with it.
        reason: InvalidUrl,
    },
    /// A section is named after something that cannot be a database.
    #[error("bad database name{}: {reason}", from(.origin))]
    DatabaseName {
        /// The place of the setting.
        origin: Origin,
        /// What is wrong with it.
        reason: InvalidDatabaseName,
    },
    /// No store has the name.
    #[error("no store is called '{name}'{}", from(.origin))]
    NoStore {
        /// The name.
        name: String,
        /// The place of the setting.
        origin: Origin,
    },
    /// A key has another name now. Its value is not read, so nothing is done without it.
    #[error("{key}{} is called {new} now", from(.origin))]
    Retired {
        /// The whole key.
        key: String,
        /// The place of the setting.
        origin: Origin,
        /// Its name now.
        new: String,
    },
    /// The database that was asked for is not configured.
    #[error("unknown database '{name}'{}", from(.origin))]
    UnknownDatabase {
        /// The name that was asked for.
        name: DatabaseName,
        /// Who asked for it.
        origin: Origin,
        /// The names there are.
        known: Vec<DatabaseName>,
        /// The one that was probably meant.
        nearest: Option<DatabaseName>,
    },
    /// There is none to take.
    #[error("no database is configured")]
    NoDatabase,
    /// There are several, and none was chosen.
    #[error("which database? {} are configured: {}", .known.len(), names(.known))]
    SeveralDatabases {
        /// The names there are.
        known: Vec<DatabaseName>,
    },
    /// A profile of the AWS command line cannot be used.
    #[error("AWS profile '{profile}': {reason}")]
    AwsProfile {
        /// Its name.
        profile: String,
        /// Why not.
        reason: String,
    },
}

impl Error {
    /// Whether the same call may succeed later without anybody's doing: no,
    /// somebody has to change the configuration.
    pub fn retry(&self) -> bool {
        false
    }
}

/// Something that is ignored, but should be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A key that does not exist, perhaps misspelt.
    Unknown {
        /// The whole key.
        key: String,
        /// The place of the setting.
        origin: Origin,
        /// The key that was probably meant.
        nearest: Option<String>,
    },
    /// A key of the committed file that has another name now.
    Retired {
        /// The whole key.
        key: String,
        /// The place of the setting.
        origin: Origin,
        /// Its name now.
        new: String,
    },
    /// A key that the place it stands in may not set.
    Untrusted {
        /// The whole key.
        key: String,
        /// The place of the setting.
        origin: Origin,
    },
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown { key, origin, nearest } => {
                write!(f, "unknown key {key} in {origin}")?;
                nearest.as_ref().map_or(Ok(()), |nearest| write!(f, "; did you mean {nearest}?"))
            }
            Self::Retired { key, origin, new } => {
                write!(f, "ignored {key} in {origin}: it is called {new} now")
            }
            Self::Untrusted { key, origin } => {
                write!(f, "ignored {key} in {origin}: only your own git configuration may set it")
            }
        }
    }
}

fn shown(value: Option<&str>) -> String {
    value.map_or_else(|| "(none)".to_owned(), |value| format!("'{value}'"))
}

fn place(key: &str, origin: &Origin) -> String {
    match origin {
        Origin::Environment(name) => format!("{name} in the environment"),
        origin => format!("{key}{}", from(origin)),
    }
}

fn from(origin: &Origin) -> String {
    if *origin == Origin::CommandLine { String::new() } else { format!(" in {origin}") }
}

fn names(names: &[DatabaseName]) -> String {
    names.iter().map(DatabaseName::as_str).collect::<Vec<_>>().join(", ")
}
