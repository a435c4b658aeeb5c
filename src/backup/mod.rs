//! Runs a backup: register, run the tool, store the bytes, record the completion.

mod base;
mod commit;
mod configured;
mod create;
mod error;
mod import;
mod interrupted;
mod migrations;
mod reconcile;

pub use commit::{CommitSpec, ResolvedCommit, choose_commit};
pub use configured::{choose_tool, create_configured};
pub use create::{BackupContext, BackupRequest, FailedRun, create, default_name};
pub use error::{Error, NotAgain};
pub use import::{Import, ImportResult, Imported, import};
pub use interrupted::{
    NotInterrupted, check_interrupted, displayed_row_status, displayed_status, record_interrupted,
    settle_dead, settle_interrupted,
};
pub use reconcile::{Differences, reconcile, record_gone};
