//! Manifests: the files of an artifact, and the positions of their chunks.
//!
//! A manifest names all packs that are needed to read the artifact, including those of bases of
//! bases. So a reader need not search, and garbage collection needs only the manifests. The chunks
//! of a file are in lists, which are blobs in packs, so that a manifest is small whatever the size
//! of its files.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::chunker::Chunking;
use super::crypt::{hex, unhex};

/// The version of the format. Later versions are refused.
pub(super) const FORMAT: u64 = 1;
/// The maximum number of chunks in a list.
pub(super) const LIST_MAX: usize = 1024;

/// The description of an artifact. Unknown members are preserved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the format.
    pub format: u64,
    /// The id of the artifact, which is the id of the backup.
    pub id: String,
    /// The name of the database, or of another series of versions.
    pub lineage: String,
    /// The time of its creation, RFC 3339.
    pub created_at: String,
    /// The id of the artifact that contains the bases of its deltas.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub base: Option<String>,
    /// The growth of the store by this artifact, in bytes.
    pub stored_bytes: u64,
    /// All packs that are needed to read it.
    pub packs: Vec<PackEntry>,
    /// Its files.
    pub files: Vec<FileEntry>,
    /// The record of the backup as the ledger has it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub record: Option<Value>,
    /// Members of later versions.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackEntry {
    /// The BLAKE3 of the pack, as 64 hex digits.
    pub id: String,
    /// Its size in bytes.
    pub size: u64,
    /// The packs that its deltas copy from, as indexes into `packs` of the manifest, in the order
    /// of the table at the end of the pack.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub refs: Vec<u32>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// The BLAKE3 of the content, as 64 hex digits.
    pub digest: String,
    /// The growth of the store by this file, in bytes.
    pub stored: u64,
    /// The method by which it was cut.
    pub chunking: Chunking,
    /// The lists of its chunks.
    pub lists: Vec<ListEntry>,
}

/// The position of a list of chunks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListEntry {
    /// The pack, as an index into `packs` of the manifest.
    pub pack: u32,
    /// The offset in the pack, in bytes.
    pub offset: u32,
    /// The stored size, in bytes.
    pub stored: u32,
    /// The digest of the content, keyed in an encrypted store.
    pub digest: String,
    /// The number of chunks.
    pub chunks: u32,
    /// The total size of the chunks, in bytes.
    pub size: u64,
}

/// A chunk of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// The digest of the content, keyed in an encrypted store.
    pub(crate) digest: [u8; 32],
    /// The size of the content, in bytes.
    pub(crate) size: u32,
    /// The pack, as an index into `packs` of the manifest.
    pub(crate) pack: u32,
    /// The offset in the pack, in bytes.
    pub(crate) offset: u32,
    /// The stored size, in bytes.
    pub(crate) stored: u32,
    /// The number of deltas below it.
    pub(crate) depth: u32,
    /// The number of bytes that are decompressed to read it.
    pub(crate) cost: u32,
    /// A hash of the bytes before the cut at its end, by which the cut is recognized.
    pub(crate) tail: u32,
}

/// Chunks as columns: similar values are adjacent and compress better.
#[derive(Serialize, Deserialize)]
struct Columns {
    digest: String,
    size: Vec<u32>,
    pack: Vec<u32>,
    /// The distances from the end of the previous chunk, mostly zero.
    offset: Vec<i64>,
    stored: Vec<u32>,
    depth: Vec<u32>,
    cost: Vec<u32>,
    tail: Vec<u32>,
}

/// Encodes a list of chunks.
pub(crate) fn encode_list(chunks: &[Chunk]) -> Vec<u8> {
    let mut end = 0;
    let mut offset = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        offset.push(i64::from(chunk.offset) - end);
        end = i64::from(chunk.offset) + i64::from(chunk.stored);
    }
    let column = |pick: fn(&Chunk) -> u32| chunks.iter().map(pick).collect();
    let columns = Columns {
        digest: chunks.iter().map(|chunk| hex(&chunk.digest)).collect(),
        size: column(|chunk| chunk.size),
        pack: column(|chunk| chunk.pack),
        offset,
        stored: column(|chunk| chunk.stored),
        depth: column(|chunk| chunk.depth),
        cost: column(|chunk| chunk.cost),
        tail: column(|chunk| chunk.tail),
    };
    serde_json::to_vec(&columns).unwrap_or_default()
}

