//! The configured name of a PostgreSQL database.
//!
//! The name is a sub-section of git's configuration, a part of file names and a column in tables.
//! Therefore it has only characters that are safe in all three.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::text_schema;

const LENGTH_MAX: usize = 63;

/// A valid name: 1 to 63 of `A-Z a-z 0-9 . _ -`, not starting with `-` or `.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DatabaseName(String);

/// The reason why a text is not a [`DatabaseName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDatabaseName {
    /// The text is empty.
    #[error("a database name cannot be empty")]
    Empty,
    /// The text has too many characters.
    #[error("a database name has at most {LENGTH_MAX} characters, not {length}")]
    TooLong {
        /// The number of characters.
        length: usize,
    },
    /// The text looks like an option or a hidden file.
    #[error("a database name cannot start with {start:?}")]
    Start {
        /// The first character.
        start: char,
    },
    /// The name is reserved in git's configuration.
    #[error("a database name cannot be {scope} or begin with {scope}.: that section has other settings")]
    Reserved {
        /// The first part of the name.
        scope: &'static str,
    },
    /// A character is not allowed.
    #[error("a database name consists of letters, digits, '.', '_' and '-', not {character:?}")]
    Character {
        /// The first such character.
        character: char,
    },
}

text_schema!(DatabaseName);

impl DatabaseName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The sections of the configuration that are not databases: `[pggit "store.offsite"]`.
const SCOPES: [&str; 5] = ["tool", "store", "group", "server", "clone"];

impl DatabaseName {
    /// Fails if the name is reserved in the configuration. Records of earlier versions can have such a
    /// name, so parsing accepts it.
    pub fn check_scope(&self) -> Result<(), InvalidDatabaseName> {
        let first = self.0.split('.').next().unwrap_or_default();
        let scope = SCOPES.iter().find(|scope| first.eq_ignore_ascii_case(scope));
        scope.map_or(Ok(()), |scope| Err(InvalidDatabaseName::Reserved { scope }))
    }
}

impl FromStr for DatabaseName {
    type Err = InvalidDatabaseName;

    fn from_str(text: &str) -> Result<Self, InvalidDatabaseName> {
        let start = text.chars().next().ok_or(InvalidDatabaseName::Empty)?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if let Some(character) = text.chars().find(|c| !allowed(*c)) {
            return Err(InvalidDatabaseName::Character { character });
        }
        if text.starts_with("tool.") {
            return Err(InvalidDatabaseName::Reserved { scope: "tool" });
        }
        if text.len() > LENGTH_MAX {
            return Err(InvalidDatabaseName::TooLong { length: text.len() });
        }
        if matches!(start, '-' | '.') {
            return Err(InvalidDatabaseName::Start { start });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for DatabaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for DatabaseName {
    type Error = InvalidDatabaseName;

    fn try_from(text: String) -> Result<Self, InvalidDatabaseName> {
        text.parse()
    }
}

impl From<DatabaseName> for String {
    fn from(name: DatabaseName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_are_kept_as_they_are() {
        let longest = "x".repeat(LENGTH_MAX);
        for text in ["main", "a", "9", "shop.eu-1_b", "A..b", "_x", &longest] {
            assert_eq!(text.parse::<DatabaseName>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn bad_names_come_with_a_reason() {
        let reason = |text: &str| text.parse::<DatabaseName>().unwrap_err();
        assert_eq!(reason(""), InvalidDatabaseName::Empty);
        assert_eq!(reason("-x"), InvalidDatabaseName::Start { start: '-' });
        assert_eq!(reason(".git"), InvalidDatabaseName::Start { start: '.' });
        assert_eq!(reason("../x"), InvalidDatabaseName::Character { character: '/' });
        assert_eq!(reason("a\nb"), InvalidDatabaseName::Character { character: '\n' });
        assert_eq!(reason("a\0"), InvalidDatabaseName::Character { character: '\0' });
        assert_eq!(reason("größe"), InvalidDatabaseName::Character { character: 'ö' });
        assert_eq!(reason(&"x".repeat(10_000)), InvalidDatabaseName::TooLong { length: 10_000 });
    }

    #[test]
    fn json_is_checked_too() {
        assert!(serde_json::from_str::<DatabaseName>("\"../x\"").is_err());
        assert_eq!(serde_json::from_str::<DatabaseName>("\"main\"").unwrap().to_string(), "main");
    }
}
