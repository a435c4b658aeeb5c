//! Whether everything is there, and what is hit if not.
//!
//! A pack is compared with its name. What that means for artifacts is not
//! guessed from who names the pack: those are really read, so that a damage is
//! reported for exactly the files that it hits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bucket::Object;
use super::gc::{Amount, AtWork};
use super::layout::{self, Revision};
use super::manifest::Manifest;
use super::reader::Artifact;
use super::survey::{self, Artifacts};
use super::{Error, Result, Store, by_many};
use crate::domain::Timestamp;
use crate::progress::Progress;

/// Packs are in so many slices, by their names. It is a prime, so that regular
/// checks get to all of them, whatever their interval.
const SLICES: u64 = 101;

/// Which packs are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Portion {
    /// All.
    All,
    /// About so many percent, others every day.
    Percent(u8),
}

/// How much is looked at.
#[derive(Debug, Clone, Default)]
pub struct Thoroughness {
    /// Which packs are compared with their names.
    pub read: Option<Portion>,
    /// Artifacts that have to be there, by their locations.
    pub expected: Vec<String>,
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The object, by its URI.
    pub object: String,
    /// A stable name: `pack-missing`, `pack-size`, `pack-content`,
    /// `manifest-damaged`, `manifest-newer`, `artifact-missing`, `wal-damaged`.
    pub code: &'static str,
    /// How it shows.
    pub detail: String,
    pub(super) broken: Broken,
}

/// What a finding is about, for its repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Broken {
    Pack(String),
    Manifest(Revision),
    Artifact(String),
    /// A file of the write-ahead log, by the name of its object.
    Wal(String),
}

/// An artifact that cannot be read as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Its id.
    pub id: String,
    /// Of which database; unknown when its manifest cannot be read.
    pub lineage: Option<String>,
    /// Its location.
    pub location: String,
    /// The files that cannot be read, each with the reason; all when it is empty.
    pub files: Vec<(String, String)>,
}

/// What a check has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// How many artifacts.
    pub artifacts: usize,
    /// How many packs.
    pub packs: usize,
    /// Packs whose content was read.
    pub read: Amount,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What is hit by it.
    pub hits: Vec<Hit>,
    /// Packs that no artifact names; unknown when a manifest cannot be read.
    pub garbage: Option<Amount>,
    /// Those who write, or died while writing.
    pub at_work: Vec<AtWork>,
    /// Collections of garbage that are not finished.
    pub markers: usize,
    /// Files of the write-ahead log that were read.
    pub wal: Amount,
}

impl Checked {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty() && self.hits.is_empty()
    }
}

impl Portion {
    /// Whether the pack `id` belongs to what is read on the day of `now`.
    fn takes(self, id: &str, now: Timestamp) -> bool {
        let Self::Percent(percent) = self else { return true };
        let slice = u64::from_str_radix(id.get(..8).unwrap_or_default(), 16).unwrap_or_default() % SLICES;
        let count = (SLICES * u64::from(percent.min(100))).div_ceil(100);
        let day = u64::try_from(now.unix_millis() / 86_400_000).unwrap_or_default();
        let first = day * count % SLICES;
        (slice + SLICES - first) % SLICES < count
    }
}

/// A manifest that can be read, with the place of its artifact.
struct Readable {
    manifest: Manifest,
    id: String,
    location: String,
}

