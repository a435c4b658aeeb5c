//! Packs that are going to be removed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::bucket::{Bucket, Object};
use super::{Error, Result, layout};

/// What a marker says.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Condemned {
    /// The ids of packs.
    pub(crate) packs: BTreeSet<String>,
}

/// All markers that are there now.
pub(crate) fn markers(bucket: &Bucket) -> Result<Vec<(Object, Condemned)>> {
    let mut found = Vec::new();
    for object in bucket.list(layout::GC)? {
        // Its garbage has just been collected.
        let Some(content) = bucket.find(&object.name)? else { continue };
        let condemned = serde_json::from_slice(&content).map_err(|_| Error::Damaged {
            object: bucket.uri(&object.name),
            detail: "it is not a list of packs".to_owned(),
        })?;
        found.push((object, condemned));
    }
    Ok(found)
}

/// The packs of all markers: nothing new may be built on them.
pub(crate) fn all(bucket: &Bucket) -> Result<BTreeSet<String>> {
    Ok(markers(bucket)?.into_iter().flat_map(|(_, condemned)| condemned.packs).collect())
}
