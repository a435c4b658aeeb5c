//! Stores and directories of plain files behind one interface, so that making and restoring backups
//! does not depend on the kind of destination.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::chunker::Chunking;
use super::plain::{self, FileUri, Stored, list_line};
use super::reader::Artifact;
use super::root;
use super::store::{Access, Store};
use super::writer::{ArtifactWriter, FileWriter, NewArtifact};
use super::{Error, FileSummary, Result, parallel_map};
use crate::domain::{Backup, Compression, Timestamp, to_canonical_json};
use crate::process::{create_private, interrupt, private_directories};
use crate::progress::Progress;

/// The zstd level of a store if no compression is configured. A store always compresses.
const FASTEST: i32 = 1;

/// A destination of backups.
pub enum BackupDestination {
    /// Plain files below a directory.
    Directory(PathBuf),
    /// A store, and a local directory for content that cannot be streamed into it.
    Store {
        /// The store.
        store: Store,
        /// The directory. It is created when it is needed.
        staging: PathBuf,
    },
}

/// A backup that is being written. Removed on drop, unless it is published.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum PendingBackup {
    /// Plain files.
    Plain(plain::PendingDirectory),
    /// An artifact in a store.
    Artifact {
        /// Writes the artifact.
        writer: ArtifactWriter,
        /// The directory for content that cannot be streamed.
        staging: Staging,
        /// The files of directories that were streamed, by name.
        members: Mutex<BTreeMap<String, FileSummary>>,
    },
}

/// A local directory for content that cannot be streamed. It is created at the first use; most
/// backups do not need it.
pub struct Staging {
    root: PathBuf,
    database: String,
    id: String,
    made: Mutex<Option<plain::PendingDirectory>>,
}

impl Staging {
    fn made(&self) -> MutexGuard<'_, Option<plain::PendingDirectory>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn adopt_directory(&self, name: &str) -> Result<PathBuf> {
        let mut made = self.made();
        if made.is_none() {
            private_directory(&self.root)?;
            *made = Some(plain::PendingDirectory::create(&self.root, &self.database, &self.id)?);
        }
        made.as_ref().map_or_else(|| Err(self.missing(name)), |draft| draft.adopt_directory(name))
    }

    fn files_of(&self, name: &str) -> Result<BTreeMap<String, PathBuf>> {
        self.made().as_ref().map_or_else(|| Err(self.missing(name)), |draft| draft.files_of(name))
    }

    fn discard_directory(&self, name: &str) -> Result<()> {
        self.made().as_ref().map_or_else(|| Err(self.missing(name)), |draft| draft.discard_directory(name))
    }

    fn missing(&self, name: &str) -> Error {
        Error::Missing { path: self.root.join(name) }
    }
}

/// Creates a directory and its parents, accessible to the owner only. Fails if one cannot be
/// created.
pub fn private_directory(path: &Path) -> Result<()> {
    private_directories(path).map_err(|error| Error::io("create", path, error))
}

impl BackupDestination {
    /// Removes the files of crashed backups. They occupy disk space and do no other harm, so errors
    /// are ignored.
    pub fn sweep(&self) {
        let (Self::Directory(directory) | Self::Store { staging: directory, .. }) = self;
        let _ = plain::sweep_partials(directory);
    }

    /// Begins the backup `id` of `database`. Fails if it exists, or if the destination cannot be
    /// written.
    pub fn draft(
        &self,
        id: &str,
        database: &str,
        compression: Compression,
        now: Timestamp,
    ) -> Result<PendingBackup> {
        match self {
            Self::Directory(directory) => {
                Ok(PendingBackup::Plain(plain::PendingDirectory::create(directory, database, id)?))
            }
            Self::Store { store, staging } => {
                let level = match compression {
                    Compression::None => FASTEST,
                    Compression::Zstd(level) => level,
                };
                let (root, database, id) = (staging.clone(), database.to_owned(), id.to_owned());
                let staging = Staging { root, database, id, made: Mutex::default() };
                let new = NewArtifact {
                    id: staging.id.clone(),
                    lineage: staging.database.clone(),
                    created_at: now,
                    level,
                };
                Ok(PendingBackup::Artifact { writer: store.begin(new)?, staging, members: Mutex::default() })
            }
        }
    }

    /// Removes a published backup that is not recorded. Fails if `location` is not in this
    /// destination.
    pub fn remove(&self, location: &str) -> Result<()> {
        match self {
            Self::Directory(directory) => plain::remove(directory, &location.parse()?),
            Self::Store { store, .. } => store.remove(location),
        }
    }
}

