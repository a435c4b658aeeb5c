//! The format of the index file. Pure.
//!
//! ```text
//! header  magic, version, layout, numbers, checksum of the rest, own checksum
//! refs    by schema commit: commit, tip, subject
//! rows    by time of registration, of one size
//! ids     by id: id, ref
//! heap    texts, each after its length
//! ```
//!
//! All numbers are little endian. Reading does not panic on any bytes; [`Segment::load`] refuses a
//! file that was not written by [`Segment::encode`].

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::owned_row::{OwnedRow, RefRows};

const MAGIC: &[u8; 8] = b"PGGITIDX";
/// The version of the format, raised when the meaning of the bytes changes.
const VERSION: u32 = 4;
/// The layout and the version of the program. Another version may derive another state from the same
/// events.
const LAYOUT: &str = concat!(
    "ref: commit tip subject; row: id registered started completed expires size stored last ref kind status flags verified ",
    "name database branch tool tags needs owner home store key verified_at blob; id: id ref; pggit ",
    env!("CARGO_PKG_VERSION")
);

pub(super) const HEADER: usize = 128;
pub(super) const ID: usize = 20;
/// The size of a text reference in bytes: an offset into the heap.
const TEXT: usize = 4;
/// The text reference for no text, which is not an empty text.
const NO_TEXT: u32 = u32::MAX;
/// Offsets in a row: the time of the last event, and the number of the ref.
pub(super) const LAST: usize = 64;
pub(super) const REF: usize = 72;
pub(super) const KIND: usize = 76;
pub(super) const STATUS: usize = 77;
pub(super) const FLAGS: usize = 78;
/// Offset of the verdict of the verifications.
pub(super) const VERIFIED: usize = 79;
/// Offsets of the texts of a row.
pub(super) const NAME: usize = 80;
pub(super) const DATABASE: usize = 84;
pub(super) const BRANCH: usize = 88;
pub(super) const TOOL: usize = 92;
pub(super) const TAGS: usize = 96;
pub(super) const NEEDS: usize = 100;
pub(super) const OWNER: usize = 104;
pub(super) const LOCATION_PARENT: usize = 108;
pub(super) const STORE: usize = 112;
pub(super) const KEY: usize = 116;
/// Offset of the time of the verification in [`VERIFIED`].
pub(super) const VERIFIED_AT: usize = 120;
/// Offset of the object id of the record, the last field of a row.
pub(super) const BLOB: usize = 128;

/// The sizes and the checksum in the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) oid: usize,
    pub(super) refs: usize,
    pub(super) rows: usize,
    heap: usize,
    checksum: [u8; 32],
}

impl Shape {
    fn ref_size(&self) -> usize {
        2 * self.oid + TEXT
    }

    fn row_size(&self) -> usize {
        BLOB + self.oid
    }

    fn rows_at(&self) -> usize {
        HEADER + self.refs * self.ref_size()
    }

    pub(super) fn ids_at(&self) -> usize {
        self.rows_at() + self.rows * self.row_size()
    }

    fn heap_at(&self) -> usize {
        self.ids_at() + self.rows * ID
    }

    pub(super) fn ref_at(&self, at: usize) -> usize {
        HEADER + at * self.ref_size()
    }

    /// Returns the length of the file in bytes.
    pub(super) fn len(&self) -> usize {
        self.heap_at().saturating_add(self.heap)
    }

    /// Parses a header; `None` if it is not valid for a repository whose object ids have `oid` bytes.
    pub(super) fn parse(header: &[u8], oid: usize) -> Option<Self> {
        let header: &[u8; HEADER] = header.get(..HEADER)?.try_into().ok()?;
        let number = |at: usize| u32_at(header, at) as usize;
        let good = header[..8] == *MAGIC
            && u32_at(header, 8) == VERSION
            && number(12) == oid
            && header[16..48] == *layout().as_bytes()
            && header[96..] == *blake3::hash(&header[..96]).as_bytes();
        let checksum = header[64..96].try_into().ok()?;
        let heap = usize::try_from(u64_at(header, 56)).ok()?;
        good.then_some(Self { oid, refs: number(48), rows: number(52), heap, checksum })
    }
}

