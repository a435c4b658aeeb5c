//! Where the bytes of backups are kept.
//!
//! For now there is one store: [`plain`], files that everybody can read with the
//! usual programs. A store knows nothing of records; it takes bytes, gives back
//! sizes and digests, and promises that what it has acknowledged is on disk.

mod error;
pub mod plain;

pub use error::Error;
