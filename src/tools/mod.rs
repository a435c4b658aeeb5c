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
pub mod barman;
mod classify;
mod connection;
mod custom;
mod dump;
mod error;
mod external;
mod fault;
mod lexer;
mod migrations;
mod own_log;
pub mod pg_basebackup;
mod pg_dump;
pub mod pgbackrest;
mod plausible;
mod programs;
mod receive;
mod redact;
mod restore;
mod schema;
mod script;
mod session;
mod splitter;
mod undo_part;

pub use crate::domain::DumpFormat as Format;
pub use adapter::Adapter;
pub use barman::Barman;
pub use classify::{Kind, classify};
pub use connection::{Connection, LIBPQ_VARIABLES, reaching};
pub use custom::{Commands, Custom};
pub use dump::{DumpResult, DumpSpec};
pub use error::Error;
pub use external::External;
pub use fault::Fault;
pub use migrations::{Migration, run_migrations};
pub use pg_basebackup::PgBasebackup;
pub use pg_dump::{GLOBALS, PgDump};
pub use pgbackrest::PgBackRest;
pub use programs::{PgTools, Program, Programs, ToolVersion, major_of, parse_version};
pub use restore::{RestoreSpec, load_directory, load_script, load_stream};
pub use schema::normalise_schema;
pub use script::{OfRole, Statement};
pub use splitter::BadScript;
pub use undo_part::{UndoPart, undo_part};
