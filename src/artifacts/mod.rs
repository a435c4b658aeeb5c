//! The bytes of a backup as what a tool reads and writes.
//!
//! A tool knows neither stores nor records: it reads from a [`Source`](crate::tools::adapter::Source)
//! and writes into a [`Sink`](crate::tools::adapter::Sink). Here both are made of the store, and the
//! tool is found for the configuration of a database or for the record of a backup. Backups, restores
//! and verifications use this alike.

mod adapters;
mod counts;
mod error;
mod sink;
mod source;

pub use adapters::{adapter_for, restorer_of};
pub use counts::{Counted, ROW_COUNTS, recorded_counts, row_counts};
pub use error::{Error, of_store};
pub use sink::{DraftSink, NoSink};
pub use source::HeldSource;
