//! The two kinds of places as one: what makes a backup or brings one back does
//! not mind where the bytes are.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::chunker::Chunking;
use super::plain::{self, FileUri, Stored, list_line};
use super::reader::Artifact;
use super::store::{Access, Store};
use super::writer::{ArtifactWriter, FileWriter, NewArtifact};
use super::{Error, FileSummary, Result, StoreUrl};
use crate::domain::{Compression, Timestamp, to_canonical_json};
use crate::progress::Progress;

/// How new bytes are compressed when nothing else is wanted, and when nothing is:
/// a store always compresses.
const FASTEST: i32 = 1;

/// Where backups are put.
pub enum Place {
    /// Plain files below a directory.
    Directory(PathBuf),
    /// A store, and a directory on this machine for what cannot be streamed.
    Store {
        /// The store.
        store: Store,
        /// The directory; it is made when something is put there.
        staging: PathBuf,
    },
}

/// A backup that is being put somewhere. Dropped, it disappears.
pub enum Draft {
    /// As plain files.
    Plain(plain::Draft),
    /// Into a store.
    Artifact {
        /// The artifact.
        writer: ArtifactWriter,
        /// What cannot be streamed is made in here.
        staging: Staging,
    },
}

/// A directory for what cannot be streamed: most backups never make one.
pub struct Staging {
    root: PathBuf,
    database: String,
    id: String,
    made: Mutex<Option<plain::Draft>>,
}

impl Staging {
    fn made(&self) -> MutexGuard<'_, Option<plain::Draft>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn adopt_directory(&self, name: &str) -> Result<PathBuf> {
        let mut made = self.made();
        if made.is_none() {
            private_directory(&self.root)?;
            *made = Some(plain::Draft::create(&self.root, &self.database, &self.id)?);
        }
        made.as_ref().map_or_else(|| Err(self.missing(name)), |draft| draft.adopt_directory(name))
    }

    fn files_of(&self, name: &str) -> Result<BTreeMap<String, PathBuf>> {
        self.made().as_ref().map_or_else(|| Err(self.missing(name)), |draft| draft.files_of(name))
    }

    fn missing(&self, name: &str) -> Error {
        Error::Missing { path: self.root.join(name) }
    }
}

/// Makes a directory, and those above it, that only its owner can look into.
pub fn private_directory(path: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| Error::io("create", path, error))
}

impl Place {
    /// Removes what dead runs left behind. They are in the way of nobody but the disk.
    pub fn sweep(&self) {
        let (Self::Directory(directory) | Self::Store { staging: directory, .. }) = self;
        let _ = plain::sweep_partials(directory);
    }

    /// Begins the backup `id` of `database`.
    pub fn draft(&self, id: &str, database: &str, compression: Compression, now: Timestamp) -> Result<Draft> {
        match self {
            Self::Directory(directory) => Ok(Draft::Plain(plain::Draft::create(directory, database, id)?)),
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
                Ok(Draft::Artifact { writer: store.begin(new)?, staging })
            }
        }
    }

    /// Removes a backup that was published and does not count.
    pub fn remove(&self, location: &str) -> Result<()> {
        match self {
            Self::Directory(directory) => plain::remove(directory, &location.parse()?),
            Self::Store { store, .. } => store.remove(location),
        }
    }
}

impl Draft {
    /// Begins a file; a store cuts it as `chunking` says.
    pub fn file(&self, name: &str, chunking: Chunking, compression: Compression) -> Result<DraftFile> {
        match self {
            Self::Plain(draft) => Ok(DraftFile::Plain(draft.file(name, compression)?)),
            Self::Artifact { writer, .. } => Ok(DraftFile::Chunked(writer.file(name, chunking)?)),
        }
    }

    /// Makes an empty directory for somebody else to fill.
    pub fn adopt_directory(&self, name: &str) -> Result<PathBuf> {
        match self {
            Self::Plain(draft) => draft.adopt_directory(name),
            Self::Artifact { staging, .. } => staging.adopt_directory(name),
        }
    }

    /// Whether what is put there should not be compressed by those who make it.
    pub fn compresses(&self) -> bool {
        matches!(self, Self::Artifact { .. })
    }

    /// Takes what is in an adopted directory. Its digest is that of the list of
    /// the digests of its files.
    pub fn seal_directory(&self, name: &str) -> Result<FileSummary> {
        let (writer, staging) = match self {
            Self::Plain(draft) => return draft.seal_directory(name),
            Self::Artifact { writer, staging } => (writer, staging),
        };
        let (mut list, mut content_bytes, mut stored_bytes) = (String::new(), 0, 0);
        for (relative, path) in staging.files_of(name)? {
            let mut file = writer.file(&relative, Chunking::Content)?;
            let mut input = File::open(&path).map_err(|error| Error::io("read", &path, error))?;
            io::copy(&mut input, &mut file).map_err(|error| Error::from_writing(&path, error))?;
            let summary = file.finish()?;
            list.push_str(&list_line(&summary.digest, &relative));
            content_bytes += summary.content_bytes;
            stored_bytes += summary.stored_bytes;
        }
        let digest = format!("blake3:{}", blake3::hash(list.as_bytes()).to_hex());
        Ok(FileSummary { name: name.to_owned(), content_bytes, stored_bytes, digest })
    }

