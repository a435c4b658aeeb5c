//! Backups of PostgreSQL as first-class citizens of git.
//!
//! The rooms below are listed from the ground up: a room may use only rooms
//! that stand before it, as `docs/architecture.md` draws and `tests/tidy.rs`
//! enforces.

pub mod domain;

pub mod clock;
pub mod process;
pub mod progress;

pub mod config;
pub mod git;
pub mod migrations;
pub mod pg;
pub mod policy;
pub mod schedule;
pub mod sql;

pub mod artifacts;
pub mod automation;
pub mod backup;
pub mod ledger;
pub mod notify;
pub mod queue;
pub mod recovery;
pub mod report;
pub mod store;
pub mod tools;
pub mod verify;
pub mod wal;
pub mod worker;
pub mod workspace;

pub mod doctor;
pub mod failure;
pub mod output;
pub mod terminal;

pub mod cli;
