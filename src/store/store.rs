//! The facade of a store: creation, opening, listing, and manifests.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::blob::{Blob, Decoder, Encoder};
use super::bucket::{Bucket, CloudSettings, Object};
use super::cache::CacheDirectory;
use super::crypt::Crypt;
use super::delta::BufferPool;
use super::keys::{self, Author, Keyring, NewRecipient};
use super::layout::{self, Revision};
use super::manifest::{FORMAT, Manifest};
use super::packs::{Cache, Packs};
use super::reader::Artifact;
use super::root::{Expected, Root};
use super::url::StoreUrl;
use super::writer::{ArtifactWriter, NewArtifact};
use super::{Error, Result};
use crate::domain::{Timestamp, to_canonical_json};
use crate::process::crash_point;

/// The zstd level of manifests. They are small and read often.
const MANIFEST_LEVEL: i32 = 9;

/// The configuration of a store. It is written once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StoreConfig {
    /// The version of the format. Programs that know only lower versions refuse the store.
    pub format: u64,
    /// The id of the store. Replicas have the same id.
    #[schemars(with = "String")]
    pub id: Uuid,
    /// The time of its creation, RFC 3339.
    pub created_at: String,
    /// True if names and content are encrypted.
    pub encrypted: bool,
    /// Members of later versions.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The settings for opening stores.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// The settings of clouds.
    pub cloud: CloudSettings,
    /// The cache directory for packs of clouds, and its maximum size in bytes.
    pub cache: Option<(PathBuf, u64)>,
    /// The cache directory for manifests of clouds, and its maximum size in bytes.
    pub manifest_cache: Option<(PathBuf, u64)>,
    /// The identities and passphrases for encrypted stores.
    pub keyring: Keyring,
    /// The stores and directories from which backups may be read.
    pub roots: Vec<Root>,
    /// The roots that are searched before the recorded location.
    pub preferred: Vec<Root>,
}

impl Access {
    /// Limits the time for which a request that fails is retried.
    #[must_use]
    pub fn retrying_for(mut self, limit: Duration) -> Self {
        self.cloud.retry_time = Some(limit);
        self
    }
}

/// The parts of a store that readers and writers share.
pub(crate) struct StoreInner {
    pub(crate) bucket: Arc<Bucket>,
    pub(crate) crypt: Crypt,
    pub(crate) packs: Packs,
    manifests: Option<CacheDirectory>,
    pub(crate) config: StoreConfig,
}

/// An open store.
#[derive(Clone)]
pub struct Store {
    pub(super) inner: Arc<StoreInner>,
}

/// An artifact in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedArtifact {
    /// The id of the artifact.
    pub id: String,
    /// The time when this revision was written, by the clock of the storage.
    pub modified: Timestamp,
    /// The URI that records have as location.
    pub location: String,
    pub(crate) revision: Revision,
    /// The size of the manifest, in bytes.
    pub(super) size: u64,
}

impl Store {
    /// Creates a store. Fails if there is one.
    pub fn init(url: &StoreUrl, access: &Access, now: Timestamp) -> Result<Self> {
        let bucket = bucket_without_store(url, access)?;
        let config = new_config(now, false);
        write_config(&bucket, &config)?;
        Ok(Self::with(bucket, config, Crypt::default(), access))
    }

    /// Creates an encrypted store for `recipients`. Fails if there is a store.
    pub fn init_encrypted(
        url: &StoreUrl,
        access: &Access,
        recipients: &[NewRecipient],
        author: &Author,
    ) -> Result<Self> {
        let bucket = bucket_without_store(url, access)?;
        let config = new_config(author.at, true);
        // The keys come before the configuration, whose existence makes it a store.
        let (crypt, number) = keys::begin(&bucket, config.id, recipients, author)?;
        crash_point("store.keys.begun");
        if let Err(error) = write_config(&bucket, &config) {
            if matches!(error, Error::StoreExists { .. }) {
                bucket.delete(&layout::keys(number))?;
            }
            return Err(error);
        }
        Ok(Self::with(bucket, config, crypt, access))
    }

