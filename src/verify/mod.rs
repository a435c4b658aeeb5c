//! Can a backup be relied on?
//!
//! A verification comes to a verdict, which is recorded, or to an error, which
//! is not: a test that could not be made says nothing about the backup. Nothing
//! is recorded before the verdict, so that who dies on the way leaves no trace
//! in the ledger; what it leaves on disk is removed by the next run.

mod by_tool;
mod checks;
mod choice;
mod cluster;
mod configured;
mod due;
mod error;
mod physical;
mod restore_test;
mod run;
mod scratch;
mod verdict;
mod words;

pub use choice::{WantedVerification, completed_backups, due_verifications, recorded_verifications};
pub use configured::{Options, verify_configured};
pub use due::{Due, due};
pub use error::Error;
pub use run::{Request, Surroundings, Verdict, run};
pub use scratch::Settings as Scratch;
