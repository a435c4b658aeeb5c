//! Writing an artifact.
//!
//! Bytes are cut in the thread that brings them; several others look whether the
//! store has a chunk, make it a delta or compress it, and put it into the pack
//! that is being filled. The artifact appears, under its own name, when every
//! pack of it is durable.

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
use super::delta::Spare;
use super::layout::Revision;
use super::manifest::{Chunk, FORMAT, FileEntry, Manifest};
use super::reader::{Artifact, BLOB};
use super::{Error, Result, Shelf, condemned, layout, survey, threads};
use crate::domain::Timestamp;
use crate::process::crash_point;

/// How often somebody who waits looks whether there is something to wait for.
const LOOK_AROUND: Duration = Duration::from_millis(100);
/// How many chunks may wait, so that whoever brings bytes is not held up by one
/// that takes long.
const QUEUE: usize = 16;
/// How many chunks of an artifact are remembered, so that memory has a bound:
/// 64 GB of content.
const REMEMBERED_MAX: usize = 1 << 18;

/// What an artifact is to be.
#[derive(Debug, Clone)]
pub struct NewArtifact {
    /// Its id; that of the backup.
    pub id: String,
    /// Of which database.
    pub lineage: String,
    /// Now.
    pub created_at: Timestamp,
    /// The level of zstd.
    pub level: i32,
}

/// An artifact that is being written. Dropped, it leaves garbage at most.
pub struct ArtifactWriter {
    desk: Arc<Desk>,
    new: NewArtifact,
    jobs: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

/// An artifact that is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its URI.
    pub location: String,
    /// By how much the store grew.
    pub stored_bytes: u64,
    /// The key that it is sealed with.
    pub key: Option<String>,
}

/// What all threads of a writer share.
struct Desk {
    shelf: Arc<Shelf>,
    base: Option<Base>,
    level: i32,
    session: Session,
    table: Mutex<Table>,
    files: Mutex<Vec<FileEntry>>,
    remembered: Mutex<HashMap<[u8; 32], Chunk>>,
    spare: Mutex<Spare>,
    failed: AtomicBool,
    failure: Mutex<Failure>,
}

/// What went wrong: the first who asks gets the error, the others what it said.
#[derive(Default)]
struct Failure {
    error: Option<Error>,
    text: String,
}

/// A file whose bytes are all taken.
struct FileDone(FileEntry);

impl ArtifactWriter {
    /// `find_base` is asked for the artifact that this one is like, once nobody
    /// can collect it any more.
    pub(super) fn begin(
        shelf: &Arc<Shelf>,
        new: NewArtifact,
        find_base: impl FnOnce() -> Result<Option<Artifact>>,
    ) -> Result<Self> {
        if !layout::is_id(&new.id) {
            return Err(Error::UnsafeName { what: "artifact", name: new.id });
        }
        let session = Session::begin(&shelf.bucket)?;
        crash_point("store.writer.begun");
        let base = usable_base(shelf, find_base).inspect_err(|_| session.end(&shelf.bucket))?;
        let desk = Arc::new(Desk {
            shelf: Arc::clone(shelf),
            base,
            level: new.level,
            session,
            table: Mutex::default(),
            files: Mutex::default(),
            remembered: Mutex::default(),
            spare: Mutex::default(),
            failed: AtomicBool::new(false),
            failure: Mutex::default(),
        });
        let count = threads();
        let (jobs, queue) = sync_channel(QUEUE + count);
        let queue = Arc::new(Mutex::new(queue));
        let mut writer = Self { desk, new, jobs: Some(jobs), threads: Vec::with_capacity(count) };
        for _ in 0..count {
            let mut worker = Worker::new(&writer.desk)?;
            let (desk, queue) = (Arc::clone(&writer.desk), Arc::clone(&queue));
            writer.threads.push(thread::spawn(move || work(&desk, &queue, &mut worker)));
        }
        Ok(writer)
    }

    /// A new file. Several may be written at the same time.
    pub fn file(&self, name: &str, chunking: Chunking) -> Result<FileWriter> {
        let Some(jobs) = &self.jobs else { return Err(self.desk.failure()) };
        FileWriter::new(&self.desk, jobs.clone(), name, chunking)
    }

    /// The artifact that this one is stored against.
    pub fn base(&self) -> Option<&str> {
        self.desk.base.as_ref().map(|base| base.manifest().id.as_str())
    }

    /// Where the artifact is going to be.
    pub fn location(&self) -> String {
        let revision = self.revision();
        self.desk.shelf.bucket.uri(revision.prefix().trim_end_matches('/'))
    }

    /// The id of the key that seals what is written.
    pub fn key(&self) -> Option<String> {
        self.desk.shelf.crypt.key()
    }

    /// Returns the id of the store.
    pub fn store_id(&self) -> String {
        self.desk.shelf.config.id.to_string()
    }

    /// Makes all packs durable and says how much the store has grown. What comes
    /// is the manifest.
    pub fn flush(&self) -> Result<u64> {
        self.desk.alive()?;
        let open = self.desk.table().take_open();
        if let Some(pack) = open {
            self.desk.write_pack(pack)?;
        }
        Ok(self.desk.table().written_bytes())
    }

