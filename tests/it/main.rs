//! All integration tests: one binary, because each further one costs seconds
//! of linking.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr, missing_docs)]

mod cluster;
mod sandbox;

mod backup_cli;
mod cli_basics;
mod config;
mod ledger;
mod libpq;
mod pg;
mod pg_dump;
mod process;
mod recovery;
mod store_plain;
