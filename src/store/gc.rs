//! Garbage collection: removes packs that no artifact names, and superseded manifests.
//!
//! Deletion has two phases. A marker names the packs that are pending deletion; writers that begin
//! later do not use them as bases. After the end of all writers that may not have seen the marker,
//! the packs that are still unnamed are removed. docs/store-format.md has the proof that no needed
//! pack is removed, whatever crashes when.

use std::collections::BTreeSet;
use std::time::Duration;

use super::bucket::{Bucket, Object};
use super::layout::{self, Revision};
use super::pending_deletion::{self, Marker, PendingDeletion};
use super::survey::{self, Writer};
use super::writer::LEASE;
use super::{Result, Store};
use crate::domain::Timestamp;
use crate::process::crash_point;
use crate::progress::Progress;

/// The maximum difference between the clocks of the machines of a storage.
const SKEW: Duration = Duration::from_secs(300);

/// A number of objects, and their size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// The number of objects.
    pub count: usize,
    /// Their total size.
    pub bytes: u64,
}

impl Amount {
    fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }
}

/// A writer that has begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriterSession {
    /// The prefix of its objects in the store.
    pub writer: String,
    /// The time of its start; `None` if a garbage collection has ended its session.
    pub started: Option<Timestamp>,
    /// The time of its last heartbeat.
    pub last_heartbeat: Timestamp,
    /// True if its lease has expired.
    pub expired: bool,
}

/// The result of a garbage collection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcReport {
    /// The number of artifacts.
    pub artifacts: usize,
    /// Packs that no artifact names and that no active writer may be writing.
    pub garbage: Amount,
    /// Packs that no artifact names, and that an active writer may have written.
    pub unfinished: Amount,
    /// Manifests with a newer revision.
    pub superseded: Amount,
    /// Packs that are pending deletion until the writers of `writers` have ended.
    pub waiting: Amount,
    /// Writers that are active or have crashed.
    pub writers: Vec<WriterSession>,
    /// The removed packs.
    pub removed: Amount,
    /// The number of removed manifests.
    pub removed_revisions: usize,
    /// The number of removed temporary files of crashed writers.
    pub swept: u64,
}

/// A survey of the garbage: the report, and the objects to mark.
struct Survey {
    report: GcReport,
    to_mark: PendingDeletion,
}

impl Store {
    /// Returns what a collection would remove. Changes nothing. `now` decides which leases have
    /// expired. Fails if a manifest cannot be read.
    pub fn garbage(&self, now: Timestamp) -> Result<GcReport> {
        let markers = pending_deletion::markers(self.bucket())?.0;
        Ok(self.survey_garbage(now, &markers)?.report)
    }

    /// Marks garbage, and removes marked garbage that no active writer may use. Fails if a manifest
    /// cannot be read, because it may name any pack.
    pub fn collect(&self, progress: &dyn Progress) -> Result<GcReport> {
        let bucket = self.bucket();
        progress.stage("looking for garbage", None);
        let now = pending_deletion::storage_time(bucket)?;
        let Survey { mut report, to_mark } =
            self.survey_garbage(now, &pending_deletion::markers(bucket)?.0)?;
        if to_mark != PendingDeletion::default() {
            pending_deletion::mark(bucket, &to_mark)?;
            crash_point("store.gc.condemned");
        }
        self.sweep_markers(now, &mut report, progress)?;
        report.swept = bucket.sweep(before(now, LEASE))?;
        Ok(report)
    }

    /// Finishes collections that other processes have begun. Marks nothing.
    pub fn finish_collections(&self, progress: &dyn Progress) -> Result<()> {
        if self.bucket().list(layout::GC)?.is_empty() {
            return Ok(());
        }
        let now = pending_deletion::storage_time(self.bucket())?;
        self.sweep_markers(now, &mut GcReport::default(), progress)
    }

    fn sweep_markers(&self, now: Timestamp, report: &mut GcReport, progress: &dyn Progress) -> Result<()> {
        let bucket = self.bucket();
        let (mut markers, orphans) = pending_deletion::markers(bucket)?;
        for orphan in orphans {
            bucket.delete(&orphan)?;
        }
        for marker in &mut markers {
            if marker.seen.is_none() {
                marker.seen = Some(pending_deletion::record_seen(bucket, &marker.name)?);
                crash_point("store.gc.seen");
            }
        }
        let active = expire_sessions(bucket, survey::writers(bucket)?, now)?;
        let (deletable, waiting): (Vec<_>, Vec<_>) =
            markers.iter().partition(|marker| may_delete(marker, &active));
        self.sweep(&deletable, report, progress)?;
        report.waiting = self.amount_of(&waiting)?;
        Ok(())
    }

    fn bucket(&self) -> &Bucket {
        &self.inner.bucket
    }

