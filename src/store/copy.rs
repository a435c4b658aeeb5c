//! Copies a store into a second store with the same id (a replica).
//!
//! Objects are copied unchanged. Only manifests and the digests of packs are read, and the objects
//! of an encrypted store stay encrypted. An object that is removed from the one store stays in the
//! other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use super::bucket::{Bucket, Object};
use super::gc::Amount;
use super::manifest::Manifest;
use super::store::read_config;
use super::survey::{self, FoundArtifact};
use super::writer::Session;
use super::{Access, Error, Result, Store, StoreUrl, layout, parallel_map, pending_deletion};
use crate::process::crash_point;
use crate::progress::Progress;

/// An artifact that is in both stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicatedArtifact {
    /// The id of the artifact.
    pub id: String,
    /// Its location in the first store.
    pub of: String,
    /// Its location in the copy.
    pub location: String,
    /// True if this copy added it.
    pub new: bool,
}

/// The result of a copy.
#[derive(Debug, Default)]
pub struct CopyReport {
    /// The artifacts that are now in both stores.
    pub artifacts: Vec<ReplicatedArtifact>,
    /// The copied packs.
    pub packs: Amount,
    /// The copied WAL files.
    pub wal: Amount,
    /// The ids of artifacts that could not be copied, with the errors.
    pub failed: Vec<(String, Error)>,
    /// The ids of artifacts that were not copied because some of their packs are pending deletion
    /// in the replica.
    pub waiting: Vec<String>,
}

impl Store {
    /// Opens the replica of this store at `url`, and creates it if there is no store. Fails if
    /// there is a store with another id.
    pub fn replica(&self, url: &StoreUrl, access: &Access) -> Result<Self> {
        let bucket = Bucket::open(url, &access.cloud)?;
        let ours = self.inner.bucket.get(layout::CONFIG)?;
        if let Some(bytes) = bucket.find(layout::CONFIG)? {
            let found = read_config(&bucket, &bytes)?.id;
            if found != self.config().id {
                return Err(Error::OtherStore {
                    url: url.to_string(),
                    expected: self.config().id.to_string(),
                    found: found.to_string(),
                });
            }
        }
        // The keys come before the configuration, whose existence makes it a store.
        for key in self.inner.bucket.list(layout::KEYS)? {
            bucket.put(&key.name, self.inner.bucket.get(&key.name)?)?;
        }
        crash_point("store.copy.keys");
        if bucket.find(layout::CONFIG)?.is_none() {
            bucket.put(layout::CONFIG, ours)?;
        }
        Ok(Self::with(bucket, self.config().clone(), self.inner.crypt.clone(), access))
    }

    /// Copies the artifacts and WAL files that `replica` does not have. Fails if a storage fails;
    /// damaged artifacts are part of the result.
    pub fn copy_to(&self, replica: &Self, progress: &dyn Progress) -> Result<CopyReport> {
        progress.stage("reading manifests", None);
        // In the order of their creation: each needs few packs beside those of its predecessors.
        let mut found = survey::artifacts(&self.inner)?.found;
        found.sort_by(|a, b| a.revision.id.cmp(&b.revision.id));
        let session = Session::begin(&replica.inner.bucket)?;
        crash_point("store.copy.begun");
        let copied = self.copy_found(&found, replica, &session, progress);
        session.end(&replica.inner.bucket);
        let mut copied = copied?;
        progress.stage("copying WAL", None);
        copied.wal = self.copy_wal(replica)?;
        Ok(copied)
    }

    /// Copies one artifact. Fails with [`Error::NoObject`] if this store does not have it.
    pub(super) fn copy_one(
        &self,
        location: &str,
        replica: &Self,
        progress: &dyn Progress,
    ) -> Result<CopyReport> {
        let listed = self.list()?.into_iter().find(|listed| {
            listed.location.strip_prefix(&self.url().join(""))
                == location.strip_prefix(&replica.url().join(""))
        });
        let Some(listed) = listed else { return Err(Error::NoObject { object: location.to_owned() }) };
        let mut found = survey::artifacts(&self.inner)?.found;
        found.retain(|found| found.revision == listed.revision);
        let session = Session::begin(&replica.inner.bucket)?;
        let copied = self.copy_found(&found, replica, &session, progress);
        session.end(&replica.inner.bucket);
        copied
    }

