//! Storing chunks, in several threads.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;

use super::WriterState;
use super::table::Placed;
use crate::store::blob::{BaseRef, Encoder, PackedDelta};
use crate::store::delta::Matcher;
use crate::store::manifest::Chunk;
use crate::store::reader::Resolver;
use crate::store::{Error, Result};

/// The maximum depth of deltas. Some chains are shorter, so that not all chunks of an artifact are
/// stored whole in the same version.
const DEPTH_MAX: u32 = 200;
/// The maximum number of bytes that are decompressed for a delta, as a multiple of the size of the
/// chunk.
const COST_MAX: u32 = 4;

/// A chunk that is to be stored.
pub(super) struct Job {
    pub(super) bytes: Vec<u8>,
    pub(super) number: u64,
    pub(super) tail: u32,
    /// The corresponding chunks of the base.
    pub(super) like: Range<usize>,
    pub(super) stored: Arc<AtomicU64>,
    pub(super) answer: Sender<(u64, Chunk)>,
}

/// The state of one thread.
pub(super) struct Worker {
    state: Arc<WriterState>,
    encoder: Encoder,
    matcher: Matcher,
    resolver: Option<Resolver>,
}

impl Worker {
    pub(super) fn new(state: &Arc<WriterState>) -> Result<Self> {
        let resolver = state.base.as_ref().map(|base| base.resolver(&state.inner)).transpose()?;
        Ok(Self { state: Arc::clone(state), encoder: state.encoder()?, matcher: Matcher::new(), resolver })
    }

    pub(super) fn run(&mut self, job: &Job) -> Result<()> {
        let chunk = self.store(job)?;
        // The writer of the file may have been dropped.
        let _ = job.answer.send((job.number, chunk));
        Ok(())
    }

    fn store(&mut self, job: &Job) -> Result<Chunk> {
        let digest = self.state.inner.crypt.digest(&job.bytes);
        if let Some(known) = self.state.known(&digest) {
            return Ok(Chunk { tail: job.tail, ..known });
        }
        let size = u32::try_from(job.bytes.len()).unwrap_or(u32::MAX);
        let (placed, depth, cost) = match self.against_base(job, &digest, size)? {
            Some(made) => made,
            None => {
                let blob = self.encoder.whole(&job.bytes).map_err(zstd_error)?;
                (self.state.append(blob)?, 0, size)
            }
        };
        job.stored.fetch_add(placed.stored.into(), Ordering::Relaxed);
        let Placed { pack, offset, stored } = placed;
        let chunk = Chunk { digest, size, pack, offset, stored, depth, cost, tail: job.tail };
        self.state.remember(chunk);
        Ok(chunk)
    }

    /// Stores the chunk as a delta if that is smaller and cheap to read. Returns `None` if it is
    /// not.
    fn against_base(
        &mut self,
        job: &Job,
        digest: &[u8; 32],
        size: u32,
    ) -> Result<Option<(Placed, u32, u32)>> {
        let (Some(base), Some(resolver)) = (&self.state.base, &mut self.resolver) else { return Ok(None) };
        let like = base.get(&job.like);
        let Some(deepest) = like.iter().map(|chunk| chunk.depth).max() else { return Ok(None) };
        let depth_max = DEPTH_MAX - u32::from(digest[0]) * DEPTH_MAX / 512;
        let base_cost: u32 = like.iter().map(|chunk| chunk.cost).sum();
        if deepest >= depth_max || base_cost > COST_MAX.saturating_mul(size) {
            return Ok(None);
        }
        let mut old = Vec::new();
        for chunk in like {
            match resolver.chunk(chunk) {
                Ok(bytes) if old.is_empty() => old = bytes,
                Ok(bytes) => {
                    old.extend_from_slice(&bytes);
                    resolver.recycle(bytes);
                }
                // A damaged base must not prevent a backup.
                Err(Error::Damaged { .. } | Error::NoObject { .. } | Error::Truncated { .. }) => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        let delta = self.matcher.diff(&old, &job.bytes);
        resolver.recycle(old);
        let Some(delta) = delta else { return Ok(None) };
        if delta.literals.len() > job.bytes.len() / 2 {
            return Ok(None);
        }
        let literals = u32::try_from(delta.literals.len()).unwrap_or(u32::MAX);
        let packed = self.encoder.delta(job.bytes.len(), &delta).map_err(zstd_error)?;
        let bases = like.iter().map(|chunk| BaseRef {
            pack: chunk.pack,
            offset: chunk.offset,
            stored: chunk.stored,
            size: chunk.size,
        });
        let placed = self.append_delta(&packed, bases.collect())?;
        Ok(Some((placed, deepest + 1, base_cost.saturating_add(literals))))
    }

    fn append_delta(&self, packed: &PackedDelta, bases: Vec<BaseRef>) -> Result<Placed> {
        self.state.append_made(bases, |bases| packed.blob(bases))
    }
}

/// Converts an error of zstd, which is out of memory or a bug.
pub(super) fn zstd_error(error: std::io::Error) -> Error {
    Error::io("compress", "zstd".as_ref(), error)
}
