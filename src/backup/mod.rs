//! One run of a backup: register, let the tool work, store, complete.

mod adapters;
mod base;
mod choice;
mod configured;
mod counts;
mod create;
mod error;
mod import;
mod interrupted;
mod reconcile;
mod sink;

pub use adapters::{adapter_for, decide, restorer_of};
pub use choice::{Asked, Chosen, choose};
pub use configured::{choose_tool, create_configured};
pub use counts::{Counted, ROW_COUNTS, recorded_counts};
pub use create::{Request, Surroundings, Unsuccessful, create, default_name};
pub use error::{Error, NotAgain};
pub use import::{Import, Imported, Outcome, import};
pub use interrupted::{
    NotInterrupted, check_interrupted, displayed_row_status, displayed_status, is_abandoned, is_interrupted,
    record_interrupted, settle_dead, settle_interrupted,
};
pub use reconcile::{Differences, reconcile, record_gone};
pub use sink::{HeldSource, of_store};
