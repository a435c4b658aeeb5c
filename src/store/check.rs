//! Checks a store: finds missing and damaged objects, and the files that they affect.
//!
//! The content of a pack is compared with the digest in its name. The affected files are not
//! guessed from the manifests that name a bad pack: these artifacts are read, so that the report
//! names exactly the files that cannot be restored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bucket::Object;
use super::gc::{Amount, WriterSession};
use super::layout::{self, Revision};
use super::manifest::Manifest;
use super::reader::Artifact;
use super::survey::{self, Artifacts};
use super::{Error, Result, Store, parallel_map};
use crate::domain::Timestamp;
use crate::progress::Progress;

/// The number of slices into which packs are divided by their names. It is a prime, so that regular
/// checks reach every slice, whatever their interval.
const SLICES: u64 = 101;

/// The packs to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Portion {
    /// All packs.
    All,
    /// About this percentage of the packs, different ones each day.
    Percent(u8),
}

/// The options of a check.
#[derive(Debug, Clone, Default)]
pub struct CheckOptions {
    /// The packs to compare with their digests; none if it is `None`.
    pub read: Option<Portion>,
    /// The locations of artifacts that must exist.
    pub expected: Vec<String>,
}

/// A missing or damaged object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreFinding {
    /// The URI of the object.
    pub object: String,
    /// The stable code of the finding: `pack-missing`, `pack-size`, `pack-content`,
    /// `manifest-damaged`, `manifest-newer`, `artifact-missing`, `wal-damaged`.
    pub code: &'static str,
    /// The description.
    pub detail: String,
    pub(super) target: FindingTarget,
}

/// The object of a finding, for its repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FindingTarget {
    Pack(String),
    Manifest(Revision),
    Artifact(String),
    /// A WAL file, by the name of its object.
    Wal(String),
}

/// An artifact with missing or damaged files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AffectedArtifact {
    /// The id of the artifact.
    pub id: String,
    /// The name of the database; `None` if the manifest cannot be read.
    pub lineage: Option<String>,
    /// The location of the artifact.
    pub location: String,
    /// The damaged files, each with the reason. Empty if all are affected.
    pub files: Vec<(String, String)>,
}

/// The result of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// The number of artifacts.
    pub artifacts: usize,
    /// The number of packs.
    pub packs: usize,
    /// The packs whose content was read.
    pub read: Amount,
    /// The missing and damaged objects.
    pub findings: Vec<StoreFinding>,
    /// The affected artifacts.
    pub affected: Vec<AffectedArtifact>,
    /// The packs that no artifact names; `None` if a manifest cannot be read.
    pub garbage: Option<Amount>,
    /// Writers that are active or have crashed.
    pub writers: Vec<WriterSession>,
    /// The number of unfinished garbage collections.
    pub markers: usize,
    /// The WAL files that were read.
    pub wal: Amount,
}

impl CheckReport {
    /// Returns true if nothing is missing or damaged.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty() && self.affected.is_empty()
    }
}

impl Portion {
    /// Returns true if the pack `id` is read on the day of `now`.
    fn selects(self, id: &str, now: Timestamp) -> bool {
        let Self::Percent(percent) = self else { return true };
        let slice = u64::from_str_radix(id.get(..8).unwrap_or_default(), 16).unwrap_or_default() % SLICES;
        let count = (SLICES * u64::from(percent.min(100))).div_ceil(100);
        let day = u64::try_from(now.unix_millis() / 86_400_000).unwrap_or_default();
        let first = day * count % SLICES;
        (slice + SLICES - first) % SLICES < count
    }
}

/// A readable manifest, with the location of its artifact.
struct Readable {
    manifest: Manifest,
    id: String,
    location: String,
}

