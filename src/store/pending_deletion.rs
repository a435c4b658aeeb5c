//! Packs that are pending deletion.
//!
//! A marker `gc/<id>` names them. The object `gc/<id>.seen` is written after it: a writer that
//! began later than that has seen the marker.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::bucket::Bucket;
use super::{Error, Result, layout};
use crate::domain::Timestamp;

const SEEN: &str = ".seen";

/// The content of a marker.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingDeletion {
    /// The ids of packs.
    pub(crate) packs: BTreeSet<String>,
    /// The names of manifests that a higher revision has replaced.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub(crate) revisions: BTreeSet<String>,
}

/// An existing marker.
pub(crate) struct Marker {
    /// The name of its object.
    pub(crate) name: String,
    /// The time since which every new writer sees the marker, by the clock of the storage; `None`
    /// if that is not recorded yet.
    pub(crate) seen: Option<Timestamp>,
    /// The content; `None` if it cannot be read.
    pub(crate) pending: Option<PendingDeletion>,
}

/// Returns all markers, and the names of `.seen` objects whose marker is gone.
pub(crate) fn markers(bucket: &Bucket) -> Result<(Vec<Marker>, Vec<String>)> {
    let mut seen = BTreeMap::new();
    let mut names = Vec::new();
    for object in bucket.list(layout::GC)? {
        match object.name.strip_suffix(SEEN) {
            Some(marker) => drop(seen.insert(marker.to_owned(), object.modified)),
            None => names.push(object.name),
        }
    }
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        let seen = seen.remove(&name);
        // Another collection may have finished it.
        let Some(content) = bucket.find(&name)? else { continue };
        found.push(Marker { pending: serde_json::from_slice(&content).ok(), seen, name });
    }
    Ok((found, seen.into_keys().map(|marker| marker + SEEN).collect()))
}

/// Returns the packs of all markers, which must not become bases. `None` if a marker cannot be
/// read: then no pack may become a base.
pub(crate) fn pending_packs(bucket: &Bucket) -> Result<Option<BTreeSet<String>>> {
    let mut packs = BTreeSet::new();
    for marker in markers(bucket)?.0 {
        let Some(pending) = marker.pending else { return Ok(None) };
        packs.extend(pending.packs);
    }
    Ok(Some(packs))
}

/// Writes a marker.
pub(crate) fn mark(bucket: &Bucket, pending: &PendingDeletion) -> Result<()> {
    let content = serde_json::to_vec(pending).unwrap_or_default();
    bucket.put(&format!("{}{}", layout::GC, Uuid::now_v7()), content.into())
}

/// Records that `marker` is visible, and returns the time since which it is, by the clock of the
/// storage.
pub(crate) fn record_seen(bucket: &Bucket, marker: &str) -> Result<Timestamp> {
    let name = format!("{marker}{SEEN}");
    bucket.put(&name, Bytes::from_static(b"{}\n"))?;
    let listed = bucket.list(layout::GC)?.into_iter().find(|object| object.name == name);
    listed.map(|object| object.modified).ok_or_else(|| Error::NoObject { object: bucket.uri(&name) })
}

/// Removes a marker after its packs.
pub(crate) fn remove_marker(bucket: &Bucket, marker: &str) -> Result<()> {
    bucket.delete(&format!("{marker}{SEEN}"))?;
    bucket.delete(marker)
}

/// Returns the time of the clock of the storage.
pub(crate) fn storage_time(bucket: &Bucket) -> Result<Timestamp> {
    let probe = format!("{}{}", layout::GC, Uuid::now_v7());
    let now = record_seen(bucket, &probe)?;
    bucket.delete(&format!("{probe}{SEEN}"))?;
    Ok(now)
}