    fn survey_garbage(&self, now: Timestamp, markers: &[Marker]) -> Result<Survey> {
        let bucket = self.bucket();
        let mut report = GcReport::default();
        for Writer { prefix, started, last_heartbeat } in survey::writers(bucket)? {
            let expired = has_expired(last_heartbeat, now);
            report.writers.push(WriterSession { writer: prefix, started, last_heartbeat, expired });
        }
        let active = report.writers.iter().filter(|writer| !writer.expired);
        let oldest = active.map(|writer| writer.started.unwrap_or(writer.last_heartbeat)).min();
        // Packs are listed before artifacts: an artifact that is published in between names its
        // packs.
        let packs = survey::packs(bucket)?;
        let (named, superseded, artifacts) = survey::named_packs(&self.inner)?;
        report.artifacts = artifacts;
        let known = |object: &Object| {
            let mut pending = markers.iter().filter_map(|marker| marker.pending.as_ref());
            pending.any(|pending| pending.revisions.contains(&object.name))
        };
        let pending: BTreeSet<&String> =
            markers.iter().filter_map(|marker| marker.pending.as_ref()).flat_map(|c| &c.packs).collect();
        let mut to_mark = PendingDeletion::default();
        for (id, object) in packs.iter().filter(|(id, _)| !named.contains(*id)) {
            if pending.contains(id) {
                report.garbage.add(object.size);
                report.waiting.add(object.size);
            } else if oldest.is_some_and(|oldest| object.modified >= before(oldest, SKEW)) {
                report.unfinished.add(object.size);
            } else {
                report.garbage.add(object.size);
                to_mark.packs.insert(id.clone());
            }
        }
        for object in &superseded {
            report.superseded.add(object.size);
            if !known(object) {
                to_mark.revisions.insert(object.name.clone());
            }
        }
        Ok(Survey { report, to_mark })
    }

    /// Removes the garbage of markers that all active writers have seen.
    fn sweep(&self, deletable: &[&Marker], report: &mut GcReport, progress: &dyn Progress) -> Result<()> {
        if deletable.is_empty() {
            return Ok(());
        }
        let bucket = self.bucket();
        crash_point("store.gc.ripe");
        let (named, superseded, _) = survey::named_packs(&self.inner)?;
        let superseded: BTreeSet<String> = superseded.into_iter().map(|object| object.name).collect();
        let packs = survey::packs(bucket)?;
        crash_point("store.gc.read");
        progress.stage("removing garbage", Some(report.garbage.bytes));
        for marker in deletable {
            let pending = marker.pending.clone().unwrap_or_default();
            for id in pending.packs.difference(&named) {
                let Some(object) = packs.get(id) else { continue };
                // If the marker is gone, another collection has finished it, and a new writer may
                // use the pack again.
                if bucket.find(&marker.name)?.is_none() {
                    break;
                }
                bucket.delete(&object.name)?;
                crash_point("store.gc.removed");
                report.removed.add(object.size);
                progress.advance(object.size);
            }
            for name in pending.revisions.intersection(&superseded) {
                self.remove_superseded(name, marker, report)?;
            }
            crash_point("store.gc.swept");
            pending_deletion::remove_marker(bucket, &marker.name)?;
        }
        Ok(())
    }

    fn remove_superseded(&self, name: &str, marker: &Marker, report: &mut GcReport) -> Result<()> {
        let bucket = self.bucket();
        let Some(revision) = Revision::of_object(name) else { return Ok(()) };
        let newest = bucket.list(&revision.prefix())?.pop();
        if newest.is_some_and(|newest| newest.name.as_str() > name) && bucket.find(&marker.name)?.is_some() {
            bucket.delete(name)?;
            crash_point("store.gc.revision-removed");
            report.removed_revisions += 1;
        }
        Ok(())
    }

    fn amount_of(&self, markers: &[&Marker]) -> Result<Amount> {
        let mut amount = Amount::default();
        let packs = if markers.is_empty() { return Ok(amount) } else { survey::packs(self.bucket())? };
        let pending: BTreeSet<&String> =
            markers.iter().filter_map(|marker| marker.pending.as_ref()).flat_map(|c| &c.packs).collect();
        pending.iter().filter_map(|id| packs.get(*id)).for_each(|object| amount.add(object.size));
        Ok(amount)
    }
}

/// Returns true if no active writer may use packs of `marker` as bases.
fn may_delete(marker: &Marker, active: &[Writer]) -> bool {
    let Some(seen) = marker.seen else { return false };
    !active.iter().any(|writer| writer.started.is_none_or(|started| before(started, SKEW) <= seen))
}

fn has_expired(last_heartbeat: Timestamp, now: Timestamp) -> bool {
    now.seconds_since(last_heartbeat) > i64::try_from(LEASE.as_secs()).unwrap_or(i64::MAX)
}

/// Ends the sessions whose lease has expired; these writers cannot publish any more. Returns the
/// active writers.
fn expire_sessions(bucket: &Bucket, writers: Vec<Writer>, now: Timestamp) -> Result<Vec<Writer>> {
    let mut active = Vec::new();
    for writer in writers {
        if !has_expired(writer.last_heartbeat, now) {
            active.push(writer);
            continue;
        }
        bucket.delete(&format!("{}00000000", writer.prefix))?;
        crash_point("store.gc.buried");
        // The writer may have sent a heartbeat in the last moment, and be about to publish. Then it
        // counts as active.
        let heartbeats = bucket.list(&writer.prefix)?;
        if heartbeats.iter().any(|object| !has_expired(object.modified, now)) {
            active.push(Writer { started: None, ..writer });
            continue;
        }
        for object in heartbeats {
            bucket.delete(&object.name)?;
        }
    }
    Ok(active)
}

fn before(at: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from(at.as_datetime() - by)
}

impl Store {
    /// Returns the number of markers, and the writers that are active or have crashed.
    pub(super) fn writer_sessions(&self, now: Timestamp) -> Result<(usize, Vec<WriterSession>)> {
        let markers = self.bucket().list(layout::GC)?;
        let count = markers.iter().filter(|object| !object.name.ends_with(".seen")).count();
        let writers = survey::writers(self.bucket())?.into_iter();
        let writers = writers.map(|Writer { prefix, started, last_heartbeat }| WriterSession {
            writer: prefix,
            started,
            last_heartbeat,
            expired: has_expired(last_heartbeat, now),
        });
        Ok((count, writers.collect()))
    }
}
