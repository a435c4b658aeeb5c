//! A pool of buffers for chunks.
//!
//! The kernel clears pages that a process frees and allocates again. That takes longer than most of
//! the work on a chunk.

/// The maximum number of buffers in the pool. No thread needs more at the same time.
const KEPT_MAX: usize = 8;
/// The minimum size of a buffer in the pool, in bytes. Smaller buffers are cheap to allocate.
const WORTH: usize = 16 << 10;

/// Empty buffers with capacity.
#[derive(Debug, Default)]
pub(crate) struct BufferPool(Vec<Vec<u8>>);

impl BufferPool {
    /// Returns an empty buffer.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    /// Returns a buffer to the pool.
    pub(crate) fn put(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() >= WORTH && self.0.len() < KEPT_MAX {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}
