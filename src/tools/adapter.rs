//! The interface of every tool that makes backups.
//!
//! An adapter knows one tool and the settings to run it for one database. It does not know the
//! ledger or the storage of the artifacts. It streams data into a [`Sink`] and reads data from a
//! [`Source`]. Tools with a repository of their own (pgBackRest, Barman) use neither. They return
//! their name for the backup in [`BackupOutput::location`].
//!
//! The contract of all adapters, which one test suite checks:
//!
//! - An adapter reports success only if the tool *and* its own catalogue or output confirm it. An
//!   exit status alone proves nothing.
//! - An error tells if a retry may succeed ([`Error::retry`]).
//! - The environment does not decide which program runs. Programs are found in trusted directories.
//!   Arguments are built one by one and contain no secret.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Connection, Error, Format, LoadOptions};
use crate::domain::{
    Artifact, Backup, BackupId, BackupName, BackupType, CommitId, DatabaseName, Dependency, Encryption, Line,
    Location, Metadata, Postgres, RecoveryTarget,
};
use crate::pg::ServerFacts;
use crate::process::{Cmd, OsUser, Pinned};
use crate::progress::Progress;

/// A tool with the settings to run it for one database.
pub trait Adapter: Send + Sync {
    /// The name of the tool in records and in `pggit.<database>.tool`.
    fn name(&self) -> &str;

    /// Finds the program for a server of major version `server_major` and reads its version. Fails
    /// if the program is missing or unusable.
    fn probe(&self, server_major: u32) -> Result<Probe, Error>;

    /// Returns true if the tool reads the snapshot of an [`BackupOrder`].
    fn reads_snapshot(&self) -> bool {
        false
    }

    /// Returns true if the tool keeps backups in a repository of its own. Such a tool does not use
    /// the sink, and its backups have no store.
    fn has_repository(&self) -> bool {
        false
    }

    /// Returns the type and the parent of a new backup of type `wanted`, so that they can be
    /// recorded before the backup begins. `known` are the completed backups of the same database
    /// and tool, newest first. Fails if the tool cannot make this type.
    fn choose_base(
        &self,
        wanted: BackupType,
        facts: &ServerFacts,
        known: &[&Backup],
    ) -> Result<BackupBase, Error>;

    /// Makes the backup. Fails if the backup is not confirmed to be complete.
    fn backup(
        &self,
        order: &BackupOrder<'_>,
        sink: &dyn Sink,
        progress: &dyn Progress,
    ) -> Result<BackupOutput, Error>;

    /// Returns the backups in the tool's own catalogue, or `None` for tools without a catalogue.
    /// Fails if the catalogue cannot be read.
    fn catalogue(&self) -> Result<Option<Vec<CatalogEntry>>, Error>;

    /// Returns true if that catalogue would list a backup at this location.
    fn holds(&self, _: &Location) -> bool {
        true
    }

    /// Verifies the data of a backup to the given depth. Damage is a finding in the report. Fails
    /// if the check cannot run.
    fn check(&self, subject: &BackupRef<'_>, depth: Depth, progress: &dyn Progress) -> Result<Report, Error>;

    /// Returns the original directories of the tablespaces that a backup has outside of its data
    /// directory.
    fn tablespaces(&self, _: &BackupRef<'_>) -> Result<Vec<PathBuf>, Error> {
        Ok(Vec::new())
    }

    /// Returns the steps that restore a backup, in order. No step has run yet. The steps that a
    /// user sees are the steps that run.
    fn restore(&self, subject: &BackupRef<'_>, target: &Target) -> Result<Vec<RestoreStep>, Error>;

    /// Returns true if a restore fails on data that differ from the backup. If false, only
    /// [`Self::check`] detects them.
    fn restore_proves(&self) -> bool {
        false
    }

    /// Fetches the WAL between the start and the end of a backup into the restored
    /// [`Target::Scratch`], so that a server recovers there without any other source. `until` is
    /// the deadline. A missing segment is a finding.
    fn fetch_wal(&self, _: &BackupRef<'_>, _data: &Path, _until: Instant) -> Result<Report, Error> {
        Ok(Report::default())
    }

    /// Removes the backup from the tool's own repository. Does not touch data in a [`Sink`].
    fn delete(&self, subject: &BackupRef<'_>) -> Result<(), Error>;
}

/// An installed program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The path of the program.
    pub path: PathBuf,
    /// The version as the program prints it.
    pub version: String,
    /// The types of backups that the program makes of this server.
    pub types: Vec<BackupType>,
}

/// The type and the parent of a new backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupBase {
    /// The type. It differs from the requested type if there is no suitable parent.
    pub kind: BackupType,
    /// The parent backup.
    pub parent: Option<Dependency>,
}

impl BackupBase {
    /// Returns the basis of a full backup.
    pub fn full() -> Self {
        Self::of(BackupType::Full)
    }

