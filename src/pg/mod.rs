//! PostgreSQL: connection settings, facts about servers, snapshots, the mark and the creation of
//! databases.
//!
//! All connection strings of `psql` work here, with the same precedence and the same sources of
//! passwords ([`conninfo`]), so that a PostgreSQL program that we start connects to the same
//! database. [`Client`] is blocking; a thread of its own polls the connection. Statements are
//! simple queries with quoted literals, which also work through a pooler. No password appears in a
//! message, in `Debug` or in an argument.
//!
//! This is the only room that may use `tokio_postgres`. The programs of PostgreSQL are run by other
//! rooms.

pub mod conninfo;

mod client;
mod cluster;
mod connect;
mod copy_rows;
mod databases;
mod environment;
mod error;
mod facts;
mod mark;
mod privileges;
mod quote;
mod script;
mod settings;
mod snapshot;
mod sums;
mod tls;

pub use client::{Client, Rows};
pub use cluster::ClusterFacts;
pub use conninfo::{ConnInfo, SettingsWarning, Source};
pub use databases::{NAME_BYTES_MAX, Properties, Template, check_name};
pub use environment::Environment;
pub use error::Error;
pub use facts::ServerFacts;
pub use privileges::{Privileges, Relations};
pub use quote::{quote_ident, quote_literal};
pub use script::{Halt, Refusal, Session, hex_literal};
pub use snapshot::Snapshot;
pub use sums::{Table, TableSum};

/// The result type of this room.
pub type Result<T, E = Error> = std::result::Result<T, E>;
