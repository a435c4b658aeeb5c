//! The nouns of the project. No I/O: parse, validate, fold, order.

mod database_name;
mod time;

pub use database_name::{DatabaseName, InvalidDatabaseName, RESERVED as RESERVED_DATABASE_NAMES};
pub use time::Timestamp;