    /// Returns the basis of a backup of this type with an unknown parent.
    pub fn of(kind: BackupType) -> Self {
        Self { kind, parent: None }
    }
}

/// The request for one backup.
pub struct BackupOrder<'a> {
    /// The backup id, which the tool also keeps in its own catalogue.
    pub id: BackupId,
    /// The backup name.
    pub name: &'a BackupName,
    /// The configured database.
    pub database: &'a DatabaseName,
    /// The schema commit, which the tool also keeps in its own catalogue.
    pub commit: &'a CommitId,
    /// The type of the backup.
    pub kind: BackupType,
    /// The parent backup, with its data if they are in a store or directory of this program.
    pub parent: Option<BackupRef<'a>>,
    /// The facts that the server reports about itself.
    pub facts: &'a ServerFacts,
    /// An exported snapshot to read, for tools that support it.
    pub snapshot: Option<&'a str>,
    /// The time limit.
    pub deadline: Option<Duration>,
}

/// A backup that a tool has completed. Its artifacts are durable only after the sink confirms them.
#[derive(Debug, Default)]
pub struct BackupOutput {
    /// The artifacts in the sink, the main one first.
    pub artifacts: Vec<Artifact>,
    /// The location in the tool's repository; `None` if the backup is in the sink.
    pub location: Option<Location>,
    /// The actual type and parent, if they differ from the order.
    pub basis: Option<BackupBase>,
    /// The size of the content in bytes, if no artifact has it.
    pub size_bytes: Option<u64>,
    /// The size in the tool's repository in bytes.
    pub stored_bytes: Option<u64>,
    /// The compression by the tool itself.
    pub compression: Option<Line>,
    /// The encryption by the tool itself.
    pub encryption: Option<Encryption>,
    /// The tool's version.
    pub tool_version: String,
    /// Facts that the tool knows more precisely than the server reported before: WAL positions and
    /// timeline.
    pub postgres: Option<Postgres>,
    /// Further facts.
    pub metadata: Metadata,
}

/// The kind of a file, as a hint for a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A stream whose content may shift, such as a dump or an archive.
    Stream,
    /// Pages of 8 KiB at fixed offsets, such as a file of a data directory.
    Pages,
}

/// The destination of the data of a backup. Errors of the storage are inside the [`io::Error`].
pub trait Sink: Sync {
    /// Begins a file. Fails if the storage rejects it.
    fn file(&self, name: &str, content: Content) -> io::Result<Box<dyn SinkFile + '_>>;
    /// Creates an empty directory for a program to fill. A [`Sink::file`] whose name is a path in
    /// this directory becomes a part of it. Fails if the directory cannot be created.
    fn directory(&self, name: &str) -> io::Result<PathBuf>;
    /// Accepts the content of that directory as an artifact. Fails if it cannot be stored.
    fn seal(&self, name: &str) -> io::Result<Artifact>;
    /// Removes that directory with its contents. Fails if it cannot be removed.
    fn discard(&self, name: &str) -> io::Result<()>;
    /// Returns true if programs should leave the compression to the sink.
    fn compresses(&self) -> bool;
}

/// A file that is being written into a sink.
pub trait SinkFile: Write {
    /// Completes the file. Fails if the file cannot be stored.
    fn finish(self: Box<Self>) -> io::Result<Artifact>;
}

/// The origin of the data of a backup. Data are verified before a reader gets them, or were
/// verified earlier.
pub trait Source: Sync {
    /// Returns the names of the files, in order. Files in directories have their path as name.
    fn names(&self) -> io::Result<Vec<String>>;
    /// Opens a file for reading. Fails if the file is missing or unreadable.
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>>;
    /// Compares a file or directory with the digest of its artifact. Returns a description of the
    /// difference, or `None` if there is none. Fails if the file cannot be read.
    fn verify(&self, artifact: &Artifact, progress: &dyn Progress) -> Result<Option<String>, Error>;
}

/// A backup, with its data if they are in a store or directory of this program.
#[derive(Clone, Copy)]
pub struct BackupRef<'a> {
    /// The record of the backup.
    pub backup: &'a Backup,
    /// The backup chain that it needs, the full backup first.
    pub chain: &'a [BackupRef<'a>],
    /// The data; `None` if the tool itself keeps them.
    pub source: Option<&'a dyn Source>,
}

