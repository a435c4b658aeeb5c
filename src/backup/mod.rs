//! One run of a backup: register, let the tool work, store, complete.

mod adapters;
mod choice;
mod create;
mod error;
mod interrupted;
mod sink;

pub use adapters::adapter_for;
pub use choice::{Asked, Chosen, choose};
pub use create::{Request, Surroundings, Unsuccessful, create, default_name};
pub use error::Error;
pub use interrupted::{displayed, displayed_status, is_abandoned, is_interrupted, record_interrupted};
pub use sink::{HeldSource, of_store};
