//! The port through which long work tells how far it has come.
//!
//! Rooms report to the trait; only the command line knows whether that becomes
//! a bar, a line or nothing.

use std::sync::atomic::{AtomicU64, Ordering};

/// Receives the progress of one long operation. Implementations are cheap and
/// never fail: progress must not be able to break the work.
pub trait Progress: Send + Sync {
    /// A new stage begins, with its expected size in bytes when it is known.
    fn stage(&self, name: &str, expected_bytes: Option<u64>);
    /// `bytes` more have been worked on in the current stage.
    fn advance(&self, bytes: u64);
}

/// Says nothing to nobody.
#[derive(Debug, Default, Clone, Copy)]
pub struct Quiet;

impl Progress for Quiet {
    fn stage(&self, _name: &str, _expected_bytes: Option<u64>) {}
    fn advance(&self, _bytes: u64) {}
}

/// Counts what it is told, for tests and for summaries.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// All bytes reported so far, over all stages.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Progress for Counter {
    fn stage(&self, _name: &str, _expected_bytes: Option<u64>) {}
    fn advance(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}
