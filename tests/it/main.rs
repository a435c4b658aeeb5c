//! All integration tests: one binary, because each further one costs seconds
//! of linking.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr, missing_docs)]

mod cli_basics;
mod cluster;
mod config;
mod sandbox;
