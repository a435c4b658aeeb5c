//! Results of the commands for stores.

mod convert;
mod keys;
mod render;

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::Timestamp;
use crate::store::{Amount, StoreConfig, WriterSession};

pub use render::print_copy;

/// A store.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StoreDescription {
    /// The URL or the directory of the store.
    pub url: String,
    /// The configuration of the store.
    pub config: StoreConfig,
}

/// The artifacts of a store.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct ArtifactList(pub Vec<StoredArtifactRow>);

/// An artifact of a store.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ListedArtifact")]
pub struct StoredArtifactRow {
    /// The id of the artifact.
    pub id: String,
    /// The database whose backups are deduplicated against each other.
    pub database: String,
    /// The time at which the artifact was written, in RFC 3339.
    pub created_at: String,
    /// The id of the artifact that this one was deduplicated against; null if there is none.
    pub base: Option<String>,
    /// Bytes of the content.
    pub size_bytes: u64,
    /// Bytes that this artifact added to the store.
    pub stored_bytes: u64,
    /// Number of packs with the content.
    pub packs: usize,
    /// The location of the artifact, as in the records of backups.
    pub location: String,
    /// The files of the artifact.
    pub files: Vec<ListedFile>,
}

/// A file of an artifact.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListedFile {
    /// The name of the file.
    pub name: String,
    /// Bytes of the content.
    pub size_bytes: u64,
    /// Bytes that the file added to the store.
    pub stored_bytes: u64,
    /// Digest of the content: `blake3:` and 64 hex digits.
    pub digest: String,
}

/// An artifact that was written.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StoredArtifact {
    /// The id of the artifact.
    pub id: String,
    /// The location of the artifact, as in the records of backups.
    pub location: String,
    /// The id of the artifact that this one was deduplicated against; null if there is none.
    pub base: Option<String>,
    /// Bytes of the content.
    pub size_bytes: u64,
    /// Bytes that this artifact added to the store.
    pub stored_bytes: u64,
    /// Digest of the content: `blake3:` and 64 hex digits.
    pub digest: String,
    /// The id of the key of the encryption; null if the store is not encrypted.
    pub key: Option<String>,
}

/// The artifacts that were removed, or would be removed with `--force`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RemovedArtifacts {
    /// True if nothing was removed because `--force` is missing.
    pub dry_run: bool,
    /// The artifacts.
    pub artifacts: Vec<ArtifactPlace>,
}

/// An artifact and its location.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ArtifactPlace {
    /// The id of the artifact.
    pub id: String,
    /// The location of the artifact, as in the records of backups.
    pub location: String,
}

/// The sizes of a store.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StoreStats {
    /// Number of artifacts.
    pub artifacts: usize,
    /// Size of the content of all artifacts, in bytes.
    pub size_bytes: u64,
    /// Size of all objects of the store, in bytes.
    pub stored_bytes: u64,
    /// The ratio of `size_bytes` to stored bytes without garbage, to one digit; null if nothing is stored.
    pub ratio: Option<f64>,
    /// Number of packs.
    pub packs: usize,
    /// Number of garbage packs: no artifact needs them.
    pub garbage_packs: usize,
    /// Size of the garbage packs, in bytes.
    pub garbage_bytes: u64,
    /// The databases that have artifacts.
    pub databases: Vec<DatabaseStats>,
}

/// The sizes of the artifacts of one database.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DatabaseStats {
    /// The database.
    pub database: String,
    /// Number of artifacts.
    pub artifacts: usize,
    /// Size of the content of the artifacts, in bytes.
    pub size_bytes: u64,
    /// Size of the artifacts in the store, in bytes.
    pub stored_bytes: u64,
    /// The ratio of `size_bytes` to `stored_bytes`, to one digit; null if nothing is stored.
    pub ratio: Option<f64>,
}

/// The objects that `store gc` removed or would remove.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CollectedGarbage {
    /// True if nothing was removed because `--force` is missing.
    pub dry_run: bool,
    /// Number of artifacts in the store.
    pub artifacts: usize,
    /// Packs that no artifact needs.
    pub garbage: PackAmount,
    /// Packs that no artifact needs yet, and that a running writer may have written.
    pub unfinished: PackAmount,
    /// Packs whose removal waits for running writers.
    pub waiting: PackAmount,
    /// Number of manifests that were replaced by a newer manifest.
    pub superseded_manifests: usize,
    /// Packs that were removed.
    pub removed: PackAmount,
    /// Number of manifests that were removed.
    pub removed_manifests: usize,
    /// Number of temporary files that were removed.
    pub swept_files: u64,
    /// The writers with a heartbeat in the store.
    pub writers: Vec<StoreWriter>,
}

