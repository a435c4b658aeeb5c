//! Repairs a store with objects of a replica.

use super::check::{CheckReport, FindingTarget};
use super::copy::verified_pack;
use super::layout::{self, Revision};
use super::{Error, Result, Store};
use crate::process::crash_point;
use crate::progress::Progress;

/// The result of a repair.
#[derive(Debug, Default)]
pub struct RepairReport {
    /// The URIs of repaired objects.
    pub objects: Vec<String>,
    /// The URIs of objects that could not be repaired, with the errors.
    pub failed: Vec<(String, Error)>,
}

impl Store {
    /// Replaces the objects that `checked` found by those in `copy`, if they are intact there.
    /// Fails if `copy` is another store, or if a storage fails.
    pub fn repair(
        &self,
        checked: &CheckReport,
        copy: &Self,
        progress: &dyn Progress,
    ) -> Result<RepairReport> {
        if copy.config().id != self.config().id {
            return Err(Error::OtherStore {
                url: copy.url().to_string(),
                expected: self.config().id.to_string(),
                found: copy.config().id.to_string(),
            });
        }
        let mut repaired = RepairReport::default();
        for finding in &checked.findings {
            let done = match &finding.target {
                FindingTarget::Pack(id) => self.repair_pack(id, copy),
                FindingTarget::Manifest(revision) => self.repair_manifest(revision, copy),
                FindingTarget::Artifact(location) => self.repair_artifact(location, copy, progress),
                FindingTarget::Wal(object) => self.repair_wal(object, copy),
            };
            match done {
                Ok(()) => repaired.objects.push(finding.object.clone()),
                Err(error @ (Error::NoObject { .. } | Error::Damaged { .. } | Error::Newer { .. })) => {
                    repaired.failed.push((finding.object.clone(), error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(repaired)
    }

    /// Replaces the pack atomically. Until then, most of its content can still be read.
    fn repair_pack(&self, id: &str, copy: &Self) -> Result<()> {
        let content = verified_pack(copy, id)?;
        self.inner.bucket.replace(&layout::pack(id), content)?;
        crash_point("store.repair.pack");
        Ok(())
    }

    /// Writes the manifest as a newer revision before it removes the damaged one: without a
    /// manifest, the packs of the artifact would be garbage.
    fn repair_manifest(&self, damaged: &Revision, copy: &Self) -> Result<()> {
        let listed = copy.inner.bucket.list(&damaged.prefix())?;
        let good = listed.iter().rev().filter_map(|object| Revision::of_object(&object.name));
        let mut last = Error::NoObject { object: copy.inner.bucket.uri(&damaged.prefix()) };
        // An older revision may name packs that are gone, so only this one or a newer one can be
        // used.
        for revision in good.filter(|revision| revision.number >= damaged.number) {
            match copy.inner.read_manifest(&revision) {
                Ok(manifest) => {
                    let next = Revision { number: damaged.number + 1, ..damaged.clone() };
                    match self.inner.write_manifest(&next, &manifest) {
                        // Another repair was faster. Two encryptions of the same manifest differ.
                        Err(Error::OtherObject { .. }) if self.inner.read_manifest(&next).is_ok() => {}
                        other => drop(other?),
                    }
                    crash_point("store.repair.manifest");
                    return self.inner.bucket.delete(&damaged.object());
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn repair_artifact(&self, location: &str, copy: &Self, progress: &dyn Progress) -> Result<()> {
        let copied = copy.copy_one(location, self, progress)?;
        if let Some((_, error)) = copied.failed.into_iter().next() {
            return Err(error);
        }
        if !copied.waiting.is_empty() {
            return Err(Error::Damaged {
                object: location.to_owned(),
                detail: "some of its packs are pending deletion; repair it after their removal".to_owned(),
            });
        }
        match copied.artifacts.is_empty() {
            true => Err(Error::NoObject { object: location.to_owned() }),
            false => Ok(()),
        }
    }
}
