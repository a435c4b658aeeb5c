//! Faults of tools that keep backups in a repository of their own.

use std::fmt;

use crate::process::Status;

/// The maximum number of characters of an answer in an error.
const SHOWN_CHARS_MAX: usize = 120;

/// The reason why such a tool failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExternalError {
    /// The program is not installed.
    Missing,
    /// A required setting is missing; its key.
    NotConfigured(&'static str),
    /// The answer of the tool is not understood.
    Answer {
        /// The command.
        asked: &'static str,
        /// The beginning of the answer.
        answer: String,
    },
    /// The tool is too old.
    TooOld {
        /// The version of the tool.
        version: String,
        /// The feature or object that needs a newer version.
        reason: String,
    },
    /// The tool refuses to run as root.
    Root,
    /// The user that should run the tool does not exist.
    NoUser(String),
    /// The tool should run as another user, which requires root.
    NotRoot(String),
    /// The stanza or server is unknown or unreadable.
    Unknown(String),
    /// The backup is unknown.
    NoBackup(String),
    /// Another process holds a lock.
    Busy(String),
    /// The tool cannot reach PostgreSQL.
    Server(String),
    /// The current state does not allow the operation.
    Refused(String),
    /// The tool does not support the operation.
    Unsupported(String),
    /// The tool reports success but its own catalogue does not confirm it.
    Unconfirmed(String),
    /// The tool reported a failure that a retry does not fix.
    Permanent {
        /// The exit status.
        status: Status,
        /// Its standard error.
        words: String,
    },
    /// The tool reported a failure.
    Failed {
        /// The exit status.
        status: Status,
        /// The message.
        words: String,
    },
}

impl ExternalError {
    /// Returns the fault for an answer that is not understood.
    pub(super) fn answer(asked: &'static str, answer: &[u8]) -> Self {
        let text = String::from_utf8_lossy(answer);
        let shown = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
        Self::Answer { asked, answer: shown.take(SHOWN_CHARS_MAX).collect() }
    }
}

impl fmt::Display for ExternalError {
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
