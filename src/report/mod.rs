//! What the records say together. Pure: records and history in, answers out.

mod coverage;
pub mod metrics;
mod nearest;
mod verifications;

pub use coverage::{Branch, Coverage, Known, Records, State, Tally};
pub use nearest::{History, ahead_of_one};
pub use verifications::{Tested, Verifications};
