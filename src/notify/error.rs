//! Why a message did not arrive.

use crate::process;

/// An error of the room `notify`. None of them says more of an address than
/// its host.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No client can be made.
    #[error("cannot make an HTTP client: {0}")]
    Client(String),
    /// The other side cannot be reached, or does not answer in time.
    #[error("{0}")]
    Unreachable(String),
    /// The other side does not want it.
    #[error("answered {status}")]
    Refused {
        /// The status of HTTP.
        status: u16,
    },
    /// The other side is somewhere else. A message may hold what is not meant for
    /// everybody: it goes where it was sent.
    #[error("answered {status}: redirects are not followed")]
    Redirected {
        /// The status of HTTP.
        status: u16,
    },
    /// The key cannot be read: nothing is sent without a signature.
    #[error("cannot read the key for signatures: {0}")]
    Key(String),
    /// A program failed.
    #[error(transparent)]
    Command(#[from] process::Error),
    /// A thread of ours ended in a panic.
    #[error("the delivery ended in a panic")]
    Panicked,
}

impl Error {
    /// May another attempt succeed?
    pub fn retry(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused { status } => matches!(status, 408 | 425 | 429 | 500..=599),
            _ => false,
        }
    }
}
