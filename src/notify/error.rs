//! Errors of notifications.

use crate::process;

/// An error of the room `notify`. Of a URL, the messages contain only scheme and host.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The HTTP client cannot be created.
    #[error("cannot create an HTTP client: {0}")]
    Client(String),
    /// The server is unreachable or times out.
    #[error("{0}")]
    Unreachable(String),
    /// The server refused the request.
    #[error("answered {status}")]
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// The server redirects. Redirects are not followed, because a message may be confidential.
    #[error("answered {status}: redirects are not followed")]
    Redirected {
        /// The HTTP status.
        status: u16,
    },
    /// The key of signatures cannot be read. Nothing is sent without a signature.
    #[error("cannot read the key for signatures: {0}")]
    Key(String),
    /// A program failed.
    #[error(transparent)]
    Command(#[from] process::Error),
    /// The thread of the delivery panicked.
    #[error("the delivery panicked")]
    Panicked,
}

impl Error {
    /// Returns true if a retry may succeed.
    pub fn retry(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused { status } => matches!(status, 408 | 425 | 429 | 500..=599),
            _ => false,
        }
    }
}