impl Store {
    /// Checks the store. Objects that are published or removed meanwhile may be left out. Fails if
    /// the storage cannot be read for a temporary reason; damage is part of the result.
    pub fn check(
        &self,
        options: &CheckOptions,
        now: Timestamp,
        progress: &dyn Progress,
    ) -> Result<CheckReport> {
        progress.stage("reading manifests", None);
        let artifacts = survey::artifacts(&self.inner)?;
        // Packs are listed after the artifacts: a pack exists before its artifact does.
        let packs = survey::packs(&self.inner.bucket)?;
        let mut checked = CheckReport { packs: packs.len(), ..CheckReport::default() };
        (checked.markers, checked.writers) = self.writer_sessions(now)?;
        let readable = self.manifests(artifacts, &mut checked);
        self.expected(&options.expected, &mut checked)?;
        let mut bad = self.sizes(&readable, &packs, &mut checked);
        checked.garbage = garbage(&readable, &packs, &checked);
        if let Some(portion) = options.read {
            let wanted: Vec<_> =
                packs.iter().filter(|(id, _)| !bad.contains(*id) && portion.selects(id, now)).collect();
            self.contents(&wanted, &mut bad, &mut checked, progress)?;
        }
        if let Some(portion) = options.read {
            let selects = |name: &str| portion.selects(&blake3::hash(name.as_bytes()).to_hex(), now);
            self.check_wal(&selects, &mut checked)?;
        }
        self.affected(readable, &bad, &mut checked, progress)?;
        checked.affected.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(checked)
    }

    fn manifests(&self, artifacts: Artifacts, checked: &mut CheckReport) -> Vec<Readable> {
        let mut readable = Vec::new();
        for found in artifacts.found {
            checked.artifacts += 1;
            let listed = found.listed(&self.inner.bucket);
            let (id, location) = (listed.id, listed.location);
            match found.manifest {
                Ok(manifest) => readable.push(Readable { manifest, id, location }),
                Err(error) => {
                    let code = match error {
                        Error::Newer { .. } => "manifest-newer",
                        _ => "manifest-damaged",
                    };
                    checked.findings.push(StoreFinding {
                        object: self.inner.bucket.uri(&found.object.name),
                        code,
                        detail: detail(&error),
                        target: FindingTarget::Manifest(found.revision),
                    });
                    checked.affected.push(AffectedArtifact {
                        id,
                        lineage: None,
                        location,
                        files: Vec::new(),
                    });
                }
            }
        }
        readable
    }

    fn expected(&self, expected: &[String], checked: &mut CheckReport) -> Result<()> {
        // An artifact is missing only if it is not in this later listing: it may have been
        // published meanwhile.
        let there: BTreeSet<String> = self.list()?.into_iter().map(|listed| listed.location).collect();
        for location in expected.iter().filter(|location| !there.contains(*location)) {
            checked.findings.push(StoreFinding {
                object: location.clone(),
                code: "artifact-missing",
                detail: "there is no such artifact".to_owned(),
                target: FindingTarget::Artifact(location.clone()),
            });
            checked.affected.push(AffectedArtifact {
                id: location.rsplit('/').next().unwrap_or_default().to_owned(),
                lineage: None,
                location: location.clone(),
                files: Vec::new(),
            });
        }
        Ok(())
    }

