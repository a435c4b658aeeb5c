//! Writing artifacts.
//!
//! The calling thread cuts the bytes into chunks. Several other threads look up each chunk in the
//! store, compress it, whole or as a delta, and append it to the open pack. The artifact appears
//! under its name when all its packs are durable.

mod base;
mod file;
mod session;
mod table;
mod worker;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

pub use file::FileWriter;
pub(crate) use session::{LEASE, Session};

use self::base::Base;
use self::table::{FullPack, Placed, Table};
use self::worker::{Job, Worker, zstd_error};
use super::blob::{BaseRef, Encoder};
use super::chunker::Chunking;
use super::delta::BufferPool;
use super::layout::Revision;
use super::manifest::{Chunk, FORMAT, FileEntry, Manifest};
use super::reader::{Artifact, BLOB};
use super::{Error, Result, StoreInner, layout, pending_deletion, survey, threads};
use crate::domain::Timestamp;
use crate::process::crash_point;

/// The interval at which a waiting thread checks for failures of other threads.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// The length of the queue of chunks, beside one for each thread. It keeps the calling thread busy
/// while one chunk takes long.
const QUEUE: usize = 16;
/// The maximum number of chunks of an artifact that are remembered, which limits memory: 64 GB of
/// content.
const REMEMBERED_MAX: usize = 1 << 18;

/// The description of a new artifact.
#[derive(Debug, Clone)]
pub struct NewArtifact {
    /// The id, which is the id of the backup.
    pub id: String,
    /// The name of the database.
    pub lineage: String,
    /// The current time.
    pub created_at: Timestamp,
    /// The level of zstd.
    pub level: i32,
}

/// An artifact that is being written. On drop, only garbage packs may remain.
pub struct ArtifactWriter {
    state: Arc<WriterState>,
    new: NewArtifact,
    jobs: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

/// A published artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The URI.
    pub location: String,
    /// The growth of the store, in bytes.
    pub stored_bytes: u64,
    /// The id of the key that encrypts it.
    pub key: Option<String>,
}

/// The state that all threads of a writer share.
struct WriterState {
    inner: Arc<StoreInner>,
    base: Option<Base>,
    level: i32,
    session: Session,
    table: Mutex<Table>,
    files: Mutex<Vec<FileEntry>>,
    remembered: Mutex<HashMap<[u8; 32], Chunk>>,
    pool: Mutex<BufferPool>,
    failed: AtomicBool,
    failure: Mutex<FirstError>,
}

/// The first failure. The first caller gets the error, the later ones its text.
#[derive(Default)]
struct FirstError {
    error: Option<Error>,
    text: String,
}

/// A file with all its chunks stored.
struct FileDone(FileEntry);

impl ArtifactWriter {
    /// Begins an artifact. `find_base` is called after the session is recorded, when garbage
    /// collection cannot remove packs of the base any more. Fails if the id is invalid or the
    /// storage cannot be written.
    pub(super) fn begin(
        inner: &Arc<StoreInner>,
        new: NewArtifact,
        find_base: impl FnOnce() -> Result<Option<Artifact>>,
    ) -> Result<Self> {
        if !layout::is_id(&new.id) {
            return Err(Error::UnsafeName { what: "artifact", name: new.id });
        }
        let session = Session::begin(&inner.bucket)?;
        crash_point("store.writer.begun");
        let base = usable_base(inner, find_base).inspect_err(|_| session.end(&inner.bucket))?;
        let state = Arc::new(WriterState {
            inner: Arc::clone(inner),
            base,
            level: new.level,
            session,
            table: Mutex::default(),
            files: Mutex::default(),
            remembered: Mutex::default(),
            pool: Mutex::default(),
            failed: AtomicBool::new(false),
            failure: Mutex::default(),
        });
        let count = threads();
        let (jobs, queue) = sync_channel(QUEUE + count);
        let queue = Arc::new(Mutex::new(queue));
        let mut writer = Self { state, new, jobs: Some(jobs), threads: Vec::with_capacity(count) };
        for _ in 0..count {
            let mut worker = Worker::new(&writer.state)?;
            let (state, queue) = (Arc::clone(&writer.state), Arc::clone(&queue));
            writer.threads.push(thread::spawn(move || work(&state, &queue, &mut worker)));
        }
        Ok(writer)
    }

