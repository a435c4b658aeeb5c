//! The WAL archive of a store.
//!
//! ```text
//! wal/<system>/<name>     a WAL file of one cluster
//!   byte    0 uncompressed | 1 zstd
//!   u64     the size of the content in bytes, little-endian
//!   ...     the content
//!   32      BLAKE3 of the name of the object and of all bytes before
//! ```
//!
//! In an encrypted store, each object is encrypted, and `<system>` is a keyed digest of the system
//! identifier. An intact file is never replaced: a second file with the same name must have the
//! same content.

use bytes::Bytes;

use super::check::{CheckReport, FindingTarget, StoreFinding};
use super::store::{check_digest, with_digest};
use super::{Amount, Error, Result, Store, StoreInner, layout, parallel_map};
use crate::domain::WalName;

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
const HEADER: usize = 9;
/// The zstd level of WAL. It is low, because the server waits for the compression.
const LEVEL: i32 = 1;
/// The maximum size of a WAL file, in bytes. PostgreSQL allows segments of up to 1 GiB.
const SIZE_MAX: u64 = 1 << 30;

/// The WAL archive of one cluster in a store.
pub struct WalArchive<'a> {
    inner: &'a StoreInner,
    prefix: String,
}

/// The result of archiving a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalPushOutcome {
    /// The file was added.
    New,
    /// The file existed with the same content.
    Already,
}

/// A file in a WAL archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalEntry {
    /// The name.
    pub name: WalName,
    /// The stored size, in bytes.
    pub stored_bytes: u64,
}

impl Store {
    /// Returns the WAL archive of the cluster with this system identifier.
    pub fn wal(&self, system_identifier: &str) -> WalArchive<'_> {
        let prefix = layout::wal(&self.inner.crypt, system_identifier);
        WalArchive { inner: &self.inner, prefix }
    }

    /// Verifies the WAL files whose object names `selects` selects.
    pub(super) fn check_wal(&self, selects: &dyn Fn(&str) -> bool, checked: &mut CheckReport) -> Result<()> {
        let mut objects = self.inner.bucket.list(layout::WAL)?;
        objects.retain(|object| selects(&object.name));
        let looked = parallel_map(&objects, |object| read(&self.inner, &object.name).map(drop));
        for (object, looked) in objects.into_iter().zip(looked) {
            checked.wal.count += 1;
            checked.wal.bytes += object.size;
            match looked {
                Ok(()) => {}
                Err(error) if error.is_damage() => checked.findings.push(StoreFinding {
                    object: self.inner.bucket.uri(&object.name),
                    code: "wal-damaged",
                    detail: error.to_string(),
                    target: FindingTarget::Wal(object.name),
                }),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Replaces a damaged WAL file by that of `copy`. Fails if that one is damaged, too.
    pub(super) fn repair_wal(&self, object: &str, copy: &Self) -> Result<()> {
        read(&copy.inner, object)?;
        self.inner.bucket.replace(object, copy.inner.bucket.get(object)?)
    }

    /// Copies the WAL files that `replica` does not have, unchanged.
    pub(super) fn copy_wal(&self, replica: &Self) -> Result<Amount> {
        let there = replica.inner.bucket.list(layout::WAL)?;
        let known: std::collections::BTreeSet<&str> =
            there.iter().map(|object| object.name.as_str()).collect();
        let objects = self.inner.bucket.list(layout::WAL)?;
        let missing: Vec<_> =
            objects.into_iter().filter(|object| !known.contains(object.name.as_str())).collect();
        let copied = parallel_map(&missing, |object| {
            let content = self.inner.bucket.get(&object.name)?;
            let size = content.len() as u64;
            replica.inner.bucket.put(&object.name, content).map(|()| size)
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
    /// Archives a file. It is durable then. Fails if an intact file with this name has other
    /// content; that one is kept.
    pub fn push(&self, name: &WalName, content: &[u8]) -> Result<WalPushOutcome> {
        let object = self.object(name);
        let sealed: Bytes = self.inner.seal(with_digest(packed(content)?, &object), &object)?.into();
        if self.inner.bucket.put_new(&object, sealed.clone())? {
            return Ok(WalPushOutcome::New);
        }
        match read(self.inner, &object) {
            Ok(there) if there == content => Ok(WalPushOutcome::Already),
            Ok(_) => Err(Error::OtherObject { object: self.inner.bucket.uri(&object) }),
            // The archived file is damaged and is replaced.
            Err(error) if error.is_damage() => {
                self.inner.bucket.replace(&object, sealed)?;
                Ok(WalPushOutcome::New)
            }
            Err(error) => Err(error),
        }
    }

    /// Archives several files concurrently. Returns the results in their order.
    pub fn push_all(&self, files: &[(WalName, Vec<u8>)]) -> Vec<Result<WalPushOutcome>> {
        parallel_map(files, |(name, content)| self.push(name, content))
    }

    /// Returns the verified content of a file, or `None` if it is not archived. Fails if it is
    /// damaged.
    pub fn fetch(&self, name: &WalName) -> Result<Option<Vec<u8>>> {
        match read(self.inner, &self.object(name)) {
            Ok(content) => Ok(Some(content)),
            Err(Error::NoObject { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Fetches several files concurrently. Returns the results in their order.
    pub fn fetch_all(&self, names: &[WalName]) -> Vec<Result<Option<Vec<u8>>>> {
        parallel_map(names, |name| self.fetch(name))
    }

    /// Returns all files, sorted by name. Fails if the storage cannot be listed.
    pub fn list(&self) -> Result<Vec<WalEntry>> {
        let objects = self.inner.bucket.list(&self.prefix)?.into_iter();
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

/// Returns the verified content of an object.
fn read(inner: &StoreInner, name: &str) -> Result<Vec<u8>> {
    let damaged = |detail: &str| Error::Damaged { object: inner.bucket.uri(name), detail: detail.to_owned() };
    let sealed = inner.bucket.get(name)?.to_vec();
    let content = inner.crypt.open(sealed, name).ok_or_else(|| damaged("it cannot be decrypted"))?;
    let packed = check_digest(&content, name).ok_or_else(|| damaged("its digest does not match"))?;
    unpacked(packed).ok_or_else(|| damaged("it is not a WAL file"))
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
        fn content_survives_a_round_trip(content in proptest::collection::vec(any::<u8>(), 0..5000)) {
            prop_assert_eq!(unpacked(&packed(&content).unwrap()), Some(content));
        }

        #[test]
        fn random_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = unpacked(&bytes);
        }
    }
}
