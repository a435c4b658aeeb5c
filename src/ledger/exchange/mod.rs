//! The whole ledger as lines of JSON, to be moved to another repository.
//!
//! The first line says what it is; then come, backup by backup, one line for
//! each event in their order, and one for the recorded schema if there is one:
//!
//! ```text
//! {"backups":1,"format":1,"kind":"pggit-ledger"}
//! {"at":"2026-11-21T03:40:06.123456Z","backup":"01a1...","kind":"registered",...}
//! {"schema":"01a1...","sql":"CREATE TABLE ..."}
//! ```
//!
//! The same ledger gives the same bytes, and an export of what was imported
//! into an empty ledger is equal to what was imported. What people wrote into
//! notes, and who committed when, is not part of it.

mod export;
mod import;
mod line;

pub use export::Exported;
pub use import::{Import, Imported};
pub use line::LINE_BYTES_MAX;