    /// Begins a file. Several may be written concurrently. Fails if a thread has failed.
    pub fn file(&self, name: &str, chunking: Chunking) -> Result<FileWriter> {
        let Some(jobs) = &self.jobs else { return Err(self.state.failure()) };
        FileWriter::new(&self.state, jobs.clone(), name, chunking)
    }

    /// Returns the id of the base.
    pub fn base(&self) -> Option<&str> {
        self.state.base.as_ref().map(|base| base.manifest().id.as_str())
    }

    /// Returns the URI that the artifact will have.
    pub fn location(&self) -> String {
        let revision = self.revision();
        self.state.inner.bucket.uri(revision.prefix().trim_end_matches('/'))
    }

    /// Returns the id of the key that encrypts new content.
    pub fn key(&self) -> Option<String> {
        self.state.inner.crypt.key()
    }

    /// Returns the id of the store.
    pub fn store_id(&self) -> String {
        self.state.inner.config.id.to_string()
    }

    /// Makes all packs durable. Returns the growth of the store in bytes, without the manifest.
    /// Fails if a pack cannot be written.
    pub fn flush(&self) -> Result<u64> {
        self.state.check()?;
        let open = self.state.table().take_open();
        if let Some(pack) = open {
            self.state.write_pack(pack)?;
        }
        Ok(self.state.table().written_bytes())
    }

    /// Publishes the artifact. It is complete and durable then. Fails if a pack or the manifest
    /// cannot be written, or if the lease of the writer has expired.
    pub fn publish(mut self, record: Option<Value>) -> Result<Published> {
        self.flush()?;
        self.stop();
        self.state.check()?;
        crash_point("store.packs.written");
        let stored_bytes = self.state.table().written_bytes();
        let table = std::mem::take(&mut *self.state.table());
        let base = self.state.base.as_ref().map(Base::manifest);
        let packs = table.entries(base).ok_or_else(|| self.state.failure())?;
        let manifest = Manifest {
            format: FORMAT,
            id: self.new.id.clone(),
            lineage: self.new.lineage.clone(),
            created_at: self.new.created_at.to_string(),
            base: base.map(|base| base.id.clone()),
            stored_bytes,
            packs,
            files: std::mem::take(&mut *self.state.files.lock().unwrap_or_else(PoisonError::into_inner)),
            record,
            other: serde_json::Map::new(),
        };
        let revision = self.revision();
        self.state.session.renew(&self.state.inner.bucket)?;
        let size = self.state.inner.write_manifest(&revision, &manifest)?;
        crash_point("store.artifact.written");
        if let Err(error) = self.state.session.confirm(&self.state.inner.bucket) {
            let _ = self.state.inner.bucket.delete(&revision.object());
            return Err(error);
        }
        let location = self.location();
        Ok(Published { location, stored_bytes: stored_bytes + size, key: self.key() })
    }

    fn revision(&self) -> Revision {
        let lineage = layout::lineage(&self.state.inner.crypt, &self.new.lineage);
        Revision { lineage, id: self.new.id.clone(), number: 1 }
    }

    fn stop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for ArtifactWriter {
    fn drop(&mut self) {
        // Open files keep the threads alive; the flag makes the threads exit.
        self.state.failed.store(true, Ordering::Release);
        self.stop();
        self.state.session.end(&self.state.inner.bucket);
    }
}

/// Marks the writer as failed if the thread panics, so that no other thread waits for its result.
struct PanicGuard<'a>(&'a WriterState);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.failed.store(true, Ordering::Release);
        }
    }
}

/// Returns the base, unless one of its packs is pending deletion. The session was recorded before
/// this check: a later deletion of a pack waits for its end.
fn usable_base(
    inner: &Arc<StoreInner>,
    find_base: impl FnOnce() -> Result<Option<Artifact>>,
) -> Result<Option<Base>> {
    let Some(pending) = pending_deletion::pending_packs(&inner.bucket)? else { return Ok(None) };
    let Some(base) = find_base()? else { return Ok(None) };
    // A missing pack may have been removed before the session was recorded.
    let there = survey::sizes(&inner.bucket, &base.manifest().packs)?;
    let usable = base
        .manifest()
        .packs
        .iter()
        .all(|pack| !pending.contains(&pack.id) && there.get(&pack.id) == Some(&pack.size));
    let base = usable.then_some(base);
    match base.map(Base::load).transpose() {
        // A damaged base is not used. It must not prevent a backup.
        Err(Error::Damaged { .. } | Error::NoObject { .. } | Error::Truncated { .. }) => Ok(None),
        other => other,
    }
}