fn layout() -> blake3::Hash {
    blake3::hash(LAYOUT.as_bytes())
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|it| it.try_into().ok()).map_or(0, u32::from_le_bytes)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|it| it.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// An index in memory.
#[derive(Debug)]
pub(super) struct Segment {
    bytes: Vec<u8>,
    shape: Shape,
}

impl Segment {
    /// Reads a file; `None` if it is missing or corrupt.
    pub(super) fn load(path: &Path, oid: usize) -> Option<Self> {
        let file = File::open(path).ok()?;
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0).ok()?;
        let shape = Shape::parse(&header, oid)?;
        // No memory is allocated for the sizes of a corrupt header.
        if file.metadata().ok()?.len() != shape.len() as u64 {
            return None;
        }
        let mut bytes = vec![0; shape.len()];
        bytes[..HEADER].copy_from_slice(&header);
        if read_and_sum(&file, &mut bytes[HEADER..])? != shape.checksum {
            return None;
        }
        let segment = Self { bytes, shape };
        let has_no_ref = |at: usize| u32_at(segment.row(at), REF) as usize >= shape.refs;
        (!(0..shape.rows).any(has_no_ref)).then_some(segment)
    }

    /// Returns the checksum of the content, which identifies it.
    pub(super) fn name(&self) -> [u8; 32] {
        self.bytes.get(96..HEADER).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default()
    }

    /// Returns the number of the ref of a schema commit.
    pub(super) fn find_ref(&self, commit: &[u8]) -> Option<usize> {
        let (mut low, mut high) = (0, self.shape.refs);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.commit(middle).cmp(commit) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(middle),
            }
        }
        None
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    pub(super) fn row(&self, at: usize) -> &[u8] {
        let (start, size) = (self.shape.rows_at() + at * self.shape.row_size(), self.shape.row_size());
        self.bytes.get(start..start + size).unwrap_or(&[])
    }

    /// Returns the object id of the schema commit of a ref.
    pub(super) fn commit(&self, at: usize) -> &[u8] {
        let start = self.shape.ref_at(at);
        self.bytes.get(start..start + self.shape.oid).unwrap_or(&[])
    }

    /// Returns the object id of the ledger commit of a ref.
    pub(super) fn tip(&self, at: usize) -> &[u8] {
        let start = self.shape.ref_at(at) + self.shape.oid;
        self.bytes.get(start..start + self.shape.oid).unwrap_or(&[])
    }

    /// Returns the first line of the message of the schema commit of a ref; `None` if the commit could
    /// not be read.
    pub(super) fn subject(&self, at: usize) -> Option<&str> {
        let at = self.shape.ref_at(at) + 2 * self.shape.oid;
        (u32_at(&self.bytes, at) != NO_TEXT).then(|| self.text(&self.bytes, at))
    }

    /// Returns the text whose reference is at offset `at` of `owner`.
    pub(super) fn text(&self, owner: &[u8], at: usize) -> &str {
        let start = self.shape.heap_at() + u32_at(owner, at) as usize;
        let length = u32_at(&self.bytes, start) as usize;
        let text = self.bytes.get(start + 4..start.saturating_add(4 + length)).unwrap_or(&[]);
        std::str::from_utf8(text).unwrap_or_default()
    }

    /// Encodes rows. `refs` are in the order of their commits.
    pub(super) fn encode(refs: &[RefRows], oid: usize) -> Self {
        let mut heap = Heap::default();
        let mut out = vec![0; HEADER];
        for it in refs {
            out.extend_from_slice(it.commit.as_bytes());
            out.extend_from_slice(it.tip.as_bytes());
            match &it.subject {
                Some(subject) => heap.add(subject, &mut out),
                None => out.extend_from_slice(&NO_TEXT.to_le_bytes()),
            }
        }
        let mut rows: Vec<(u32, &OwnedRow)> =
            (0..).zip(refs).flat_map(|(at, it)| it.rows.iter().map(move |row| (at, row))).collect();
        rows.sort_unstable_by_key(|(_, row)| (row.registered_at, row.id));
        rows.iter().for_each(|(at, row)| encode_row(*at, row, &mut heap, &mut out));
        let mut ids: Vec<(&[u8; 16], u32)> = rows.iter().map(|(at, row)| (&row.id, *at)).collect();
        ids.sort_unstable();
        for (id, at) in ids {
            out.extend_from_slice(id);
            out.extend_from_slice(&at.to_le_bytes());
        }
        out.extend_from_slice(&heap.bytes);
        let checksum = sum(&out[HEADER..]);
        let shape = Shape { oid, refs: refs.len(), rows: rows.len(), heap: heap.bytes.len(), checksum };
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(MAGIC);
        for number in [VERSION, oid as u32] {
            header.extend_from_slice(&number.to_le_bytes());
        }
        header.extend_from_slice(layout().as_bytes());
        for number in [shape.refs as u32, shape.rows as u32] {
            header.extend_from_slice(&number.to_le_bytes());
        }
        header.extend_from_slice(&(shape.heap as u64).to_le_bytes());
        header.extend_from_slice(&checksum);
        header.extend_from_slice(blake3::hash(&header).as_bytes());
        out[..HEADER].copy_from_slice(&header);
        Self { bytes: out, shape }
    }
}

