//! The archive of the write-ahead log.
//!
//! ```text
//! wal/<system>/<name>     a file of the log of one cluster
//!   byte    0 as it is | 1 zstd
//!   u64     its size, little-endian
//!   ...     its bytes
//!   32      BLAKE3 of all of this and of the object's name
//! ```
//!
//! Each is sealed in an encrypted store, where `<system>` is a keyed digest of the
//! system identifier. A file is never replaced: what comes with the same name has
//! to have the same content.

use bytes::Bytes;

use super::check::{Broken, Checked, Finding};
use super::store::{proof, proved};
use super::{Amount, Error, Result, Shelf, Store, by_many, layout};
use crate::domain::WalName;

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
const HEADER: usize = 9;
/// The log is compressed while the server waits.
const LEVEL: i32 = 1;
/// Segments have at most 1 GiB.
const SIZE_MAX: u64 = 1 << 30;

/// The log of one cluster in a store.
pub struct WalArchive<'a> {
    shelf: &'a Shelf,
    prefix: String,
}

/// Whether a file was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It was not.
    New,
    /// It was, with the same content.
    Already,
}

/// A file of the log in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalEntry {
    /// Its name.
    pub name: WalName,
    /// What it takes.
    pub stored_bytes: u64,
}

impl Store {
    /// The log of the cluster with this system identifier.
    pub fn wal(&self, system_identifier: &str) -> WalArchive<'_> {
        let prefix = layout::wal(&self.shelf.crypt, system_identifier);
        WalArchive { shelf: &self.shelf, prefix }
    }

    /// Reads the files of the log whose objects `takes` says yes to.
    pub(super) fn check_wal(&self, takes: &dyn Fn(&str) -> bool, checked: &mut Checked) -> Result<()> {
        let mut objects = self.shelf.bucket.list(layout::WAL)?;
        objects.retain(|object| takes(&object.name));
        let looked = by_many(&objects, |object| read(&self.shelf, &object.name).map(drop));
        for (object, looked) in objects.into_iter().zip(looked) {
            checked.wal.count += 1;
            checked.wal.bytes += object.size;
            match looked {
                Ok(()) => {}
                Err(error) if error.is_damage() => checked.findings.push(Finding {
                    object: self.shelf.bucket.uri(&object.name),
                    code: "wal-damaged",
                    detail: error.to_string(),
                    broken: Broken::Wal(object.name),
                }),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Puts the file of the log that `copy` has in the place of a damaged one.
    pub(super) fn repair_wal(&self, object: &str, copy: &Self) -> Result<()> {
        read(&copy.shelf, object)?;
        self.shelf.bucket.replace(object, copy.shelf.bucket.get(object)?)
    }

    /// Copies the files of the log that `replica` does not have, as they are.
    pub(super) fn copy_wal(&self, replica: &Self) -> Result<Amount> {
        let there = replica.shelf.bucket.list(layout::WAL)?;
        let known: std::collections::BTreeSet<&str> =
            there.iter().map(|object| object.name.as_str()).collect();
        let objects = self.shelf.bucket.list(layout::WAL)?;
        let missing: Vec<_> =
            objects.into_iter().filter(|object| !known.contains(object.name.as_str())).collect();
        let copied = by_many(&missing, |object| {
            let content = self.shelf.bucket.get(&object.name)?;
            let size = content.len() as u64;
            replica.shelf.bucket.put(&object.name, content).map(|()| size)
        });
        let mut amount = Amount::default();
        for size in copied {
            amount.count += 1;
            amount.bytes += size?;
        }
        Ok(amount)
    }
}

impl WalArchive<'_> {
    /// Keeps a file. When this returns it is durable. One that is there with other
    /// content stays as it is, and this is an error.
    pub fn push(&self, name: &WalName, content: &[u8]) -> Result<Pushed> {
        let object = self.object(name);
        let sealed: Bytes = self.shelf.seal(proved(packed(content)?, &object), &object)?.into();
        if self.shelf.bucket.put_new(&object, sealed.clone())? {
            return Ok(Pushed::New);
        }
        match read(self.shelf, &object) {
            Ok(there) if there == content => Ok(Pushed::Already),
            Ok(_) => Err(Error::OtherObject { object: self.shelf.bucket.uri(&object) }),
            // What cannot be read is worth nothing, and here is what it was.
            Err(error) if error.is_damage() => {
                self.shelf.bucket.replace(&object, sealed)?;
                Ok(Pushed::New)
            }
            Err(error) => Err(error),
        }
    }

    /// Several files at once; the answers in their order.
    pub fn push_all(&self, files: &[(WalName, Vec<u8>)]) -> Vec<Result<Pushed>> {
        by_many(files, |(name, content)| self.push(name, content))
    }

    /// A file, proved to be what was kept; `None` when there is none.
    pub fn fetch(&self, name: &WalName) -> Result<Option<Vec<u8>>> {
        match read(self.shelf, &self.object(name)) {
            Ok(content) => Ok(Some(content)),
            Err(Error::NoObject { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Several at once.
    pub fn fetch_all(&self, names: &[WalName]) -> Vec<Result<Option<Vec<u8>>>> {
        by_many(names, |name| self.fetch(name))
    }

    /// All files, by name.
    pub fn list(&self) -> Result<Vec<WalEntry>> {
        let objects = self.shelf.bucket.list(&self.prefix)?.into_iter();
        Ok(objects
            .filter_map(|object| {
                let name = object.name.strip_prefix(&self.prefix)?.parse().ok()?;
                Some(WalEntry { name, stored_bytes: object.size })
            })
            .collect())
    }

    fn object(&self, name: &WalName) -> String {
        format!("{}{name}", self.prefix)
    }
}

fn packed(content: &[u8]) -> Result<Vec<u8>> {
    let failed = |error| Error::io("compress", "zstd".as_ref(), error);
    let compressed = zstd::bulk::compress(content, LEVEL).map_err(failed)?;
    let (kind, body) =
        if compressed.len() < content.len() { (ZSTD, &compressed[..]) } else { (PLAIN, content) };
    let mut packed = Vec::with_capacity(HEADER + body.len() + 32);
    packed.push(kind);
    packed.extend_from_slice(&(content.len() as u64).to_le_bytes());
    packed.extend_from_slice(body);
    Ok(packed)
}

/// The content of an object, proved.
fn read(shelf: &Shelf, name: &str) -> Result<Vec<u8>> {
    let damaged = |detail: &str| Error::Damaged { object: shelf.bucket.uri(name), detail: detail.to_owned() };
    let sealed = shelf.bucket.get(name)?.to_vec();
    let content = shelf.crypt.open(sealed, name).ok_or_else(|| damaged("it cannot be decrypted"))?;
    let packed = proof(&content, name).ok_or_else(|| damaged("it is not what was written"))?;
    unpacked(packed).ok_or_else(|| damaged("it is not a file of the log"))
}

fn unpacked(packed: &[u8]) -> Option<Vec<u8>> {
    let (header, body) = packed.split_at_checked(HEADER)?;
    let size = u64::from_le_bytes(header.get(1..)?.try_into().ok()?);
    if size > SIZE_MAX {
        return None;
    }
    let size = usize::try_from(size).ok()?;
    let content = match *header.first()? {
        PLAIN => body.to_vec(),
        ZSTD => zstd::bulk::decompress(body, size).ok()?,
        _ => return None,
    };
    (content.len() == size).then_some(content)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_comes_back(content in proptest::collection::vec(any::<u8>(), 0..5000)) {
            prop_assert_eq!(unpacked(&packed(&content).unwrap()), Some(content));
        }

        #[test]
        fn nothing_breaks_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = unpacked(&bytes);
        }
    }
}
