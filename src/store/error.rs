//! What can go wrong with stored bytes.

use std::io;
use std::path::{Path, PathBuf};

use crate::process::may_pass;

/// Why bytes were not stored, or are not what they were.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory of the store does not exist.
    #[error("{}: no such directory", path.display())]
    RootMissing {
        /// The directory.
        path: PathBuf,
    },
    /// The store, or something in it, is not a directory.
    #[error("{}: not a directory", path.display())]
    NotADirectory {
        /// What is not one.
        path: PathBuf,
    },
    /// The file system is read-only.
    #[error("{}: read-only file system", path.display())]
    ReadOnly {
        /// What was to be written.
        path: PathBuf,
    },
    /// The user may not do this.
    #[error("{}: permission denied", path.display())]
    Denied {
        /// With what.
        path: PathBuf,
    },
    /// There is no space left.
    #[error("{}: no space left", path.display())]
    Full {
        /// What was being written.
        path: PathBuf,
    },
    /// A name that cannot be the name of a file, or would be confused with ours.
    #[error("{what} {name:?} cannot be the name of a file")]
    UnsafeName {
        /// What it names.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// There is already such a backup or file.
    #[error("{}: already exists", path.display())]
    Exists {
        /// What.
        path: PathBuf,
    },
    /// A draft was to be published before all its files were finished.
    #[error("{}: {count} of its files are not finished", path.display())]
    Unfinished {
        /// The draft.
        path: PathBuf,
        /// How many.
        count: usize,
    },
    /// What should be there is not.
    #[error("{}: missing", path.display())]
    Missing {
        /// What.
        path: PathBuf,
    },
    /// There is something that should not be there.
    #[error("{}: not part of the backup", path.display())]
    Unexpected {
        /// What.
        path: PathBuf,
    },
    /// A file ends too early.
    #[error("{}: truncated", path.display())]
    Truncated {
        /// Which one.
        path: PathBuf,
    },
    /// A file cannot be decompressed or understood.
    #[error("{}: corrupt: {detail}", path.display())]
    Corrupt {
        /// Which one.
        path: PathBuf,
        /// How it shows.
        detail: String,
    },
    /// A file can be read, but it is not the one that was written.
    #[error("{}: digest is {actual}, expected {expected}", path.display())]
    Mismatch {
        /// Which one.
        path: PathBuf,
        /// What the record says.
        expected: String,
        /// What is there.
        actual: String,
    },
    /// A location is not in this store.
    #[error("location {location:?}: {reason}")]
    BadLocation {
        /// The location.
        location: String,
        /// Why it is refused.
        reason: &'static str,
    },
    /// There is no store.
    #[error("{url}: there is no store here")]
    NoStore {
        /// Where.
        url: String,
    },
    /// There is a store already.
    #[error("{url}: there is a store here already")]
    StoreExists {
        /// Where.
        url: String,
    },
    /// The store, or something in it, was written by a later version.
    #[error("{object}: format {format} is newer than this program")]
    Newer {
        /// What.
        object: String,
        /// Its format.
        format: u64,
    },
    /// A store is not the copy of another that it should be.
    #[error("{url}: this is another store: {found}, not {expected}")]
    OtherStore {
        /// Where.
        url: String,
        /// The id that it should have.
        expected: String,
        /// The id that it has.
        found: String,
    },
    /// A store has another id than the one that records name.
    #[error("{url}: this is store {found}, and backups are recorded in store {expected} at this place")]
    Replaced {
        /// The URL of the store.
        url: String,
        /// The recorded id.
        expected: String,
        /// The id of the store.
        found: String,
    },
    /// A store claims not to be encrypted although records say that it is.
    #[error("{url}: the store says that it is not encrypted, and records say that it is")]
    Unsealed {
        /// The URL of the store.
        url: String,
    },
    /// A store has none of the keys that records name.
    #[error("{url}: the store has not the key {key}, which records name")]
    OtherKeys {
        /// The URL of the store.
        url: String,
        /// One of the recorded keys.
        key: String,
    },
    /// A location is outside all places that the user has named.
    #[error("{location}: not in a store or directory of your configuration")]
    Elsewhere {
        /// The location.
        location: String,
    },
    /// The files of a backup differ from those in its record.
    #[error("{object}: not the files of the record: {detail}")]
    OtherFiles {
        /// The id of the backup, or its location.
        object: String,
        /// The difference.
        detail: String,
    },
    /// There is no such object.
    #[error("{object}: no such object")]
    NoObject {
        /// Its URI.
        object: String,
    },
    /// There is an object of this name with other content.
    #[error("{object}: there is another object of this name")]
    OtherObject {
        /// Its URI.
        object: String,
    },
    /// An object is not what was written.
    #[error("{object}: damaged: {detail}")]
    Damaged {
        /// Its URI.
        object: String,
        /// How it shows.
        detail: String,
    },
    /// There is no such bucket or container.
    #[error("{url}: there is no such bucket")]
    NoBucket {
        /// The store that was to be in it.
        url: String,
    },
    /// The storage does not let us.
    #[error("{object}: access denied: {detail}")]
    Forbidden {
        /// The URI of what was to be used.
        object: String,
        /// What it said.
        detail: String,
    },
    /// The storage does not answer as it should.
    #[error("{object}: cannot {action}: {detail}")]
    Storage {
        /// What was to be done.
        action: &'static str,
        /// With what.
        object: String,
        /// What it said.
        detail: String,
        /// Whether it may go better a little later.
        transient: bool,
    },
    /// A store is encrypted and no key fits.
    #[error("{url}: encrypted, and {}", if *given { "no key that was given fits" } else { "no key was given" })]
    NoKey {
        /// The store.
        url: String,
        /// Whether there was one at all.
        given: bool,
    },
    /// A file of identities or with a passphrase cannot be used.
    #[error("{}: no key to be had: {detail}", path.display())]
    KeyFile {
        /// Which one.
        path: PathBuf,
        /// Why not.
        detail: String,
    },
    /// A passphrase cannot be used.
    #[error("the passphrase cannot be used: {reason}")]
    BadPassphrase {
        /// Why not.
        reason: &'static str,
    },
    /// Something is no recipient.
    #[error("recipient {recipient:?}: {reason}")]
    BadRecipient {
        /// What was given.
        recipient: String,
        /// Why it is refused.
        reason: &'static str,
    },
    /// A recipient is one already, or its label is taken.
    #[error("{recipient:?} is a recipient already")]
    RecipientKnown {
        /// The one that is there.
        recipient: String,
    },
    /// There is no such recipient.
    #[error("no recipient {recipient:?}")]
    RecipientUnknown {
        /// What was given.
        recipient: String,
    },
    /// Several recipients begin so.
    #[error("several recipients begin with {recipient:?}")]
    RecipientAmbiguous {
        /// What was given.
        recipient: String,
    },
    /// The last recipient was to be removed.
    #[error("{url}: the last recipient cannot be removed")]
    LastRecipient {
        /// The store.
        url: String,
    },
    /// A store has no keys.
    #[error("{url}: not encrypted")]
    NotEncrypted {
        /// The store.
        url: String,
    },
    /// Others went on changing the keys of a store.
    #[error("{url}: others are changing its keys")]
    KeysBusy {
        /// The store.
        url: String,
    },
    /// Somebody took a writer for dead and collected garbage.
    #[error("{url}: this writer was taken for dead after {hours} hours; what it wrote does not count")]
    TakenForDead {
        /// The store.
        url: String,
        /// How long writers may take.
        hours: u64,
    },
    /// Anything else that the operating system says.
    #[error("{}: cannot {action}", path.display())]
    Io {
        /// What was to be done.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Whether the same may succeed a little later. What the disk says now it
    /// will say again.
    pub fn retry(&self) -> bool {
        match self {
            // A missing directory may be a file system that is not mounted yet.
            Self::Full { .. }
            | Self::RootMissing { .. }
            | Self::Storage { transient: true, .. }
            | Self::TakenForDead { .. }
            | Self::KeysBusy { .. } => true,
            Self::Io { source, .. } => may_pass(source),
            _ => false,
        }
    }

    /// Whether it says that bytes are not there or not what was written, and not
    /// that they could not be looked at.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Missing { .. }
                | Self::Truncated { .. }
                | Self::Corrupt { .. }
                | Self::Mismatch { .. }
                | Self::NoObject { .. }
                | Self::Damaged { .. }
                | Self::OtherFiles { .. }
        )
    }

    /// Returns true if the error says that something does not exist.
    pub fn is_absence(&self) -> bool {
        matches!(
            self,
            Self::NoStore { .. }
                | Self::NoBucket { .. }
                | Self::NoObject { .. }
                | Self::Missing { .. }
                | Self::RootMissing { .. }
        )
    }

    /// What an error of a writer or reader means: it may carry one of ours.
    pub(crate) fn from_writing(path: &Path, error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(ours) => ours,
            Err(error) => Self::io("write", path, error),
        }
    }

    /// What `source` means for `path`.
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        use io::ErrorKind as Kind;
        let path = path.to_owned();
        match source.kind() {
            Kind::StorageFull | Kind::QuotaExceeded => Self::Full { path },
            Kind::ReadOnlyFilesystem => Self::ReadOnly { path },
            Kind::PermissionDenied => Self::Denied { path },
            Kind::NotADirectory => Self::NotADirectory { path },
            Kind::NotFound => Self::Missing { path },
            Kind::AlreadyExists | Kind::DirectoryNotEmpty => Self::Exists { path },
            _ => Self::Io { action, path, source },
        }
    }
}