    /// The URI that it will have.
    pub fn location(&self) -> Result<String> {
        match self {
            Self::Plain(draft) => Ok(draft.location()?.to_string()),
            Self::Artifact { writer, .. } => Ok(writer.location()),
        }
    }

    /// The key that it is sealed with.
    pub fn key(&self) -> Option<String> {
        match self {
            Self::Plain(_) => None,
            Self::Artifact { writer, .. } => writer.key(),
        }
    }

    /// Gives it its name, with the record that the ledger is going to have. When
    /// this returns, it is durable.
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

/// A file that is being put somewhere.
pub enum DraftFile {
    /// As a file.
    Plain(plain::ArtifactWriter),
    /// As chunks.
    Chunked(FileWriter),
}

impl DraftFile {
    /// Says that this was all.
    pub fn finish(self) -> Result<FileSummary> {
        match self {
            Self::Plain(file) => file.finish(),
            Self::Chunked(file) => file.finish(),
        }
    }
}

impl Write for DraftFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Chunked(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Chunked(file) => file.flush(),
        }
    }
}

/// A backup that is somewhere.
pub enum Held {
    /// As plain files.
    Plain(Stored),
    /// In a store.
    Artifact(Artifact),
}

impl Held {
    /// The backup that a record names as its location.
    pub fn open(location: &str, access: &Access) -> Result<Self> {
        if let Some(url) = Store::url_of(location) {
            let url: StoreUrl = url.parse()?;
            let plain =
                location.parse::<FileUri>().is_ok_and(|uri| uri.to_path().join("record.json").exists());
            if !plain {
                return Ok(Self::Artifact(Store::open(&url, access)?.at(location)?));
            }
        }
        Ok(Self::Plain(Stored::open(&location.parse::<FileUri>()?.to_path())?))
    }

    /// Whether a location is a place of this program: a store or a directory.
    pub fn is_ours(location: &str) -> bool {
        Store::url_of(location).is_some() || location.parse::<FileUri>().is_ok()
    }

    /// The names of its files, in order; those in directories with their path.
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

    /// The content of a file. What comes out of a store has been proved before
    /// it comes out; plain files are proved by [`Held::verify`].
    pub fn reader(&self, name: &str) -> Result<Box<dyn Read + Send>> {
        match self {
            Self::Plain(stored) => stored.reader(name),
            Self::Artifact(artifact) => Ok(Box::new(artifact.read(name)?)),
        }
    }

    /// Whether what is read is proved while it is read.
    pub fn proves_itself(&self) -> bool {
        matches!(self, Self::Artifact(_))
    }

    /// Proves that a file, or a directory, is the one with the digest `expected`.
    pub fn verify(&self, name: &str, expected: &str, progress: &dyn Progress) -> Result<()> {
        let artifact = match self {
            Self::Plain(stored) => return stored.verify(name, expected, progress),
            Self::Artifact(artifact) => artifact,
        };
        let names = self.below(name)?;
        for name in &names {
            artifact.read(name)?.verify(&|bytes| progress.advance(bytes))?;
        }
        self.compare(name, expected)
    }

    /// Writes a directory out into `target`, which is made.
    pub fn unpack(&self, name: &str, expected: &str, target: &Path, progress: &dyn Progress) -> Result<()> {
        let Self::Artifact(artifact) = self else { return Ok(()) };
        self.compare(name, expected)?;
        private_directory(target)?;
        for file in self.below(name)? {
            let relative = file.strip_prefix(name).map_or("", |rest| rest.trim_start_matches('/'));
            if relative.is_empty() || relative.split('/').any(|part| matches!(part, "" | "." | "..")) {
                return Err(Error::UnsafeName { what: "file", name: file });
            }
            let path = target.join(relative);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(|error| Error::io("create", parent, error))?;
            }
            let mut output = File::create(&path).map_err(|error| Error::io("write", &path, error))?;
            let mut reader = artifact.read(&file)?;
            let copied = io::copy(&mut reader, &mut output);
            progress.advance(copied.map_err(|error| Error::from_writing(&path, error))?);
        }
        Ok(())
    }

    /// Where a directory of plain files is.
    pub fn path(&self, name: &str) -> Result<Option<PathBuf>> {
        match self {
            Self::Plain(stored) => stored.path(name).map(Some),
            Self::Artifact(_) => Ok(None),
        }
    }

    /// The files that `name` is, or has in it, by name.
    fn below(&self, name: &str) -> Result<Vec<String>> {
        let Self::Artifact(artifact) = self else { return Ok(vec![name.to_owned()]) };
        let manifest = artifact.manifest();
        let mut names: Vec<String> = manifest.files.iter().map(|file| file.name.clone()).collect();
        let directory = format!("{name}/");
        names.retain(|file| file == name || file.starts_with(&directory));
        names.sort();
        if names.is_empty() { artifact.file(name).map(|_| names) } else { Ok(names) }
    }

    /// Compares what the manifest says with the record.
    fn compare(&self, name: &str, expected: &str) -> Result<()> {
        let Self::Artifact(artifact) = self else { return Ok(()) };
        let actual = match artifact.manifest().file(name) {
            Some(file) => format!("blake3:{}", file.digest),
            None => {
                let mut list = String::new();
                for name in self.below(name)? {
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
