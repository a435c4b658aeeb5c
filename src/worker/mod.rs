//! The worker.

pub mod endpoint;
