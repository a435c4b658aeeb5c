//! The base artifact of a new artifact.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::store::blob::BASES_MAX;
use crate::store::manifest::{Chunk, Manifest};
use crate::store::reader::{Artifact, Resolver};
use crate::store::{Result, StoreInner};

/// The number of bytes before a cut by which it is recognized.
const TAIL: usize = 128;
/// The number of chunks within which a recognized cut counts as the continuation. A cut further
/// away is at another position, such as in a table that was moved.
const NEAR: usize = 4;
/// The entry of a tail that occurs several times and therefore identifies no position.
const AMBIGUOUS: u32 = u32::MAX;

/// The chunks of the base, with indexes for finding the counterpart of a new chunk.
pub(super) struct Base {
    artifact: Artifact,
    chunks: Vec<Chunk>,
    /// The end of each chunk, as an offset in the concatenation of all files.
    ends: Vec<u64>,
    files: HashMap<String, Range<usize>>,
    by_digest: HashMap<u64, u32>,
    by_tail: HashMap<u32, u32>,
}

/// The position in the base that corresponds to the position in the new file.
pub(super) struct Follower {
    /// The expected offset of the next chunk in the base, in the concatenation of all files.
    at: Option<u64>,
}

/// Returns the hash by which the cut after `chunk` is recognized.
pub(super) fn tail_of(chunk: &[u8]) -> u32 {
    let [a, b, c, d, ..] = *blake3::hash(&chunk[chunk.len().saturating_sub(TAIL)..]).as_bytes();
    u32::from_le_bytes([a, b, c, d])
}

fn short(digest: &[u8; 32]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *digest;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

impl Base {
    pub(super) fn load(artifact: Artifact) -> Result<Self> {
        let mut resolver = artifact.resolver()?;
        let mut base = Self {
            chunks: Vec::new(),
            ends: Vec::new(),
            files: HashMap::new(),
            by_digest: HashMap::new(),
            by_tail: HashMap::new(),
            artifact,
        };
        let manifest = Arc::clone(base.artifact.manifest());
        for file in &manifest.files {
            let start = base.chunks.len();
            for list in &file.lists {
                let chunks = base.artifact.chunks(&mut resolver, list)?;
                base.chunks.extend(chunks);
            }
            base.files.insert(file.name.clone(), start..base.chunks.len());
        }
        let mut end = 0;
        for (at, chunk) in base.chunks.iter().enumerate() {
            end += u64::from(chunk.size);
            base.ends.push(end);
            let at = u32::try_from(at).unwrap_or(AMBIGUOUS);
            base.by_digest.insert(short(&chunk.digest), at);
            base.by_tail.entry(chunk.tail).and_modify(|known| *known = AMBIGUOUS).or_insert(at);
        }
        Ok(base)
    }

    pub(super) fn manifest(&self) -> &Manifest {
        self.artifact.manifest()
    }

    /// Returns a reader of its chunks.
    pub(super) fn resolver(&self, inner: &Arc<StoreInner>) -> Result<Resolver> {
        Resolver::new(inner, self.artifact.manifest())
    }

    /// Returns the chunk with this digest.
    pub(super) fn same(&self, digest: &[u8; 32]) -> Option<&Chunk> {
        let chunk = self.chunks.get(*self.by_digest.get(&short(digest))? as usize)?;
        (chunk.digest == *digest).then_some(chunk)
    }

    /// Returns the chunks of a range of [`Follower::next`].
    pub(super) fn get(&self, range: &Range<usize>) -> &[Chunk] {
        &self.chunks[range.clone()]
    }

    pub(super) fn follow(&self, name: &str) -> Follower {
        let start = self.files.get(name).map(|range| match range.start {
            0 => 0,
            start => self.ends[start - 1],
        });
        Follower { at: start }
    }
}

impl Follower {
    /// Returns the chunks of the base that correspond to a new chunk of `size` bytes: those up to
    /// the cut that both have, or those at the same offset.
    pub(super) fn next(&mut self, base: &Base, size: u64, tail: u32) -> Range<usize> {
        let recognized = base.by_tail.get(&tail).filter(|at| **at != AMBIGUOUS).map(|at| *at as usize);
        let expected = self.at.map(|at| base.ends.partition_point(|end| *end <= at));
        let range = match (recognized, expected) {
            (Some(last), Some(first)) if first <= last && last < first + NEAR => first..last + 1,
            // At another position: the base is followed from there.
            (Some(last), _) => last..last + 1,
            (None, Some(first)) => {
                let end = self.at.unwrap_or_default() + size;
                let last = base.ends.partition_point(|chunk_end| *chunk_end < end);
                first..(last + 1).min(first + BASES_MAX).min(base.chunks.len())
            }
            (None, None) => 0..0,
        };
        self.at = match recognized {
            Some(last) => Some(base.ends[last]),
            None => self.at.map(|at| at + size),
        };
        range.start.min(base.chunks.len())..range.end
    }
}