impl Store {
    /// Looks at everything. What is published or removed meanwhile may be left out.
    pub fn check(
        &self,
        thoroughness: &Thoroughness,
        now: Timestamp,
        progress: &dyn Progress,
    ) -> Result<Checked> {
        progress.stage("reading manifests", None);
        let artifacts = survey::artifacts(&self.shelf)?;
        // After the artifacts: what they name was there before them.
        let packs = survey::packs(&self.shelf.bucket)?;
        let mut checked = Checked { packs: packs.len(), ..Checked::default() };
        (checked.markers, checked.at_work) = self.bystanders(now)?;
        let readable = self.manifests(artifacts, &mut checked);
        self.expected(&thoroughness.expected, &mut checked)?;
        let mut bad = self.sizes(&readable, &packs, &mut checked);
        checked.garbage = garbage(&readable, &packs, &checked);
        if let Some(portion) = thoroughness.read {
            let wanted: Vec<_> =
                packs.iter().filter(|(id, _)| !bad.contains(*id) && portion.takes(id, now)).collect();
            self.contents(&wanted, &mut bad, &mut checked, progress)?;
        }
        if let Some(portion) = thoroughness.read {
            let takes = |name: &str| portion.takes(&blake3::hash(name.as_bytes()).to_hex(), now);
            self.check_wal(&takes, &mut checked)?;
        }
        self.hits(readable, &bad, &mut checked, progress)?;
        checked.hits.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(checked)
    }

    fn manifests(&self, artifacts: Artifacts, checked: &mut Checked) -> Vec<Readable> {
        let mut readable = Vec::new();
        for found in artifacts.found {
            checked.artifacts += 1;
            let listed = found.listed(&self.shelf.bucket);
            let (id, location) = (listed.id, listed.location);
            match found.manifest {
                Ok(manifest) => readable.push(Readable { manifest, id, location }),
                Err(error) => {
                    let code = match error {
                        Error::Newer { .. } => "manifest-newer",
                        _ => "manifest-damaged",
                    };
                    checked.findings.push(Finding {
                        object: self.shelf.bucket.uri(&found.object.name),
                        code,
                        detail: detail(&error),
                        broken: Broken::Manifest(found.revision),
                    });
                    checked.hits.push(Hit { id, lineage: None, location, files: Vec::new() });
                }
            }
        }
        readable
    }

    fn expected(&self, expected: &[String], checked: &mut Checked) -> Result<()> {
        // Only what is not in any listing is missing: it may have been written just now.
        let there: BTreeSet<String> = self.list()?.into_iter().map(|listed| listed.location).collect();
        for location in expected.iter().filter(|location| !there.contains(*location)) {
            checked.findings.push(Finding {
                object: location.clone(),
                code: "artifact-missing",
                detail: "there is no such artifact".to_owned(),
                broken: Broken::Artifact(location.clone()),
            });
            checked.hits.push(Hit {
                id: location.rsplit('/').next().unwrap_or_default().to_owned(),
                lineage: None,
                location: location.clone(),
                files: Vec::new(),
            });
        }
        Ok(())
    }

    /// The packs that are not there as they are named.
    fn sizes(
        &self,
        readable: &[Readable],
        packs: &BTreeMap<String, Object>,
        checked: &mut Checked,
    ) -> BTreeSet<String> {
        let named = readable.iter().flat_map(|artifact| &artifact.manifest.packs);
        let named: BTreeMap<&String, u64> = named.map(|pack| (&pack.id, pack.size)).collect();
        let mut bad = BTreeSet::new();
        for (id, size) in named {
            let (code, detail) = match packs.get(id) {
                None => ("pack-missing", "there is no such pack".to_owned()),
                Some(object) if object.size != size => {
                    ("pack-size", format!("it has {} bytes, and should have {size}", object.size))
                }
                Some(_) => continue,
            };
            self.bad_pack(id, code, detail, &mut bad, checked);
        }
        bad
    }

    fn bad_pack(
        &self,
        id: &str,
        code: &'static str,
        detail: String,
        bad: &mut BTreeSet<String>,
        checked: &mut Checked,
    ) {
        let object = self.shelf.bucket.uri(&layout::pack(id));
        checked.findings.push(Finding { object, code, detail, broken: Broken::Pack(id.to_owned()) });
        bad.insert(id.to_owned());
    }

