//! The queue: one test suite for both implementations, and tests of each.

mod postgres;
mod refs;
mod suite;
