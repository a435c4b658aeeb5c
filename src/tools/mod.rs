//! Adapters for the tools that make backups, behind one trait ([`Adapter`]), and
//! for the client programs of PostgreSQL.
//!
//! An adapter builds arguments (never a line for a shell), streams bytes, and
//! judges the outcome: by the exit status *and* by whether what came out can be
//! what was asked for, because an empty dump with status 0 is not a backup.
//! What the programs say in the C locale is sorted into [`Kind`]s by a pure
//! function, so that callers can tell "try again" from "ask a person".
//!
//! Where the bytes go to and come from is not known here.

pub mod adapter;
mod classify;
mod connection;
mod dump;
mod error;
mod lexer;
mod migrations;
mod pg_dump;
mod plausible;
mod programs;
mod redact;
mod restore;
mod schema;

pub use crate::domain::DumpFormat as Format;
pub use adapter::Adapter;
pub use classify::{Kind, classify};
pub use connection::Connection;
pub use dump::{DumpResult, DumpSpec};
pub use error::Error;
pub use migrations::{MigrateSpec, Migration, batches};
pub use pg_dump::{GLOBALS, PgDump};
pub use programs::{PgTools, Program, Programs, ToolVersion, parse_version};
pub use restore::RestoreSpec;
pub use schema::normalise_schema;
