//! The bytes of a backup as a tool reads and writes them.
//!
//! A tool knows neither stores nor records. It reads from a [`Source`](crate::tools::adapter::Source)
//! and writes into a [`Sink`](crate::tools::adapter::Sink). This room implements both for the store. It
//! also finds the tool for the configuration of a database or for the record of a backup. Backups,
//! restores and verifications share this room.

mod adapters;
mod counts;
mod error;
mod sink;
mod source;

pub use adapters::{adapter_for, restorer_of};
pub use counts::{Counted, ROW_COUNTS, recorded_counts, row_counts};
pub use error::{Error, of_store};
pub use sink::{DraftSink, NoSink};
pub use source::StoreSource;
