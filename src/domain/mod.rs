//! The nouns of the project. No I/O: parse, validate, fold, order.

mod time;

pub use time::Timestamp;
