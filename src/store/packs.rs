//! Reading blobs from packs.
//!
//! Packs of a directory are read in place. Those of a cloud are fetched whole
//! the first time and kept in a directory of a bounded size: whoever reads an
//! artifact needs nearly all of each, and one request is faster than a thousand.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::bucket::Bucket;
use super::{Error, Result, layout};

/// In front of every pack.
pub(super) const MAGIC: &[u8; 8] = b"PGGITPK\x01";
/// A pack is closed when it has reached this size.
pub(super) const PACK_TARGET: usize = 16 << 20;
/// Open files are few on some systems.
const OPEN_MAX: usize = 128;

/// Where the bytes of packs come from.
pub(crate) struct Packs {
    bucket: Arc<Bucket>,
    cache: Option<Cache>,
    open: Mutex<HashMap<String, Arc<File>>>,
}

impl Packs {
    pub(super) fn new(bucket: Arc<Bucket>, cache: Option<Cache>) -> Self {
        Self { bucket, cache, open: Mutex::default() }
    }

    /// The bytes of a blob.
    pub(crate) fn read(&self, pack: &str, offset: u32, stored: u32) -> Result<Vec<u8>> {
        let start = u64::from(offset);
        let Some(file) = self.file(pack)? else {
            return Ok(self.bucket.get_range(&layout::pack(pack), start..start + u64::from(stored))?.into());
        };
        let mut bytes = vec![0; stored as usize];
        file.read_exact_at(&mut bytes, start).map_err(|error| Error::Damaged {
            object: self.bucket.uri(&layout::pack(pack)),
            detail: format!("{stored} bytes at {offset} cannot be read: {error}"),
        })?;
        Ok(bytes)
    }

    fn file(&self, pack: &str) -> Result<Option<Arc<File>>> {
        if let Some(file) = self.lock().get(pack) {
            return Ok(Some(Arc::clone(file)));
        }
        let name = layout::pack(pack);
        let file = match (self.bucket.file(&name), &self.cache) {
            (Some(path), _) => File::open(&path).map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Error::NoObject { object: self.bucket.uri(&name) },
                _ => Error::io("read", &path, error),
            })?,
            (None, Some(cache)) => cache.file(&self.bucket, pack)?,
            (None, None) => return Ok(None),
        };
        let file = Arc::new(file);
        let mut open = self.lock();
        if open.len() >= OPEN_MAX {
            open.clear();
        }
        open.insert(pack.to_owned(), Arc::clone(&file));
        Ok(Some(file))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<File>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A directory of packs that may be removed at any moment.
pub(crate) struct Cache {
    directory: PathBuf,
    bytes_max: u64,
    /// One at a time fetches; the others mostly want the same.
    fetching: Mutex<()>,
}

impl Cache {
    /// A cache in `directory`, which need not exist.
    pub(crate) fn new(directory: PathBuf, bytes_max: u64) -> Self {
        Self { directory, bytes_max, fetching: Mutex::default() }
    }

    fn file(&self, bucket: &Bucket, pack: &str) -> Result<File> {
        let path = self.directory.join(pack);
        if let Ok(file) = File::open(&path) {
            return Ok(file);
        }
        let _one = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(file) = File::open(&path) {
            return Ok(file);
        }
        let name = layout::pack(pack);
        let content = bucket.get(&name)?;
        if blake3::hash(&content).to_hex().as_str() != pack {
            return Err(Error::Damaged {
                object: bucket.uri(&name),
                detail: "its content is not what its name says".to_owned(),
            });
        }
        self.make_room(content.len() as u64);
        self.keep(&path, &content).map_err(|error| Error::io("write", &path, error))
    }

    /// Writes the file so that nobody sees a part of it.
    fn keep(&self, path: &Path, content: &[u8]) -> std::io::Result<File> {
        fs::create_dir_all(&self.directory)?;
        let partial = path.with_extension(format!("{}.partial", uuid::Uuid::now_v7()));
        let kept = fs::write(&partial, content)
            .and_then(|()| fs::rename(&partial, path))
            .and_then(|()| File::open(path));
        if kept.is_err() {
            let _ = fs::remove_file(&partial);
        }
        kept
    }

    /// Removes what was used longest ago.
    fn make_room(&self, wanted: u64) {
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        let mut files: Vec<_> = entries
            .flatten()
            .filter_map(|entry| {
                let metadata = entry.metadata().ok()?;
                let used = metadata.accessed().or_else(|_| metadata.modified()).ok()?;
                Some((used, metadata.len(), entry.path()))
            })
            .collect();
        files.sort();
        let mut total = files.iter().map(|(_, size, _)| size).sum::<u64>() + wanted;
        for (_, size, path) in files {
            if total <= self.bytes_max {
                break;
            }
            // Who has it open still reads it.
            if fs::remove_file(path).is_ok() {
                total -= size;
            }
        }
    }
}
