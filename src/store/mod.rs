//! Where the bytes of backups are kept.
//!
//! There are two kinds of places. A [`Store`] keeps many versions of a database
//! in little more than the space of one, on a disk or in a cloud
//! (docs/store-format.md). [`plain`] is files that everybody can read with the
//! usual programs. Neither knows anything of the ledger; they take bytes, give
//! back sizes and digests, and promise that what they have acknowledged is
//! durable.

mod blob;
mod bucket;
mod chunker;
mod condemned;
mod crypt;
mod delta;
mod error;
mod keys;
mod layout;
mod manifest;
mod packs;
mod place;
pub mod plain;
mod reader;
#[expect(clippy::module_inception, reason = "the thing itself")]
mod store;
mod url;
mod varint;
mod writer;

pub use bucket::CloudSettings;
pub use chunker::Chunking;
pub use error::Error;
pub use keys::{
    Action, Author, Change, KeyEntry, Keyring, KeysView, NewRecipient, Passphrase, RecipientKind,
    RecipientView, StoreKeys, generate_identity,
};
pub use manifest::{FileEntry, ListEntry, Manifest, PackEntry};
pub use place::{Draft, DraftFile, Held, Place};
pub use plain::FileSummary;
pub use reader::{Artifact, FileReader};
pub(crate) use store::Shelf;
pub use store::{Access, Listed, Store, StoreConfig};
pub use url::{Scheme, StoreUrl};
pub use writer::{ArtifactWriter, FileWriter, NewArtifact, Published};

type Result<T> = std::result::Result<T, Error>;

/// How many threads work on an artifact: more wait for the disk or for pg_dump.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8)
}
