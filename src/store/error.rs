//! Errors of stores and of plain files.

use std::io;
use std::path::{Path, PathBuf};

use crate::process::interrupt::Signal;
use crate::process::may_pass;

/// An error of the room `store`.
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
        /// The path that is not one.
        path: PathBuf,
    },
    /// The file system is read-only.
    #[error("{}: read-only file system", path.display())]
    ReadOnly {
        /// The path to write.
        path: PathBuf,
    },
    /// Permission is denied.
    #[error("{}: permission denied", path.display())]
    Denied {
        /// The path.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("{}: no space left", path.display())]
    Full {
        /// The path to write.
        path: PathBuf,
    },
    /// A name cannot be a file name, or collides with names of this program.
    #[error("{what} {name:?} cannot be the name of a file")]
    UnsafeName {
        /// The kind of thing with this name.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The backup or file exists.
    #[error("{}: already exists", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// A pending backup was published before all its files were finished.
    #[error("{}: {count} files are unfinished", path.display())]
    Unfinished {
        /// The directory of the pending backup.
        path: PathBuf,
        /// The number of unfinished files.
        count: usize,
    },
    /// A file or directory of a backup is missing.
    #[error("{}: missing", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// A file or directory is not part of the backup.
    #[error("{}: not part of the backup", path.display())]
    Unexpected {
        /// The path.
        path: PathBuf,
    },
    /// A file is truncated.
    #[error("{}: truncated", path.display())]
    Truncated {
        /// The path.
        path: PathBuf,
    },
    /// A file cannot be decompressed or parsed.
    #[error("{}: corrupt: {detail}", path.display())]
    Corrupt {
        /// The path.
        path: PathBuf,
        /// The details.
        detail: String,
    },
    /// The digest of a file differs from the recorded one.
    #[error("{}: digest is {actual}, expected {expected}", path.display())]
    Mismatch {
        /// The path.
        path: PathBuf,
        /// The recorded digest.
        expected: String,
        /// The digest of the content.
        actual: String,
    },
    /// A location is not in this store.
    #[error("location {location:?}: {reason}")]
    BadLocation {
        /// The location.
        location: String,
        /// The reason.
        reason: &'static str,
    },
    /// There is no store at the URL.
    #[error("{url}: there is no store here")]
    NoStore {
        /// The URL.
        url: String,
    },
    /// There is a store at the URL already.
    #[error("{url}: there is a store here already")]
    StoreExists {
        /// The URL.
        url: String,
    },
    /// The store or an object in it has the format of a newer version.
    #[error("{object}: format {format} is newer than this program")]
    Newer {
        /// The URI of the object.
        object: String,
        /// Its format.
        format: u64,
    },
    /// A store is not a replica of the other one.
    #[error("{url}: this is another store: {found}, not {expected}")]
    OtherStore {
        /// The URL.
        url: String,
        /// The id of the other store.
        expected: String,
        /// The id of this store.
        found: String,
    },
    /// The id of a store differs from the recorded one.
    #[error("{url}: this is store {found}, and backups are recorded in store {expected} at this place")]
    Replaced {
        /// The URL of the store.
        url: String,
        /// The recorded id.
        expected: String,
        /// The id of the store.
        found: String,
    },
    /// A store is not encrypted, but records name an encryption key.
    #[error("{url}: the store is not encrypted, but its backups are recorded as encrypted")]
    RecordedAsEncrypted {
        /// The URL of the store.
        url: String,
    },
    /// A store has none of the recorded keys.
    #[error("{url}: the store does not have the recorded key {key}")]
    OtherKeys {
        /// The URL of the store.
        url: String,
        /// One of the recorded keys.
        key: String,
    },
    /// A location is outside all configured stores and directories.
    #[error("{location}: not in a store or directory of your configuration")]
    OutsideRoots {
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
    /// The object does not exist.
    #[error("{object}: no such object")]
    NoObject {
        /// The URI of the object.
        object: String,
    },
    /// An object with this name and other content exists.
    #[error("{object}: an object with this name and other content exists")]
    OtherObject {
        /// The URI of the object.
        object: String,
    },
    /// An object is damaged.
    #[error("{object}: damaged: {detail}")]
    Damaged {
        /// The URI of the object.
        object: String,
        /// The details.
        detail: String,
    },
    /// The bucket or container does not exist.
    #[error("{url}: there is no such bucket")]
    NoBucket {
        /// The URL of the store.
        url: String,
    },
    /// The storage denies access.
    #[error("{object}: access denied: {detail}")]
    Forbidden {
        /// The URI of the object or store.
        object: String,
        /// The response of the storage.
        detail: String,
    },
    /// A request to the storage failed.
    #[error("{object}: cannot {action}: {detail}")]
    Storage {
        /// The action, as a verb.
        action: &'static str,
        /// The URI of the object or store.
        object: String,
        /// The response of the storage.
        detail: String,
        /// True if a retry may succeed.
        transient: bool,
    },
    /// A store is encrypted and cannot be opened with the given keys.
    #[error("{url}: encrypted, and {}", if *given { "none of the given keys fits" } else { "no key was given" })]
    NoKey {
        /// The URL of the store.
        url: String,
        /// True if a key or passphrase was given.
        given: bool,
    },
    /// A file of identities or a passphrase file cannot be used.
    #[error("{}: cannot use key file: {detail}", path.display())]
    KeyFile {
        /// The path.
        path: PathBuf,
        /// The reason.
        detail: String,
    },
    /// A passphrase cannot be used.
    #[error("the passphrase cannot be used: {reason}")]
    BadPassphrase {
        /// The reason.
        reason: &'static str,
    },
    /// A text is not a recipient.
    #[error("recipient {recipient:?}: {reason}")]
    BadRecipient {
        /// The given text.
        recipient: String,
        /// The reason.
        reason: &'static str,
    },
    /// The recipient exists, or its label is in use.
    #[error("{recipient:?} is a recipient already")]
    RecipientKnown {
        /// The existing recipient.
        recipient: String,
    },
    /// The recipient does not exist.
    #[error("no recipient {recipient:?}")]
    RecipientUnknown {
        /// The given label or public key.
        recipient: String,
    },
    /// Several recipients begin with the given text.
    #[error("several recipients begin with {recipient:?}")]
    RecipientAmbiguous {
        /// The given text.
        recipient: String,
    },
    /// The last recipient cannot be removed.
    #[error("{url}: the last recipient cannot be removed")]
    LastRecipient {
        /// The URL of the store.
        url: String,
    },
    /// The store is not encrypted, so it has no keys.
    #[error("{url}: not encrypted")]
    NotEncrypted {
        /// The URL of the store.
        url: String,
    },
    /// Other processes changed the keys at each attempt.
    #[error("{url}: other processes are changing its keys")]
    KeysBusy {
        /// The URL of the store.
        url: String,
    },
    /// The lease of this writer expired, and a garbage collection ended its session.
    #[error("{url}: the lease of this writer expired after {hours} hours; its artifact is discarded")]
    LeaseExpired {
        /// The URL of the store.
        url: String,
        /// The lease of writers, in hours.
        hours: u64,
    },
    /// A signal to this process ended the wait for a storage that fails.
    #[error("interrupted ({signal})")]
    Interrupted {
        /// The signal.
        signal: Signal,
    },
    /// Another error of the operating system.
    #[error("{}: cannot {action}", path.display())]
    Io {
        /// The action, as a verb.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Returns true if a retry may succeed.
    pub fn retry(&self) -> bool {
        match self {
            // A missing directory may be a file system that is not mounted yet.
            Self::Full { .. }
            | Self::RootMissing { .. }
            | Self::Storage { transient: true, .. }
            | Self::LeaseExpired { .. }
            | Self::KeysBusy { .. }
            | Self::Interrupted { .. } => true,
            Self::Io { source, .. } => may_pass(source),
            _ => false,
        }
    }

    /// Returns true if bytes are missing or damaged. False if they could not be read for another
    /// reason.
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

    /// Converts an error of a writer or reader. It may wrap an error of this room.
    pub(crate) fn from_writing(path: &Path, error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(ours) => ours,
            Err(error) => Self::io("write", path, error),
        }
    }

    /// Converts an error of the operating system for `path`.
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
