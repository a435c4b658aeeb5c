//! What can go wrong with a program.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::Status;
use super::interrupt::Signal;

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such program.
    #[error("{}: program not found", shown(program))]
    NotFound {
        /// What was looked for.
        program: OsString,
    },
    /// There is a file, but it cannot be run.
    #[error("{}: not an executable program", shown(program))]
    NotExecutable {
        /// What was to be run.
        program: OsString,
    },
    /// The operating system did not start it.
    #[error("{}: cannot be started", shown(program))]
    Spawn {
        /// What was to be run.
        program: OsString,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It took too long and was ended.
    #[error("{}: not done after {} s", shown(program), after.as_secs_f64())]
    Deadline {
        /// What was ended.
        program: OsString,
        /// How long it was given.
        after: Duration,
    },
    /// It said that it failed.
    #[error("{}: {status}{}", shown(program), words(stderr))]
    Failed {
        /// What failed.
        program: OsString,
        /// How it ended.
        status: Status,
        /// The end of what it said, without secrets.
        stderr: String,
    },
    /// It wrote more than the caller is ready to hold.
    #[error("{}: more than {limit} bytes of output", shown(program))]
    TooMuchOutput {
        /// What was ended.
        program: OsString,
        /// How many bytes were accepted.
        limit: usize,
    },
    /// A signal to this process ended the work.
    #[error("interrupted ({signal})")]
    Interrupted {
        /// The signal.
        signal: Signal,
    },
    /// Talking to it failed.
    #[error("{}: input or output failed", shown(program))]
    Io {
        /// Whom we talked to.
        program: OsString,
        /// What happened.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Whether the same may succeed a little later.
    pub fn retry(&self) -> bool {
        match self {
            Self::Deadline { .. } | Self::Interrupted { .. } => true,
            Self::Spawn { source, .. } | Self::Io { source, .. } => may_pass(source),
            Self::NotFound { .. }
            | Self::NotExecutable { .. }
            | Self::Failed { .. }
            | Self::TooMuchOutput { .. } => false,
        }
    }
}

/// Whether an error of the operating system may pass without a change by the user:
/// a full disk is waited for.
pub fn may_pass(error: &io::Error) -> bool {
    use io::ErrorKind::{
        Interrupted, OutOfMemory, QuotaExceeded, StaleNetworkFileHandle, StorageFull, TimedOut, WouldBlock,
    };
    matches!(
        error.kind(),
        StorageFull
            | QuotaExceeded
            | OutOfMemory
            | WouldBlock
            | TimedOut
            | StaleNetworkFileHandle
            | Interrupted
    )
}

/// The name of a program without its directories.
fn shown(program: &OsString) -> std::borrow::Cow<'_, str> {
    Path::new(program).file_name().unwrap_or(program).to_string_lossy()
}

fn words(stderr: &str) -> String {
    match stderr.trim() {
        "" => String::new(),
        text => format!(": {text}"),
    }
}
