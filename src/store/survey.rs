//! Surveys of a store, for its maintenance.

use std::collections::{BTreeMap, BTreeSet};

use super::bucket::{Bucket, Object};
use super::crypt::unhex;
use super::layout::{self, Revision};
use super::manifest::{Manifest, PackEntry};
use super::{Error, ListedArtifact, Result, Store, StoreInner, parallel_map_in};
use crate::domain::Timestamp;

/// The maximum number of reads of an artifact that changes meanwhile.
const ATTEMPTS: usize = 5;

/// The newest manifest of an artifact.
pub(super) struct FoundArtifact {
    pub(super) revision: Revision,
    pub(super) object: Object,
    pub(super) manifest: Result<Manifest>,
}

/// All artifacts.
pub(super) struct Artifacts<R = FoundArtifact> {
    /// Each artifact, or what is needed of it.
    pub(super) found: Vec<R>,
    /// Manifests with a newer revision beside them.
    pub(super) superseded: Vec<Object>,
}

/// The source of manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ManifestSource {
    /// The bucket: decisions about garbage and damage depend on the objects that are there.
    Bucket,
    /// The local cache, and the bucket for the others.
    Cache,
}

/// A writer that is active or has crashed.
pub(super) struct Writer {
    /// The prefix of its objects.
    pub(super) prefix: String,
    /// The time of its start; `None` if a garbage collection has ended its session.
    pub(super) started: Option<Timestamp>,
    /// The time of its last heartbeat.
    pub(super) last_heartbeat: Timestamp,
}

/// Returns all packs, by id.
pub(super) fn packs(bucket: &Bucket) -> Result<BTreeMap<String, Object>> {
    let listed = bucket.list(layout::PACKS)?.into_iter();
    Ok(listed.filter_map(|object| Some((pack_id(&object.name)?.to_owned(), object))).collect())
}

/// Returns the sizes in bytes of the existing packs among `wanted`, by id; in a cloud, of all
/// packs. Files are checked one by one, so that the time does not depend on the number of others; a
/// cloud lists a thousand objects in one request.
pub(super) fn sizes(bucket: &Bucket, wanted: &[PackEntry]) -> Result<BTreeMap<String, u64>> {
    let mut sizes = BTreeMap::new();
    for PackEntry { id, .. } in wanted {
        let Some(path) = bucket.file(&layout::pack(id)) else {
            return Ok(packs(bucket)?.into_iter().map(|(id, object)| (id, object.size)).collect());
        };
        match path.metadata() {
            Ok(metadata) => drop(sizes.insert(id.clone(), metadata.len())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("look for", &path, error)),
        }
    }
    Ok(sizes)
}

fn pack_id(name: &str) -> Option<&str> {
    let id = name.rsplit('/').next()?;
    (unhex::<32>(id).is_some() && layout::pack(id) == name).then_some(id)
}

/// Returns all writers.
pub(super) fn writers(bucket: &Bucket) -> Result<Vec<Writer>> {
    let mut found: Vec<Writer> = Vec::new();
    for Object { name, modified, .. } in bucket.list(layout::WRITERS)? {
        let Some((prefix, number)) = name.rsplit_once('/') else { continue };
        let prefix = format!("{prefix}/");
        if found.last().is_none_or(|last| last.prefix != prefix) {
            found.push(Writer { prefix, started: None, last_heartbeat: modified });
        }
        if let Some(writer) = found.last_mut() {
            writer.last_heartbeat = writer.last_heartbeat.max(modified);
            if number == "00000000" {
                writer.started = Some(modified);
            }
        }
    }
    Ok(found)
}

/// Reads the newest manifest of every artifact from the bucket, several at once.
pub(super) fn artifacts(inner: &StoreInner) -> Result<Artifacts> {
    artifacts_from(ManifestSource::Bucket, inner, |found| found)
}

/// Reads the newest manifest of every artifact, several at once. Keeps only the results of `digest`.
fn artifacts_from<R: Send>(
    source: ManifestSource,
    inner: &StoreInner,
    digest: impl Fn(FoundArtifact) -> R + Sync,
) -> Result<Artifacts<R>> {
    let mut newest: Vec<(Revision, Object)> = Vec::new();
    let mut superseded = Vec::new();
    for object in inner.bucket.list(layout::ARTIFACTS)? {
        let Some(revision) = Revision::of_object(&object.name) else { continue };
        if newest.last().is_some_and(|(last, _)| last.prefix() == revision.prefix()) {
            superseded.extend(newest.pop().map(|(_, object)| object));
        }
        newest.push((revision, object));
    }
    let read = parallel_map_in(inner.bucket.concurrency(), &newest, |(revision, object)| {
        Ok(read(source, inner, revision.clone(), object.clone())?.map(&digest))
    });
    if source == ManifestSource::Cache {
        inner.trim_cached_manifests();
    }
    let found = read.into_iter().filter_map(Result::transpose).collect::<Result<_>>()?;
    Ok(Artifacts { found, superseded })
}

/// Returns the packs that the artifacts name, the superseded manifests, and the number of artifacts. Fails
/// if a manifest cannot be read, because it may name any pack.
pub(super) fn named_packs(inner: &StoreInner) -> Result<(BTreeSet<String>, Vec<Object>, usize)> {
    let ids = |found: FoundArtifact| -> Result<Vec<String>> {
        Ok(found.manifest?.packs.into_iter().map(|pack| pack.id).collect())
    };
    let Artifacts { found, superseded } = artifacts_from(ManifestSource::Bucket, inner, ids)?;
    let count = found.len();
    let mut named = BTreeSet::new();
    for ids in found {
        named.extend(ids?);
    }
    Ok((named, superseded, count))
}