    /// Opens the store at `url`. Fails if there is none, if it has a newer format, or if it is
    /// encrypted and no key in `access` opens it.
    pub fn open(url: &StoreUrl, access: &Access) -> Result<Self> {
        let bucket = Bucket::open(url, &access.cloud)?;
        let Some(bytes) = bucket.find(layout::CONFIG)? else {
            return Err(Error::NoStore { url: url.to_string() });
        };
        let config = read_config(&bucket, &bytes)?;
        let crypt = match config.encrypted {
            true => keys::unlock(&bucket, &config, &access.keyring)?,
            false => Crypt::default(),
        };
        Ok(Self::with(bucket, config, crypt, access))
    }

    /// Reads the configuration of the store at `url`; `None` if there is no store. Fails if it
    /// cannot be read or has a newer format.
    pub fn peek(url: &StoreUrl, access: &Access) -> Result<Option<StoreConfig>> {
        let bucket = Bucket::open(url, &access.cloud)?;
        match bucket.find(layout::CONFIG) {
            Ok(Some(bytes)) => read_config(&bucket, &bytes).map(Some),
            Ok(None) | Err(Error::NoBucket { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Fails if the identity of the store differs from the recorded one.
    pub fn check_identity(&self, expected: &Expected) -> Result<()> {
        let (url, found) = (self.url().to_string(), self.config().id.to_string());
        if let Some(other) = expected.ids.first().filter(|_| !expected.ids.contains(&found)) {
            return Err(Error::Replaced { url, expected: other.clone(), found });
        }
        match expected.keys.first() {
            Some(_) if !self.config().encrypted => Err(Error::RecordedAsEncrypted { url }),
            Some(key) if !expected.keys.iter().any(|key| self.inner.crypt.knows(key)) => {
                Err(Error::OtherKeys { url, key: key.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Opens the store at `url`, and creates it if there is none.
    pub fn open_or_init(url: &StoreUrl, access: &Access, now: Timestamp) -> Result<Self> {
        match Self::open(url, access) {
            Err(Error::NoStore { .. }) => match Self::init(url, access, now) {
                Err(Error::StoreExists { .. }) => Self::open(url, access),
                other => other,
            },
            other => other,
        }
    }

    pub(super) fn with(bucket: Bucket, config: StoreConfig, crypt: Crypt, access: &Access) -> Self {
        let bucket = Arc::new(bucket);
        let directory = |cache: &Option<(PathBuf, u64)>| {
            let (path, bytes_max) = cache.as_ref()?;
            Some(CacheDirectory::new(path.join(config.id.to_string()), *bytes_max))
        };
        let packs = Packs::new(Arc::clone(&bucket), directory(&access.cache).map(Cache::new));
        let manifests = directory(&access.manifest_cache);
        Self { inner: Arc::new(StoreInner { bucket, crypt, packs, manifests, config }) }
    }

    /// Returns the URL.
    pub fn url(&self) -> &StoreUrl {
        self.inner.bucket.url()
    }

    /// Returns the configuration.
    pub fn config(&self) -> &StoreConfig {
        &self.inner.config
    }

    /// Begins an artifact, with the newest one of its lineage as base. Fails if the storage cannot
    /// be written.
    pub fn begin(&self, new: NewArtifact) -> Result<ArtifactWriter> {
        let lineage = new.lineage.clone();
        ArtifactWriter::begin(&self.inner, new, || self.latest(&lineage))
    }

    /// Returns all artifacts in their newest revision, by lineage and id. Fails if the storage
    /// cannot be listed.
    pub fn list(&self) -> Result<Vec<ListedArtifact>> {
        self.listed(layout::ARTIFACTS)
    }

    /// Returns the artifacts of a lineage, by id. Fails if the storage cannot be listed.
    pub fn list_lineage(&self, lineage: &str) -> Result<Vec<ListedArtifact>> {
        self.listed(&layout::lineage(&self.inner.crypt, lineage))
    }

    fn listed(&self, prefix: &str) -> Result<Vec<ListedArtifact>> {
        let mut found: Vec<ListedArtifact> = Vec::new();
        for Object { name, modified, size } in self.inner.bucket.list(prefix)? {
            // Objects of other programs are ignored.
            let Some(revision) = Revision::of_object(&name) else { continue };
            if found.last().is_some_and(|last| last.revision.prefix() == revision.prefix()) {
                found.pop();
            }
            let location = self.inner.bucket.uri(revision.prefix().trim_end_matches('/'));
            found.push(ListedArtifact { id: revision.id.clone(), modified, location, revision, size });
        }
        Ok(found)
    }

    /// Returns the newest readable artifact of a lineage.
    fn latest(&self, lineage: &str) -> Result<Option<Artifact>> {
        for listed in self.list_lineage(lineage)?.iter().rev() {
            match self.artifact(listed) {
                Ok(artifact) => return Ok(Some(artifact)),
                // It was removed meanwhile, or cannot be a base.
                Err(Error::NoObject { .. } | Error::Damaged { .. } | Error::Newer { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Opens a listed artifact. Fails if its manifest is missing or damaged.
    pub fn artifact(&self, listed: &ListedArtifact) -> Result<Artifact> {
        let manifest = self.inner.read_manifest(&listed.revision)?;
        Ok(Artifact::new(Arc::clone(&self.inner), manifest))
    }

    /// Returns the URL of the store in a location; `None` if the location is not that of an
    /// artifact.
    pub fn url_of(location: &str) -> Option<&str> {
        let (url, _) = location.rsplit_once(&format!("/{}", layout::ARTIFACTS))?;
        revision_of(location, url).map(|_| url)
    }

    /// Opens the artifact at a location. Fails if it is missing, damaged or not in this store.
    pub fn at(&self, location: &str) -> Result<Artifact> {
        let missing = || Error::NoObject { object: location.to_owned() };
        let revision = revision_of(location, &self.url().to_string()).ok_or_else(missing)?;
        let listed = self.listed(&revision.prefix())?.pop().ok_or_else(missing)?;
        self.artifact(&listed)
    }

    /// Removes the artifact at a location. Its packs become garbage. Does nothing if the location
    /// is not in this store. Fails if an object cannot be removed.
    pub fn remove(&self, location: &str) -> Result<()> {
        let Some(revision) = revision_of(location, &self.url().to_string()) else { return Ok(()) };
        // The lowest revision first, so that the newest one remains valid until the end.
        for object in self.inner.bucket.list(&revision.prefix())? {
            self.inner.bucket.delete(&object.name)?;
            crash_point("store.remove.removed");
        }
        Ok(())
    }
}

/// Returns the artifact of a location in the store `url`, as a revision with the number 0, which
/// does not exist.
pub(super) fn revision_of(location: &str, url: &str) -> Option<Revision> {
    let path = location.strip_prefix(url)?.strip_prefix('/')?;
    Revision::of_object(&format!("{path}/00000000"))
}

impl StoreInner {
    pub(crate) fn seal(&self, content: Vec<u8>, place: &str) -> Result<Vec<u8>> {
        self.crypt.seal(content, place).ok_or_else(|| Error::Storage {
            action: "encrypt",
            object: self.bucket.url().to_string(),
            detail: "the system has no random numbers".to_owned(),
            transient: false,
        })
    }

    /// Writes a revision of a manifest. Returns its size in bytes.
    pub(crate) fn write_manifest(&self, revision: &Revision, manifest: &Manifest) -> Result<u64> {
        let name = revision.object();
        let json = serde_json::to_vec(manifest).unwrap_or_default();
        let blob = Encoder::new(MANIFEST_LEVEL).and_then(|mut encoder| encoder.whole(&json));
        let blob = blob.map_err(|error| Error::io("compress", "zstd".as_ref(), error))?;
        let object: Bytes = self.seal(with_digest(blob, &name), &name)?.into();
        let size = object.len() as u64;
        self.bucket.put(&name, object)?;
        Ok(size)
    }

    /// Reads a revision of a manifest. Fails if it is missing, damaged or of a newer format.
    pub(crate) fn read_manifest(&self, revision: &Revision) -> Result<Manifest> {
        self.parse_manifest(revision, self.bucket.get(&revision.object())?.into())
    }

    /// Reads a listed revision of a manifest, from the cache if it was read before. Fails as
    /// [`Self::read_manifest`] does.
    pub(super) fn read_manifest_cached(&self, revision: &Revision, object: &Object) -> Result<Manifest> {
        let Some(cache) = self.manifests.as_ref().filter(|_| self.bucket.file(&object.name).is_none()) else {
            return self.read_manifest(revision);
        };
        // Objects are never changed. If a store was removed and another one created in its place, the
        // listing has another size or time.
        let Object { name, size, modified } = object;
        let identity = format!("{}\0{size}\0{}", self.bucket.uri(name), modified.unix_millis());
        let path = cache.file(blake3::hash(identity.as_bytes()).to_hex().as_str());
        if let Ok(content) = fs::read(&path)
            && let Ok(manifest) = self.parse_manifest(revision, content)
        {
            return Ok(manifest);
        }
        let content = self.bucket.get(name)?;
        let manifest = self.parse_manifest(revision, content.to_vec())?;
        if content.len() as u64 == *size {
            // A full disk must not prevent a listing.
            let _ = cache.keep(&path, &content);
        }
        Ok(manifest)
    }

    /// Removes manifests from the cache until it is small enough.
    pub(super) fn trim_cached_manifests(&self) {
        if let Some(cache) = &self.manifests {
            cache.make_room();
        }
    }

    /// Interprets the content of a manifest. Fails if it is damaged or of a newer format.
    fn parse_manifest(&self, revision: &Revision, sealed: Vec<u8>) -> Result<Manifest> {
        let name = revision.object();
        let damaged =
            |detail: &str| Error::Damaged { object: self.bucket.uri(&name), detail: detail.to_owned() };
        let content = self.crypt.open(sealed, &name).ok_or_else(|| damaged("it cannot be decrypted"))?;
        let blob = check_digest(&content, &name).ok_or_else(|| damaged("its digest does not match"))?;
        let mut decoder = Decoder::new().map_err(|error| Error::io("decompress", "zstd".as_ref(), error))?;
        let Some(Blob::Whole(json)) = decoder.decode(blob, &mut BufferPool::default()) else {
            return Err(damaged("it is not a manifest"));
        };
        let value: Value = serde_json::from_slice(&json).map_err(|_| damaged("it is not JSON"))?;
        let format = value.get("format").and_then(Value::as_u64).unwrap_or_default();
        if format > FORMAT {
            return Err(Error::Newer { object: self.bucket.uri(&name), format });
        }
        let manifest: Manifest = serde_json::from_value(value)
            .map_err(|error| damaged(&format!("it is not a manifest: {error}")))?;
        if !manifest.is_sound() || manifest.id != revision.id {
            return Err(damaged("it is inconsistent"));
        }
        Ok(manifest)
    }
}

/// Opens the bucket of a new store. Fails if there is a store.
fn bucket_without_store(url: &StoreUrl, access: &Access) -> Result<Bucket> {
    let bucket = Bucket::open(url, &access.cloud)?;
    match bucket.find(layout::CONFIG)? {
        Some(_) => Err(Error::StoreExists { url: url.to_string() }),
        None => Ok(bucket),
    }
}

fn new_config(now: Timestamp, encrypted: bool) -> StoreConfig {
    let (id, created_at) = (Uuid::now_v7(), now.to_string());
    StoreConfig { format: FORMAT, id, created_at, encrypted, other: Map::new() }
}

fn write_config(bucket: &Bucket, config: &StoreConfig) -> Result<()> {
    let value = serde_json::to_value(config).unwrap_or_default();
    match bucket.put(layout::CONFIG, to_canonical_json(&value).into()) {
        // Another process was faster.
        Err(Error::OtherObject { .. }) => Err(Error::StoreExists { url: bucket.url().to_string() }),
        other => other,
    }
}

/// Appends the digest of a blob and its name.
pub(super) fn with_digest(mut blob: Vec<u8>, name: &str) -> Vec<u8> {
    let digest = digest_at(&blob, name);
    blob.extend_from_slice(digest.as_bytes());
    blob
}

/// Returns the blob if the digest at the end matches.
pub(super) fn check_digest<'a>(content: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (blob, digest) = content.split_last_chunk::<32>()?;
    (digest_at(blob, name) == *digest).then_some(blob)
}

fn digest_at(blob: &[u8], name: &str) -> blake3::Hash {
    blake3::Hasher::new().update(name.as_bytes()).update(&[0]).update(blob).finalize()
}

pub(super) fn read_config(bucket: &Bucket, bytes: &[u8]) -> Result<StoreConfig> {
    let object = bucket.uri(layout::CONFIG);
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|_| Error::Damaged { object: object.clone(), detail: "it is not JSON".to_owned() })?;
    match value.get("format").and_then(Value::as_u64) {
        Some(format) if format > FORMAT => return Err(Error::Newer { object, format }),
        _ => {}
    }
    serde_json::from_value(value).map_err(|error| Error::Damaged {
        object,
        detail: format!("it is not the configuration of a store: {error}"),
    })
}
