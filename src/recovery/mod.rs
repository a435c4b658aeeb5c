//! Bringing a backup back.
//!
//! Only into a new database for now. The name that was asked for appears in one
//! step when everything is there; until then the data is in a temporary
//! database whose comment says what it is, so that whoever finds it, we or a
//! person, knows that it may go.

mod dump;
mod error;
mod new_database;

pub use dump::{Restore, Restored};
pub use error::Error;
pub use new_database::{Plan, Step, into_new_database};