    /// Reports the packs that are missing or have a size other than the manifests say.
    fn sizes(
        &self,
        readable: &[Readable],
        packs: &BTreeMap<String, Object>,
        checked: &mut CheckReport,
    ) -> BTreeSet<String> {
        let named = readable.iter().flat_map(|artifact| &artifact.manifest.packs);
        let named: BTreeMap<&String, u64> = named.map(|pack| (&pack.id, pack.size)).collect();
        let mut bad = BTreeSet::new();
        for (id, size) in named {
            let (code, detail) = match packs.get(id) {
                None => ("pack-missing", "there is no such pack".to_owned()),
                Some(object) if object.size != size => {
                    ("pack-size", format!("it has {} bytes instead of {size}", object.size))
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
        checked: &mut CheckReport,
    ) {
        let object = self.inner.bucket.uri(&layout::pack(id));
        checked.findings.push(StoreFinding {
            object,
            code,
            detail,
            target: FindingTarget::Pack(id.to_owned()),
        });
        bad.insert(id.to_owned());
    }

    /// Reads packs and compares them with the digests in their names.
    fn contents(
        &self,
        wanted: &[(&String, &Object)],
        bad: &mut BTreeSet<String>,
        checked: &mut CheckReport,
        progress: &dyn Progress,
    ) -> Result<()> {
        progress.stage("reading packs", Some(wanted.iter().map(|(_, object)| object.size).sum()));
        let read = parallel_map(wanted, |(id, object)| {
            let content = self.inner.bucket.find(&object.name)?;
            progress.advance(object.size);
            Ok(content.map(|content| blake3::hash(&content).to_hex().as_str() == id.as_str()))
        });
        for ((id, object), read) in wanted.iter().zip(read) {
            match read {
                Ok(Some(true)) => {}
                // A garbage collection has just removed it.
                Ok(None) => continue,
                Ok(Some(false)) => {
                    let detail = "its content does not match its digest".to_owned();
                    self.bad_pack(id, "pack-content", detail, bad, checked);
                }
                Err(error) if says_nothing(&error) => return Err(error),
                Err(error) => self.bad_pack(id, "pack-content", detail(&error), bad, checked),
            }
            checked.read.count += 1;
            checked.read.bytes += object.size;
        }
        Ok(())
    }

    /// Reads the artifacts that name a bad pack, and reports the files that are damaged.
    fn affected(
        &self,
        readable: Vec<Readable>,
        bad: &BTreeSet<String>,
        checked: &mut CheckReport,
        progress: &dyn Progress,
    ) -> Result<()> {
        let named = |artifact: &Readable| artifact.manifest.packs.iter().any(|pack| bad.contains(&pack.id));
        let suspects: Vec<_> = readable.into_iter().filter(named).collect();
        let sizes = suspects.iter().flat_map(|artifact| &artifact.manifest.files).map(|file| file.size);
        progress.stage("reading artifacts", Some(sizes.sum()));
        for Readable { manifest, id, location } in suspects {
            let lineage = Some(manifest.lineage.clone());
            let artifact = Artifact::new(Arc::clone(&self.inner), manifest);
            let mut files = Vec::new();
            for file in &artifact.manifest().files {
                let read =
                    artifact.read(&file.name).and_then(|file| file.verify(&|bytes| progress.advance(bytes)));
                match read {
                    Ok(()) => {}
                    Err(error) if says_nothing(&error) => return Err(error),
                    Err(error) => files.push((file.name.clone(), error.to_string())),
                }
            }
            if !files.is_empty() {
                checked.affected.push(AffectedArtifact { id, lineage, location, files });
            }
        }
        Ok(())
    }
}

fn garbage(readable: &[Readable], packs: &BTreeMap<String, Object>, checked: &CheckReport) -> Option<Amount> {
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

/// Returns true if the object was not read for a temporary reason: it may be good or damaged.
fn says_nothing(error: &Error) -> bool {
    matches!(error, Error::Storage { transient: true, .. } | Error::Interrupted { .. })
}

/// Returns the text of an error without the name of the object.
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
    fn regular_checks_reach_every_pack() {
        let ids: Vec<String> =
            (0..500_u32).map(|n| blake3::hash(&n.to_le_bytes()).to_hex().to_string()).collect();
        for percent in [1, 5, 10, 33, 50, 99, 100] {
            for every in [1, 2, 7, 14, 30] {
                let mut left: BTreeSet<&String> = ids.iter().collect();
                let mut most = 0;
                for run in 0..101 {
                    let now = Timestamp::from_unix((20_000 + run * every) * 86_400).unwrap();
                    let taken: Vec<_> =
                        ids.iter().filter(|id| Portion::Percent(percent).selects(id, now)).collect();
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
