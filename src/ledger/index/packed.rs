//! The differences between the index and `packed-refs`. They make it unnecessary to read the refs one
//! by one while neither file has changed.
//!
//! They are stored in a small file beside the index. It has the digests of the index and of
//! `packed-refs` that it compares, because times and sizes of files can be misleading, and the refs in
//! which the two differ. These and the loose refs give all tips. Like the index, the file is a cache:
//! it has a checksum, is replaced atomically, and is only needed for speed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::git::{Oid, Repository, Tips};

use super::segment::{Segment, u32_at};

const MAGIC: &[u8; 8] = b"PGGITPKD";
const VERSION: u32 = 1;
const HEADER: usize = 80;
const DIGEST: usize = 32;
/// Maximum number of differences that are worth storing.
const MOST: usize = 1024;

/// The digest of `packed-refs`.
pub(super) type Digest = [u8; DIGEST];

/// The refs in which an index and `packed-refs` differ: the names of the schema commits, and the packed
/// tip, if there is one.
pub(super) type Differences = BTreeMap<String, Option<Oid>>;

/// Computes the digest of `packed-refs`; `None` if it cannot be read.
pub(super) fn digest(repository: &Repository) -> Option<Digest> {
    let mut hasher = blake3::Hasher::new();
    let whole = repository.scan_packed_refs(|bytes| {
        hasher.update(bytes);
    });
    whole.then(|| *hasher.finalize().as_bytes())
}

/// Returns the differences between `index` and the packed refs of `tips`; `None` if they are unknown,
/// not representable, or too many.
pub(super) fn differences(index: &Segment, tips: &Tips) -> Option<Differences> {
    let mut found = Differences::new();
    let mut seen = 0;
    let gone = |range: std::ops::Range<usize>, found: &mut Differences| {
        for at in range.take(MOST + 1) {
            found.insert(Oid::from_bytes(index.commit(at))?.to_string(), None);
        }
        Some(())
    };
    for (name, packed) in tips.packed()? {
        let commit = Oid::from_hex(name)?;
        let mut at = seen;
        while at < index.shape().refs && index.commit(at) < commit.as_bytes() {
            at += 1;
        }
        gone(seen..at, &mut found)?;
        let here = at < index.shape().refs && index.commit(at) == commit.as_bytes();
        let indexed = here.then(|| index.tip(at));
        if indexed != packed.as_ref().map(Oid::as_bytes) {
            found.insert(name.to_owned(), packed);
        }
        seen = at + usize::from(here);
        if found.len() > MOST {
            return None;
        }
    }
    gone(seen..index.shape().refs, &mut found)?;
    (found.len() <= MOST).then_some(found)
}

/// Encodes differences. Returns no bytes if they cannot be encoded.
pub(super) fn encode(index: &Segment, packed: &Digest, differences: &Differences) -> Vec<u8> {
    let oid = index.shape().oid;
    let mut out = Vec::with_capacity(HEADER + differences.len() * 2 * oid + DIGEST);
    out.extend_from_slice(MAGIC);
    for number in [VERSION, differences.len() as u32] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&index.name());
    out.extend_from_slice(packed);
    for (commit, tip) in differences {
        // A name of another length is no object id of this repository.
        let Some(commit) = Oid::from_hex(commit).filter(|it| it.as_bytes().len() == oid) else {
            return Vec::new();
        };
        out.extend_from_slice(commit.as_bytes());
        match tip {
            Some(tip) => out.extend_from_slice(tip.as_bytes()),
            None => out.resize(out.len() + oid, 0),
        }
    }
    let seal = blake3::hash(&out);
    out.extend_from_slice(seal.as_bytes());
    out
}

/// Reads the differences from `path`; `None` if they are not those of `index` and `packed`.
pub(super) fn read(path: &Path, index: &Segment, packed: &Digest) -> Option<Differences> {
    let bytes = fs::read(path).ok()?;
    let (bytes, seal) = bytes.split_at_checked(bytes.len().checked_sub(DIGEST)?)?;
    let good = blake3::hash(bytes).as_bytes() == seal
        && bytes.get(..8)? == MAGIC
        && u32_at(bytes, 8) == VERSION
        && bytes.get(16..48)? == index.name()
        && bytes.get(48..HEADER)? == packed;
    if !good {
        return None;
    }
    let oid = index.shape().oid;
    let pairs = bytes.get(HEADER..)?.chunks_exact(2 * oid);
    let pair = |pair: &[u8]| {
        let (commit, tip) = pair.split_at(oid);
        let tip = Oid::from_bytes(tip).filter(|tip| tip.as_bytes().iter().any(|byte| *byte != 0));
        Some((Oid::from_bytes(commit)?.to_string(), tip))
    };
    let found = pairs.map(pair).collect::<Option<Differences>>()?;
    (found.len() == u32_at(bytes, 12) as usize).then_some(found)
}
