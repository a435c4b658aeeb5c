//! Reading a backup, and removing it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::directory::{self, hash_stream};
use super::{FileUri, REMOVED, check_name, digest_text, sync_dir};
use crate::process::OWNER_FILE;
use crate::progress::Progress;
use crate::store::Error;

/// What a stored file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// One file, as it is.
    Raw,
    /// One file, compressed by zstd.
    Zstd,
    /// A directory.
    Directory,
}

/// An entry of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: FileKind,
    /// How much space it takes.
    pub stored_bytes: u64,
}

/// A backup that was published.
#[derive(Debug)]
pub struct Stored {
    dir: PathBuf,
}

impl Stored {
    /// The backup in `dir`.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        match dir.metadata() {
            Ok(meta) if meta.is_dir() => Ok(Self { dir: dir.to_owned() }),
            Ok(_) => Err(Error::NotADirectory { path: dir.to_owned() }),
            Err(e) => Err(Error::io("open", dir, e)),
        }
    }

    /// Its entries, by name.
    pub fn files(&self) -> Result<Vec<StoredFile>, Error> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(|e| Error::io("list", &self.dir, e))? {
            let entry = entry.map_err(|e| Error::io("list", &self.dir, e))?;
            let Some(name) = entry.file_name().to_str().map(ToOwned::to_owned) else {
                return Err(Error::Unexpected { path: entry.path() });
            };
            if name == OWNER_FILE {
                continue;
            }
            let (kind, size) = self.look_at(&name)?;
            let stored_bytes = match kind {
                FileKind::Directory => directory::size_of(&self.dir, &name)?,
                _ => size,
            };
            files.push(StoredFile { name, kind, stored_bytes });
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }

    /// Where an entry is, for programs that read it by themselves.
    pub fn path(&self, name: &str) -> Result<PathBuf, Error> {
        Ok(self.dir.join(check_name("file", name)?))
    }

    /// The content of a file without its compression. Damage shows as an error
    /// while reading; to be sure before, call [`Stored::verify`].
    pub fn reader(&self, name: &str) -> Result<Box<dyn Read + Send>, Error> {
        let path = self.path(name)?;
        let (kind, size) = self.look_at(name)?;
        let file = File::open(&path).map_err(|e| Error::io("open", &path, e))?;
        match kind {
            FileKind::Raw => Ok(Box::new(file)),
            // Nothing is no frame, but the decoder takes it for an empty one.
            FileKind::Zstd if size == 0 => Err(Error::Truncated { path }),
            FileKind::Zstd => {
                let decoder = zstd::Decoder::new(file).map_err(|e| Error::io("read", &path, e))?;
                Ok(Box::new(decoder))
            }
            FileKind::Directory => Err(Error::Unexpected { path }),
        }
    }

    /// The paths of all files in a directory, from its backup, in order.
    pub fn members(&self, name: &str) -> Result<Vec<String>, Error> {
        Ok(directory::files_of(&self.dir, check_name("file", name)?)?.into_keys().collect())
    }

    /// The content of a file in a directory.
    pub fn member(&self, name: &str) -> Result<Box<dyn Read + Send>, Error> {
        let path = self.dir.join(directory::member_path(name)?);
        let meta = path.symlink_metadata().map_err(|e| Error::io("open", &path, e))?;
        if !meta.is_file() {
            return Err(Error::Unexpected { path });
        }
        Ok(Box::new(File::open(&path).map_err(|e| Error::io("open", &path, e))?))
    }

    /// Proves that an entry is the one that had the digest `expected` when it
    /// was written.
    pub fn verify(&self, name: &str, expected: &str, progress: &dyn Progress) -> Result<(), Error> {
        let path = self.path(name)?;
        if self.look_at(name)?.0 == FileKind::Directory {
            return directory::verify(&self.dir, name, expected, progress);
        }
        let mut hasher = blake3::Hasher::new();
        let read = hash_stream(self.reader(name)?, &mut hasher, progress);
        read.map_err(|e| damage(&path, e))?;
        let actual = digest_text(hasher.finalize());
        if actual != expected {
            return Err(Error::Mismatch { path, expected: expected.to_owned(), actual });
        }
        Ok(())
    }

    fn look_at(&self, name: &str) -> Result<(FileKind, u64), Error> {
        let path = self.path(name)?;
        let meta = path.symlink_metadata().map_err(|e| Error::io("open", &path, e))?;
        let kind = match meta.file_type() {
            kind if kind.is_dir() => FileKind::Directory,
            kind if kind.is_file() && name.ends_with(".zst") => FileKind::Zstd,
            kind if kind.is_file() => FileKind::Raw,
            _ => return Err(Error::Unexpected { path }),
        };
        Ok((kind, meta.len()))
    }
}

/// What an error of the decoder means: one of the disk has a number.
fn damage(path: &Path, error: io::Error) -> Error {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::Truncated { path },
        _ if error.raw_os_error().is_some() => Error::io("read", &path, error),
        _ => Error::Corrupt { path, detail: error.to_string() },
    }
}

/// Removes a backup of the store `root`. A location comes from a record, which
/// anybody may have written, so it must be just where this store puts backups.
/// Interrupted half-way, [`super::sweep_partials`] does the rest.
pub fn remove(root: &Path, location: &FileUri) -> Result<(), Error> {
    let refuse = |reason| Error::BadLocation { location: location.to_string(), reason };
    let root = std::path::absolute(root).map_err(|e| Error::io("resolve", root, e))?;
    let path = location.to_path();
    let relative = path.strip_prefix(&root).map_err(|_| refuse("not in this store"))?;
    let names: Option<Vec<&str>> = relative.iter().map(|name| name.to_str()).collect();
    let Some([database, id]) = names.as_deref() else { return Err(refuse("not a backup of this store")) };
    check_name("database", database)?;
    check_name("backup", id)?;
    let home = root.join(database);
    for dir in [&home, &path] {
        let meta = dir.symlink_metadata().map_err(|e| Error::io("open", dir, e))?;
        if !meta.is_dir() {
            return Err(Error::NotADirectory { path: dir.clone() });
        }
    }
    let removed = home.join(format!(".{id}{REMOVED}"));
    fs::rename(&path, &removed).map_err(|e| Error::io("remove", &path, e))?;
    sync_dir(&home)?;
    fs::remove_dir_all(&removed).map_err(|e| Error::io("remove", &removed, e))?;
    // Succeeds only when it was the last one.
    let _ = fs::remove_dir(&home);
    Ok(())
}