impl<'a> BackupRef<'a> {
    /// Returns the data. Fails if the tool itself keeps them.
    pub fn source(&self) -> Result<&'a dyn Source, Error> {
        self.source.ok_or(Error::NoBytes { backup: self.backup.id })
    }
}

/// A backup in a tool's own catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct CatalogEntry {
    /// The tool's name for the backup.
    pub label: String,
    /// The location, in the form that records use.
    pub location: Location,
    /// The id that this program assigned, if the tool keeps it.
    pub id: Option<BackupId>,
    /// Otherwise the id that every installation derives from the catalogue entry; `None` if the
    /// entry has too few facts.
    pub derived: Option<BackupId>,
    /// The schema commit, if the tool keeps it.
    pub commit: Option<CommitId>,
    /// The type of the backup.
    pub kind: BackupType,
    /// The label of the parent backup.
    pub parent: Option<String>,
    /// An error with the reason, unless the tool itself reports the backup as complete and valid.
    pub usable: Result<(), String>,
    /// The facts for the record of the backup.
    pub made: CataloguedFacts,
}

impl CatalogEntry {
    /// Returns the id of its record, which exists or is created by an import.
    pub fn known_as(&self) -> Option<BackupId> {
        self.id.or(self.derived)
    }
}

/// Facts of a backup in a catalogue.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CataloguedFacts {
    /// The start of the backup.
    pub started_at: Option<crate::domain::Timestamp>,
    /// The end of the backup.
    pub stopped_at: Option<crate::domain::Timestamp>,
    /// The size of the content in bytes.
    pub size_bytes: u64,
    /// The size in the repository in bytes.
    pub stored_bytes: u64,
    /// The version of the tool that made it.
    pub tool_version: Option<String>,
    /// The encryption, without a key.
    pub encryption: Option<String>,
    /// The facts of the server.
    pub postgres: Postgres,
    /// Further facts.
    pub metadata: Metadata,
}

/// The depth of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The data have the recorded checksums.
    Checksum,
    /// The parts are complete and the tool can read them.
    Integrity,
}

/// The result of a check. Without findings the backup is good.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Defects and warnings.
    pub findings: Vec<IntegrityFinding>,
    /// The facts that were checked, as evidence.
    pub evidence: Metadata,
}

/// One thing that a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntegrityFinding {
    /// True if the backup is unusable; false for a warning.
    pub fatal: bool,
    /// The description of the finding.
    pub message: String,
}

impl IntegrityFinding {
    /// Returns a finding that makes the backup unusable.
    pub fn fatal(message: impl Into<String>) -> Self {
        Self { fatal: true, message: message.into() }
    }

    /// Returns a warning.
    pub fn warning(message: impl Into<String>) -> Self {
        Self { fatal: false, message: message.into() }
    }
}

impl Report {
    /// Returns true if the backup is unusable.
    pub fn is_fatal(&self) -> bool {
        self.findings.iter().any(|finding| finding.fatal)
    }

    /// Compares all artifacts that this program keeps with their digests. Fails if an artifact
    /// cannot be read.
    pub fn of_artifacts(subject: &BackupRef<'_>, progress: &dyn Progress) -> Result<Self, Error> {
        let (source, mut report) = (subject.source()?, Self::default());
        let mut bytes = 0;
        for artifact in &subject.backup.artifacts {
            progress.stage(&format!("verifying {}", artifact.name), Some(artifact.size_bytes));
            match source.verify(artifact, progress)? {
                None => bytes += artifact.size_bytes,
                Some(damage) => report.findings.push(IntegrityFinding::fatal(damage)),
            }
        }
        report.evidence.insert("verified_bytes", bytes);
        report.evidence.insert("verified_artifacts", subject.backup.artifacts.len());
        Ok(report)
    }
}

/// The destination of a restore.
#[derive(Debug, Clone)]
pub enum Target {
    /// An existing empty database.
    Database {
        /// The connection to it.
        connection: Connection,
        /// The major version of the server.
        server_major: u32,
        /// The options.
        options: LoadOptions,
    },
    /// A missing or empty directory that becomes a data directory.
    DataDirectory {
        /// The directory.
        path: PathBuf,
        /// The new directory for each tablespace: the original and the new path.
        tablespaces: Vec<(PathBuf, PathBuf)>,
        /// The recovery target.
        until: RecoveryTarget,
    },
    /// A data directory for a server of a scratch cluster. The user of that server may have no
    /// access to the tool's repository. A restore writes nothing outside of these directories and
    /// configures no command that fetches WAL.
    Scratch {
        /// The directory.
        path: PathBuf,
        /// The new directory for each tablespace: the original and the new path.
        tablespaces: Vec<(PathBuf, PathBuf)>,
    },
}

