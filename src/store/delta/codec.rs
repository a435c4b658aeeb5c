//! The encoding of deltas.
//!
//! ```text
//! varint  number of copies n
//! varint  n times: bytes of new content before the copy
//! varint  n times: the offset of the copy in the base, as the zigzag distance from the end of the previous copy
//! varint  n times: bytes to copy
//! varint  bytes of new content after the last copy
//! bytes   all new content
//!
//! Numbers of one kind are adjacent, because similar numbers compress better.

use super::super::varint;

/// An insertion of new content, followed by a copy from the base. All numbers are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Op {
    pub(crate) insert: u32,
    pub(crate) copy_from: u32,
    pub(crate) copy: u32,
}

/// The instructions that make a chunk from its base.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Delta {
    pub(crate) ops: Vec<Op>,
    /// The number of bytes of new content after the last copy.
    pub(crate) tail: u32,
    /// All new content.
    pub(crate) literals: Vec<u8>,
}

impl Delta {
    /// Appends the encoded delta to `output`.
    pub(crate) fn encode(&self, output: &mut Vec<u8>) {
        varint::put(output, self.ops.len() as u64);
        self.ops.iter().for_each(|op| varint::put(output, op.insert.into()));
        let mut end = 0_i64;
        for op in &self.ops {
            varint::put_signed(output, i64::from(op.copy_from) - end);
            end = i64::from(op.copy_from) + i64::from(op.copy);
        }
        self.ops.iter().for_each(|op| varint::put(output, op.copy.into()));
        varint::put(output, self.tail.into());
        output.extend_from_slice(&self.literals);
    }

    /// Decodes a delta. `None` if `bytes` are not one or its numbers are inconsistent.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let count = usize::try_from(varint::take(&mut rest)?).ok()?;
        // Each copy takes at least three bytes.
        if count > rest.len() / 3 {
            return None;
        }
        let mut ops = vec![Op { insert: 0, copy_from: 0, copy: 0 }; count];
        let mut from = Vec::with_capacity(count);
        for op in &mut ops {
            op.insert = varint::take(&mut rest)?.try_into().ok()?;
        }
        for _ in 0..count {
            from.push(varint::take_signed(&mut rest)?);
        }
        let mut end = 0_i64;
        for (op, distance) in ops.iter_mut().zip(from) {
            op.copy = varint::take(&mut rest)?.try_into().ok()?;
            op.copy_from = end.checked_add(distance)?.try_into().ok()?;
            end = i64::from(op.copy_from) + i64::from(op.copy);
        }
        let tail = varint::take(&mut rest)?.try_into().ok()?;
        let inserted = ops.iter().map(|op| u64::from(op.insert)).sum::<u64>() + u64::from(tail);
        (inserted == rest.len() as u64).then(|| Self { ops, tail, literals: rest.to_vec() })
    }
}
