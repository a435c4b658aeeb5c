//! One run of a backup: register, dump, store, complete.

mod error;

pub use error::Error;
