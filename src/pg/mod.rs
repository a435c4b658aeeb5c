//! PostgreSQL: connection rules, server facts, snapshots, the mark and the
//! making of databases.
//!
//! What `psql` accepts as a connection works here, with the same precedence
//! and the same password sources ([`conninfo`]), so that a program of
//! PostgreSQL that is started beside us reaches the same place. [`Client`] is
//! blocking; its connection is polled by a thread of its own. Statements go as
//! simple queries with quoted literals, which also work through a pooler.
//! No password appears in a message, in `Debug` or in an argument.
//!
//! This is the only room that may use `tokio_postgres`. It ends where dumping
//! begins: the programs are run elsewhere.

pub mod conninfo;

mod client;
mod cluster;
mod connect;
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
pub use conninfo::{ConnInfo, Note, Source};
pub use databases::{NAME_BYTES_MAX, Properties, Template, check_name};
pub use environment::Environment;
pub use error::Error;
pub use facts::ServerFacts;
pub use privileges::{Privileges, Relations};
pub use quote::{quote_ident, quote_literal};
pub use script::{Halt, Refusal, Session, hex_literal};
pub use snapshot::Snapshot;
pub use sums::{Sum, Table};

/// What this room returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;
