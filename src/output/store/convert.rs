//! Converts the values of the store into results of its commands.

use super::{
    ArtifactError, ArtifactPlace, CollectedGarbage, CopiedArtifact, DamagedObject, DatabaseStats,
    HitArtifact, HitFile, ListedFile, ObjectError, StoreCheck, StoreCopy, StoreDescription, StoreStats,
    StoredArtifactRow,
};
use crate::store::{
    AffectedArtifact, CheckReport, CopyReport, FileEntry, GcReport, Manifest, RepairReport,
    ReplicatedArtifact, Stats, Store, StoreFinding,
};

impl From<&Store> for StoreDescription {
    fn from(store: &Store) -> Self {
        Self { url: store.url().to_string(), config: store.config().clone() }
    }
}

impl StoredArtifactRow {
    /// Describes the artifact `listed`, which has this manifest.
    pub fn new(listed: &crate::store::ListedArtifact, manifest: &Manifest) -> Self {
        Self {
            id: manifest.id.clone(),
            database: manifest.lineage.clone(),
            created_at: manifest.created_at.clone(),
            base: manifest.base.clone(),
            size_bytes: manifest.files.iter().map(|file| file.size).sum(),
            stored_bytes: manifest.stored_bytes,
            packs: manifest.packs.len(),
            location: listed.location.clone(),
            files: manifest.files.iter().map(Into::into).collect(),
        }
    }
}

impl From<&FileEntry> for ListedFile {
    fn from(file: &FileEntry) -> Self {
        Self {
            name: file.name.clone(),
            size_bytes: file.size,
            stored_bytes: file.stored,
            digest: format!("blake3:{}", file.digest),
        }
    }
}

impl From<&crate::store::ListedArtifact> for ArtifactPlace {
    fn from(artifact: &crate::store::ListedArtifact) -> Self {
        Self { id: artifact.id.clone(), location: artifact.location.clone() }
    }
}

impl From<Stats> for StoreStats {
    fn from(stats: Stats) -> Self {
        let useful = stats.stored_bytes - stats.garbage_bytes;
        let databases = stats.lineages.into_iter().map(|(database, lineage)| DatabaseStats {
            database,
            artifacts: lineage.artifacts,
            size_bytes: lineage.content_bytes,
            stored_bytes: lineage.stored_bytes,
            ratio: ratio(lineage.content_bytes, lineage.stored_bytes),
        });
        Self {
            artifacts: stats.artifacts,
            size_bytes: stats.content_bytes,
            stored_bytes: stats.stored_bytes,
            ratio: ratio(stats.content_bytes, useful),
            packs: stats.packs,
            garbage_packs: stats.garbage_packs,
            garbage_bytes: stats.garbage_bytes,
            databases: databases.collect(),
        }
    }
}

/// Returns the compression ratio: bytes of content by stored bytes, to one digit.
#[expect(clippy::cast_precision_loss, reason = "a ratio is shown with one digit")]
fn ratio(content: u64, stored: u64) -> Option<f64> {
    (stored > 0).then(|| (content as f64 / stored as f64 * 10.0).round() / 10.0)
}

impl CollectedGarbage {
    /// Describes a garbage collection. `dry_run` is true if nothing was removed.
    pub fn new(collection: &GcReport, dry_run: bool) -> Self {
        Self {
            dry_run,
            artifacts: collection.artifacts,
            garbage: collection.garbage.into(),
            unfinished: collection.unfinished.into(),
            waiting: collection.waiting.into(),
            superseded_manifests: collection.superseded.count,
            removed: collection.removed.into(),
            removed_manifests: collection.removed_revisions,
            swept_files: collection.swept,
            writers: collection.writers.iter().map(Into::into).collect(),
        }
    }
}

impl StoreCheck {
    /// Describes the result of a check after repairs. `name` returns the name of the backup of an
    /// artifact by its location and id.
    pub fn new(
        checked: &CheckReport,
        repaired: RepairReport,
        name: impl Fn(&str, &str) -> Option<String>,
    ) -> Self {
        let damaged = |finding: &StoreFinding| DamagedObject {
            object: finding.object.clone(),
            code: finding.code.to_owned(),
            detail: finding.detail.clone(),
        };
        let hit = |hit: &AffectedArtifact| HitArtifact {
            id: hit.id.clone(),
            database: hit.lineage.clone(),
            location: hit.location.clone(),
            backup: name(&hit.location, &hit.id),
            files: hit.files.iter().cloned().map(|(name, error)| HitFile { name, error }).collect(),
        };
        let failed = repaired.failed.into_iter();
        Self {
            sound: checked.is_sound(),
            artifacts: checked.artifacts,
            packs: checked.packs,
            read: checked.read.into(),
            wal_files_read: checked.wal.count,
            damaged: checked.findings.iter().map(damaged).collect(),
            hit: checked.affected.iter().map(hit).collect(),
            repaired: repaired.objects,
            not_repaired: failed
                .map(|(object, error)| ObjectError { object, error: error.to_string() })
                .collect(),
            garbage: checked.garbage.map(Into::into),
            writers: checked.writers.iter().map(Into::into).collect(),
            unfinished_collections: checked.markers,
        }
    }
}

impl StoreCopy {
    /// Describes a copy of a store; `url` is the URL of the copy.
    pub fn new(copied: &CopyReport, url: String) -> Self {
        let artifact = |copy: &ReplicatedArtifact| CopiedArtifact {
            id: copy.id.clone(),
            location: copy.location.clone(),
            new: copy.new,
        };
        let failed = copied.failed.iter();
        Self {
            url,
            packs: copied.packs.count,
            wal_files: copied.wal.count,
            stored_bytes: copied.packs.bytes,
            artifacts: copied.artifacts.iter().map(artifact).collect(),
            failed: failed
                .map(|(id, error)| ArtifactError { id: id.clone(), error: error.to_string() })
                .collect(),
            waiting: copied.waiting.clone(),
        }
    }
}
