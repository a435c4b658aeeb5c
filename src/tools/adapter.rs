//! What every tool that makes backups can be asked.
//!
//! An adapter knows one tool and what it takes to run it for one database. It
//! does not know the ledger, and it does not know where bytes are kept: what it
//! streams goes into a [`Sink`], what it reads back comes from a [`Source`].
//! Tools with a repository of their own (pgBackRest, Barman) leave both alone
//! and say in [`Made::location`] what they call the backup.
//!
//! The contract, which one suite of tests holds all adapters against:
//!
//! - success is said only of what the tool *and* its own catalogue or output
//!   confirm; an exit status alone proves nothing;
//! - an error says whether the same may succeed later ([`Error::retry`]);
//! - nothing of the environment decides what runs: programs are found in
//!   trusted places, arguments are built one by one, and no secret is in them.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Connection, Error, Format};
use crate::domain::{
    Artifact, Backup, BackupId, BackupName, BackupType, CommitId, DatabaseName, Dependency, Encryption, Line,
    Location, Metadata, Postgres, RecoveryTarget,
};
use crate::pg::ServerFacts;
use crate::process::{Cmd, OsUser, Pinned};
use crate::progress::Progress;

/// A tool and what it takes to run it for one database.
pub trait Adapter: Send + Sync {
    /// Its name in records and in `pggit.<database>.tool`.
    fn name(&self) -> &str;

    /// Finds the program for a server of version `server_major` and asks it who
    /// it is.
    fn probe(&self, server_major: u32) -> Result<Probe, Error>;

    /// Whether it reads the snapshot of an [`Order`].
    fn reads_snapshot(&self) -> bool {
        false
    }

    /// Whether it keeps backups in a repository of its own: then it is given no
    /// sink to fill.
    fn has_repository(&self) -> bool {
        false
    }

    /// What a backup of type `wanted` is going to be, so that it can be recorded
    /// before it begins. `known` are the completed backups of the same database
    /// and tool, newest first.
    fn choose_base(&self, wanted: BackupType, facts: &ServerFacts, known: &[&Backup])
    -> Result<Basis, Error>;

    /// Makes the backup.
    fn backup(&self, order: &Order<'_>, sink: &dyn Sink, progress: &dyn Progress) -> Result<Made, Error>;

    /// What the tool's own catalogue has; `None` for tools that have none.
    fn catalogue(&self) -> Result<Option<Vec<Catalogued>>, Error>;

    /// Whether a backup at this place would be in that catalogue.
    fn holds(&self, _: &Location) -> bool {
        true
    }

    /// Proves the bytes of a backup, as deeply as `depth` says.
    fn check(&self, subject: &Subject<'_>, depth: Depth, progress: &dyn Progress) -> Result<Report, Error>;

    /// Where the tablespaces were that a backup has outside of its data directory.
    fn tablespaces(&self, _: &Subject<'_>) -> Result<Vec<PathBuf>, Error> {
        Ok(Vec::new())
    }

    /// What it takes to bring a backup back, in order. Nothing is done yet: what
    /// is shown is what runs.
    fn restore(&self, subject: &Subject<'_>, target: &Target) -> Result<Vec<Step>, Error>;

    /// Whether a restore fails when bytes are not those that were backed up. Else a
    /// [`Self::check`] has to say so.
    fn restore_proves(&self) -> bool {
        false
    }

    /// Brings the log between beginning and end of a backup into what
    /// [`Target::Scratch`] has become, so that a server recovers there with
    /// nothing else, and that `until` then. A finding is a part that there is not.
    fn bring_log(&self, _: &Subject<'_>, _data: &Path, _until: Instant) -> Result<Report, Error> {
        Ok(Report::default())
    }

    /// Removes what the tool itself keeps of a backup. Bytes in a [`Sink`] are
    /// not its business.
    fn delete(&self, subject: &Subject<'_>) -> Result<(), Error>;
}

/// A program that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Where.
    pub path: PathBuf,
    /// Its own version text.
    pub version: String,
    /// The types of backups that it makes of this server.
    pub types: Vec<BackupType>,
}

/// What a backup is going to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basis {
    /// Its type, which may be another one than was wanted when there is nothing
    /// to build on.
    pub kind: BackupType,
    /// The backup that it builds on.
    pub parent: Option<Dependency>,
}

impl Basis {
    /// A backup that needs no other.
    pub fn full() -> Self {
        Self::of(BackupType::Full)
    }

    /// A backup of this type of which it is not known what it builds on.
    pub fn of(kind: BackupType) -> Self {
        Self { kind, parent: None }
    }
}

/// What is to be backed up.
pub struct Order<'a> {
    /// The backup's id, to be kept in the tool's own catalogue too.
    pub id: BackupId,
    /// Its name.
    pub name: &'a BackupName,
    /// The configured database.
    pub database: &'a DatabaseName,
    /// Its schema commit, to be kept likewise.
    pub commit: &'a CommitId,
    /// What it is to be.
    pub kind: BackupType,
    /// The backup that it builds on, with its bytes where they are ours.
    pub parent: Option<Subject<'a>>,
    /// What the server says about itself.
    pub facts: &'a ServerFacts,
    /// An exported snapshot to read, for tools that can.
    pub snapshot: Option<&'a str>,
    /// When to give up.
    pub deadline: Option<Duration>,
}

/// What a tool made: complete, but durable only when the sink says so.
#[derive(Debug, Default)]
pub struct Made {
    /// What was written into the sink, the main one first.
    pub artifacts: Vec<Artifact>,
    /// Where the tool keeps it; `None` when it is in the sink.
    pub location: Option<Location>,
    /// What it turned out to be, when that is not what was ordered.
    pub basis: Option<Basis>,
    /// Size of the content, where no artifact tells.
    pub size_bytes: Option<u64>,
    /// What it takes in the tool's repository.
    pub stored_bytes: Option<u64>,
    /// How the tool itself has compressed it.
    pub compression: Option<Line>,
    /// How the tool itself has encrypted it.
    pub encryption: Option<Encryption>,
    /// The tool's version.
    pub tool_version: String,
    /// What the tool knows better than the server said before: positions in the
    /// write-ahead log, timeline.
    pub postgres: Option<Postgres>,
    /// Further facts.
    pub metadata: Metadata,
}

/// What a sink is told about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A stream in which things move: a dump, an archive.
    Stream,
    /// Pages of 8 KiB in their places: a file of a data directory.
    Pages,
}

