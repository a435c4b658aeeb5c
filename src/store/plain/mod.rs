//! Backups as plain files.
//!
//! ```text
//! DIR/<database>/<backup id>/dump.custom.zst      zstd -dc | pg_restore reads it
//!                            dump.directory/      as written by pg_dump
//!                            dump.directory.b3sums    for b3sum --check
//!                            globals.sql.zst
//!                            record.json          the record of the backup
//! DIR/<database>/.<backup id>.partial/            being written
//! DIR/<database>/.<backup id>.removed/            being removed
//! ```
//!
//! A backup is written as a [`PendingDirectory`]. It gets its name only when all bytes and directory entries
//! of it are on disk, and is never changed after that. A draft that is dropped removes itself.
//! [`sweep_partials`] removes the drafts of crashed processes, which it recognizes by their owner
//! files.
//!
//! Names that are given become single components of paths, or are refused.

mod b3sums;
mod directory;
mod draft;
mod location;
mod stored;
mod sweep;
mod writer;

use crate::domain::Compression;
pub use draft::PendingDirectory;
pub use location::FileUri;
pub use stored::{FileKind, Stored, StoredFile, remove};
pub use sweep::sweep_partials;
pub use writer::{ArtifactWriter, FileSummary};

/// Returns a line of a list of digests, for a digest `blake3:<hex>`.
pub(super) fn list_line(digest: &str, path: &str) -> String {
    let hex = digest.strip_prefix("blake3:").unwrap_or(digest);
    blake3::Hash::from_hex(hex).map(|hash| b3sums::line(hash, path)).unwrap_or_default()
}

use std::fs::File;
use std::path::Path;

use super::Error;

const PARTIAL: &str = ".partial";
const REMOVED: &str = ".removed";
/// The maximum length of a name, in bytes. It leaves room for prefixes and suffixes.
const NAME_MAX: usize = 200;

/// Refuses a name that is not one visible component of a path.
fn check_name<'a>(what: &'static str, name: &'a str) -> Result<&'a str, Error> {
    let fine = !name.is_empty()
        && name.len() <= NAME_MAX
        && !name.starts_with(['.', '-'])
        && !name.chars().any(|c| c == '/' || c.is_control());
    if fine { Ok(name) } else { Err(Error::UnsafeName { what, name: name.chars().take(NAME_MAX).collect() }) }
}

/// Makes the entries of `dir` durable.
fn sync_dir(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|e| Error::io("sync", dir, e))
}

/// Returns a digest as text.
fn digest_text(hash: blake3::Hash) -> String {
    format!("blake3:{}", hash.to_hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_separators_or_dots_are_refused() {
        let long = "x".repeat(10_000);
        for bad in ["", ".", "..", "../x", "a/b", "/", "-rf", ".hidden", "a\nb", "a\0b", "\u{7f}", &long] {
            let error = check_name("database", bad).unwrap_err();
            assert!(error.to_string().len() < 400);
        }
        for good in ["shop", "a b", "it's \"x\"", "é", "a..b", "0190b0c2-0000-7000-8000-000000000000"] {
            assert!(check_name("database", good).is_ok(), "{good}");
        }
    }
}
