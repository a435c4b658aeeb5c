//! What the records say together. Pure: records and history in, answers out.

mod coverage;

pub use coverage::{Branch, Coverage, Records, State, Tally, branches, commits};
