//! Summaries of the records of backups. Pure: records and history in, results out.

mod coverage;
pub mod metrics;
mod nearest;
mod verifications;

pub use coverage::{BackupFacts, BackupIndex, Branch, Coverage, State, Tally};
pub use nearest::{History, ahead_of_one};
pub use verifications::{Tested, Verifications};
