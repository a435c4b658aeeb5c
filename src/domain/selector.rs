//! The selection of a backup on the command line.

use std::fmt;
use std::str::FromStr;

use super::{BackupId, Invalid};

/// The argument for one backup: an id, an unambiguous prefix of one, a name, `latest` or `oldest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupSelector {
    /// The completed backup that was registered last.
    Latest,
    /// The completed backup that was registered first.
    Oldest,
    /// The backup with this id.
    Id(BackupId),
    /// A name, or the prefix of an id.
    Text(String),
}

impl BackupSelector {
    /// Returns true if `text` can be the prefix of an id. A text of less than four characters can only
    /// be a name.
    pub fn is_prefix(text: &str) -> bool {
        text.len() >= 4
            && text.len() <= 36
            && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-'))
    }
}

impl FromStr for BackupSelector {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "" => Err(Invalid::new("backup", text, "it is empty")),
            "latest" => Ok(Self::Latest),
            "oldest" => Ok(Self::Oldest),
            _ if text.len() > 1000 || text.contains('\0') => {
                Err(Invalid::new("backup", text, "it is neither an id nor a name"))
            }
            _ => Ok(text.parse().map_or_else(|_| Self::Text(text.to_owned()), Self::Id)),
        }
    }
}

impl fmt::Display for BackupSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Oldest => f.write_str("oldest"),
            Self::Id(id) => id.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}
