//! Reads the bytes of a file ahead, in several threads.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::prefetch::Prefetch;
use super::{Resolver, read_list};
use crate::store::crypt::hex;
use crate::store::manifest::{Chunk, FileEntry, Manifest};
use crate::store::{Error, Result, StoreInner, threads};

/// The number of chunks per thread that are read ahead.
const AHEAD: usize = 3;

type Job = (Chunk, SyncSender<Result<Vec<u8>>>);

/// Reads the bytes of a file in order. Each chunk is verified against its digest before its bytes
/// are returned; the end is returned only if the digest of the whole file matches.
pub struct FileReader {
    inner: Arc<StoreInner>,
    manifest: Arc<Manifest>,
    file: FileEntry,
    lists: Resolver,
    next_list: usize,
    chunks: VecDeque<Chunk>,
    jobs: Option<SyncSender<Job>>,
    waiting: VecDeque<Receiver<Result<Vec<u8>>>>,
    threads: Vec<JoinHandle<()>>,
    prefetch: Prefetch,
    current: Vec<u8>,
    at: usize,
    hasher: blake3::Hasher,
    given: u64,
}

impl FileReader {
    pub(super) fn start(inner: &Arc<StoreInner>, manifest: &Arc<Manifest>, file: FileEntry) -> Result<Self> {
        let count = threads();
        let (jobs, queue) = sync_channel::<Job>(AHEAD * count);
        let queue = Arc::new(Mutex::new(queue));
        let mut started = Vec::with_capacity(count);
        for _ in 0..count {
            let mut resolver = Resolver::new(inner, manifest)?;
            let queue = Arc::clone(&queue);
            started.push(thread::spawn(move || {
                while let Some((chunk, answer)) = take(&queue) {
                    // The reader may have been dropped.
                    let _ = answer.send(resolver.chunk(&chunk));
                }
            }));
        }
        Ok(Self {
            lists: Resolver::new(inner, manifest)?,
            inner: Arc::clone(inner),
            manifest: Arc::clone(manifest),
            file,
            next_list: 0,
            chunks: VecDeque::new(),
            jobs: Some(jobs),
            waiting: VecDeque::new(),
            threads: started,
            prefetch: Prefetch::start(inner),
            current: Vec::new(),
            at: 0,
            hasher: blake3::Hasher::new(),
            given: 0,
        })
    }

    /// Returns the size of the file, in bytes.
    pub fn size(&self) -> u64 {
        self.file.size
    }

    /// Reads the file to its end and discards it, which verifies it. Fails if it is missing or
    /// damaged.
    pub fn verify(mut self, advance: &dyn Fn(u64)) -> Result<()> {
        while let Some(bytes) = self.next()? {
            advance(bytes.len() as u64);
        }
        Ok(())
    }

    /// Returns the next bytes, or `None` at the end.
    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        self.read_ahead()?;
        let Some(answer) = self.waiting.pop_front() else { return self.end().map(|()| None) };
        let bytes =
            answer.recv().unwrap_or_else(|_| Err(self.damaged("a thread that reads it has exited")))?;
        self.hasher.update(&bytes);
        self.given += bytes.len() as u64;
        Ok(Some(bytes))
    }

    fn read_ahead(&mut self) -> Result<()> {
        while self.waiting.len() < AHEAD * self.threads.len() {
            if self.chunks.is_empty() {
                let Some(list) = self.file.lists.get(self.next_list) else { return Ok(()) };
                self.next_list += 1;
                self.chunks = read_list(&self.inner, &self.manifest, &mut self.lists, list)?.into();
                self.prefetch.want(&self.manifest, &self.chunks);
            }
            let (Some(chunk), Some(jobs)) = (self.chunks.pop_front(), &self.jobs) else { continue };
            let (answer, waiting) = sync_channel(1);
            if jobs.send((chunk, answer)).is_err() {
                return Err(self.damaged("the threads that read it have exited"));
            }
            self.waiting.push_back(waiting);
        }
        Ok(())
    }

    fn end(&self) -> Result<()> {
        if self.given != self.file.size || hex(self.hasher.finalize().as_bytes()) != self.file.digest {
            return Err(self.damaged("its digest does not match"));
        }
        Ok(())
    }

    fn damaged(&self, detail: &str) -> Error {
        Error::Damaged {
            object: format!("{} of artifact {}", self.file.name, self.manifest.id),
            detail: detail.into(),
        }
    }
}

fn take(queue: &Mutex<Receiver<Job>>) -> Option<Job> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.current.len() {
            match self.next().map_err(io::Error::other)? {
                Some(bytes) => (self.current, self.at) = (bytes, 0),
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.current.len() - self.at);
        buffer[..count].copy_from_slice(&self.current[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

impl Drop for FileReader {
    fn drop(&mut self) {
        self.jobs = None;
        self.waiting.clear();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
