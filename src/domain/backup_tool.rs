//! The tools that make backups.

use std::fmt;
use std::str::FromStr;

/// The tool that makes the backups of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupTool {
    /// `pg_dump`: logical backups.
    PgDump,
    /// `pg_basebackup`: physical backups.
    PgBasebackup,
    /// `pg_dump` or `pg_basebackup`, depending on the size of the database.
    Auto,
    /// pgBackRest.
    PgBackRest,
    /// Barman.
    Barman,
    /// A custom tool of the user.
    Custom(String),
}

impl BackupTool {
    /// The built-in tools with their names.
    pub const KNOWN: &'static [(&'static str, Self)] = &[
        ("pg_dump", Self::PgDump),
        ("pg_basebackup", Self::PgBasebackup),
        ("auto", Self::Auto),
        ("pgbackrest", Self::PgBackRest),
        ("barman", Self::Barman),
    ];

    /// Returns the name in the configuration and on the command line.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Custom(name) => name,
            known => Self::KNOWN.iter().find(|(_, tool)| tool == known).map_or("", |(word, _)| word),
        }
    }
}

impl FromStr for BackupTool {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let known = Self::KNOWN.iter().find(|(word, _)| *word == text).map(|(_, tool)| tool.clone());
        known.or_else(|| plain_name(text).map(Self::Custom)).ok_or(())
    }
}

impl fmt::Display for BackupTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Reads a name that comes from another program and may be passed to one. Returns `None` if the name is
/// empty, longer than 100 bytes, begins with `-` or `.`, or has other characters than letters, digits
/// and `._+-`.
pub fn plain_name(text: &str) -> Option<String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'+' | b'-');
    let good =
        !text.is_empty() && text.len() <= 100 && !text.starts_with(['-', '.']) && text.bytes().all(allowed);
    good.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_that_are_not_known_have_plain_names() {
        assert_eq!("wal-g".parse(), Ok(BackupTool::Custom("wal-g".to_owned())));
        assert_eq!("barman".parse(), Ok(BackupTool::Barman));
        for text in ["", "-x", "a b", "../x"] {
            assert!(text.parse::<BackupTool>().is_err(), "{text:?}");
        }
    }
}