/// Where bytes go. Errors of the place travel inside of the [`io::Error`].
pub trait Sink: Sync {
    /// Begins a file.
    fn file(&self, name: &str, content: Content) -> io::Result<Box<dyn SinkFile + '_>>;
    /// Makes an empty directory for a program to fill. A [`Sink::file`] whose name
    /// is a path in it becomes a part of it.
    fn directory(&self, name: &str) -> io::Result<PathBuf>;
    /// Takes what is in that directory.
    fn seal(&self, name: &str) -> io::Result<Artifact>;
    /// Removes that directory with all that is in it.
    fn discard(&self, name: &str) -> io::Result<()>;
    /// Whether programs should leave the compression to the sink.
    fn compresses(&self) -> bool;
}

/// A file that is being written into a sink.
pub trait SinkFile: Write {
    /// Says that this was all.
    fn finish(self: Box<Self>) -> io::Result<Artifact>;
}

/// Where the bytes of a backup are read from; each is proved before it comes out
/// or was proved before.
pub trait Source: Sync {
    /// The names of its files, in order; those of directories with their path.
    fn names(&self) -> io::Result<Vec<String>>;
    /// The content of a file.
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>>;
    /// Proves that a file or directory is the one with that digest; else says
    /// what is wrong with it. An error means that it could not be looked at.
    fn verify(&self, artifact: &Artifact, progress: &dyn Progress) -> Result<Option<String>, Error>;
}

/// A backup, and its bytes where they are ours.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Its record.
    pub backup: &'a Backup,
    /// The backups that it needs, the full one first.
    pub chain: &'a [Subject<'a>],
    /// Its bytes; `None` when the tool itself keeps them.
    pub source: Option<&'a dyn Source>,
}

impl<'a> Subject<'a> {
    /// Its bytes.
    pub fn source(&self) -> Result<&'a dyn Source, Error> {
        self.source.ok_or(Error::NoBytes { backup: self.backup.id })
    }
}

/// A backup in a tool's own catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalogued {
    /// What the tool calls it.
    pub label: String,
    /// Where it is, as records say it.
    pub location: Location,
    /// Our id, when the tool was given one.
    pub id: Option<BackupId>,
    /// Else the id that everybody derives from what the catalogue says; `None`
    /// where that is too little.
    pub derived: Option<BackupId>,
    /// The commit, likewise.
    pub commit: Option<CommitId>,
    /// What it is.
    pub kind: BackupType,
    /// The label of the backup that it builds on.
    pub parent: Option<String>,
    /// Whether the tool itself calls it complete and good.
    pub usable: Result<(), String>,
    /// What would be recorded of it.
    pub made: CataloguedFacts,
}

impl Catalogued {
    /// The id of its record, now or when it is imported.
    pub fn known_as(&self) -> Option<BackupId> {
        self.id.or(self.derived)
    }
}

/// What a catalogue tells about a backup.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CataloguedFacts {
    /// When it began and ended.
    pub started_at: Option<crate::domain::Timestamp>,
    /// When it ended.
    pub stopped_at: Option<crate::domain::Timestamp>,
    /// Size of the content.
    pub size_bytes: u64,
    /// What it takes in the repository.
    pub stored_bytes: u64,
    /// The version of the tool that made it.
    pub tool_version: Option<String>,
    /// How it is encrypted, without a key.
    pub encryption: Option<String>,
    /// The server.
    pub postgres: Postgres,
    /// Further facts.
    pub metadata: Metadata,
}

