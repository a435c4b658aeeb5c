//! Exports the whole ledger as lines of JSON, and imports it into another repository.
//!
//! The first line is a header. Then each backup has one line for each of its events, in their order,
//! and one line for the recorded schema if there is one:
//!
//! ```text
//! {"backups":1,"format":1,"kind":"pggit-ledger"}
//! {"at":"2026-11-21T03:40:06.123456Z","backup":"01a1...","kind":"registered",...}
//! {"schema":"01a1...","sql":"CREATE TABLE ..."}
//! ```
//!
//! Exports of the same ledger are equal byte for byte. An import into an empty ledger and an export
//! of that ledger give the same bytes again. Text that people wrote into notes and the authors and
//! dates of the ledger commits are not exported.

mod export;
mod import;
mod line;

pub use export::ExportReport;
pub use import::{ImportOptions, ImportReport};
pub use line::LINE_BYTES_MAX;
