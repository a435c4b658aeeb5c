//! Reads chunks: resolves the deltas of which a chunk consists.

use std::sync::Arc;

use crate::store::blob::{Blob, Decoder};
use crate::store::chunker::CHUNK_MAX;
use crate::store::crypt::Crypt;
use crate::store::delta::{BufferPool, Content};
use crate::store::manifest::{Chunk, Manifest};
use crate::store::packs::Packs;
use crate::store::{Error, Result, StoreInner, layout};

/// The maximum depth of deltas. The writer stops long before it.
const DEPTH_MAX: usize = 512;
/// The maximum number of blobs of one chunk. A forged artifact must not occupy a reader for ever.
const BLOBS_MAX: usize = 1 << 16;

/// Reads chunks of one artifact. Each thread has its own.
pub(crate) struct Resolver {
    inner: Arc<StoreInner>,
    manifest: Arc<Manifest>,
    decoder: Decoder,
    pool: BufferPool,
    /// The number of blobs that were read for the current chunk.
    blobs: usize,
    /// The packs that were read for the current chunk or list.
    touched: Vec<u32>,
}

/// The position of a blob.
#[derive(Clone, Copy)]
struct Position {
    pack: u32,
    offset: u32,
    stored: u32,
}

impl Resolver {
    pub(crate) fn new(inner: &Arc<StoreInner>, manifest: &Arc<Manifest>) -> Result<Self> {
        let decoder = Decoder::new().map_err(|error| Error::io("decompress", "zstd".as_ref(), error))?;
        Ok(Self {
            inner: Arc::clone(inner),
            manifest: Arc::clone(manifest),
            decoder,
            pool: BufferPool::default(),
            blobs: 0,
            touched: Vec::new(),
        })
    }

    /// Reads `chunk` and verifies its digest. Fails if it is missing or damaged.
    pub(crate) fn chunk(&mut self, chunk: &Chunk) -> Result<Vec<u8>> {
        self.retry_if_damaged(|resolver| resolver.read_verified(chunk))
    }

    /// Reads again if a cached file was damaged, because the object in the store may be intact.
    fn retry_if_damaged<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        self.touched.clear();
        match read(self) {
            Err(Error::Damaged { .. }) if self.drop_damaged() => read(self),
            other => other,
        }
    }

    fn drop_damaged(&self) -> bool {
        let ids = self.touched.iter().filter_map(|pack| self.manifest.packs.get(*pack as usize));
        self.packs().drop_damaged(ids.map(|pack| pack.id.as_str()))
    }

    fn read_verified(&mut self, chunk: &Chunk) -> Result<Vec<u8>> {
        let position = Position { pack: chunk.pack, offset: chunk.offset, stored: chunk.stored };
        self.blobs = 0;
        let content = self.content(position, 0)?;
        let bytes = content.into_bytes(&mut self.pool);
        if bytes.len() != chunk.size as usize || self.crypt().digest(&bytes) != chunk.digest {
            return Err(self.damaged(position, "the digest of a chunk does not match"));
        }
        Ok(bytes)
    }

    /// Reads a list and verifies it with `is_right`. Fails if it is missing or damaged.
    pub(crate) fn list(
        &mut self,
        (pack, offset, stored): (u32, u32, u32),
        is_right: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<u8>> {
        let position = Position { pack, offset, stored };
        self.retry_if_damaged(|resolver| {
            resolver.blobs = 0;
            let content = resolver.content(position, 0)?;
            let bytes = content.into_bytes(&mut resolver.pool);
            if is_right(&bytes) {
                Ok(bytes)
            } else {
                Err(resolver.damaged(position, "the digest of a list does not match"))
            }
        })
    }

    /// Returns a buffer to the pool.
    pub(crate) fn recycle(&mut self, bytes: Vec<u8>) {
        self.pool.put(bytes);
    }

    fn content(&mut self, position: Position, depth: usize) -> Result<Content> {
        self.blobs += 1;
        if depth > DEPTH_MAX || self.blobs > BLOBS_MAX {
            return Err(self.damaged(position, "its chain of deltas is too long"));
        }
        let (bases, size, delta) = match self.blob(position)? {
            Blob::Whole(bytes) => return Ok(bytes.into()),
            Blob::Delta { bases, size, delta } => (bases, size, delta),
        };
        let mut contents = Vec::with_capacity(bases.len());
        for base in &bases {
            let pack = self
                .manifest
                .packs
                .get(position.pack as usize)
                .and_then(|pack| pack.refs.get(base.pack as usize));
            let Some(&pack) = pack else {
                return Err(self.damaged(position, "a base is in an unknown pack"));
            };
            let content =
                self.content(Position { pack, offset: base.offset, stored: base.stored }, depth + 1)?;
            if content.len() != base.size as usize {
                return Err(self.damaged(position, "a base has a wrong length"));
            }
            contents.push(content);
        }
        let made = Content::concat(contents).apply(delta, CHUNK_MAX).filter(|made| made.len() == size);
        made.ok_or_else(|| self.damaged(position, "a delta does not fit its base"))
    }

    fn blob(&mut self, position: Position) -> Result<Blob> {
        let Some(pack) = self.manifest.packs.get(position.pack as usize) else {
            return Err(self.damaged(position, "it is in an unknown pack"));
        };
        let end = u64::from(position.offset) + u64::from(position.stored);
        if end > pack.size {
            return Err(self.damaged(position, "it is beyond the end of its pack"));
        }
        if !self.touched.contains(&position.pack) {
            self.touched.push(position.pack);
        }
        let sealed = self.packs().read(&pack.id, position.offset, position.stored)?;
        let blob = self.inner.crypt.open(sealed, BLOB).and_then(|bytes| {
            let blob = self.decoder.decode(&bytes, &mut self.pool);
            self.pool.put(bytes);
            blob
        });
        blob.ok_or_else(|| self.damaged(position, "it is not a blob"))
    }

    fn packs(&self) -> &Packs {
        &self.inner.packs
    }

    fn crypt(&self) -> &Crypt {
        &self.inner.crypt
    }

    fn damaged(&self, position: Position, what: &str) -> Error {
        let pack = self.manifest.packs.get(position.pack as usize).map_or("?", |pack| pack.id.as_str());
        Error::Damaged {
            object: self.inner.bucket.uri(&layout::pack(pack)),
            detail: format!(
                "{what} (artifact {}, {} bytes at {})",
                self.manifest.id, position.stored, position.offset
            ),
        }
    }
}

/// The authenticated place of encrypted blobs. It is the same for all of them, because their
/// digests identify them.
pub(crate) const BLOB: &str = "blob";