    fn copy_found(
        &self,
        found: &[FoundArtifact],
        replica: &Self,
        session: &Session,
        progress: &dyn Progress,
    ) -> Result<CopyReport> {
        let pending = pending_deletion::pending_packs(&replica.inner.bucket)?;
        let mut there = survey::packs(&replica.inner.bucket)?;
        let known: BTreeMap<String, u32> = replica
            .list()?
            .into_iter()
            .map(|listed| (listed.revision.prefix(), listed.revision.number))
            .collect();
        let missing = |found: &&FoundArtifact| {
            known.get(&found.revision.prefix()).is_none_or(|number| *number < found.revision.number)
        };
        let wanted = found.iter().filter(missing).filter_map(|found| found.manifest.as_ref().ok());
        let wanted: BTreeMap<&String, u64> =
            wanted.flat_map(|manifest| &manifest.packs).map(|pack| (&pack.id, pack.size)).collect();
        let bytes = wanted.iter().filter(|(id, _)| !there.contains_key(**id)).map(|(_, size)| size).sum();
        progress.stage("copying packs", Some(bytes));
        let mut copied = CopyReport::default();
        for found in found {
            let new = missing(&found);
            let ReplicatedArtifact { id, of, location, .. } = self.copy_of(found, replica, new);
            let one = Transfer { from: self, to: replica, session, progress };
            let done = match (&found.manifest, &pending) {
                (_, _) if !new => Ok(()),
                (Err(error), _) => Err(copied_error(error)),
                (Ok(manifest), Some(pending)) if !has_pending_pack(manifest, pending) => {
                    one.artifact(found, manifest, &mut there, &mut copied.packs)
                }
                (Ok(_), _) => {
                    copied.waiting.push(id);
                    continue;
                }
            };
            match done {
                Ok(()) => copied.artifacts.push(ReplicatedArtifact { id, of, location, new }),
                // The artifact was removed in the meantime.
                Err(Error::NoObject { .. }) if self.at(&of).is_err() => {}
                Err(error @ (Error::Damaged { .. } | Error::NoObject { .. } | Error::Newer { .. })) => {
                    copied.failed.push((id, error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(copied)
    }

    fn copy_of(&self, found: &FoundArtifact, replica: &Self, new: bool) -> ReplicatedArtifact {
        let listed = found.listed(&self.inner.bucket);
        let location = found.listed(&replica.inner.bucket).location;
        ReplicatedArtifact { id: listed.id, of: listed.location, location, new }
    }
}

fn has_pending_pack(manifest: &Manifest, pending: &BTreeSet<String>) -> bool {
    manifest.packs.iter().any(|pack| pending.contains(&pack.id))
}

/// Returns a copy of the error of a manifest.
fn copied_error(error: &Error) -> Error {
    match error {
        Error::Newer { object, format } => Error::Newer { object: object.clone(), format: *format },
        Error::Damaged { object, detail } => {
            Error::Damaged { object: object.clone(), detail: detail.clone() }
        }
        other => Error::Damaged { object: String::new(), detail: other.to_string() },
    }
}

/// The transfer of artifacts from one store to another.
struct Transfer<'a> {
    from: &'a Store,
    to: &'a Store,
    session: &'a Session,
    progress: &'a dyn Progress,
}

impl Transfer<'_> {
    fn artifact(
        &self,
        found: &FoundArtifact,
        manifest: &Manifest,
        there: &mut BTreeMap<String, Object>,
        amount: &mut Amount,
    ) -> Result<()> {
        let bucket = &self.to.inner.bucket;
        let name = found.revision.object();
        // The object whose manifest was read before.
        let content = self.from.inner.bucket.get(&name)?;
        let mut missing = Vec::new();
        for pack in &manifest.packs {
            match there.get(&pack.id) {
                None => missing.push(pack),
                Some(object) if object.size == pack.size => {}
                Some(object) => {
                    return Err(Error::Damaged {
                        object: bucket.uri(&object.name),
                        detail: format!("it has {} bytes instead of {}", object.size, pack.size),
                    });
                }
            }
        }
        let bytes = AtomicU64::new(0);
        let done = parallel_map(&missing, |pack| {
            self.session.heartbeat(bucket)?;
            let content = verified_pack(self.from, &pack.id)?;
            bucket.put(&layout::pack(&pack.id), content)?;
            crash_point("store.copy.pack");
            bytes.fetch_add(pack.size, Ordering::Relaxed);
            self.progress.advance(pack.size);
            Ok(&pack.id)
        });
        let failed = done.into_iter().filter_map(Result::err).next();
        amount.count += missing.len();
        amount.bytes += bytes.into_inner();
        if let Some(error) = failed {
            // Some packs were copied before the failure.
            *there = survey::packs(bucket)?;
            return Err(error);
        }
        for pack in missing {
            let (name, modified) = (layout::pack(&pack.id), found.object.modified);
            there.insert(pack.id.clone(), Object { name, size: pack.size, modified });
        }
        crash_point("store.copy.packs");
        self.session.renew(bucket)?;
        bucket.put(&name, content)?;
        crash_point("store.copy.manifest");
        self.session.confirm(bucket).inspect_err(|_| drop(bucket.delete(&name)))
    }
}

/// Reads a pack. Fails if its content does not match the digest in its name.
pub(super) fn verified_pack(store: &Store, id: &str) -> Result<bytes::Bytes> {
    let name = layout::pack(id);
    let content = store.inner.bucket.get(&name)?;
    if blake3::hash(&content).to_hex().as_str() != id {
        return Err(Error::Damaged {
            object: store.inner.bucket.uri(&name),
            detail: "its content does not match its digest".to_owned(),
        });
    }
    Ok(content)
}
