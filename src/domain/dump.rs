//! How dumps are written.

use std::fmt;
use std::str::FromStr;

use super::{Invalid, words::words};

words! {
    /// The formats of pg_dump.
    DumpFormat("dump format") {
        /// pg_restore's own archive, in one stream.
        Custom = "custom",
        /// A directory with one file per table.
        Directory = "directory",
        /// The directory as a tar archive.
        Tar = "tar",
        /// An SQL script.
        Plain = "plain",
    }
}

impl DumpFormat {
    /// What the artifact that holds such a dump is called, before any suffix
    /// for its compression.
    pub fn artifact_name(self) -> &'static str {
        match self {
            Self::Custom => "dump.custom",
            Self::Directory => "dump.directory",
            Self::Tar => "dump.tar",
            Self::Plain => "dump.plain.sql",
        }
    }

    /// The format of the dump in the artifact `name`; `None` when it is none.
    pub fn of_artifact(name: &str) -> Option<Self> {
        let name = name.strip_suffix(".zst").unwrap_or(name);
        Self::ALL.iter().copied().find(|format| format.artifact_name() == name)
    }
}

/// Whether roles and tablespaces, which are in no dump of a database, are taken
/// along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Globals {
    /// With the password hashes of the roles.
    All,
    /// Without them.
    NoPasswords,
    /// Not at all.
    None,
}

impl Globals {
    /// The word that configuration and records use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "true",
            Self::NoPasswords => "no-passwords",
            Self::None => "false",
        }
    }
}

/// How a stored file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// By zstd with this level: 1 to 22; negative ones, from -7, are faster still.
    Zstd(i32),
}

impl FromStr for Compression {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.parse() {
            _ if text == "none" => Ok(Self::None),
            Ok(level @ -7..=22) => Ok(Self::Zstd(level)),
            _ => Err(Invalid::new("compression level", text, "expected a zstd level from -7 to 22, or none")),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.pad("none"),
            Self::Zstd(level) => level.fmt(f),
        }
    }
}
