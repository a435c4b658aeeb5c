//! Reading artifacts.

mod file;
mod prefetch;
mod resolve;

pub use file::FileReader;
pub(crate) use resolve::{BLOB, Resolver};

use std::sync::Arc;

use super::manifest::{Chunk, FileEntry, ListEntry, Manifest, decode_list};
use super::{Error, Result, StoreInner};
use crate::store::crypt::hex;

/// An artifact that can be read.
pub struct Artifact {
    inner: Arc<StoreInner>,
    manifest: Arc<Manifest>,
}

impl Artifact {
    pub(super) fn new(inner: Arc<StoreInner>, manifest: Manifest) -> Self {
        Self { inner, manifest: Arc::new(manifest) }
    }

    /// Returns its manifest.
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// Returns true if its store is encrypted.
    pub(super) fn is_sealed(&self) -> bool {
        self.inner.crypt.key().is_some()
    }

    /// Returns a reader of the file `name`. Fails if there is no such file.
    pub fn read(&self, name: &str) -> Result<FileReader> {
        let file = self.file(name)?.clone();
        FileReader::start(&self.inner, &self.manifest, file)
    }

    /// Returns the entry of the file `name`. Fails if there is no such file.
    pub fn file(&self, name: &str) -> Result<&FileEntry> {
        self.manifest.file(name).ok_or_else(|| Error::NoObject {
            object: format!("{name} in artifact {} of {}", self.manifest.id, self.inner.bucket.url()),
        })
    }

    pub(super) fn resolver(&self) -> Result<Resolver> {
        Resolver::new(&self.inner, &self.manifest)
    }

    /// Reads a list of chunks. Fails if it is damaged.
    pub(super) fn chunks(&self, resolver: &mut Resolver, list: &ListEntry) -> Result<Vec<Chunk>> {
        read_list(&self.inner, &self.manifest, resolver, list)
    }
}

/// Reads a list of chunks, verified against its digest.
pub(super) fn read_list(
    inner: &StoreInner,
    manifest: &Manifest,
    resolver: &mut Resolver,
    list: &ListEntry,
) -> Result<Vec<Chunk>> {
    let place = (list.pack, list.offset, list.stored);
    let bytes = resolver.list(place, |bytes| hex(&inner.crypt.digest(bytes)) == list.digest)?;
    let chunks = decode_list(&bytes);
    let sound = |chunks: &Vec<Chunk>| chunks.iter().all(|chunk| (chunk.pack as usize) < manifest.packs.len());
    chunks.filter(sound).ok_or_else(|| Error::Damaged {
        object: inner.bucket.url().to_string(),
        detail: format!("a list of chunks of artifact {} is invalid", manifest.id),
    })
}