impl PendingBackup {
    /// Begins a file. A store cuts it as `chunking` says. Fails if the file exists or its name is
    /// invalid.
    pub fn file(&self, name: &str, chunking: Chunking, compression: Compression) -> Result<PendingFile<'_>> {
        match self {
            Self::Plain(draft) => Ok(PendingFile::Plain(draft.file(name, compression)?)),
            Self::Artifact { writer, .. } => Ok(PendingFile::Chunked(writer.file(name, chunking)?)),
        }
    }

    /// Begins a file in an adopted directory; `name` is its path. Plain files in directories are
    /// not compressed. Fails if the file exists or its name is invalid.
    pub fn member(&self, name: &str, chunking: Chunking) -> Result<PendingFile<'_>> {
        match self {
            Self::Plain(draft) => Ok(PendingFile::Plain(draft.member(name)?)),
            Self::Artifact { writer, members, .. } => {
                Ok(PendingFile::Member { writer: writer.file(name, chunking)?, members })
            }
        }
    }

    /// Removes an adopted directory. Fails if it was not adopted.
    pub fn discard_directory(&self, name: &str) -> Result<()> {
        match self {
            Self::Plain(draft) => draft.discard_directory(name),
            Self::Artifact { staging, .. } => staging.discard_directory(name),
        }
    }

    /// Creates an empty directory that another program fills. Fails if it exists.
    pub fn adopt_directory(&self, name: &str) -> Result<PathBuf> {
        match self {
            Self::Plain(draft) => draft.adopt_directory(name),
            Self::Artifact { staging, .. } => staging.adopt_directory(name),
        }
    }

    /// Returns true if the destination compresses, so that programs should not compress their
    /// output.
    pub fn compresses(&self) -> bool {
        matches!(self, Self::Artifact { .. })
    }

    /// Completes an adopted directory. Its digest is the digest of the list of digests of its
    /// files. Fails if a file cannot be read or stored.
    pub fn seal_directory(&self, name: &str) -> Result<FileSummary> {
        let (writer, staging, members) = match self {
            Self::Plain(draft) => return draft.seal_directory(name),
            Self::Artifact { writer, staging, members } => (writer, staging, members),
        };
        let mut members = members.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = format!("{name}/");
        let mut sealed: BTreeMap<String, FileSummary> =
            members.extract_if(.., |path, _| path.starts_with(&directory)).collect();
        for (relative, path) in staging.files_of(name)? {
            let mut file = writer.file(&relative, Chunking::Content)?;
            let mut input = File::open(&path).map_err(|error| Error::io("read", &path, error))?;
            io::copy(&mut input, &mut file).map_err(|error| Error::from_writing(&path, error))?;
            sealed.insert(relative, file.finish()?);
        }
        let (mut list, mut content_bytes, mut stored_bytes) = (String::new(), 0, 0);
        for (path, summary) in &sealed {
            list.push_str(&list_line(&summary.digest, path));
            content_bytes += summary.content_bytes;
            stored_bytes += summary.stored_bytes;
        }
        let digest = format!("blake3:{}", blake3::hash(list.as_bytes()).to_hex());
        Ok(FileSummary { name: name.to_owned(), content_bytes, stored_bytes, digest })
    }

    /// Returns the URI that the backup will have. Fails if a path cannot be written as URI.
    pub fn location(&self) -> Result<String> {
        match self {
            Self::Plain(draft) => Ok(draft.location()?.to_string()),
            Self::Artifact { writer, .. } => Ok(writer.location()),
        }
    }

    /// Returns the id of the key that encrypts it.
    pub fn key(&self) -> Option<String> {
        match self {
            Self::Plain(_) => None,
            Self::Artifact { writer, .. } => writer.key(),
        }
    }

    /// Returns the id of the store that it is written to, if it is one.
    pub fn store_id(&self) -> Option<String> {
        match self {
            Self::Plain(_) => None,
            Self::Artifact { writer, .. } => Some(writer.store_id()),
        }
    }

    /// Publishes the backup with its future record in the ledger, and returns its URI. The backup
    /// is durable then. Fails if a file is unfinished or cannot be written.
    pub fn publish(self, record: Value) -> Result<String> {
        match self {
            Self::Plain(draft) => {
                let mut file = draft.file("record.json", Compression::None)?;
                let written = file.write_all(&to_canonical_json(&record));
                written.map_err(|error| Error::from_writing("record.json".as_ref(), error))?;
                file.finish()?;
                Ok(draft.publish()?.to_string())
            }
            Self::Artifact { writer, .. } => Ok(writer.publish(Some(record))?.location),
        }
    }
}

/// A file of a pending backup.
pub enum PendingFile<'a> {
    /// A plain file.
    Plain(plain::ArtifactWriter),
    /// A file in chunks.
    Chunked(FileWriter),
    /// A file in chunks that belongs to a directory.
    Member {
        /// Writes the file.
        writer: FileWriter,
        /// The files of the directory that are complete.
        members: &'a Mutex<BTreeMap<String, FileSummary>>,
    },
}

