//! Automatic backups: determines the jobs to queue from the configuration, the ledger, the queue and the
//! branches.
//!
//! This room neither queues jobs nor stores state. The jobs follow each time from the current facts, so
//! any process may ask at any time, repeatedly and concurrently.

mod jobs;
mod moves;
mod recovery;
mod timetable;

pub use jobs::{BackupJob, moved, rules, scheduled};
pub use moves::{MERGE_TAG, Move, Wanted, lacking, moves_of, wanted};
pub use recovery::is_recovery;
pub use timetable::{Planned, Timetables, timetables};
