//! The queue: one suite for both, and what is particular to each.

mod postgres;
mod refs;
mod suite;
