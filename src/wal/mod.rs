//! Archiving of WAL: from `archive_command` or pg_receivewal into a store, and back for
//! `restore_command`.

mod error;
mod fetch;
mod push;
mod receive;
mod spool;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

pub use error::Error;
pub use fetch::{Fetch, fetch};
pub use push::{Archived, Push, push};
pub use receive::{Receive, receive};

/// Returns the system identifier of the cluster in the data directory `pgdata`. It is read from the
/// control file: the first eight bytes, in the byte order of this machine. Fails if the file cannot
/// be read.
pub fn system_identifier(pgdata: &Path) -> Result<String, Error> {
    let path = pgdata.join("global").join("pg_control");
    let mut bytes = [0; 8];
    let read = File::open(&path).and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|source| Error::ControlFile { path, source })?;
    Ok(u64::from_ne_bytes(bytes).to_string())
}
