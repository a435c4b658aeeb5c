//! Errors and warnings of the configuration.

use super::origin::Origin;
use super::url::InvalidUrl;
use crate::domain::{DatabaseName, InvalidDatabaseName};

/// An invalid value, or a choice that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A value does not have the form that its key expects.
    #[error("bad value {} for {}: expected {expected}", shown(.value.as_deref()), place(.key, .origin))]
    Value {
        /// The full name of the key.
        key: String,
        /// The origin of the value.
        origin: Origin,
        /// The value, made printable; `None` if the key has no `=`.
        value: Option<String>,
        /// The expected form.
        expected: &'static str,
    },
    /// A value is refused for a specific reason.
    #[error("bad value {} for {}: {reason}", shown(.value.as_deref()), place(.key, .origin))]
    Reason {
        /// The full name of the key.
        key: String,
        /// The origin of the value.
        origin: Origin,
        /// The value, made printable.
        value: Option<String>,
        /// The reason.
        reason: String,
    },
    /// A connection is refused. The message never repeats the text, because it may contain a password.
    #[error("bad value for {}: {reason}", place(.key, .origin))]
    Url {
        /// The full name of the key.
        key: String,
        /// The origin of the value.
        origin: Origin,
        /// The reason.
        reason: InvalidUrl,
    },
    /// The name of a section is not a valid name of a database.
    #[error("bad database name{}: {reason}", from(.origin))]
    DatabaseName {
        /// The origin of the setting.
        origin: Origin,
        /// The reason.
        reason: InvalidDatabaseName,
    },
    /// No store with this name is configured.
    #[error("unknown store '{name}'{}", from(.origin))]
    NoStore {
        /// The name.
        name: String,
        /// The origin of the setting.
        origin: Origin,
    },
    /// A key was renamed. Its value is not read, so the command fails instead of running without it.
    #[error("{key}{} was renamed to {new}", from(.origin))]
    Retired {
        /// The full name of the key.
        key: String,
        /// The origin of the setting.
        origin: Origin,
        /// The new name of the key.
        new: String,
    },
    /// The requested database is not configured.
    #[error("unknown database '{name}'{}", from(.origin))]
    UnknownDatabase {
        /// The requested name.
        name: DatabaseName,
        /// The origin of the request.
        origin: Origin,
        /// The configured names.
        known: Vec<DatabaseName>,
        /// The most similar configured name, if any.
        nearest: Option<DatabaseName>,
    },
    /// No database is configured.
    #[error("no database is configured")]
    NoDatabase,
    /// Several databases are configured, and none was chosen.
    #[error("{} databases are configured, and none was selected: {}", .known.len(), names(.known))]
    SeveralDatabases {
        /// The configured names.
        known: Vec<DatabaseName>,
    },
    /// A profile of the AWS command line cannot be used.
    #[error("AWS profile '{profile}': {reason}")]
    AwsProfile {
        /// The name of the profile.
        profile: String,
        /// The reason.
        reason: String,
    },
}

impl Error {
    /// Returns true if the same call may succeed later. This is always false, because the user has to
    /// change the configuration.
    pub fn retry(&self) -> bool {
        false
    }
}

/// A setting that is ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A key that does not exist. It may be misspelt.
    Unknown {
        /// The full name of the key.
        key: String,
        /// The origin of the setting.
        origin: Origin,
        /// The most similar key, if any.
        nearest: Option<String>,
    },
    /// A renamed key in the committed file.
    Retired {
        /// The full name of the key.
        key: String,
        /// The origin of the setting.
        origin: Origin,
        /// The new name of the key.
        new: String,
    },
    /// A key that must not be set in this place.
    Untrusted {
        /// The full name of the key.
        key: String,
        /// The origin of the setting.
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
                write!(f, "ignored {key} in {origin}: it was renamed to {new}")
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
