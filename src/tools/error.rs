//! Errors of the PostgreSQL programs and of the backup tools.

use std::io;
use std::path::{Path, PathBuf};

use super::classify::{Kind, classify, of_sqlstate};
use super::redact::redact_commands;
use super::{ExternalError, Format, Program, ToolVersion};
use crate::domain::{BackupId, BackupType};
use crate::pg::Refusal;
use crate::process::{self, Status, may_pass};

/// The reason why a dump, a backup or a restore failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program is not installed.
    #[error("{program} not found")]
    ProgramMissing {
        /// The program.
        program: Program,
        /// The directories that were searched before `PATH`.
        searched: Vec<PathBuf>,
    },
    /// The output of `--version` is not understood.
    #[error("{}: unexpected answer to --version: {answer:?}", path.display())]
    VersionUnknown {
        /// The path of the program.
        path: PathBuf,
        /// The output, truncated.
        answer: String,
    },
    /// The program is too old for the server.
    #[error("server is PostgreSQL {server}, {} is {tool}", tool_path.display())]
    ServerNewer {
        /// Major version of the server.
        server: u32,
        /// Version of the program.
        tool: ToolVersion,
        /// The path of the program.
        tool_path: PathBuf,
    },
    /// The version of the program differs from that of the files to process.
    #[error("files of PostgreSQL {needed} need programs of that version; {} is {tool}", tool_path.display())]
    OtherMajor {
        /// Major version of the files.
        needed: u32,
        /// Version of the program.
        tool: ToolVersion,
        /// The path of the program.
        tool_path: PathBuf,
    },
    /// The server lacks a setting or feature that the operation requires.
    #[error("{what}")]
    NotSetUp {
        /// The missing setting or feature.
        what: String,
        /// The command or instruction that fixes it.
        hint: String,
    },
    /// A query to the server failed.
    #[error(transparent)]
    Pg(#[from] crate::pg::Error),
    /// The format does not support the operation.
    #[error("format {format}: {reason}")]
    Unsupported {
        /// The format.
        format: Format,
        /// The unsupported operation.
        reason: &'static str,
    },
    /// The tool makes no backups of this type.
    #[error("{tool} makes {makes} backups, not {kind} ones")]
    TypeUnsupported {
        /// The tool.
        tool: String,
        /// The requested type.
        kind: BackupType,
        /// The supported types.
        makes: &'static str,
    },
    /// The tool cannot restore a backup to this target.
    #[error("a backup of {tool} {reason}")]
    TargetUnsupported {
        /// The tool.
        tool: String,
        /// The reason.
        reason: &'static str,
    },
    /// The backup has no tablespace at the given directory.
    #[error("the backup has no tablespace at {}", location.display())]
    NoSuchTablespace {
        /// The directory.
        location: PathBuf,
    },
    /// The data of the backup are not in a store or directory of this program.
    #[error("the bytes of backup {backup} are not in a store or directory of this program")]
    NoBytes {
        /// The backup.
        backup: BackupId,
    },
    /// The storage of the data failed.
    #[error("{0}")]
    Place(#[source] io::Error),
    /// The program reported a failure.
    #[error("{program}: {}", words(*program, *status, stderr))]
    Failed {
        /// The program.
        program: Program,
        /// The kind of failure.
        kind: Kind,
        /// The exit status or signal.
        status: Status,
        /// The end of its standard error.
        stderr: String,
    },
    /// The program reported success but wrote nothing.
    #[error("{program}: successful exit status, but no output")]
    Empty {
        /// The program.
        program: Program,
    },
    /// The program reported success but the output is truncated.
    #[error("{program}: {reason}")]
    Truncated {
        /// The program that wrote the output or was to read it.
        program: Program,
        /// The missing part.
        reason: &'static str,
    },
    /// The program reported success but its result is invalid.
    #[error("{program}: {reason}")]
    Incomplete {
        /// The program.
        program: Program,
        /// The defect.
        reason: String,
    },
    /// The output could not be written to its destination.
    #[error("cannot write the output of {program}")]
    Write {
        /// The program that wrote the output.
        program: Program,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The input could not be read.
    #[error("cannot read the input of {program}")]
    Read {
        /// The program that was to read the input.
        program: Program,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A dumped directory is unreadable or invalid.
    #[error("{}: cannot be read", path.display())]
    Directory {
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The destination directory of a restore is unusable.
    #[error("cannot restore into {}", path.display())]
    Destination {
        /// The directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The server refused a statement of a script.
    #[error("{script}:{line}: {} (SQLSTATE {}) in '{statement}'", refusal.message, refusal.sqlstate)]
    Statement {
        /// The name of the script.
        script: String,
        /// The line of the error.
        line: u64,
        /// The beginning of the statement, up to its first literal.
        statement: String,
        /// The error of the server.
        refusal: Box<Refusal>,
    },
    /// A script contains something that this program does not run.
    #[error("{script}:{line}: {reason}")]
    Script {
        /// The name of the script.
        script: String,
        /// The line, from 1.
        line: u64,
        /// The reason.
        reason: String,
    },
    /// The session of a script is not connected to the intended database.
    #[error("{script}: the session is not in database \"{expected}\" any more")]
    WrongDatabase {
        /// The name of the script.
        script: String,
        /// The intended database.
        expected: String,
    },
    /// A tool with a repository of its own failed.
    #[error("{tool}: {fault}")]
    Tool {
        /// The name of the tool.
        tool: String,
        /// The fault.
        fault: ExternalError,
    },
    /// The program could not be started, was interrupted or exceeded its time limit.
    #[error(transparent)]
    Process(process::Error),
}

impl Error {
    /// Returns the error of `program` with its kind of failure.
    pub fn of(program: Program, error: process::Error) -> Self {
        match error {
            process::Error::Failed { status, stderr, .. } => {
                let (kind, stderr) = (classify(&stderr), redact_commands(&stderr));
                Self::Failed { program, kind, status, stderr }
            }
            other => Self::Process(other),
        }
    }

    /// Returns the error of a tool with a repository of its own.
    pub(super) fn tool(tool: &str, fault: ExternalError) -> Self {
        Self::Tool { tool: tool.to_owned(), fault }
    }

    /// Returns the kind of failure.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Failed { kind, .. } => *kind,
            Self::Statement { refusal, .. } => of_sqlstate(&refusal.sqlstate),
            Self::Pg(crate::pg::Error::DatabaseMissing { .. }) => Kind::DatabaseMissing,
            Self::Tool { fault: ExternalError::Busy(_), .. } => Kind::Busy,
            Self::Tool { fault: ExternalError::Server(_), .. } => Kind::ServerUnreachable,
            Self::ServerNewer { .. } => Kind::ServerNewer,
            Self::Write { source, .. }
                if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                Kind::DiskFull
            }
            _ => Kind::Other,
        }
    }

    /// Returns true if a retry may succeed.
    pub fn retry(&self) -> bool {
        match self {
            Self::Process(error) => error.retry(),
            Self::Pg(error) => error.retry(),
            Self::Place(source)
            | Self::Write { source, .. }
            | Self::Read { source, .. }
            | Self::Directory { source, .. }
            | Self::Destination { source, .. } => may_pass(source),
            Self::Tool { fault: ExternalError::Unconfirmed(_), .. } => true,
            other => other.kind().retry(),
        }
    }

    /// Returns true if a program failed with a message that is not understood here.
    pub fn is_unexplained(&self) -> bool {
        matches!(
            self,
            Self::Failed { kind: Kind::Other, .. }
                | Self::Empty { .. }
                | Self::Truncated { .. }
                | Self::Incomplete { .. }
                | Self::Tool { fault: ExternalError::Failed { .. }, .. }
                | Self::Process(process::Error::Failed { .. } | process::Error::Io { .. })
        )
    }

    pub(super) fn directory(path: &Path, source: io::Error) -> Self {
        Self::Directory { path: path.to_owned(), source }
    }
}

/// Returns the message of the program, or its exit status if there is no message or it was killed.
fn words(program: Program, status: Status, stderr: &str) -> String {
    // The message begins with the name of the program.
    let said = stderr.trim();
    let said = said.strip_prefix(program.name()).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(said);
    match status {
        Status::Exited(_) if !said.is_empty() => said.to_owned(),
        _ if said.is_empty() => status.to_string(),
        _ => format!("{status}: {said}"),
    }
}
