//! Errors of running a program.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::Status;
use super::interrupt::Signal;

/// The reason why a program failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program does not exist.
    #[error("{}: program not found", shown(program))]
    NotFound {
        /// The requested program.
        program: OsString,
    },
    /// The file exists but is not executable.
    #[error("{}: not an executable program", shown(program))]
    NotExecutable {
        /// The program.
        program: OsString,
    },
    /// The operating system did not start the program.
    #[error("{}: cannot be started", shown(program))]
    Spawn {
        /// The program.
        program: OsString,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The program exceeded its time limit and was ended.
    #[error("{}: timed out after {} s", shown(program), after.as_secs_f64())]
    Deadline {
        /// The program.
        program: OsString,
        /// The time limit.
        after: Duration,
    },
    /// The program reported a failure.
    #[error("{}: {status}{}", shown(program), words(stderr))]
    Failed {
        /// The program.
        program: OsString,
        /// The exit status.
        status: Status,
        /// The end of its standard error, without secrets.
        stderr: String,
    },
    /// The program wrote more than the caller accepts, and was ended.
    #[error("{}: more than {limit} bytes of output", shown(program))]
    TooMuchOutput {
        /// The program.
        program: OsString,
        /// The limit in bytes.
        limit: usize,
    },
    /// A signal to this process interrupted the operation.
    #[error("interrupted ({signal})")]
    Interrupted {
        /// The signal.
        signal: Signal,
    },
    /// An input or output operation with the program failed.
    #[error("{}: input or output failed", shown(program))]
    Io {
        /// The program.
        program: OsString,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Returns true if a retry may succeed.
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

/// Returns true if an error of the operating system may disappear without an action of the user. A
/// full disk is such an error.
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

/// Returns the name of a program without its directory.
fn shown(program: &OsString) -> std::borrow::Cow<'_, str> {
    Path::new(program).file_name().unwrap_or(program).to_string_lossy()
}

fn words(stderr: &str) -> String {
    match stderr.trim() {
        "" => String::new(),
        text => format!(": {text}"),
    }
}