/// Decodes a list of chunks; `None` if `bytes` are not one or its columns have different lengths.
pub(crate) fn decode_list(bytes: &[u8]) -> Option<Vec<Chunk>> {
    let columns: Columns = serde_json::from_slice(bytes).ok()?;
    let count = columns.size.len();
    let lengths = [&columns.pack, &columns.stored, &columns.depth, &columns.cost, &columns.tail];
    if lengths.iter().any(|column| column.len() != count)
        || columns.offset.len() != count
        || columns.digest.len() != 64 * count
        || !columns.digest.is_ascii()
    {
        return None;
    }
    let mut end = 0_i64;
    (0..count)
        .map(|at| {
            let offset = end.checked_add(columns.offset[at])?;
            end = offset.checked_add(i64::from(columns.stored[at]))?;
            Some(Chunk {
                digest: unhex(&columns.digest[64 * at..64 * (at + 1)])?,
                size: columns.size[at],
                pack: columns.pack[at],
                offset: offset.try_into().ok()?,
                stored: columns.stored[at],
                depth: columns.depth[at],
                cost: columns.cost[at],
                tail: columns.tail[at],
            })
        })
        .collect()
}

impl Manifest {
    /// Returns the file `name`.
    pub fn file(&self, name: &str) -> Option<&FileEntry> {
        // Files are sorted, unless another program wrote the manifest.
        let found = self.files.binary_search_by(|file| file.name.as_str().cmp(name)).ok();
        found.map_or_else(|| self.files.iter().find(|file| file.name == name), |at| self.files.get(at))
    }

    /// Returns true if all indexes are within the table of packs and all ids of packs are valid.
    pub(super) fn is_sound(&self) -> bool {
        let count = self.packs.len();
        let known = |pack: u32| (pack as usize) < count;
        self.packs.iter().all(|pack| unhex::<32>(&pack.id).is_some() && pack.refs.iter().all(|r| known(*r)))
            && self.files.iter().flat_map(|file| &file.lists).all(|list| known(list.pack))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lists_survive_a_round_trip(numbers in proptest::collection::vec(any::<[u32; 4]>(), 0..50)) {
            let chunks: Vec<Chunk> = numbers
                .iter()
                .map(|[a, b, c, d]| Chunk {
                    digest: *blake3::hash(&a.to_le_bytes()).as_bytes(),
                    size: *a, pack: *b, offset: *c, stored: *d, depth: a ^ b, cost: b ^ c, tail: c ^ d,
                })
                .collect();
            prop_assert_eq!(decode_list(&encode_list(&chunks)), Some(chunks));
        }

        #[test]
        fn random_bytes_do_not_panic(bytes: Vec<u8>, text: String) {
            let _ = decode_list(&bytes);
            let _ = decode_list(text.as_bytes());
            let _ = serde_json::from_str::<Manifest>(&text);
        }
    }

    #[test]
    fn columns_of_different_length_are_refused() {
        let text = |size: &str, digest: &str| {
            format!(
                r#"{{"digest":"{digest}","size":{size},"pack":[0],"offset":[0],"stored":[1],"depth":[0],"cost":[1],"tail":[1]}}"#
            )
        };
        assert!(decode_list(text("[1]", &"0".repeat(64)).as_bytes()).is_some());
        assert!(decode_list(text("[1,2]", &"0".repeat(64)).as_bytes()).is_none());
        assert!(decode_list(text("[1]", &"0".repeat(63)).as_bytes()).is_none());
        assert!(decode_list(text("[1]", &"é".repeat(32)).as_bytes()).is_none());
    }
}