    /// Makes the artifact appear. It is complete and durable then.
    pub fn publish(mut self, record: Option<Value>) -> Result<Published> {
        self.flush()?;
        self.stop();
        self.desk.alive()?;
        crash_point("store.packs.written");
        let stored_bytes = self.desk.table().written_bytes();
        let table = std::mem::take(&mut *self.desk.table());
        let base = self.desk.base.as_ref().map(Base::manifest);
        let packs = table.entries(base).ok_or_else(|| self.desk.failure())?;
        let manifest = Manifest {
            format: FORMAT,
            id: self.new.id.clone(),
            lineage: self.new.lineage.clone(),
            created_at: self.new.created_at.to_string(),
            base: base.map(|base| base.id.clone()),
            stored_bytes,
            packs,
            files: std::mem::take(&mut *self.desk.files.lock().unwrap_or_else(PoisonError::into_inner)),
            record,
            other: serde_json::Map::new(),
        };
        let revision = self.revision();
        self.desk.session.renew(&self.desk.shelf.bucket)?;
        let size = self.desk.shelf.write_manifest(&revision, &manifest)?;
        crash_point("store.artifact.written");
        if let Err(error) = self.desk.session.confirm(&self.desk.shelf.bucket) {
            let _ = self.desk.shelf.bucket.delete(&revision.object());
            return Err(error);
        }
        let location = self.location();
        Ok(Published { location, stored_bytes: stored_bytes + size, key: self.key() })
    }

    fn revision(&self) -> Revision {
        let lineage = layout::lineage(&self.desk.shelf.crypt, &self.new.lineage);
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
        // Files that are still open keep the threads alive; they are told to stop.
        self.desk.failed.store(true, Ordering::Release);
        self.stop();
        self.desk.session.end(&self.desk.shelf.bucket);
    }
}

/// A thread that ends by a panic leaves work undone for which somebody waits.
struct Panicked<'a>(&'a Desk);

impl Drop for Panicked<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.failed.store(true, Ordering::Release);
        }
    }
}

/// The base, unless packs of it are going to be removed. The writer has said that
/// it is there before it looks: whoever condemns a pack later waits for it.
fn usable_base(
    shelf: &Arc<Shelf>,
    find_base: impl FnOnce() -> Result<Option<Artifact>>,
) -> Result<Option<Base>> {
    let Some(condemned) = condemned::all(&shelf.bucket)? else { return Ok(None) };
    let Some(base) = find_base()? else { return Ok(None) };
    // What is missing now may have been removed before we said that we are there.
    let there = survey::sizes(&shelf.bucket, &base.manifest().packs)?;
    let usable = base
        .manifest()
        .packs
        .iter()
        .all(|pack| !condemned.contains(&pack.id) && there.get(&pack.id) == Some(&pack.size));
    let base = usable.then_some(base);
    match base.map(Base::load).transpose() {
        // What cannot be read is nothing to build on, and no reason not to make a backup.
        Err(Error::Damaged { .. } | Error::NoObject { .. } | Error::Truncated { .. }) => Ok(None),
        other => other,
    }
}

fn work(desk: &Desk, queue: &Mutex<Receiver<Job>>, worker: &mut Worker) {
    let _panicked = Panicked(desk);
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(LOOK_AROUND);
        let job = match next {
            Ok(job) => job,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) if !desk.failed.load(Ordering::Acquire) => {
                continue;
            }
            Err(_) => return,
        };
        if desk.failed.load(Ordering::Acquire) {
            continue;
        }
        if let Err(error) = worker.run(&job) {
            desk.fail(error);
        }
        desk.spare().put(job.bytes);
    }
}

impl Desk {
    fn encoder(&self) -> Result<Encoder> {
        Encoder::new(self.level).map_err(zstd_error)
    }

    /// The memory of chunks that have been stored.
    fn spare(&self) -> MutexGuard<'_, Spare> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An error when something has gone wrong in one of the threads.
    fn alive(&self) -> Result<()> {
        if self.failed.load(Ordering::Acquire) {
            return Err(self.failure());
        }
        self.session.beat(&self.shelf.bucket)
    }

    fn fail(&self, error: Error) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.text.is_empty() {
            *failure = Failure { text: error.to_string(), error: Some(error) };
        }
        drop(failure);
        self.failed.store(true, Ordering::Release);
    }

    fn failure(&self) -> Error {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        let text = Some(failure.text.clone()).filter(|text| !text.is_empty());
        failure.error.take().unwrap_or_else(|| Error::Storage {
            action: "write to the store",
            object: self.shelf.bucket.url().to_string(),
            detail: text.unwrap_or_else(|| "it was given up".to_owned()),
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

    /// The chunk with this digest in the base, or in what was written.
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

    /// Puts a blob that needs no other into the pack.
    fn append(&self, blob: Vec<u8>) -> Result<Placed> {
        let sealed = self.seal(blob)?;
        self.append_sealed(Vec::new(), |_| Ok(sealed))
    }

    /// Puts a blob into the pack that is made when its bases have their places.
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
        self.shelf.seal(blob, BLOB)
    }

    fn write_pack(&self, pack: FullPack) -> Result<()> {
        let base = self.base.as_ref().map(Base::manifest);
        let ids = self.table().ids(&pack, base);
        let (slot, entry, content) = pack.close(&ids);
        self.shelf.bucket.put(&layout::pack(&entry.id), content)?;
        crash_point("store.pack.written");
        self.table().written(slot, entry);
        Ok(())
    }
}
