//! Adapters for the tools that make backups, behind the trait [`Adapter`], and for the client
//! programs of PostgreSQL.
//!
//! An adapter builds arguments (never a command line for a shell), streams data, and judges the
//! result. The judgement uses the exit status *and* a check that the output can be complete,
//! because an empty dump with exit status 0 is not a backup. A pure function classifies the
//! messages of the programs in the C locale into [`Kind`]s. So callers can distinguish failures
//! that a retry may fix from failures that need a person.
//!
//! The adapters do not know where the data are stored.

pub mod adapter;
pub mod barman;
mod classify;
mod connection;
mod custom;
mod database_properties;
mod dump;
mod dump_check;
mod error;
mod external;
mod external_error;
mod fetch_wal;
mod left_out;
mod lexer;
mod load_options;
mod load_script;
mod migrations;
pub mod pg_basebackup;
mod pg_dump;
mod pg_receivewal;
pub mod pgbackrest;
mod programs;
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
pub use database_properties::{DatabaseProperties, PropertiesSpec};
pub use dump::{DumpResult, DumpSpec};
pub use error::Error;
pub use external::External;
pub use external_error::ExternalError;
pub use left_out::LeftOut;
pub use load_options::LoadOptions;
pub use load_script::{LoadedScript, load_script};
pub use migrations::{Migration, run_migrations};
pub use pg_basebackup::PgBasebackup;
pub use pg_dump::{GLOBALS, PgDump};
pub use pgbackrest::PgBackRest;
pub use programs::{PgTools, Program, Programs, ToolVersion, major_of, parse_version};
pub use restore::{RestoreSpec, load_file, load_stream};
pub use schema::normalise_schema;
pub use script::{OfRole, Statement};
pub use splitter::BadScript;
pub use undo_part::{UndoPart, undo_part};
