//! Journals of in-place restores: which restored object replaces which existing one. The files
//! survive a crash of this process.
//!
//! ```text
//! .git/pggit/restores/<id>/journal.json   see [`Journal`]
//!                          lock           held by the process that works on it
//! ```
//!
//! Each target has at most one journal. The id of the restore is derived from the target.

use std::fmt;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::Error;
use crate::domain::{BackupId, CommitId, Digest, Timestamp};
use crate::process::write_private;

const JOURNAL: &str = "journal.json";
const DRAFT: &str = "journal.json.new";
const LOCK: &str = "lock";
/// The version of the file format.
const FORMAT: u32 = 1;

/// Identifies a directory or a database independently of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// A directory: its device and its inode.
    Inode(u64, u64),
    /// A database: its oid.
    Oid(u32),
}

/// The object to replace, and the temporary names of both objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplacedObject {
    /// A database of a server.
    Database {
        /// The connection URL of the server, without secrets.
        server: String,
        /// The system identifier of the cluster.
        system_identifier: String,
        /// The name of the database.
        dbname: String,
        /// The temporary name of the new database, before it replaces the old one.
        beside: String,
        /// The temporary name of the old database, after it was replaced.
        aside: String,
    },
    /// A data directory.
    Directory {
        /// The path of the directory, without symbolic links.
        path: PathBuf,
        /// The temporary name of the new directory, before it replaces the old one.
        beside: PathBuf,
        /// The temporary name of the old directory, after it was replaced.
        aside: PathBuf,
    },
}

impl ReplacedObject {
    /// Returns the id of the restore into this target.
    pub fn id(&self) -> String {
        let text = match self {
            Self::Database { system_identifier, dbname, .. } => format!("{system_identifier} {dbname}"),
            Self::Directory { path, .. } => path.to_string_lossy().into_owned(),
        };
        Digest::of(text.as_bytes()).hex()[..12].to_owned()
    }

    /// Returns the name of the old object while the new one is in place.
    pub fn aside(&self) -> String {
        match self {
            Self::Database { aside, .. } => format!("database {aside}"),
            Self::Directory { aside, .. } => aside.display().to_string(),
        }
    }
}

impl fmt::Display for ReplacedObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database { dbname, .. } => write!(f, "database {dbname}"),
            Self::Directory { path, .. } => write!(f, "{}", path.display()),
        }
    }
}

/// The intended stage of a restore. It is recorded before the stage begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The new object is being created.
    Making,
    /// The new object is complete. The two objects may be renamed.
    Ready,
    /// The new object is in place.
    Replaced,
    /// The old object gets its name back.
    Aborting,
    /// The old object is being removed.
    Finishing,
}

/// An in-place restore.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    /// The version of the file format.
    pub format: u32,
    /// The restored backup.
    pub backup: BackupId,
    /// The requested commit.
    pub commit: CommitId,
    /// The start of the restore.
    pub begun_at: Timestamp,
    /// The target of the restore.
    pub place: ReplacedObject,
    /// The stage of the restore.
    pub stage: Stage,
    /// The identity of the replaced directory or database.
    pub old: Identity,
    /// The identity of the restored directory or database, once it is complete.
    pub new: Option<Identity>,
    /// Directories of tablespaces that belong to the restored data directory.
    #[serde(default)]
    pub outside: Vec<PathBuf>,
    /// The source of the expected schema, and the accepted schema difference if there is one.
    #[serde(default)]
    pub schema: Option<(String, Option<String>)>,
    /// The level and the text of the proof that the new object is at the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<(String, String)>,
    /// The restore request, for a resume.
    pub request: Value,
}

impl Journal {
    /// Returns the journal of a restore that is about to begin.
    pub fn new(
        backup: BackupId,
        commit: CommitId,
        begun_at: Timestamp,
        place: ReplacedObject,
        old: Identity,
        request: Value,
    ) -> Self {
        Self {
            format: FORMAT,
            backup,
            commit,
            begun_at,
            place,
            stage: Stage::Making,
            old,
            new: None,
            outside: Vec::new(),
            schema: None,
            proof: None,
            request,
        }
    }
}

/// The journals of a repository.
#[derive(Debug, Clone)]
pub struct Journals {
    dir: PathBuf,
}

