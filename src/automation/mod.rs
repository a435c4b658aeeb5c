//! Backups that happen by themselves: from the configuration, the ledger, the
//! queue and the branches to the jobs that are wanted.
//!
//! Nothing is put into the queue here, and nothing is remembered: what is
//! wanted follows each time from what there is, so that it does not matter who
//! asks, how often, or how many do at the same time.

mod jobs;
mod moves;
mod recovery;
mod timetable;
mod units;

pub use jobs::{BackupJob, moved, rules, scheduled};
pub use moves::{MERGE_TAG, Move, Wanted, lacking, moves_of, wanted};
pub use recovery::is_recovery;
pub use timetable::{Planned, Timetables, next_runs, timetables};
pub use units::{Invocation, InvocationError, units};
