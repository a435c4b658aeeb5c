//! The difference between a chunk and what stood in its place before.
//!
//! A version of a dump differs from the one before it in rows that are strewn
//! over it. General compressors with the old chunk as a dictionary look for
//! matches everywhere and find them at the speed of a compressor; here, the old
//! chunk is followed at the speed of memory, and only where the two differ an
//! index of it is asked where they meet again.

mod codec;
mod content;
mod matcher;
mod spare;

pub(super) use codec::Delta;
#[cfg(test)]
pub(super) use codec::Op;
pub(super) use content::Content;
pub(super) use matcher::Matcher;
pub(super) use spare::Spare;

#[cfg(test)]
mod tests;