impl PendingFile<'_> {
    /// Completes the file. Fails if it cannot be written.
    pub fn finish(self) -> Result<FileSummary> {
        match self {
            Self::Plain(file) => file.finish(),
            Self::Chunked(file) => file.finish(),
            Self::Member { writer, members } => {
                let summary = writer.finish()?;
                let mut members = members.lock().unwrap_or_else(PoisonError::into_inner);
                members.insert(summary.name.clone(), summary.clone());
                Ok(summary)
            }
        }
    }
}

impl Write for PendingFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Chunked(file) | Self::Member { writer: file, .. } => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Chunked(file) | Self::Member { writer: file, .. } => file.flush(),
        }
    }
}

/// A backup in a destination.
pub enum StoredBackup {
    /// Plain files.
    Plain(Stored),
    /// An artifact in a store.
    Artifact(Artifact),
}

impl StoredBackup {
    /// Opens the bytes of a backup below one of the roots of `access`. Fails if the artifact of a store
    /// does not have exactly the recorded files, by name, size and digest. Of plain files only the
    /// existence is checked here.
    pub fn open(backup: &Backup, access: &Access) -> Result<Self> {
        let held = root::find(backup, access)?;
        held.check_files(backup)?;
        Ok(held)
    }

    fn check_files(&self, backup: &Backup) -> Result<()> {
        let different = |detail: String| Error::OtherFiles { object: backup.id.to_string(), detail };
        let mut left = match self {
            Self::Plain(_) => Vec::new(),
            Self::Artifact(_) => self.names()?,
        };
        if let Some(pair) = left.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(different(format!("{} exists twice", pair[0])));
        }
        for recorded in &backup.artifacts {
            let name = recorded.name.as_str();
            let artifact = match self {
                // The content of plain files is compared when it is read.
                Self::Plain(stored) => {
                    let path = stored.path(name)?;
                    path.symlink_metadata().map_err(|error| Error::io("open", &path, error))?;
                    continue;
                }
                Self::Artifact(artifact) => artifact,
            };
            let files = match artifact.manifest().file(name) {
                Some(_) => vec![name.to_owned()],
                None => self.files_below(name).map_err(|_| different(format!("{name} is missing")))?,
            };
            let sizes = files.iter().map(|file| Ok(artifact.file(file)?.size));
            if sizes.sum::<Result<u64>>()? != recorded.size_bytes {
                return Err(different(format!("{name} has another size")));
            }
            self.compare(name, &recorded.digest.to_string())?;
            left.retain(|file| files.binary_search(file).is_err());
        }
        match left.first() {
            Some(other) => Err(different(format!("the record does not have {other}"))),
            None => Ok(()),
        }
    }

    /// Returns true if a location is the URI of a store or of a directory.
    pub fn is_location(location: &str) -> bool {
        Store::url_of(location).is_some() || location.parse::<FileUri>().is_ok()
    }

    /// Returns the names of its files, in order; files in directories with their path. Fails if a
    /// directory cannot be listed.
    pub fn names(&self) -> Result<Vec<String>> {
        match self {
            Self::Plain(stored) => Ok(stored.files()?.into_iter().map(|file| file.name).collect()),
            Self::Artifact(artifact) => {
                let mut names: Vec<_> =
                    artifact.manifest().files.iter().map(|file| file.name.clone()).collect();
                names.sort();
                Ok(names)
            }
        }
    }

    /// Returns a reader of the content of a file. A reader of a store verifies each chunk before it
    /// returns it; plain files are verified by [`StoredBackup::verify`]. Fails if the file is missing.
    pub fn reader(&self, name: &str) -> Result<Box<dyn Read + Send>> {
        match self {
            Self::Plain(stored) if name.contains('/') => stored.member(name),
            Self::Plain(stored) => stored.reader(name),
            Self::Artifact(artifact) => Ok(Box::new(artifact.read(name)?)),
        }
    }

    /// Returns true if reading a file to its end verifies its content.
    pub fn verifies_on_read(&self) -> bool {
        matches!(self, Self::Artifact(_))
    }

    /// Returns true if no byte can have been written without a key. Otherwise, a file is known to be
    /// unchanged only after all of it was read.
    pub fn is_authentic(&self) -> bool {
        matches!(self, Self::Artifact(artifact) if artifact.is_sealed())
    }

    /// Verifies that the content of a file or directory has the digest `expected`. Fails with the
    /// difference.
    pub fn verify(&self, name: &str, expected: &str, progress: &dyn Progress) -> Result<()> {
        let artifact = match self {
            Self::Plain(stored) => return stored.verify(name, expected, progress),
            Self::Artifact(artifact) => artifact,
        };
        let names = self.files_below(name)?;
        for name in &names {
            artifact.read(name)?.verify(&|bytes| progress.advance(bytes))?;
        }
        self.compare(name, expected)
    }

    /// Writes the files of a directory to `target`, which is created, in several threads. Fails if
    /// the directory does not have the digest `expected`, a file cannot be read or written, or the
    /// process is interrupted.
    pub fn unpack(&self, name: &str, expected: &str, target: &Path, progress: &dyn Progress) -> Result<()> {
        let same = |path: &str| Some(PathBuf::from(path));
        self.unpack_as(name, expected, target, &same, progress)
    }

    /// Like [`StoredBackup::unpack`], with `path_of` for the paths of the files below `target`. Plain files
    /// must have been verified before.
    pub fn unpack_as(
        &self,
        name: &str,
        expected: &str,
        target: &Path,
        path_of: &(dyn Fn(&str) -> Option<PathBuf> + Sync),
        progress: &dyn Progress,
    ) -> Result<()> {
        self.compare(name, expected)?;
        private_directory(target)?;
        let files = self.files_below(name)?;
        let stop = AtomicBool::new(false);
        let unpack = |file: &String| {
            if stop.load(Ordering::Relaxed) || interrupt::requested().is_some() {
                return Err(Error::io("write", target, io::ErrorKind::Interrupted.into()));
            }
            let done = self.unpack_file(name, file, target, path_of, progress);
            stop.fetch_or(done.is_err(), Ordering::Relaxed);
            done
        };
        let is_first = |error: &Error| !matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::Interrupted);
        let mut errors: Vec<Error> =
            parallel_map(&files, unpack).into_iter().filter_map(Result::err).collect();
        match errors.iter().position(is_first) {
            Some(at) => Err(errors.swap_remove(at)),
            None => errors.pop().map_or(Ok(()), Err),
        }
    }

    fn unpack_file(
        &self,
        directory: &str,
        file: &str,
        target: &Path,
        path_of: &(dyn Fn(&str) -> Option<PathBuf> + Sync),
        progress: &dyn Progress,
    ) -> Result<()> {
        let relative = file.strip_prefix(directory).map_or("", |rest| rest.trim_start_matches('/'));
        let safe = |path: &PathBuf| {
            let parts = path.as_os_str().as_bytes().split(|byte| *byte == b'/');
            parts.into_iter().all(|part| !matches!(part, b"" | b"." | b".."))
        };
        let path = path_of(relative).filter(safe);
        let path =
            target.join(path.ok_or_else(|| Error::UnsafeName { what: "file", name: file.to_owned() })?);
        if let Some(parent) = path.parent() {
            private_directory(parent)?;
        }
        let mut output = create_private(&path).map_err(|error| Error::io("write", &path, error))?;
        let copied = io::copy(&mut self.reader(file)?, &mut output);
        progress.advance(copied.map_err(|error| Error::from_writing(&path, error))?);
        Ok(())
    }

    /// Returns the path of a directory of plain files; `None` in a store.
    pub fn path(&self, name: &str) -> Result<Option<PathBuf>> {
        match self {
            Self::Plain(stored) => stored.path(name).map(Some),
            Self::Artifact(_) => Ok(None),
        }
    }

    /// Returns the file `name`, or the files in the directory `name`, sorted.
    fn files_below(&self, name: &str) -> Result<Vec<String>> {
        let artifact = match self {
            Self::Plain(stored) => return stored.members(name),
            Self::Artifact(artifact) => artifact,
        };
        let manifest = artifact.manifest();
        let mut names: Vec<String> = manifest.files.iter().map(|file| file.name.clone()).collect();
        let directory = format!("{name}/");
        names.retain(|file| file == name || file.starts_with(&directory));
        names.sort();
        if names.is_empty() { artifact.file(name).map(|_| names) } else { Ok(names) }
    }

    /// Compares the digest in the manifest with the recorded one.
    fn compare(&self, name: &str, expected: &str) -> Result<()> {
        let Self::Artifact(artifact) = self else { return Ok(()) };
        let actual = match artifact.manifest().file(name) {
            Some(file) => format!("blake3:{}", file.digest),
            None => {
                let mut list = String::new();
                for name in self.files_below(name)? {
                    list.push_str(&list_line(&format!("blake3:{}", artifact.file(&name)?.digest), &name));
                }
                format!("blake3:{}", blake3::hash(list.as_bytes()).to_hex())
            }
        };
        if actual == expected {
            return Ok(());
        }
        Err(Error::Mismatch { path: name.into(), expected: expected.to_owned(), actual })
    }
}