/// Reads a manifest; `None` if the artifact was removed meanwhile.
fn read(
    source: ManifestSource,
    inner: &StoreInner,
    mut revision: Revision,
    mut object: Object,
) -> Result<Option<FoundArtifact>> {
    for _ in 0..ATTEMPTS {
        let manifest = match source {
            ManifestSource::Bucket => inner.read_manifest(&revision),
            ManifestSource::Cache => inner.read_manifest_cached(&revision, &object),
        };
        match manifest {
            Err(Error::NoObject { .. }) => {}
            manifest @ (Ok(_) | Err(Error::Damaged { .. } | Error::Newer { .. })) => {
                return Ok(Some(FoundArtifact { revision, object, manifest }));
            }
            // A temporary failure says nothing about the artifact.
            Err(error) => return Err(error),
        }
        let mut there = inner.bucket.list(&revision.prefix())?;
        there.retain(|object| Revision::of_object(&object.name).is_some());
        let Some(last) = there.pop() else { return Ok(None) };
        if let Some(found) = Revision::of_object(&last.name) {
            (revision, object) = (found, last);
        }
    }
    let manifest = Err(Error::NoObject { object: inner.bucket.uri(&revision.object()) });
    Ok(Some(FoundArtifact { revision, object, manifest }))
}

impl FoundArtifact {
    /// Returns the entry for a listing.
    pub(super) fn listed(&self, bucket: &Bucket) -> ListedArtifact {
        ListedArtifact {
            id: self.revision.id.clone(),
            modified: self.object.modified,
            location: bucket.uri(self.revision.prefix().trim_end_matches('/')),
            revision: self.revision.clone(),
            size: self.object.size,
        }
    }
}

/// The statistics of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// The number of artifacts.
    pub artifacts: usize,
    /// The total size of their files, in bytes.
    pub content_bytes: u64,
    /// The number of packs.
    pub packs: usize,
    /// The size of all packs and manifests, in bytes.
    pub stored_bytes: u64,
    /// The number of packs that no artifact names.
    pub garbage_packs: usize,
    /// The size of these packs, in bytes.
    pub garbage_bytes: u64,
    /// The statistics of each database.
    pub lineages: BTreeMap<String, LineageStats>,
}

/// The statistics of a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LineageStats {
    /// The number of artifacts.
    pub artifacts: usize,
    /// The total size of their files, in bytes.
    pub content_bytes: u64,
    /// The size of the packs that they name and of their manifests, in bytes.
    pub stored_bytes: u64,
}

/// The part of an artifact that the statistics need.
struct Counted {
    lineage: String,
    content_bytes: u64,
    manifest_bytes: u64,
    packs: Vec<String>,
}

impl Counted {
    fn of(found: FoundArtifact) -> Result<Self> {
        let manifest = found.manifest?;
        Ok(Self {
            content_bytes: manifest.files.iter().map(|file| file.size).sum(),
            manifest_bytes: found.object.size,
            packs: manifest.packs.into_iter().map(|pack| pack.id).collect(),
            lineage: manifest.lineage,
        })
    }
}

impl Store {
    /// Reads the manifests of listed artifacts, several at once, or from the cache. Returns `row` of each
    /// in the order of the list, without artifacts that were removed meanwhile. Fails if a manifest cannot
    /// be read.
    pub fn read_listed<R: Send>(
        &self,
        listed: &[ListedArtifact],
        row: impl Fn(&ListedArtifact, &Manifest) -> R + Sync,
    ) -> Result<Vec<R>> {
        let inner = &self.inner;
        let read = parallel_map_in(inner.bucket.concurrency(), listed, |listed| {
            let ListedArtifact { revision, size, modified, .. } = listed.clone();
            let object = Object { name: revision.object(), size, modified };
            let Some(found) = read(ManifestSource::Cache, inner, revision, object)? else { return Ok(None) };
            let listed = found.listed(&inner.bucket);
            Ok(Some(row(&listed, &found.manifest?)))
        });
        inner.trim_cached_manifests();
        read.into_iter().filter_map(Result::transpose).collect()
    }

    /// Counts the objects of the store. Fails if a manifest cannot be read.
    pub fn stats(&self) -> Result<Stats> {
        let packs = packs(&self.inner.bucket)?;
        let artifacts = artifacts_from(ManifestSource::Cache, &self.inner, Counted::of)?;
        let mut stats = Stats { packs: packs.len(), ..Stats::default() };
        let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        stats.stored_bytes = packs.values().map(|object| object.size).sum::<u64>()
            + artifacts.superseded.iter().map(|object| object.size).sum::<u64>();
        for counted in artifacts.found {
            let counted = counted?;
            stats.artifacts += 1;
            stats.content_bytes += counted.content_bytes;
            stats.stored_bytes += counted.manifest_bytes;
            let lineage = stats.lineages.entry(counted.lineage.clone()).or_default();
            lineage.artifacts += 1;
            lineage.content_bytes += counted.content_bytes;
            lineage.stored_bytes += counted.manifest_bytes;
            named.entry(counted.lineage).or_default().extend(counted.packs);
        }
        let size = |id: &String| packs.get(id).map_or(0, |object| object.size);
        for (lineage, ids) in &named {
            let bytes: u64 = ids.iter().map(size).sum();
            stats.lineages.entry(lineage.clone()).or_default().stored_bytes += bytes;
        }
        let garbage = packs.iter().filter(|(id, _)| !named.values().any(|ids| ids.contains(*id)));
        for (_, object) in garbage {
            stats.garbage_packs += 1;
            stats.garbage_bytes += object.size;
        }
        Ok(stats)
    }
}
