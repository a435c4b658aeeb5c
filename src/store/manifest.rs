//! What an artifact is made of.
//!
//! The manifest names every pack that is needed to read the artifact, those of
//! bases of bases included, so that nothing has to be searched for, and what is
//! still needed can be told from manifests alone. The chunks of a file are in
//! lists, which are blobs of packs: a manifest stays small whatever it describes.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::chunker::Chunking;
use super::crypt::{hex, unhex};

/// The version of what is written; later ones are refused.
pub(super) const FORMAT: u64 = 1;
/// How many chunks a list has at most.
pub(super) const LIST_MAX: usize = 1024;

/// All that is known of an artifact. Unknown members are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the format.
    pub format: u64,
    /// Its id, which is that of the backup.
    pub id: String,
    /// Of which database, or whatever else its versions have in common.
    pub lineage: String,
    /// When it was written, RFC 3339.
    pub created_at: String,
    /// The artifact that its deltas were made against.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub base: Option<String>,
    /// Bytes that the store grew by.
    pub stored_bytes: u64,
    /// All packs that it takes to read it.
    pub packs: Vec<PackEntry>,
    /// Its files.
    pub files: Vec<FileEntry>,
    /// The record of the backup as the ledger has it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub record: Option<Value>,
    /// What a later version may add.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackEntry {
    /// BLAKE3 of it, as 64 hex digits.
    pub id: String,
    /// Its size in bytes.
    pub size: u64,
    /// The packs that its deltas copy from, by their places in this manifest,
    /// in the order of the table at the pack's end.
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
    /// BLAKE3 of it, as 64 hex digits.
    pub digest: String,
    /// Bytes that the store grew by for it.
    pub stored: u64,
    /// How it was cut.
    pub chunking: Chunking,
    /// Its chunks.
    pub lists: Vec<ListEntry>,
}

/// Where a list of chunks is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListEntry {
    /// Its pack, by its place in the manifest.
    pub pack: u32,
    /// Where in the pack.
    pub offset: u32,
    /// Bytes there.
    pub stored: u32,
    /// Digest of its content, keyed in an encrypted store.
    pub digest: String,
    /// How many chunks.
    pub chunks: u32,
    /// How many bytes they are.
    pub size: u64,
}

/// A chunk of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Digest of its bytes, keyed in an encrypted store.
    pub(crate) digest: [u8; 32],
    /// How many.
    pub(crate) size: u32,
    /// Its pack, by its place in the manifest.
    pub(crate) pack: u32,
    /// Where in the pack.
    pub(crate) offset: u32,
    /// Bytes there.
    pub(crate) stored: u32,
    /// How many deltas lie below it.
    pub(crate) depth: u32,
    /// How many bytes have to be decompressed to read it.
    pub(crate) cost: u32,
    /// By which the place before the cut at its end is recognized.
    pub(crate) tail: u32,
}

/// Chunks as columns: what is alike stands together and compresses.
#[derive(Serialize, Deserialize)]
struct Columns {
    digest: String,
    size: Vec<u32>,
    pack: Vec<u32>,
    /// Distance from the end of the chunk before, which is mostly nothing.
    offset: Vec<i64>,
    stored: Vec<u32>,
    depth: Vec<u32>,
    cost: Vec<u32>,
    tail: Vec<u32>,
}

/// The list of `chunks`.
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

/// The chunks of a list, if it is one and its columns have the same length.
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
    /// The file `name`.
    pub fn file(&self, name: &str) -> Option<&FileEntry> {
        // They are in order, unless somebody else wrote them.
        let found = self.files.binary_search_by(|file| file.name.as_str().cmp(name)).ok();
        found.map_or_else(|| self.files.iter().find(|file| file.name == name), |at| self.files.get(at))
    }

    /// Whether every place that it names is one in its table.
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
        fn lists_come_back(numbers in proptest::collection::vec(any::<[u32; 4]>(), 0..50)) {
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
        fn noise_is_no_panic(bytes: Vec<u8>, text: String) {
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
