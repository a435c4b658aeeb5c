//! What can go wrong with tools that keep backups in a repository of their own.

use std::fmt;

use crate::process::Status;

/// The most characters of a tool's answer that an error repeats.
const SHOWN_CHARS_MAX: usize = 120;

/// Why such a tool did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Its program is not there.
    Missing,
    /// A setting is needed that nobody made; its key.
    NotConfigured(&'static str),
    /// Its answer is not what it should be.
    Answer {
        /// What it was asked.
        asked: &'static str,
        /// The beginning of what it answered.
        answer: String,
    },
    /// It is too old.
    TooOld {
        /// Its version.
        version: String,
        /// For what.
        reason: String,
    },
    /// It does not run as root.
    Root,
    /// It is to run as a user that there is not.
    NoUser(String),
    /// It is to run as another user, which only root may ask for.
    NotRoot(String),
    /// It knows no such stanza or server, or cannot look into it.
    Unknown(String),
    /// It has no such backup.
    NoBackup(String),
    /// Somebody else is at work.
    Busy(String),
    /// It cannot reach PostgreSQL.
    Server(String),
    /// The state does not allow it.
    Refused(String),
    /// It cannot do that.
    Unsupported(String),
    /// It says that it succeeded, and its own catalogue does not agree.
    Unconfirmed(String),
    /// It reported a failure that another attempt does not change.
    Permanent {
        /// The exit status.
        status: Status,
        /// Its standard error.
        words: String,
    },
    /// It said that it failed.
    Failed {
        /// How it ended.
        status: Status,
        /// What it said.
        words: String,
    },
}

impl Fault {
    /// An answer that makes no sense.
    pub(super) fn answer(asked: &'static str, answer: &[u8]) -> Self {
        let text = String::from_utf8_lossy(answer);
        let shown = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
        Self::Answer { asked, answer: shown.take(SHOWN_CHARS_MAX).collect() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("program not found"),
            Self::NotConfigured(key) => write!(f, "{key} is not configured"),
            Self::Answer { asked, answer } => write!(f, "unexpected answer to {asked}: {answer:?}"),
            Self::TooOld { version, reason } => write!(f, "version {version} is too old: {reason}"),
            Self::Root => f.write_str("this version does not run as root"),
            Self::NoUser(user) => write!(f, "there is no user `{user}` to run it as"),
            Self::NotRoot(user) => write!(f, "only root can run it as user `{user}`"),
            Self::NoBackup(label) => write!(f, "there is no backup {label}"),
            Self::Unknown(text)
            | Self::Busy(text)
            | Self::Server(text)
            | Self::Refused(text)
            | Self::Unsupported(text)
            | Self::Unconfirmed(text) => f.write_str(text),
            Self::Failed { status, words } | Self::Permanent { status, words } if words.is_empty() => {
                status.fmt(f)
            }
            Self::Failed { status: status @ Status::Killed(_), words } => write!(f, "{status}: {words}"),
            Self::Failed { words, .. } | Self::Permanent { words, .. } => f.write_str(words),
        }
    }
}
