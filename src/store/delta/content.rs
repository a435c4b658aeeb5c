//! The bytes of a chunk, as pieces of the buffers that they were read from (a rope).
//!
//! A chunk may be a delta of a delta of a delta. Assembling each intermediate version would copy
//! all its bytes. Instead, deltas are applied to lists of pieces, and the bytes are copied once at
//! the end.

use std::sync::Arc;

use super::buffer_pool::BufferPool;
use super::codec::Delta;

/// The average size of pieces, in bytes, below which copying the bytes is cheaper.
const PIECE_MIN: usize = 24;

#[derive(Debug, Clone, Copy)]
struct Piece {
    source: u32,
    start: u32,
    length: u32,
}

/// A sequence of bytes in pieces.
#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    sources: Vec<Arc<Vec<u8>>>,
    pieces: Vec<Piece>,
    length: usize,
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        let length = bytes.len();
        let piece = Piece { source: 0, start: 0, length: u32::try_from(length).unwrap_or(u32::MAX) };
        Self { sources: vec![Arc::new(bytes)], pieces: vec![piece], length }
    }
}

impl Content {
    /// Returns the number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Returns the bytes. They are not copied if they are one whole buffer. Otherwise, the target
    /// comes from `pool`, and the buffers of the pieces go there.
    pub(crate) fn into_bytes(mut self, pool: &mut BufferPool) -> Vec<u8> {
        if let ([source], [piece]) = (&mut self.sources[..], &self.pieces[..])
            && piece.start == 0
            && piece.length as usize == source.len()
            && let Some(bytes) = Arc::get_mut(source)
        {
            return std::mem::take(bytes);
        }
        let mut bytes = pool.take();
        self.append_to(&mut bytes);
        for source in self.sources {
            if let Ok(source) = Arc::try_unwrap(source) {
                pool.put(source);
            }
        }
        bytes
    }

    /// Returns a copy of the bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.length);
        self.append_to(&mut bytes);
        bytes
    }

    /// Appends the bytes to `bytes`.
    pub(crate) fn append_to(&self, bytes: &mut Vec<u8>) {
        for piece in &self.pieces {
            let start = piece.start as usize;
            bytes.extend_from_slice(
                &self.sources[piece.source as usize][start..start + piece.length as usize],
            );
        }
    }

    /// Concatenates contents.
    pub(crate) fn concat(contents: Vec<Self>) -> Self {
        let mut contents = contents.into_iter();
        let mut all = contents.next().unwrap_or_default();
        for content in contents {
            let shift = u32::try_from(all.sources.len()).unwrap_or(u32::MAX);
            all.sources.extend(content.sources);
            all.pieces.extend(
                content.pieces.into_iter().map(|piece| Piece { source: piece.source + shift, ..piece }),
            );
            all.length += content.length;
        }
        all
    }

    /// Applies `delta`. `None` if it copies from beyond the end, or if the result is longer than
    /// `most` bytes.
    pub(crate) fn apply(self, delta: Delta, most: usize) -> Option<Self> {
        let literal_source = u32::try_from(self.sources.len()).ok()?;
        let mut made = Self {
            sources: self.sources,
            pieces: Vec::with_capacity(self.pieces.len() + 2 * delta.ops.len() + 1),
            length: 0,
        };
        let starts = starts(&self.pieces);
        let (mut literal, mut near) = (0_u32, 0);
        for op in &delta.ops {
            made.push(Piece { source: literal_source, start: literal, length: op.insert });
            literal += op.insert;
            let end = op.copy_from.checked_add(op.copy)?;
            if end as usize > self.length || made.length + op.copy as usize > most {
                return None;
            }
            near = seek(&starts, op.copy_from, near);
            made.copy(&self.pieces[near.min(self.pieces.len())..], op.copy_from - starts.get(near)?, op.copy);
        }
        made.push(Piece { source: literal_source, start: literal, length: delta.tail });
        made.sources.push(Arc::new(delta.literals));
        if made.length > most {
            return None;
        }
        if made.pieces.len() * PIECE_MIN > made.length {
            made = made.to_bytes().into();
        }
        Some(made)
    }

    fn push(&mut self, piece: Piece) {
        if piece.length > 0 {
            self.length += piece.length as usize;
            self.pieces.push(piece);
        }
    }

    /// Appends `length` bytes of `pieces`, `skip` bytes into the first of them.
    fn copy(&mut self, pieces: &[Piece], mut skip: u32, mut length: u32) {
        for piece in pieces {
            if length == 0 {
                break;
            }
            let taken = (piece.length - skip).min(length);
            self.push(Piece { source: piece.source, start: piece.start + skip, length: taken });
            length -= taken;
            skip = 0;
        }
    }
}

/// Returns the offsets of the pieces, and the total length at the end.
fn starts(pieces: &[Piece]) -> Vec<u32> {
    let mut at = 0;
    let mut starts = Vec::with_capacity(pieces.len() + 1);
    for piece in pieces {
        starts.push(at);
        at += piece.length;
    }
    starts.push(at);
    starts
}

/// Returns the index of the piece that contains the offset `at`. The search begins at `near`,
/// because it is usually that piece or one of the next.
fn seek(starts: &[u32], at: u32, near: usize) -> usize {
    let mut piece = near;
    for _ in 0..8 {
        if starts[piece] > at {
            break;
        }
        match starts.get(piece + 1) {
            Some(&next) if next <= at => piece += 1,
            _ => return piece,
        }
    }
    starts.partition_point(|&start| start <= at).saturating_sub(1)
}
