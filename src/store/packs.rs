//! Reading blobs from packs.
//!
//! Packs in a directory are read in place. Packs in a cloud are downloaded whole at the first use,
//! and kept in a cache directory of limited size: a reader of an artifact needs nearly all bytes of
//! each pack, and one request is faster than a thousand.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::bucket::Bucket;
use super::cache::CacheDirectory;
use super::{Error, Result, layout};

/// The first bytes of every pack.
pub(super) const MAGIC: &[u8; 8] = b"PGGITPK\x01";
/// The size, in bytes, at which a pack is closed.
pub(super) const PACK_TARGET: usize = 16 << 20;
/// The maximum size of a pack, in bytes: the last blob may exceed the target.
const PACK_MAX: u64 = 18 << 20;
/// The maximum number of packs that are downloaded ahead of their use.
const AHEAD_MAX: u64 = 64;
/// The maximum number of open packs. Some systems allow few open files.
const OPEN_MAX: usize = 128;

/// Reads packs from the bucket, through a cache if it is a cloud.
pub(crate) struct Packs {
    bucket: Arc<Bucket>,
    cache: Option<Cache>,
    open: Mutex<HashMap<String, Arc<File>>>,
}

impl Packs {
    pub(super) fn new(bucket: Arc<Bucket>, cache: Option<Cache>) -> Self {
        Self { bucket, cache, open: Mutex::default() }
    }

    /// Reads the bytes of a blob. Fails if the pack is missing or too short.
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
            (None, Some(cache)) => match cache.file(&self.bucket, pack)? {
                Some(file) => file,
                None => return Ok(None),
            },
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

    /// Returns the number of packs that may be downloaded ahead of their use: they must fit into
    /// half of the cache.
    pub(super) fn ahead(&self) -> usize {
        let room = self.cache.as_ref().map_or(0, |cache| cache.directory.bytes_max() / 2 / PACK_MAX);
        usize::try_from(room.min(AHEAD_MAX)).unwrap_or(0)
    }

    /// Downloads a pack ahead of its use. An error is ignored here: the read that needs the pack
    /// reports it.
    pub(super) fn fetch(&self, pack: &str) {
        let _ = self.file(pack);
    }

    /// Call it after content of these packs was found damaged. Removes their files from the cache
    /// if these are damaged. Returns true if a second read may succeed.
    pub(super) fn drop_damaged<'a>(&self, packs: impl IntoIterator<Item = &'a str>) -> bool {
        let Some(cache) = &self.cache else { return false };
        for pack in packs {
            cache.remove_damaged(pack);
            // Another process may have replaced the file since it was opened.
            self.lock().remove(pack);
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<File>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A cache directory of packs. Its files may be removed at any time.
pub(crate) struct Cache {
    directory: CacheDirectory,
    /// The packs that are being downloaded. Other threads that need one wait for it.
    downloading: Mutex<HashSet<String>>,
    downloaded: Condvar,
}

/// Marks a download as ended on drop, whether it succeeded or not.
struct DownloadGuard<'a>(&'a Cache, &'a str);

impl Drop for DownloadGuard<'_> {
    fn drop(&mut self) {
        self.0.downloading().remove(self.1);
        self.0.downloaded.notify_all();
    }
}

impl Cache {
    pub(crate) fn new(directory: CacheDirectory) -> Self {
        Self { directory, downloading: Mutex::default(), downloaded: Condvar::new() }
    }

    /// Returns the file of a pack, and downloads it first if necessary. `None` if the cache cannot
    /// keep it. Fails if the download fails or has a wrong digest.
    fn file(&self, bucket: &Bucket, pack: &str) -> Result<Option<File>> {
        let path = self.directory.file(pack);
        let _guard = {
            let mut downloading = self.downloading();
            loop {
                if let Ok(file) = File::open(&path) {
                    return Ok(Some(file));
                }
                if downloading.insert(pack.to_owned()) {
                    break DownloadGuard(self, pack);
                }
                downloading = self.downloaded.wait(downloading).unwrap_or_else(PoisonError::into_inner);
            }
        };
        let name = layout::pack(pack);
        let content = bucket.get(&name)?;
        if blake3::hash(&content).to_hex().as_str() != pack {
            return Err(Error::Damaged {
                object: bucket.uri(&name),
                detail: "its content does not match its digest".to_owned(),
            });
        }
        // A full disk must not prevent reading a backup.
        let kept = self.directory.keep(&path, &content).ok();
        self.directory.make_room();
        Ok(kept)
    }

    fn downloading(&self) -> MutexGuard<'_, HashSet<String>> {
        self.downloading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the file of a pack if its content does not match its digest.
    fn remove_damaged(&self, pack: &str) {
        let path = self.directory.file(pack);
        if File::open(&path).and_then(digest).is_ok_and(|digest| digest == pack) {
            return;
        }
        let _ = fs::remove_file(&path);
    }
}

fn digest(mut file: File) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().to_hex().to_string()),
            count => {
                hasher.update(&buffer[..count]);
            }
        }
    }
}