/// How deeply bytes are proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// They are those that were written.
    Checksum,
    /// Their parts are complete, and the tool can read them.
    Integrity,
}

/// What a check came to. No finding: all is well.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// What is wrong or worth a look.
    pub findings: Vec<Finding>,
    /// What was looked at, as evidence.
    pub evidence: Metadata,
}

/// One thing that a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The backup cannot be relied on; else it is only worth a look.
    pub fatal: bool,
    /// In words.
    pub message: String,
}

impl Finding {
    /// Something because of which the backup cannot be relied on.
    pub fn fatal(message: impl Into<String>) -> Self {
        Self { fatal: true, message: message.into() }
    }

    /// Something that is worth a look.
    pub fn warning(message: impl Into<String>) -> Self {
        Self { fatal: false, message: message.into() }
    }
}

impl Report {
    /// Whether the backup cannot be relied on.
    pub fn is_fatal(&self) -> bool {
        self.findings.iter().any(|finding| finding.fatal)
    }

    /// Compares all artifacts that are ours with their digests.
    pub fn of_artifacts(subject: &Subject<'_>, progress: &dyn Progress) -> Result<Self, Error> {
        let (source, mut report) = (subject.source()?, Self::default());
        let mut bytes = 0;
        for artifact in &subject.backup.artifacts {
            progress.stage(&format!("verifying {}", artifact.name), Some(artifact.size_bytes));
            match source.verify(artifact, progress)? {
                None => bytes += artifact.size_bytes,
                Some(damage) => report.findings.push(Finding::fatal(damage)),
            }
        }
        report.evidence.insert("verified_bytes", bytes);
        report.evidence.insert("verified_artifacts", subject.backup.artifacts.len());
        Ok(report)
    }
}

/// Where a backup is to be brought back to.
#[derive(Debug, Clone)]
pub enum Target {
    /// An empty database that exists.
    Database {
        /// How to reach it.
        connection: Connection,
        /// The server's version.
        server_major: u32,
        /// Everything is to belong to the user who restores.
        no_owner: bool,
        /// Grants are left out.
        no_privileges: bool,
    },
    /// A missing or empty directory that becomes a data directory.
    DataDirectory {
        /// The directory.
        path: PathBuf,
        /// Where tablespaces go: from where they were, to where they shall be.
        tablespaces: Vec<(PathBuf, PathBuf)>,
        /// Up to where the log is replayed.
        until: RecoveryTarget,
    },
    /// The same for a server that is thrown away, of a user who need not be able to
    /// read the repository of the tool: nothing outside of these places is
    /// written, and nothing is set up that would fetch the log.
    Scratch {
        /// The directory.
        path: PathBuf,
        /// Where tablespaces go: from where they were, to where they shall be.
        tablespaces: Vec<(PathBuf, PathBuf)>,
    },
}

/// One step of bringing a backup back.
#[derive(Debug)]
pub enum Step {
    /// Hand a stored dump to the program that reads it.
    Load {
        /// Its name among the artifacts.
        artifact: String,
        /// How it is written.
        format: Format,
        /// The program, which reads the dump from its input or, for a directory,
        /// gets it as its last argument.
        cmd: Box<Cmd>,
    },
    /// Run a stored dump that is a plain script over a connection of this program. See
    /// [`super::load_script`].
    Script {
        /// Its name among the artifacts.
        artifact: String,
        /// The target database.
        connection: Box<Connection>,
    },
    /// Write a stored directory of a backup out.
    Unpack {
        /// The backup; of a chain there are several.
        backup: BackupId,
        /// Its name among the artifacts.
        artifact: String,
        /// Where to.
        into: PathBuf,
        /// The artifact that says which directories, links and permissions it has.
        tree: Option<String>,
    },
    /// Make a directory a tablespace: what is at `link` already goes there, and a
    /// symbolic link is there then.
    Tablespace {
        /// Its place in the data directory.
        link: PathBuf,
        /// The missing or empty directory that it gets.
        directory: PathBuf,
    },
    /// Remove a file or a directory with all that is in it, if it is there.
    Remove {
        /// Which.
        path: PathBuf,
    },
    /// Make sure, now and not earlier, that a directory is missing or empty: the
    /// next program may delete or overwrite what it finds there. See
    /// [`empty_directory`].
    RequireEmpty {
        /// The directory.
        path: PathBuf,
        /// Whom it is to belong to, when that is not us.
        owner: Option<OsUser>,
    },
    /// Run a program.
    Run {
        /// What it does, for people.
        what: String,
        /// The program.
        cmd: Box<Cmd>,
    },
    /// Append to a file, which is made if it is missing.
    Append {
        /// The file.
        path: PathBuf,
        /// The text.
        text: Vec<u8>,
    },
}

impl fmt::Display for Step {
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

/// Creates an empty directory with mode 0700 for `owner`, or for the current user. An existing empty
/// directory is used; any other entry is left unchanged and is an error. A user with write access to
/// the parent cannot make this process change the owner of a directory elsewhere.
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