    /// Compares packs with their names.
    fn contents(
        &self,
        wanted: &[(&String, &Object)],
        bad: &mut BTreeSet<String>,
        checked: &mut Checked,
        progress: &dyn Progress,
    ) -> Result<()> {
        progress.stage("reading packs", Some(wanted.iter().map(|(_, object)| object.size).sum()));
        let read = by_many(wanted, |(id, object)| {
            let content = self.shelf.bucket.find(&object.name)?;
            progress.advance(object.size);
            Ok(content.map(|content| blake3::hash(&content).to_hex().as_str() == id.as_str()))
        });
        for ((id, object), read) in wanted.iter().zip(read) {
            match read {
                Ok(Some(true)) => {}
                // Its garbage has just been collected.
                Ok(None) => continue,
                Ok(Some(false)) => {
                    let detail = "its content is not what its name says".to_owned();
                    self.bad_pack(id, "pack-content", detail, bad, checked);
                }
                Err(error @ Error::Storage { transient: true, .. }) => return Err(error),
                Err(error) => self.bad_pack(id, "pack-content", detail(&error), bad, checked),
            }
            checked.read.count += 1;
            checked.read.bytes += object.size;
        }
        Ok(())
    }

    /// Reads the artifacts that name a bad pack.
    fn hits(
        &self,
        readable: Vec<Readable>,
        bad: &BTreeSet<String>,
        checked: &mut Checked,
        progress: &dyn Progress,
    ) -> Result<()> {
        let named = |artifact: &Readable| artifact.manifest.packs.iter().any(|pack| bad.contains(&pack.id));
        let suspects: Vec<_> = readable.into_iter().filter(named).collect();
        let sizes = suspects.iter().flat_map(|artifact| &artifact.manifest.files).map(|file| file.size);
        progress.stage("reading artifacts", Some(sizes.sum()));
        for Readable { manifest, id, location } in suspects {
            let lineage = Some(manifest.lineage.clone());
            let artifact = Artifact::new(Arc::clone(&self.shelf), manifest);
            let mut files = Vec::new();
            for file in &artifact.manifest().files {
                let read =
                    artifact.read(&file.name).and_then(|file| file.verify(&|bytes| progress.advance(bytes)));
                match read {
                    Ok(()) => {}
                    Err(error @ Error::Storage { transient: true, .. }) => return Err(error),
                    Err(error) => files.push((file.name.clone(), error.to_string())),
                }
            }
            if !files.is_empty() {
                checked.hits.push(Hit { id, lineage, location, files });
            }
        }
        Ok(())
    }
}

fn garbage(readable: &[Readable], packs: &BTreeMap<String, Object>, checked: &Checked) -> Option<Amount> {
    if readable.len() != checked.artifacts {
        return None;
    }
    let named = readable.iter().flat_map(|artifact| &artifact.manifest.packs);
    let named: BTreeSet<&String> = named.map(|pack| &pack.id).collect();
    let garbage = packs.iter().filter(|(id, _)| !named.contains(id));
    Some(garbage.fold(Amount::default(), |amount, (_, object)| Amount {
        count: amount.count + 1,
        bytes: amount.bytes + object.size,
    }))
}

/// What an error says beside the name of the object.
fn detail(error: &Error) -> String {
    match error {
        Error::Damaged { detail, .. } => detail.clone(),
        Error::Newer { format, .. } => format!("its format {format} is newer than this program"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_checks_get_to_every_pack() {
        let ids: Vec<String> =
            (0..500_u32).map(|n| blake3::hash(&n.to_le_bytes()).to_hex().to_string()).collect();
        for percent in [1, 5, 10, 33, 50, 99, 100] {
            for every in [1, 2, 7, 14, 30] {
                let mut left: BTreeSet<&String> = ids.iter().collect();
                let mut most = 0;
                for run in 0..101 {
                    let now = Timestamp::from_unix((20_000 + run * every) * 86_400).unwrap();
                    let taken: Vec<_> =
                        ids.iter().filter(|id| Portion::Percent(percent).takes(id, now)).collect();
                    most = most.max(taken.len());
                    left.retain(|id| !taken.contains(id));
                    if every == 1 && run >= i64::from(100_u8.div_ceil(percent)) {
                        assert!(left.is_empty(), "{percent}% daily");
                    }
                }
                assert!(left.is_empty(), "{percent}% every {every} days");
                assert!(most <= usize::from(percent) * 5 + 60, "{percent}%: {most} of 500");
            }
        }
    }
}
