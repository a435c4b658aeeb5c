//! Storage for the bytes of backups.
//!
//! There are two kinds of destinations. A [`Store`] keeps many versions of a database in little
//! more than the space of one, on a disk or in a cloud (docs/store-format.md). [`plain`] keeps
//! files that standard programs can read. Neither uses the ledger. Both take bytes, return sizes
//! and digests, and promise that everything that they have acknowledged is durable.

mod blob;
mod bucket;
mod cache;
mod check;
mod chunker;
mod copy;
mod crypt;
mod delta;
mod destination;
mod error;
mod gc;
mod keys;
mod layout;
mod manifest;
mod packs;
mod pending_deletion;
pub mod plain;
mod reader;
mod repair;
mod root;
#[expect(clippy::module_inception, reason = "the module of the type Store")]
mod store;
mod survey;
mod url;
mod varint;
mod wal;
mod writer;

pub use bucket::CloudSettings;
pub use check::{AffectedArtifact, CheckOptions, CheckReport, Portion, StoreFinding};
pub use chunker::Chunking;
pub use copy::{CopyReport, ReplicatedArtifact};
pub use destination::{BackupDestination, PendingBackup, PendingFile, StoredBackup, private_directory};
pub use error::Error;
pub use gc::{Amount, GcReport, WriterSession};
pub use keys::{
    Action, Author, KeyChange, KeyEntry, Keyring, KeysView, NewRecipient, Passphrase, RecipientKind,
    RecipientView, StoreKeys, generate_identity,
};
pub use manifest::{FileEntry, ListEntry, Manifest, PackEntry};
pub use plain::FileSummary;
pub use reader::{Artifact, FileReader};
pub use repair::RepairReport;
pub use root::{Expected, Root, is_directory};
pub(crate) use store::StoreInner;
pub use store::{Access, ListedArtifact, Store, StoreConfig};
pub use survey::{LineageStats, Stats};
pub use url::{Scheme, StoreUrl};
pub use wal::{WalArchive, WalEntry, WalPushOutcome};
pub use writer::{ArtifactWriter, FileWriter, NewArtifact, Published};

type Result<T> = std::result::Result<T, Error>;

/// Runs `work` on each item in several threads. Returns the results in the order of the items.
fn parallel_map<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    parallel_map_in(threads(), items, work)
}

/// Runs `work` on each item in at most `threads` threads. Returns the results in the order of the items.
fn parallel_map_in<T: Sync, R: Send>(threads: usize, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let one = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let Some(item) = items.get(at) else { return done };
            done.push((at, work(item)));
        }
    };
    let mut answers: Vec<(usize, R)> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(items.len())).map(|_| scope.spawn(one)).collect();
        let mut answers = one();
        for other in others {
            match other.join() {
                Ok(more) => answers.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        answers
    });
    answers.sort_by_key(|(at, _)| *at);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// Returns the number of threads that work on an artifact. More than eight would wait for the disk
/// or for pg_dump.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8)
}
