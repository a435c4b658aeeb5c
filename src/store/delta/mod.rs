//! Deltas between a chunk and its base.
//!
//! The differences between two versions of a dump are rows that are spread over it. A general
//! compressor with the old chunk as dictionary searches for matches everywhere, at the speed of a
//! compressor. This module follows the old chunk at the speed of memory, and uses an index of it
//! only where the two differ.

mod buffer_pool;
mod codec;
mod content;
mod matcher;

pub(super) use buffer_pool::BufferPool;
pub(super) use codec::Delta;
#[cfg(test)]
pub(super) use codec::Op;
pub(super) use content::Content;
pub(super) use matcher::Matcher;

#[cfg(test)]
mod tests;
