//! Verifies that a backup can be restored.
//!
//! A verification ends with a verdict or with an error. A verdict is recorded. An error is not, because
//! an incomplete test says nothing about the backup. Nothing is recorded before the verdict, so a
//! killed process leaves no trace in the ledger. The next run removes the files that a killed process
//! left over.

mod checks;
mod choice;
mod cluster;
mod configured;
mod due;
mod error;
mod excerpt;
mod external;
mod physical;
mod restore_test;
mod run;
mod scratch;
mod verdict;

pub use choice::{WantedVerification, completed_backups, due_verifications, recorded_verifications};
pub use configured::{Options, verify_configured};
pub use due::{Due, due};
pub use error::Error;
pub use run::{VerificationRun, VerifyContext, VerifyRequest, run};
pub use scratch::Settings as Scratch;