fn encode_row<'t>(at: u32, row: &'t OwnedRow, heap: &mut Heap<'t>, out: &mut Vec<u8>) {
    out.extend_from_slice(&row.id);
    out.extend_from_slice(&row.registered_at.to_le_bytes());
    for time in [row.started_at, row.completed_at, row.expires_at] {
        out.extend_from_slice(&time.to_le_bytes());
    }
    for size in [row.size_bytes, row.stored_bytes] {
        out.extend_from_slice(&size.to_le_bytes());
    }
    out.extend_from_slice(&row.last_at.to_le_bytes());
    out.extend_from_slice(&at.to_le_bytes());
    out.extend_from_slice(&[row.kind, row.status, row.flags, row.verified]);
    let texts = [
        &row.name,
        &row.database,
        &row.branch,
        &row.tool,
        &row.tags,
        &row.needs,
        &row.owner,
        &row.location_parent,
        &row.store,
        &row.key,
    ];
    texts.into_iter().for_each(|text| heap.add(text, out));
    out.extend_from_slice(&row.verified_at.to_le_bytes());
    out.extend_from_slice(row.blob.as_bytes());
}

/// Returns the checksum of `bytes`: the hash of the hashes of its halves, so that two threads can
/// compute it.
fn sum(bytes: &[u8]) -> [u8; 32] {
    let (first, second) = bytes.split_at(bytes.len() / 2);
    join(blake3::hash(first), blake3::hash(second))
}

fn join(first: blake3::Hash, second: blake3::Hash) -> [u8; 32] {
    *blake3::Hasher::new().update(first.as_bytes()).update(second.as_bytes()).finalize().as_bytes()
}

/// Reads the part of `file` after the header into `bytes`, and returns its [`sum`].
fn read_and_sum(file: &File, bytes: &mut [u8]) -> Option<[u8; 32]> {
    const WORTH_A_THREAD: usize = 1 << 20;
    /// Bytes per read. They stay in the processor cache until they are hashed.
    const AT_ONCE: usize = 1 << 18;
    let read = |part: &mut [u8], mut at: u64| {
        let mut hasher = blake3::Hasher::new();
        for piece in part.chunks_mut(AT_ONCE) {
            file.read_exact_at(piece, at).ok()?;
            hasher.update(piece);
            at += piece.len() as u64;
        }
        Some(hasher.finalize())
    };
    let half = bytes.len() / 2;
    let (first, second) = bytes.split_at_mut(half);
    let at = (HEADER, HEADER + half);
    if half < WORTH_A_THREAD {
        return Some(join(read(first, at.0 as u64)?, read(second, at.1 as u64)?));
    }
    std::thread::scope(|scope| {
        let other = scope.spawn(|| read(first, at.0 as u64));
        let second = read(second, at.1 as u64);
        Some(join(other.join().ok()??, second?))
    })
}

/// The texts, each stored once.
#[derive(Default)]
struct Heap<'t> {
    bytes: Vec<u8>,
    known: HashMap<&'t str, u32>,
}

impl<'t> Heap<'t> {
    fn add(&mut self, text: &'t str, out: &mut Vec<u8>) {
        let at = *self.known.entry(text).or_insert_with(|| {
            let at = self.bytes.len() as u32;
            self.bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
            self.bytes.extend_from_slice(text.as_bytes());
            at
        });
        out.extend_from_slice(&at.to_le_bytes());
    }
}
