//! Objects with names, on a disk or in a cloud.
//!
//! An object is written once, under a name that says what is in it or that
//! nobody else uses, and never changed. That is all that a store needs of the
//! storage below it.

mod cloud;
mod local;

use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::url::{Scheme, StoreUrl};
use super::{Error, Result};
use crate::domain::Timestamp;
pub use cloud::CloudSettings;

/// An object as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    /// Its name in the store.
    pub(crate) name: String,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// When it was written, by the clock of the storage.
    pub(crate) modified: Timestamp,
}

/// The objects of one store.
pub(crate) struct Bucket {
    url: StoreUrl,
    storage: Box<dyn Storage>,
}

/// What a kind of storage can do. Names are relative to the store.
trait Storage: Send + Sync {
    /// Writes an object that is not there yet; `false` if there is one already.
    fn create(&self, name: &str, content: Bytes) -> Result<bool>;
    /// Writes an object over the one that is there, if there is one: others see
    /// either, and nothing else.
    fn replace(&self, name: &str, content: Bytes) -> Result<()>;
    fn get(&self, name: &str) -> Result<Bytes>;
    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes>;
    /// All objects whose names begin with `prefix`, which is empty or ends in a slash, by name.
    fn list(&self, prefix: &str) -> Result<Vec<Object>>;
    /// Removes an object, if it is there.
    fn delete(&self, name: &str) -> Result<()>;
    /// Removes what dead writers left behind that no listing shows.
    fn sweep(&self, older_than: Timestamp) -> Result<u64>;
    fn directory(&self) -> Option<&Path> {
        None
    }
}

impl Bucket {
    /// The storage at `url`. Nothing is asked of it yet.
    pub(crate) fn open(url: &StoreUrl, settings: &CloudSettings) -> Result<Self> {
        let storage: Box<dyn Storage> = match url.scheme() {
            Scheme::File => Box::new(local::Local::new(url.directory().unwrap_or_default())),
            _ => Box::new(cloud::Cloud::open(url, settings)?),
        };
        Ok(Self { url: url.clone(), storage })
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &StoreUrl {
        &self.url
    }

    /// The URI of an object, for messages.
    pub(crate) fn uri(&self, name: &str) -> String {
        self.url.join(name)
    }

    /// Writes an object. That it is there already with the same content is fine:
    /// it may be ours, from a request whose answer was lost.
    pub(crate) fn put(&self, name: &str, content: Bytes) -> Result<()> {
        let ours = content.clone();
        if self.storage.create(name, content)? || self.storage.get(name)? == ours {
            return Ok(());
        }
        Err(Error::OtherObject { object: self.uri(name) })
    }

    /// Writes an object if there is none; whether it did. A request whose answer was
    /// lost may have.
    pub(crate) fn put_new(&self, name: &str, content: Bytes) -> Result<bool> {
        self.storage.create(name, content)
    }

    /// Writes an object in place of a damaged one. Whoever dies meanwhile leaves
    /// that one: it is never missing.
    pub(crate) fn replace(&self, name: &str, content: Bytes) -> Result<()> {
        self.storage.replace(name, content)
    }

    /// All of an object.
    pub(crate) fn get(&self, name: &str) -> Result<Bytes> {
        self.storage.get(name)
    }

    /// All of an object, if there is one.
    pub(crate) fn find(&self, name: &str) -> Result<Option<Bytes>> {
        match self.storage.get(name) {
            Ok(content) => Ok(Some(content)),
            Err(Error::NoObject { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A part of an object, of which all must be there.
    pub(crate) fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        self.storage.get_range(name, range)
    }

    /// All objects whose names begin with `prefix`, which ends in a slash, by name.
    pub(crate) fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        self.storage.list(prefix)
    }

    /// Removes an object; that it is gone already is fine.
    pub(crate) fn delete(&self, name: &str) -> Result<()> {
        self.storage.delete(name)
    }

    /// Removes what dead writers left behind that no listing shows; how many.
    pub(crate) fn sweep(&self, older_than: Timestamp) -> Result<u64> {
        self.storage.sweep(older_than)
    }

    /// The file of an object, when objects are files.
    pub(crate) fn file(&self, name: &str) -> Option<PathBuf> {
        self.storage.directory().map(|directory| directory.join(name))
    }
}
