//! Cuts a stream of bytes into chunks.
//!
//! Dumps are cut at positions that depend on their content, so that equal rows give equal chunks
//! wherever they are. Files of a data directory consist of pages; they are cut at the same offsets
//! in every version.

use fastcdc::v2020::{Normalization, cut_gear, get_gear_with_seed, select_masks};
use serde::{Deserialize, Serialize};

/// The method of cutting a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Chunking {
    /// At positions that depend on the content (FastCDC).
    #[default]
    Content,
    /// Every 32 pages of 8 KiB.
    Pages,
}

impl Chunking {
    /// The name in options and manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Pages => "pages",
        }
    }
}

/// The minimum chunk size, in bytes. No cut is searched for before it, and that search is most of
/// the work: with a quarter of the average, cutting took more time than compression.
const CONTENT_MIN: usize = 192 << 10;
const CONTENT_AVERAGE: usize = 256 << 10;
/// The maximum chunk size, in bytes.
pub(super) const CHUNK_MAX: usize = 1 << 20;
const PAGES: usize = 32 * (8 << 10);
/// The size of the read-ahead buffer, in bytes. It is several chunks long, so that the rest is
/// rarely moved to its start.
const BUFFER: usize = 4 * CHUNK_MAX;

/// Cuts the bytes that are pushed into it.
pub(super) struct Chunker {
    chunking: Chunking,
    gear: Box<[u64]>,
    gear_shifted: Box<[u64]>,
    mask_small: u64,
    mask_large: u64,
    buffer: Vec<u8>,
}

impl Chunker {
    /// `seed` makes the cuts of an encrypted store differ from those of others, because cuts could
    /// reveal known content.
    pub(super) fn new(chunking: Chunking, seed: u64) -> Self {
        let (gear, gear_shifted) = get_gear_with_seed(seed);
        let (mask_small, mask_large) = select_masks(CONTENT_AVERAGE, Normalization::Level1);
        Self {
            chunking,
            gear: gear.into(),
            gear_shifted: gear_shifted.into(),
            mask_small,
            mask_large,
            buffer: Vec::with_capacity(BUFFER),
        }
    }

    /// Buffers as much of `bytes` as fits, passes each complete chunk to `each`, and returns the
    /// number of bytes taken. Fails if `each` fails.
    pub(super) fn push<E>(
        &mut self,
        bytes: &[u8],
        each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<usize, E> {
        let taken = bytes.len().min(BUFFER - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == BUFFER {
            self.cut_while(CHUNK_MAX, each)?;
        }
        Ok(taken)
    }

    /// Passes the remaining bytes to `each`. Fails if `each` fails.
    pub(super) fn finish<E>(&mut self, each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        self.cut_while(1, each)
    }

    /// Cuts while at least `least` bytes are buffered.
    fn cut_while<E>(&mut self, least: usize, mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut start = 0;
        while self.buffer.len() - start >= least {
            let end = start + self.next_cut(&self.buffer[start..]);
            each(&self.buffer[start..end])?;
            start = end;
        }
        self.buffer.drain(..start);
        Ok(())
    }

    fn next_cut(&self, bytes: &[u8]) -> usize {
        match self.chunking {
            Chunking::Pages => bytes.len().min(PAGES),
            Chunking::Content if bytes.len() <= CONTENT_MIN => bytes.len(),
            Chunking::Content => {
                let (_, length) = cut_gear(
                    bytes,
                    CONTENT_MIN,
                    CONTENT_AVERAGE,
                    CHUNK_MAX,
                    self.mask_small,
                    self.mask_large,
                    self.mask_small << 1,
                    self.mask_large << 1,
                    &self.gear,
                    &self.gear_shifted,
                );
                length
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(chunking: Chunking, seed: u64, bytes: &[u8], step: usize) -> Vec<Vec<u8>> {
        let mut chunker = Chunker::new(chunking, seed);
        let mut chunks = Vec::new();
        let mut each = |chunk: &[u8]| {
            chunks.push(chunk.to_vec());
            Ok::<(), ()>(())
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = chunker.push(&rest[..rest.len().min(step)], &mut each).unwrap();
            rest = &rest[taken..];
        }
        chunker.finish(&mut each).unwrap();
        chunks
    }

    /// Pseudo-random bytes, the same in every run.
    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut output = vec![0; length];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut output);
        output
    }

    #[test]
    fn no_bytes_are_no_chunk_and_a_byte_is_one() {
        for chunking in [Chunking::Content, Chunking::Pages] {
            assert!(cut(chunking, 0, b"", 1).is_empty());
            assert_eq!(cut(chunking, 0, b"x", 1), [b"x"]);
        }
    }

    #[test]
    fn chunks_are_equal_again_after_an_insertion() {
        let bytes = noise(1, 8 << 20);
        let mut moved = noise(2, 12_345);
        moved.extend_from_slice(&bytes);
        let before = cut(Chunking::Content, 0, &bytes, 65536);
        let after = cut(Chunking::Content, 0, &moved, 65536);
        let common = after.iter().filter(|chunk| before.contains(chunk)).count();
        assert!(common + 3 >= before.len(), "{common} of {}", before.len());
        assert_ne!(before, cut(Chunking::Content, 7, &bytes, 65536), "a seed cuts elsewhere");
    }

    #[test]
    fn pages_are_cut_at_fixed_offsets() {
        let chunks = cut(Chunking::Pages, 0, &noise(3, PAGES * 3 + 8192), 1000);
        assert_eq!(chunks.iter().map(Vec::len).collect::<Vec<_>>(), [PAGES, PAGES, PAGES, 8192]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]
        #[test]
        fn cuts_do_not_depend_on_the_size_of_writes(length in 0usize..(9 << 20), step in 1usize..(6 << 20), seed in 0u64..3) {
            let bytes = noise(seed, length);
            let chunks = cut(Chunking::Content, seed, &bytes, step.max(length / 1000));
            prop_assert_eq!(chunks.concat(), bytes.clone());
            prop_assert!(chunks.iter().all(|chunk| chunk.len() <= CHUNK_MAX && !chunk.is_empty()));
            prop_assert_eq!(chunks, cut(Chunking::Content, seed, &bytes, length.max(1)));
        }
    }
}
