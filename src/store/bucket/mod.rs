//! Objects with names, on a disk or in a cloud.
//!
//! An object is written once and never changed. Its name says its content, or is unique to its
//! writer. The store needs nothing else of the storage below it.

mod cloud;
mod local;

use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::url::{Scheme, StoreUrl};
use super::{Error, Result};
use crate::domain::Timestamp;
pub use cloud::CloudSettings;

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    /// The name of the object in the store.
    pub(crate) name: String,
    /// The size of the object, in bytes.
    pub(crate) size: u64,
    /// The time at which the object was written, by the clock of the storage.
    pub(crate) modified: Timestamp,
}

/// The objects of one store.
pub(crate) struct Bucket {
    url: StoreUrl,
    storage: Box<dyn Storage>,
}

/// A kind of storage. Names are relative to the store.
trait Storage: Send + Sync {
    /// Creates an object; returns `false` if it exists.
    fn create(&self, name: &str, content: Bytes) -> Result<bool>;
    /// Creates or replaces an object atomically: readers see the old or the new content.
    fn replace(&self, name: &str, content: Bytes) -> Result<()>;
    fn get(&self, name: &str) -> Result<Bytes>;
    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes>;
    /// Lists the objects whose names begin with `prefix`, which is empty or ends in a slash, sorted
    /// by name.
    fn list(&self, prefix: &str) -> Result<Vec<Object>>;
    /// Removes an object, if it exists.
    fn delete(&self, name: &str) -> Result<()>;
    /// Removes temporary files of crashed writers that are older than `older_than`. Listings do not
    /// show them. Returns their number.
    fn sweep(&self, older_than: Timestamp) -> Result<u64>;
    /// Returns how many small requests shall be made at once.
    fn concurrency(&self) -> usize;
    fn directory(&self) -> Option<&Path> {
        None
    }
}

impl Bucket {
    /// Opens the storage at `url`, without a request to it. Fails if the settings for its cloud are
    /// incomplete.
    pub(crate) fn open(url: &StoreUrl, settings: &CloudSettings) -> Result<Self> {
        let storage: Box<dyn Storage> = match url.scheme() {
            Scheme::File => Box::new(local::Local::new(url.directory().unwrap_or_default())),
            _ => Box::new(cloud::Cloud::open(url, settings)?),
        };
        Ok(Self { url: url.clone(), storage })
    }

    /// Returns the URL of the store.
    pub(crate) fn url(&self) -> &StoreUrl {
        &self.url
    }

    /// Returns the URI of an object, for messages.
    pub(crate) fn uri(&self, name: &str) -> String {
        self.url.join(name)
    }

    /// Writes an object. Accepts an existing object with the same content: an earlier request whose response
    /// was lost may have written it. Fails if an object with other content exists.
    pub(crate) fn put(&self, name: &str, content: Bytes) -> Result<()> {
        let ours = content.clone();
        if self.storage.create(name, content)? || self.storage.get(name)? == ours {
            return Ok(());
        }
        Err(Error::OtherObject { object: self.uri(name) })
    }

    /// Writes an object if it does not exist. Returns true if it was written; false may also mean
    /// that an earlier request whose response was lost wrote it.
    pub(crate) fn put_new(&self, name: &str, content: Bytes) -> Result<bool> {
        self.storage.create(name, content)
    }

    /// Replaces a damaged object atomically: after a crash, the object has the old or the new content.
    pub(crate) fn replace(&self, name: &str, content: Bytes) -> Result<()> {
        self.storage.replace(name, content)
    }

    /// Returns the content of an object. Fails with [`Error::NoObject`] if it does not exist.
    pub(crate) fn get(&self, name: &str) -> Result<Bytes> {
        self.storage.get(name)
    }

    /// Returns the content of an object, or `None` if it does not exist.
    pub(crate) fn find(&self, name: &str) -> Result<Option<Bytes>> {
        match self.storage.get(name) {
            Ok(content) => Ok(Some(content)),
            Err(Error::NoObject { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns a range of the bytes of an object. Fails if the object is shorter.
    pub(crate) fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        self.storage.get_range(name, range)
    }

    /// Lists the objects whose names begin with `prefix`, which ends in a slash, sorted by name.
    pub(crate) fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        self.storage.list(prefix)
    }

    /// Removes an object. Succeeds if it does not exist.
    pub(crate) fn delete(&self, name: &str) -> Result<()> {
        self.storage.delete(name)
    }

    /// Removes temporary files of crashed writers that are older than `older_than`. Listings do not
    /// show them. Returns their number.
    pub(crate) fn sweep(&self, older_than: Timestamp) -> Result<u64> {
        self.storage.sweep(older_than)
    }

    /// Returns how many small objects shall be read at once. A cloud has a latency, a disk has not.
    pub(crate) fn concurrency(&self) -> usize {
        self.storage.concurrency()
    }

    /// Returns the path of an object if the storage is a directory.
    pub(crate) fn file(&self, name: &str) -> Option<PathBuf> {
        self.storage.directory().map(|directory| directory.join(name))
    }
}
