//! One run of a backup: register, dump, store, complete.

mod error;
mod interrupted;

pub use error::Error;
pub use interrupted::{displayed_status, is_interrupted};
