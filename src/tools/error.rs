//! What can go wrong with the PostgreSQL programs.

use std::io;
use std::path::{Path, PathBuf};

use super::classify::{Kind, classify, of_sqlstate};
use super::redact::redact_commands;
use super::{Fault, Format, Program, ToolVersion};
use crate::domain::{BackupId, BackupType};
use crate::pg::Refusal;
use crate::process::{self, Status, may_pass};

/// Why a dump or a restore did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program is not installed.
    #[error("{program} not found")]
    ProgramMissing {
        /// Which one.
        program: Program,
        /// The directories that were searched before `PATH`.
        searched: Vec<PathBuf>,
    },
    /// What a program says about its version is not understood.
    #[error("{}: unexpected answer to --version: {answer:?}", path.display())]
    VersionUnknown {
        /// The program.
        path: PathBuf,
        /// Its answer, shortened.
        answer: String,
    },
    /// The program is too old for the server.
    #[error("server is PostgreSQL {server}, {} is {tool}", tool_path.display())]
    ServerNewer {
        /// Major version of the server.
        server: u32,
        /// Version of the program.
        tool: ToolVersion,
        /// The program.
        tool_path: PathBuf,
    },
    /// The program is of another version than the files that it is to work on.
    #[error("files of PostgreSQL {needed} take programs of that version; {} is {tool}", tool_path.display())]
    OtherMajor {
        /// Major version of the files.
        needed: u32,
        /// Version of the program.
        tool: ToolVersion,
        /// The program.
        tool_path: PathBuf,
    },
    /// The server is not set up for what was asked for.
    #[error("{what}")]
    NotSetUp {
        /// What is missing.
        what: String,
        /// What to do about it.
        hint: String,
    },
    /// The server could not be asked.
    #[error(transparent)]
    Pg(#[from] crate::pg::Error),
    /// Something was asked for that the format cannot do.
    #[error("format {format}: {reason}")]
    Unsupported {
        /// The format.
        format: Format,
        /// What it cannot do.
        reason: &'static str,
    },
    /// The tool makes no backups of this type.
    #[error("{tool} makes {makes} backups, not {kind} ones")]
    TypeUnsupported {
        /// The tool.
        tool: String,
        /// What was wanted.
        kind: BackupType,
        /// What it makes.
        makes: &'static str,
    },
    /// A backup cannot be brought back to there.
    #[error("a backup of {tool} {reason}")]
    TargetUnsupported {
        /// The tool.
        tool: String,
        /// Why not.
        reason: &'static str,
    },
    /// There is no tablespace where somebody thought that one was.
    #[error("the backup has no tablespace at {}", location.display())]
    NoSuchTablespace {
        /// Where.
        location: PathBuf,
    },
    /// Bytes of a backup were asked for that are not in a place of ours.
    #[error("the bytes of backup {backup} are not in a store or directory of this program")]
    NoBytes {
        /// The backup.
        backup: BackupId,
    },
    /// The place of the bytes failed.
    #[error("{0}")]
    Place(#[source] io::Error),
    /// The program said that it failed.
    #[error("{program}: {}", words(*program, *status, stderr))]
    Failed {
        /// The program.
        program: Program,
        /// The kind of failure.
        kind: Kind,
        /// How it ended.
        status: Status,
        /// The end of what it said.
        stderr: String,
    },
    /// The program said that all is well, but there is nothing.
    #[error("{program}: successful exit status, but no output")]
    Empty {
        /// The program.
        program: Program,
    },
    /// The program said that all is well, but there is not all.
    #[error("{program}: {reason}")]
    Truncated {
        /// The program that made it, or was to read it.
        program: Program,
        /// What is missing.
        reason: &'static str,
    },
    /// The program said that all is well, but what it made is not.
    #[error("{program}: {reason}")]
    Incomplete {
        /// The program.
        program: Program,
        /// What is wrong.
        reason: String,
    },
    /// The output could not be kept.
    #[error("cannot write the output of {program}")]
    Write {
        /// Whose output.
        program: Program,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The input could not be had.
    #[error("cannot read the input of {program}")]
    Read {
        /// Whose input.
        program: Program,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A dumped directory is not as it should be.
    #[error("{}: cannot be read", path.display())]
    Directory {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A directory that a backup was to be restored into cannot be used.
    #[error("cannot restore into {}", path.display())]
    Destination {
        /// The directory.
        path: PathBuf,
        /// Why not.
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
        /// Which one.
        tool: String,
        /// Why.
        fault: Fault,
    },
    /// The program could not be run to its end.
    #[error(transparent)]
    Process(process::Error),
}

impl Error {
    /// What `program` failed with, sorted.
    pub fn of(program: Program, error: process::Error) -> Self {
        match error {
            process::Error::Failed { status, stderr, .. } => {
                let (kind, stderr) = (classify(&stderr), redact_commands(&stderr));
                Self::Failed { program, kind, status, stderr }
            }
            other => Self::Process(other),
        }
    }

    /// What a tool with a repository of its own failed with.
    pub(super) fn tool(tool: &str, fault: Fault) -> Self {
        Self::Tool { tool: tool.to_owned(), fault }
    }

    /// The kind of failure.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Failed { kind, .. } => *kind,
            Self::Statement { refusal, .. } => of_sqlstate(&refusal.sqlstate),
            Self::Pg(crate::pg::Error::DatabaseMissing { .. }) => Kind::DatabaseMissing,
            Self::Tool { fault: Fault::Busy(_), .. } => Kind::Busy,
            Self::Tool { fault: Fault::Server(_), .. } => Kind::ServerUnreachable,
            Self::ServerNewer { .. } => Kind::ServerNewer,
            Self::Write { source, .. }
                if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                Kind::DiskFull
            }
            _ => Kind::Other,
        }
    }

    /// Whether the same may succeed a little later.
    pub fn retry(&self) -> bool {
        match self {
            Self::Process(error) => error.retry(),
            Self::Pg(error) => error.retry(),
            Self::Place(source)
            | Self::Write { source, .. }
            | Self::Read { source, .. }
            | Self::Directory { source, .. }
            | Self::Destination { source, .. } => may_pass(source),
            Self::Tool { fault: Fault::Unconfirmed(_), .. } => true,
            other => other.kind().retry(),
        }
    }

    /// Whether a program failed and did not report a cause that is understood here.
    pub fn is_unexplained(&self) -> bool {
        matches!(
            self,
            Self::Failed { kind: Kind::Other, .. }
                | Self::Empty { .. }
                | Self::Truncated { .. }
                | Self::Incomplete { .. }
                | Self::Tool { fault: Fault::Failed { .. }, .. }
                | Self::Process(process::Error::Failed { .. } | process::Error::Io { .. })
        )
    }

    pub(super) fn directory(path: &Path, source: io::Error) -> Self {
        Self::Directory { path: path.to_owned(), source }
    }
}

/// The words of the program; its status when it said nothing or was killed.
fn words(program: Program, status: Status, stderr: &str) -> String {
    // It says its name itself.
    let said = stderr.trim();
    let said = said.strip_prefix(program.name()).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(said);
    match status {
        Status::Exited(_) if !said.is_empty() => said.to_owned(),
        _ if said.is_empty() => status.to_string(),
        _ => format!("{status}: {said}"),
    }
}