fn work(state: &WriterState, queue: &Mutex<Receiver<Job>>, worker: &mut Worker) {
    let _guard = PanicGuard(state);
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(CHECK_INTERVAL);
        let job = match next {
            Ok(job) => job,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) if !state.failed.load(Ordering::Acquire) => {
                continue;
            }
            Err(_) => return,
        };
        if state.failed.load(Ordering::Acquire) {
            continue;
        }
        if let Err(error) = worker.run(&job) {
            state.fail(error);
        }
        state.pool().put(job.bytes);
    }
}

impl WriterState {
    fn encoder(&self) -> Result<Encoder> {
        Encoder::new(self.level).map_err(zstd_error)
    }

    /// Returns the pool of buffers.
    fn pool(&self) -> MutexGuard<'_, BufferPool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails if one of the threads has failed. Sends a heartbeat if it is due.
    fn check(&self) -> Result<()> {
        if self.failed.load(Ordering::Acquire) {
            return Err(self.failure());
        }
        self.session.heartbeat(&self.inner.bucket)
    }

    fn fail(&self, error: Error) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.text.is_empty() {
            *failure = FirstError { text: error.to_string(), error: Some(error) };
        }
        drop(failure);
        self.failed.store(true, Ordering::Release);
    }

    fn failure(&self) -> Error {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        let text = Some(failure.text.clone()).filter(|text| !text.is_empty());
        failure.error.take().unwrap_or_else(|| Error::Storage {
            action: "write to the store",
            object: self.inner.bucket.url().to_string(),
            detail: text.unwrap_or_else(|| "the writer was dropped".to_owned()),
            transient: false,
        })
    }

    fn file_done(&self, FileDone(entry): FileDone) -> Result<()> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        match files.binary_search_by(|file| file.name.cmp(&entry.name)) {
            Ok(_) => Err(Error::Exists { path: entry.name.into() }),
            Err(at) => {
                files.insert(at, entry);
                Ok(())
            }
        }
    }

    /// Returns the chunk with this digest in the base or in this artifact.
    fn known(&self, digest: &[u8; 32]) -> Option<Chunk> {
        if let Some(chunk) = self.base.as_ref().and_then(|base| base.same(digest)) {
            let pack = self.table().of_base(chunk.pack);
            return Some(Chunk { pack, ..*chunk });
        }
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner).get(digest).copied()
    }

    fn remember(&self, chunk: Chunk) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() < REMEMBERED_MAX {
            remembered.insert(chunk.digest, chunk);
        }
    }

    /// Appends a blob without bases to the open pack.
    fn append(&self, blob: Vec<u8>) -> Result<Placed> {
        let sealed = self.seal(blob)?;
        self.append_sealed(Vec::new(), |_| Ok(sealed))
    }

    /// Appends a blob that `make` creates from the positions of its bases.
    fn append_made(&self, bases: Vec<BaseRef>, make: impl FnOnce(&[BaseRef]) -> Vec<u8>) -> Result<Placed> {
        self.append_sealed(bases, |bases| self.seal(make(bases)))
    }

    fn append_sealed(
        &self,
        bases: Vec<BaseRef>,
        make: impl FnOnce(&[BaseRef]) -> Result<Vec<u8>>,
    ) -> Result<Placed> {
        let (placed, full) = self.table().append(bases, make)?;
        if let Some(pack) = full {
            self.write_pack(pack)?;
        }
        Ok(placed)
    }

    fn seal(&self, blob: Vec<u8>) -> Result<Vec<u8>> {
        self.inner.seal(blob, BLOB)
    }

    fn write_pack(&self, pack: FullPack) -> Result<()> {
        let base = self.base.as_ref().map(Base::manifest);
        let ids = self.table().ids(&pack, base);
        let (slot, entry, content) = pack.close(&ids);
        self.inner.bucket.put(&layout::pack(&entry.id), content)?;
        crash_point("store.pack.written");
        self.table().written(slot, entry);
        Ok(())
    }
}