/// A restore that is locked by this process until the value is dropped.
#[derive(Debug)]
pub struct LockedJournal {
    dir: PathBuf,
    journal: Journal,
    _lock: File,
}

impl Journals {
    /// Returns the journals in `dir`. The directory may be missing.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Returns the id and the journal of each unfinished restore, sorted by id, and whether a process
    /// holds its lock. Fails if a journal cannot be read.
    pub fn list(&self) -> Result<Vec<(String, Journal, bool)>, Error> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::file("list", &self.dir, error)),
        };
        let mut all = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| Error::file("list", &self.dir, error))?.path();
            let Some(journal) = read(&path)? else { continue };
            let is_busy = matches!(lock(&path), Err(Error::Busy { .. }));
            let id = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            all.push((id, journal, is_busy));
        }
        all.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        Ok(all)
    }

    /// Begins a restore. Fails if an earlier restore into the same target is unfinished, or if
    /// another process holds its lock.
    pub fn begin(&self, journal: Journal) -> Result<LockedJournal, Error> {
        let dir = self.dir.join(journal.place.id());
        DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(&dir)
            .map_err(|error| Error::file("create", &dir, error))?;
        let lock = lock(&dir)?;
        if let Some(earlier) = read(&dir)? {
            return Err(Error::NotOver { what: earlier.place.to_string(), id: earlier.place.id() });
        }
        write(&dir, &journal)?;
        Ok(LockedJournal { dir, journal, _lock: lock })
    }

    /// Opens and locks an unfinished restore. Fails if the id is unknown, or if another process holds
    /// the lock.
    pub fn open(&self, id: &str) -> Result<LockedJournal, Error> {
        let dir = self.dir.join(id);
        let unknown = || Error::NoRestore { id: id.to_owned() };
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) || !dir.is_dir() {
            return Err(unknown());
        }
        let lock = lock(&dir)?;
        let journal = read(&dir)?.ok_or_else(unknown)?;
        Ok(LockedJournal { dir, journal, _lock: lock })
    }
}

impl LockedJournal {
    /// Returns the journal.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Returns the id of the restore.
    pub fn id(&self) -> String {
        self.journal.place.id()
    }

    /// Changes the journal durably. Fails if the file cannot be written.
    pub fn update(&mut self, change: impl FnOnce(&mut Journal)) -> Result<(), Error> {
        let mut changed = self.journal.clone();
        change(&mut changed);
        write(&self.dir, &changed)?;
        self.journal = changed;
        Ok(())
    }

    /// Removes the journal. The restore is then over. Fails if the file cannot be removed.
    pub fn close(self) -> Result<(), Error> {
        let file = self.dir.join(JOURNAL);
        fs::remove_file(&file).map_err(|error| Error::file("remove", &file, error))?;
        // A process that waits for the lock finds no journal.
        let _ = fs::remove_dir_all(&self.dir);
        Ok(())
    }
}

fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join(LOCK);
    let opened = File::options().create(true).truncate(false).write(true).open(&path);
    let file = opened.map_err(|error| Error::file("open", &path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let id = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Err(Error::Busy { id })
        }
        Err(TryLockError::Error(error)) => Err(Error::file("lock", &path, error)),
    }
}

fn read(dir: &Path) -> Result<Option<Journal>, Error> {
    let path = dir.join(JOURNAL);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(Error::file("read", &path, error)),
    };
    let invalid =
        |reason: String| Error::file("read", &path, io::Error::new(io::ErrorKind::InvalidData, reason));
    let journal: Journal = serde_json::from_slice(&text).map_err(|error| invalid(error.to_string()))?;
    match journal.format {
        FORMAT => Ok(Some(journal)),
        other => Err(invalid(format!("its format {other} is that of another version of this program"))),
    }
}

/// Replaces the journal atomically: after a crash the file has either the old or the new content.
fn write(dir: &Path, journal: &Journal) -> Result<(), Error> {
    let (draft, path) = (dir.join(DRAFT), dir.join(JOURNAL));
    let failed = |error| Error::file("write", &path, error);
    let text = serde_json::to_vec_pretty(journal).map_err(|error| failed(error.into()))?;
    write_private(&draft, &text).and_then(|()| File::open(&draft)?.sync_all()).map_err(failed)?;
    fs::rename(&draft, &path).and_then(|()| File::open(dir)?.sync_all()).map_err(failed)
}