/// One step of a restore.
#[derive(Debug)]
pub enum RestoreStep {
    /// Passes a stored dump to the program that reads it.
    Load {
        /// The name of the artifact.
        artifact: String,
        /// The format of the dump.
        format: Format,
        /// The program. It reads the dump from standard input, or its last argument is the path.
        cmd: Box<Cmd>,
        /// True if the program needs the dump as a file or directory.
        needs_file: bool,
    },
    /// Runs a stored dump that is a plain script over a connection of this program. See
    /// [`super::load_script`].
    Script {
        /// The name of the artifact.
        artifact: String,
        /// The target database.
        connection: Box<Connection>,
        /// The options.
        options: LoadOptions,
    },
    /// Writes a stored directory of a backup to disk.
    Unpack {
        /// The backup. A backup chain has one such step for each of its members.
        backup: BackupId,
        /// The name of the artifact.
        artifact: String,
        /// The destination.
        into: PathBuf,
        /// The artifact that describes the directories, links and permissions.
        tree: Option<String>,
    },
    /// Moves the files at `link` to `directory` and replaces `link` by a symbolic link. Without
    /// files at `link`, only creates the directory and the link.
    Tablespace {
        /// The path of the link in the data directory.
        link: PathBuf,
        /// The missing or empty directory of the tablespace.
        directory: PathBuf,
    },
    /// Removes a file, or a directory with its contents. Does nothing if it is missing.
    Remove {
        /// The path.
        path: PathBuf,
    },
    /// Makes sure that a directory is missing or empty. The check is a step, because it must run
    /// right before the next program, which may delete or overwrite the contents. See
    /// [`empty_directory`].
    RequireEmpty {
        /// The directory.
        path: PathBuf,
        /// The owner of the directory, if not the current user.
        owner: Option<OsUser>,
    },
    /// Runs a program.
    Run {
        /// A description for the user.
        what: String,
        /// The program.
        cmd: Box<Cmd>,
    },
    /// Appends to a file and creates it if it is missing.
    Append {
        /// The file.
        path: PathBuf,
        /// The text.
        text: Vec<u8>,
    },
}

impl fmt::Display for RestoreStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load { artifact, .. } | Self::Script { artifact, .. } => write!(f, "load {artifact}"),
            Self::Unpack { backup, artifact, into, .. } => {
                write!(f, "unpack {artifact} of backup {backup} into {}", into.display())
            }
            Self::Tablespace { link, directory } => {
                write!(f, "make {} the tablespace {}", directory.display(), link.display())
            }
            Self::RequireEmpty { path, .. } => write!(f, "make sure that {} is empty", path.display()),
            Self::Remove { path } => write!(f, "remove {}", path.display()),
            Self::Run { what, cmd } => {
                let program = cmd.argv().first().map(|name| name.to_string_lossy().into_owned());
                write!(f, "run {}: {what}", program.unwrap_or_default())
            }
            Self::Append { path, text } => {
                write!(f, "append to {}: {}", path.display(), String::from_utf8_lossy(text).trim_end())
            }
        }
    }
}

/// Creates an empty directory with mode 0700 for `owner`, or for the current user. An existing
/// empty directory is used; any other entry is left unchanged and is an error. A user with write
/// access to the parent cannot make this process change the owner of a directory elsewhere. Fails
/// also if the directory cannot be created.
pub fn empty_directory(path: &Path, owner: Option<&OsUser>) -> Result<(), Error> {
    let failed = |source| Error::Destination { path: path.to_owned(), source };
    let not_empty = || failed(io::ErrorKind::DirectoryNotEmpty.into());
    let name = path.file_name().ok_or_else(not_empty)?;
    let above = Pinned::reach(path.parent().unwrap_or(Path::new("."))).map_err(failed)?;
    let held = match above.make(name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // A symbolic link is refused, because its target may change.
            let held = above.enter(name).map_err(|_| not_empty())?;
            let uid = held.metadata().map_err(failed)?.uid();
            let is_theirs =
                owner.is_none_or(|owner| owner.uid == uid || uid == rustix::process::geteuid().as_raw());
            if !held.is_empty().map_err(failed)? {
                return Err(not_empty());
            }
            if !is_theirs {
                return Err(failed(io::Error::other("it belongs to another user")));
            }
            held.set_mode(0o700).map_err(failed)?;
            held
        }
        made => made.map_err(failed)?,
    };
    owner.map_or(Ok(()), |owner| held.give((owner.uid, owner.gid)).map_err(failed))
}
