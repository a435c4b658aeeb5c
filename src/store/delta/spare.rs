//! Memory of chunks that is no longer needed, for those that come.
//!
//! Pages that are given back to the kernel are cleared when they are needed
//! again, which takes longer than everything that is done with most chunks.

/// More than this is never needed at once by one thread.
const KEPT_MAX: usize = 8;
/// What is smaller costs nothing to get.
const WORTH: usize = 16 << 10;

/// Empty buffers with room in them.
#[derive(Debug, Default)]
pub(crate) struct Spare(Vec<Vec<u8>>);

impl Spare {
    /// An empty buffer.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    /// Gives a buffer back.
    pub(crate) fn put(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() >= WORTH && self.0.len() < KEPT_MAX {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}