/// A number of packs.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Packs")]
pub struct PackAmount {
    /// Number of packs.
    pub packs: usize,
    /// Size of the packs in the store, in bytes.
    pub stored_bytes: u64,
}

impl From<Amount> for PackAmount {
    fn from(amount: Amount) -> Self {
        Self { packs: amount.count, stored_bytes: amount.bytes }
    }
}

/// A writer of a store.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StoreWriter {
    /// The name of the object of the writer in the store.
    pub writer: String,
    /// The start of the writer; null if the object of the writer cannot be read.
    pub started_at: Option<Timestamp>,
    /// The time of the last heartbeat of the writer.
    pub last_seen_at: Timestamp,
    /// True if the lease of the writer has expired.
    pub dead: bool,
}

impl From<&WriterSession> for StoreWriter {
    fn from(writer: &WriterSession) -> Self {
        let WriterSession { writer, started, last_heartbeat, expired } = writer.clone();
        Self { writer, started_at: started, last_seen_at: last_heartbeat, dead: expired }
    }
}

/// The result of a check of a store.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StoreCheck {
    /// True if nothing is damaged.
    pub sound: bool,
    /// Number of artifacts that were checked.
    pub artifacts: usize,
    /// Number of packs that were checked.
    pub packs: usize,
    /// Packs whose content was read.
    pub read: PackAmount,
    /// Number of WAL files that were read.
    pub wal_files_read: usize,
    /// The objects that are damaged.
    pub damaged: Vec<DamagedObject>,
    /// The artifacts that need a damaged object.
    pub hit: Vec<HitArtifact>,
    /// The names of the objects that were replaced from `--repair-from`.
    pub repaired: Vec<String>,
    /// The objects that could not be replaced.
    pub not_repaired: Vec<ObjectError>,
    /// Packs that no artifact needs; null if unknown because of damage.
    pub garbage: Option<PackAmount>,
    /// The writers with a heartbeat in the store.
    pub writers: Vec<StoreWriter>,
    /// Number of unfinished garbage collections.
    pub unfinished_collections: usize,
}

/// A damaged object of a store.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DamagedObject {
    /// The name of the object.
    pub object: String,
    /// The kind of the damage: a stable word such as `artifact-missing`.
    pub code: String,
    /// The damage in words.
    pub detail: String,
}

/// An artifact that is affected by damage.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HitArtifact {
    /// The id of the artifact.
    pub id: String,
    /// The database; null if the manifest cannot be read.
    pub database: Option<String>,
    /// The location of the artifact, as in the records of backups.
    pub location: String,
    /// The name of the backup that is recorded at the location; null if there is none.
    pub backup: Option<String>,
    /// The files that cannot be read; empty if none can.
    pub files: Vec<HitFile>,
}

/// A file that cannot be read.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HitFile {
    /// The name of the file.
    pub name: String,
    /// The reason why the file cannot be read.
    pub error: String,
}

/// An object that could not be replaced.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ObjectError {
    /// The name of the object.
    pub object: String,
    /// The reason why the object could not be replaced.
    pub error: String,
}

/// The result of a copy of a store.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StoreCopy {
    /// The URL or the directory of the copy.
    pub url: String,
    /// Number of packs that were copied.
    pub packs: usize,
    /// Number of WAL files that were copied.
    pub wal_files: usize,
    /// Bytes of the packs that were copied.
    pub stored_bytes: u64,
    /// The artifacts that the copy has now.
    pub artifacts: Vec<CopiedArtifact>,
    /// The artifacts that could not be copied.
    pub failed: Vec<ArtifactError>,
    /// The ids of the artifacts that could not be copied yet, because a deletion of their packs is pending.
    pub waiting: Vec<String>,
}

/// An artifact of a copy.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CopiedArtifact {
    /// The id of the artifact.
    pub id: String,
    /// The location in the copy.
    pub location: String,
    /// True if this run copied the artifact; false if an earlier run did.
    pub new: bool,
}

/// An artifact that could not be copied.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ArtifactError {
    /// The id of the artifact.
    pub id: String,
    /// The reason why the artifact could not be copied.
    pub error: String,
}

/// A new identity that can open stores.
#[derive(Debug, Serialize, JsonSchema)]
pub struct GeneratedIdentity {
    /// The path of the file with the secret key.
    pub file: String,
    /// The public key, `age1...`.
    pub recipient: String,
}
