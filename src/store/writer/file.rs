//! Writing one file of an artifact.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};

use super::base::{Follower, tail_of};
use super::worker::{Job, zstd_error};
use super::{FileDone, WriterState};
use crate::store::blob::Encoder;
use crate::store::chunker::{Chunker, Chunking};
use crate::store::crypt::hex;
use crate::store::manifest::{Chunk, FileEntry, LIST_MAX, ListEntry, encode_list};
use crate::store::{Error, FileSummary, Result};

/// Writes the bytes of a file.
pub struct FileWriter {
    state: Arc<WriterState>,
    jobs: SyncSender<Job>,
    cutter: Chunker,
    sink: Sink,
}

/// Collects the stored chunks of a file into lists.
struct Sink {
    name: String,
    chunking: Chunking,
    hasher: blake3::Hasher,
    size: u64,
    follower: Option<Follower>,
    submitted: u64,
    answers: Receiver<(u64, Chunk)>,
    answer: Sender<(u64, Chunk)>,
    out_of_order: BTreeMap<u64, Chunk>,
    listed: u64,
    list: Vec<Chunk>,
    lists: Vec<ListEntry>,
    encoder: Encoder,
    stored: Arc<AtomicU64>,
}

impl FileWriter {
    pub(super) fn new(
        state: &Arc<WriterState>,
        jobs: SyncSender<Job>,
        name: &str,
        chunking: Chunking,
    ) -> Result<Self> {
        let (answer, answers) = channel();
        Ok(Self {
            cutter: Chunker::new(chunking, state.inner.crypt.seed()),
            sink: Sink {
                name: name.to_owned(),
                chunking,
                hasher: blake3::Hasher::new(),
                size: 0,
                follower: state.base.as_ref().map(|base| base.follow(name)),
                submitted: 0,
                answers,
                answer,
                out_of_order: BTreeMap::new(),
                listed: 0,
                list: Vec::new(),
                lists: Vec::new(),
                encoder: state.encoder()?,
                stored: Arc::default(),
            },
            state: Arc::clone(state),
            jobs,
        })
    }

    /// Completes the file. It becomes visible only with the artifact. Fails if a chunk could not be
    /// stored.
    pub fn finish(mut self) -> Result<FileSummary> {
        let (state, jobs, sink) = (&self.state, &self.jobs, &mut self.sink);
        self.cutter.finish(|chunk| sink.submit(state, jobs, chunk))?;
        let entry = self.sink.finish(&self.state)?;
        let summary = FileSummary {
            name: entry.name.clone(),
            content_bytes: entry.size,
            stored_bytes: entry.stored,
            digest: format!("blake3:{}", entry.digest),
        };
        self.state.file_done(FileDone(entry))?;
        Ok(summary)
    }
}

impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (state, jobs, sink) = (&self.state, &self.jobs, &mut self.sink);
        let taken =
            self.cutter.push(bytes, |chunk| sink.submit(state, jobs, chunk)).map_err(io::Error::other)?;
        self.sink.hasher.update(&bytes[..taken]);
        self.sink.size += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn submit(&mut self, state: &WriterState, jobs: &SyncSender<Job>, chunk: &[u8]) -> Result<()> {
        state.check()?;
        let (tail, size) = (tail_of(chunk), chunk.len() as u64);
        let like = match (&mut self.follower, &state.base) {
            (Some(follower), Some(base)) => follower.next(base, size, tail),
            _ => 0..0,
        };
        let mut bytes = state.pool().take();
        bytes.extend_from_slice(chunk);
        let job = Job {
            bytes,
            number: self.submitted,
            tail,
            like,
            stored: Arc::clone(&self.stored),
            answer: self.answer.clone(),
        };
        self.submitted += 1;
        if jobs.send(job).is_err() {
            return Err(state.failure());
        }
        while let Ok((number, chunk)) = self.answers.try_recv() {
            self.take(state, number, chunk)?;
        }
        Ok(())
    }

    /// Appends a chunk to the list when all chunks before it are in it.
    fn take(&mut self, state: &WriterState, number: u64, chunk: Chunk) -> Result<()> {
        self.out_of_order.insert(number, chunk);
        while let Some(chunk) = self.out_of_order.remove(&self.listed) {
            self.listed += 1;
            self.list.push(chunk);
            if self.list.len() == LIST_MAX {
                self.write_list(state)?;
            }
        }
        Ok(())
    }

    fn write_list(&mut self, state: &WriterState) -> Result<()> {
        let chunks = std::mem::take(&mut self.list);
        let content = encode_list(&chunks);
        let digest = hex(&state.inner.crypt.digest(&content));
        let placed = state.append(self.encoder.whole(&content).map_err(zstd_error)?)?;
        self.stored.fetch_add(placed.stored.into(), Ordering::Relaxed);
        self.lists.push(ListEntry {
            pack: placed.pack,
            offset: placed.offset,
            stored: placed.stored,
            digest,
            chunks: u32::try_from(chunks.len()).unwrap_or(u32::MAX),
            size: chunks.iter().map(|chunk| u64::from(chunk.size)).sum(),
        });
        Ok(())
    }

    fn finish(&mut self, state: &WriterState) -> Result<FileEntry> {
        while self.listed < self.submitted {
            // A failing thread records its error before it drops the job.
            state.check()?;
            let Ok((number, chunk)) = self.answers.recv_timeout(super::CHECK_INTERVAL) else { continue };
            self.take(state, number, chunk)?;
        }
        if !self.list.is_empty() {
            self.write_list(state)?;
        }
        let listed: u64 = self.lists.iter().map(|list| list.size).sum();
        if listed != self.size {
            return Err(Error::Damaged {
                object: self.name.clone(),
                detail: format!("{listed} of {} bytes were stored", self.size),
            });
        }
        Ok(FileEntry {
            name: self.name.clone(),
            size: self.size,
            digest: hex(self.hasher.finalize().as_bytes()),
            stored: self.stored.load(Ordering::Relaxed),
            chunking: self.chunking,
            lists: std::mem::take(&mut self.lists),
        })
    }
}
