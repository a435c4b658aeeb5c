//! Objects as files.
//!
//! The crate for clouds can store files, too, but it names them before their content is on disk:
//! after a power failure, a named object could be empty.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt as _, FileExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use uuid::Uuid;
use walkdir::WalkDir;

use super::{Object, Storage};
use crate::domain::Timestamp;
use crate::process::{crash_point, create_private};
use crate::store::{Error, Result, threads};

/// The directory of files that are being written.
const PARTIAL: &str = "partial";

pub(super) struct Local {
    directory: PathBuf,
}

impl Local {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    fn missing(&self, name: &str, error: io::Error, action: &'static str) -> Error {
        let path = self.directory.join(name);
        match error.kind() {
            io::ErrorKind::NotFound => Error::NoObject { object: path.display().to_string() },
            _ => Error::io(action, &path, error),
        }
    }
}

impl Local {
    /// Writes `content` into a temporary file, and calls `link` to give it the name `path`. Fails
    /// if a directory or the file cannot be written.
    fn name_it<T>(&self, path: &Path, content: &[u8], link: impl Fn(&Path) -> io::Result<T>) -> Result<T> {
        let partial = TempFile::write(&self.directory.join(PARTIAL), content)?;
        crash_point("store.object.partial");
        let parent = path.parent().unwrap_or(&self.directory);
        let linked = loop {
            make_directories(parent)?;
            match link(&partial.0) {
                Ok(linked) => break linked,
                // A concurrent `delete` removed the empty directory.
                Err(error) if error.kind() == io::ErrorKind::NotFound && !parent.exists() => {}
                Err(error) => return Err(Error::io("write", path, error)),
            }
        };
        crash_point("store.object.named");
        sync(parent)?;
        Ok(linked)
    }
}

impl Storage for Local {
    fn create(&self, name: &str, content: Bytes) -> Result<bool> {
        let path = self.directory.join(name);
        if path.exists() {
            return Ok(false);
        }
        self.name_it(&path, &content, |partial| match fs::hard_link(partial, &path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        })
    }

    fn replace(&self, name: &str, content: Bytes) -> Result<()> {
        let path = self.directory.join(name);
        self.name_it(&path, &content, |partial| fs::rename(partial, &path))
    }

    fn get(&self, name: &str) -> Result<Bytes> {
        let read = fs::read(self.directory.join(name));
        Ok(read.map_err(|error| self.missing(name, error, "read"))?.into())
    }

    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        let fail = |error| self.missing(name, error, "read");
        let file = File::open(self.directory.join(name)).map_err(fail)?;
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        if file.metadata().map_err(fail)?.len() < range.end {
            let path = self.directory.join(name);
            return Err(Error::Truncated { path });
        }
        let mut content = vec![0; length];
        file.read_exact_at(&mut content, range.start).map_err(fail)?;
        Ok(content.into())
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        let start = self.directory.join(prefix);
        let mut objects = Vec::new();
        for entry in WalkDir::new(&start).sort_by_file_name() {
            let entry = match entry {
                Ok(entry) => entry,
                // A concurrent `delete` removed the entry.
                Err(error) if error.io_error().is_some_and(|e| e.kind() == io::ErrorKind::NotFound) => {
                    continue;
                }
                Err(error) => return Err(Error::io("list", &start, error.into())),
            };
            let relative = entry.path().strip_prefix(&self.directory).unwrap_or(entry.path());
            if !entry.file_type().is_file() || relative.starts_with(PARTIAL) {
                continue;
            }
            let Ok(metadata) = entry.metadata() else { continue };
            let modified = metadata.modified().map_err(|error| Error::io("list", entry.path(), error))?;
            objects.push(Object {
                name: relative.to_string_lossy().into_owned(),
                size: metadata.len(),
                modified: Timestamp::from(chrono::DateTime::<chrono::Utc>::from(modified)),
            });
        }
        objects.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(objects)
    }

    fn delete(&self, name: &str) -> Result<()> {
        let path = self.directory.join(name);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io("remove", &path, error)),
        }
        if let Some(parent) = path.parent() {
            sync(parent)?;
            // Removes empty directories of artifacts, which `list` would walk each time. Another
            // process may be writing into it, so failure is fine.
            if parent != self.directory {
                let _ = fs::remove_dir(parent);
            }
        }
        Ok(())
    }

    fn sweep(&self, older_than: Timestamp) -> Result<u64> {
        let directory = self.directory.join(PARTIAL);
        let mut swept = 0;
        for object in WalkDir::new(&directory).min_depth(1).into_iter().flatten() {
            let old = object.metadata().ok().and_then(|metadata| metadata.modified().ok());
            if old.is_some_and(|modified| {
                Timestamp::from(chrono::DateTime::<chrono::Utc>::from(modified)) < older_than
            }) {
                match fs::remove_file(object.path()) {
                    Ok(()) => swept += 1,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(Error::io("remove", object.path(), error)),
                }
            }
        }
        Ok(swept)
    }

    fn concurrency(&self) -> usize {
        threads()
    }

    fn directory(&self) -> Option<&Path> {
        Some(&self.directory)
    }
}

/// A temporary file. Removed on drop.
struct TempFile(PathBuf);

impl TempFile {
    fn write(directory: &Path, content: &[u8]) -> Result<Self> {
        make_directories(directory)?;
        let path = directory.join(Uuid::now_v7().to_string());
        let mut file = create_private(&path).map_err(|error| Error::io("write", &path, error))?;
        let partial = Self(path);
        let written = file.write_all(content).and_then(|()| file.sync_all());
        written.map_err(|error| Error::io("write", &partial.0, error))?;
        Ok(partial)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn sync(directory: &Path) -> Result<()> {
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| Error::io("sync", directory, error))
}

/// Creates a directory and its parents, durably.
fn make_directories(directory: &Path) -> Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(parent) = directory.parent() {
        make_directories(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(Error::io("create", directory, error)),
    }
    directory.parent().map_or(Ok(()), sync)
}
