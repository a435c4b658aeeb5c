//! One run of a backup: register, dump, store, complete.

mod choice;
mod create;
mod dump;
mod error;
mod interrupted;

pub use choice::{Asked, Chosen, choose};
pub use create::{Request, Surroundings, Unsuccessful, create, default_name};
pub use error::Error;
pub use interrupted::{displayed, displayed_status, is_abandoned, is_interrupted};
