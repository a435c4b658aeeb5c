//! Automatic backups: determines the jobs to queue from the configuration, the ledger, the queue and the
//! branches.
//!
//! This room neither queues jobs nor stores state. The jobs follow each time from the current facts, so
//! any process may ask at any time, repeatedly and concurrently.

mod jobs;
mod moves;
mod recovery;
mod timetable;
mod units;

pub use jobs::{BackupJob, branch_rules, merge_job, scheduled_job};
pub use moves::{BranchMove, MERGE_TAG, WantedBackup, branch_moves, missing_backups, wanted_backups};
pub use recovery::is_recovery;
pub use timetable::{ScheduledRule, Timetables, next_runs, timetables};
pub use units::{Invocation, InvocationError, units};
