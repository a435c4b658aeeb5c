//! Not written yet.

pub mod config;
pub mod open;
