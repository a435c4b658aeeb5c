//! The blobs of a pack. A blob is a chunk, whole or as a delta, or a list of chunks.
//!
//! ```text
//! byte    0 uncompressed | 1 zstd | 2 delta | 3 delta, zstd
//! a delta begins with its bases:
//! varint  number of bases; the delta copies from their concatenated bytes
//!   varint  the pack, as an index into the table at the end of this pack
//!   varint  the offset in that pack
//!   varint  the stored size in bytes
//!   varint  the size of the base in bytes
//! varint  the size of the result in bytes

use super::delta::{BufferPool, Delta};
use super::varint;

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
const DELTA: u8 = 2;
const DELTA_ZSTD: u8 = 3;
/// The maximum number of bases of a delta: the chunks of the base artifact in the place of the new
/// one.
pub(super) const BASES_MAX: usize = 6;
/// The maximum size of decoded content, in bytes. Lists are smaller, chunks much smaller.
const CONTENT_MAX: usize = 8 << 20;

/// The position of a base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BaseRef {
    /// The pack, as an index into the table of the pack that contains the delta.
    pub(crate) pack: u32,
    pub(crate) offset: u32,
    pub(crate) stored: u32,
    pub(crate) size: u32,
}

/// A decoded blob.
#[derive(Debug)]
pub(crate) enum Blob {
    Whole(Vec<u8>),
    Delta { bases: Vec<BaseRef>, size: usize, delta: Delta },
}

/// Compresses blobs. Owns the buffers of zstd, so that they are allocated once.
pub(crate) struct Encoder {
    zstd: zstd::bulk::Compressor<'static>,
}

impl Encoder {
    pub(crate) fn new(level: i32) -> std::io::Result<Self> {
        Ok(Self { zstd: zstd::bulk::Compressor::new(level)? })
    }

    /// Encodes `content` as a blob. Fails if zstd fails.
    pub(crate) fn whole(&mut self, content: &[u8]) -> std::io::Result<Vec<u8>> {
        self.shorter(ZSTD, PLAIN, content)
    }

    /// Compresses a delta of `size` bytes. [`PackedDelta::blob`] adds the positions of its bases
    /// later. Fails if zstd fails.
    pub(crate) fn delta(&mut self, size: usize, delta: &Delta) -> std::io::Result<PackedDelta> {
        let mut content = Vec::with_capacity(delta.literals.len() + 8 * delta.ops.len() + 16);
        delta.encode(&mut content);
        let body = self.shorter(DELTA_ZSTD, DELTA, &content)?;
        Ok(PackedDelta { size, body })
    }

    fn shorter(&mut self, zstd: u8, plain: u8, content: &[u8]) -> std::io::Result<Vec<u8>> {
        let compressed = self.zstd.compress(content)?;
        let (kind, body) =
            if compressed.len() < content.len() { (zstd, &compressed[..]) } else { (plain, content) };
        let mut blob = Vec::with_capacity(1 + body.len());
        blob.push(kind);
        blob.extend_from_slice(body);
        Ok(blob)
    }
}

/// A compressed delta whose bases have no positions yet.
pub(crate) struct PackedDelta {
    size: usize,
    /// The kind byte and the compressed delta.
    body: Vec<u8>,
}

impl PackedDelta {
    /// Returns the blob of this delta against `bases`.
    pub(crate) fn blob(&self, bases: &[BaseRef]) -> Vec<u8> {
        let (kind, body) = self.body.split_at(1);
        let mut blob = kind.to_vec();
        varint::put(&mut blob, bases.len() as u64);
        for base in bases {
            for number in [base.pack, base.offset, base.stored, base.size] {
                varint::put(&mut blob, number.into());
            }
        }
        varint::put(&mut blob, self.size as u64);
        blob.extend_from_slice(body);
        blob
    }
}

/// Decompresses blobs. Owns the buffers of zstd, so that they are allocated once.
pub(crate) struct Decoder {
    zstd: zstd::bulk::Decompressor<'static>,
}

impl Decoder {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self { zstd: zstd::bulk::Decompressor::new()? })
    }

    /// Decodes a blob; `None` if `bytes` are not one. Buffers come from `pool`.
    pub(crate) fn decode(&mut self, bytes: &[u8], pool: &mut BufferPool) -> Option<Blob> {
        let (&kind, mut rest) = bytes.split_first()?;
        match kind {
            PLAIN => {
                let mut content = pool.take();
                content.extend_from_slice(rest);
                Some(Blob::Whole(content))
            }
            ZSTD => Some(Blob::Whole(self.unpack(rest, pool)?)),
            DELTA | DELTA_ZSTD => {
                let mut number = || varint::take(&mut rest);
                let count =
                    usize::try_from(number()?).ok().filter(|count| (1..=BASES_MAX).contains(count))?;
                let mut bases = Vec::with_capacity(count);
                for _ in 0..count {
                    let mut next = || number()?.try_into().ok();
                    bases.push(BaseRef { pack: next()?, offset: next()?, stored: next()?, size: next()? });
                }
                let size = usize::try_from(number()?).ok()?;
                let delta = match kind {
                    DELTA => Delta::decode(rest)?,
                    _ => {
                        let content = self.unpack(rest, pool)?;
                        let delta = Delta::decode(&content);
                        pool.put(content);
                        delta?
                    }
                };
                Some(Blob::Delta { bases, size, delta })
            }
            _ => None,
        }
    }

    fn unpack(&mut self, bytes: &[u8], pool: &mut BufferPool) -> Option<Vec<u8>> {
        // The frame header has the size of the content; at most `CONTENT_MAX` bytes are allocated.
        let size = zstd::zstd_safe::get_frame_content_size(bytes).ok().flatten()?;
        let size = usize::try_from(size).ok().filter(|size| *size <= CONTENT_MAX)?;
        let mut content = pool.take();
        content.reserve_exact(size);
        match self.zstd.decompress_to_buffer(bytes, &mut content) {
            Ok(written) if written == size => Some(content),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::delta::Op;
    use proptest::prelude::*;

    #[test]
    fn blobs_survive_a_round_trip() {
        let (mut encoder, mut decoder) = (Encoder::new(3).unwrap(), Decoder::new().unwrap());
        for content in [&b""[..], b"x", &[7; 100_000]] {
            let blob = encoder.whole(content).unwrap();
            assert!(
                matches!(decoder.decode(&blob, &mut BufferPool::default()).unwrap(), Blob::Whole(read) if read == content)
            );
        }
        let bases = [BaseRef { pack: 3, offset: 1 << 24, stored: 77, size: 200 }; 2];
        let delta = Delta {
            ops: vec![Op { insert: 3, copy_from: 9, copy: 300 }],
            tail: 2,
            literals: b"abcde".to_vec(),
        };
        let blob = encoder.delta(305, &delta).unwrap().blob(&bases);
        let Some(Blob::Delta { bases: read, size, delta: same }) =
            decoder.decode(&blob, &mut BufferPool::default())
        else {
            panic!()
        };
        assert_eq!((&read[..], size, same), (&bases[..], 305, delta));
    }

    proptest! {
        #[test]
        fn random_bytes_do_not_panic(kind in 0u8..5, bytes: Vec<u8>) {
            let _ = Decoder::new().unwrap().decode(&[&[kind], &bytes[..]].concat(), &mut BufferPool::default());
            let _ = Decoder::new().unwrap().decode(&bytes, &mut BufferPool::default());
        }
    }
}
