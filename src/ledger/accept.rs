//! The checks that the records of a remote must pass before they are accepted. Anyone with push
//! access to the remote could have written them.
//!
//! A ref is refused as a whole if it removes or alters events, makes a record unreadable, replaces a
//! recorded schema, or has new events with a clock or a time so far ahead that they would come after
//! all events that are written later. A refused ref is not lost: the remote keeps it, and a person
//! has to examine it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::catalog::{RecordLocation, read};
use super::fsck::{EventLoss, StoredEvents};
use super::{Error, Ledger, layout};
use crate::domain::{BackupId, Body, CLOCK_STEP_MAX, CommitId, Event, EventId, Record, Timestamp};
use crate::git::Oid;

/// The largest accepted difference by which the time of an event may be ahead of the local clock.
const AHEAD_MAX: Duration = Duration::from_secs(86_400);

/// The ledger files in the tree of a commit.
type Files = BTreeMap<String, Oid>;

impl Ledger<'_> {
    /// Fails if `theirs` cannot be accepted as the tip of the ref of `commit`. `ours` is the local
    /// tip.
    pub(super) fn accept(&self, commit: &CommitId, ours: Option<Oid>, theirs: Oid) -> Result<(), Error> {
        let there = self.files(theirs)?;
        let Some(ours) = ours else { return self.accept_new(&there) };
        let here = self.files(ours)?;
        let mut own = here.clone();
        for base in self.common(ours, theirs, Oid::from(commit))? {
            let base = self.files(base)?;
            self.loses_nothing(&base, &there)?;
            self.keeps_schemas(&base, &there)?;
            own.retain(|file, _| !base.contains_key(file) && there.contains_key(file));
        }
        self.alters_nothing(&here, &there)?;
        self.keeps_schemas(&own, &there)?;
        let latest = self.clock.now().plus(AHEAD_MAX);
        for (file, blob) in changed(&here, &there) {
            let Some(id) = layout::record_of(file) else { continue };
            let read =
                |tip, blob| read(self.repository, &RecordLocation { id, commit: commit.clone(), tip, blob });
            let known = here.get(file).map(|blob| read(ours, *blob));
            let record = match (read(theirs, *blob), &known) {
                (Ok(entry), _) => entry.record,
                (Err(reason), Some(Ok(_))) => return Err(refused(id, &format!("cannot be read: {reason}"))),
                // A record that was unreadable before is reported by every reader.
                (Err(_), _) => continue,
            };
            let known = known.and_then(Result::ok).map_or_else(|| Record::new(id), |entry| entry.record);
            for event in record.ordered().into_iter().filter(|event| known.event(event.id).is_none()) {
                let highest = known.next_clock().saturating_add(CLOCK_STEP_MAX);
                if event.clock > highest {
                    let (event, clock) = (event.id, event.clock);
                    let text = format!(
                        "has event {event} with clock {clock}, far above the clocks of all earlier events"
                    );
                    return Err(refused(id, &text));
                }
                not_after(id, event, latest)?;
            }
        }
        Ok(())
    }

    /// Fails if a ref that is missing locally cannot be accepted. An event without effect is accepted:
    /// otherwise a ledger that has such an event could not be cloned.
    fn accept_new(&self, there: &Files) -> Result<(), Error> {
        let latest = self.clock.now().plus(AHEAD_MAX);
        for (file, blob) in there {
            let Some(id) = layout::record_of(file) else { continue };
            let Ok(record) = Record::parse(&self.repository.blob(*blob)?) else { continue };
            let ignored = record.fold().map(|folded| folded.ignored).unwrap_or_default();
            let effective = |event: &&Event| ignored.iter().all(|ignored| ignored.id != event.id);
            for event in record.ordered().into_iter().filter(effective) {
                not_after(id, event, latest)?;
            }
        }
        Ok(())
    }

    fn files(&self, tip: Oid) -> Result<Files, Error> {
        Ok(self.repository.files_at(tip, layout::DIRECTORY)?.into_iter().collect())
    }

    /// Returns the common ancestors from which the history of `theirs` departs from that of `ours`.
    fn common(&self, ours: Oid, theirs: Oid, end: Oid) -> Result<BTreeSet<Oid>, Error> {
        let (mut known, mut next) = (BTreeSet::new(), vec![ours]);
        while let Some(id) = next.pop() {
            if id != end && known.insert(id) {
                next.extend(self.repository.commit(id)?.parents);
            }
        }
        let (mut common, mut seen, mut next) = (BTreeSet::new(), BTreeSet::new(), vec![theirs]);
        while let Some(id) = next.pop() {
            if known.contains(&id) {
                common.insert(id);
            } else if id != end && seen.insert(id) {
                next.extend(self.repository.commit(id)?.parents);
            }
        }
        Ok(common)
    }

    /// Fails unless every event of `before` is in `there` unchanged.
    fn loses_nothing(&self, before: &Files, there: &Files) -> Result<(), Error> {
        for (file, blob) in changed(there, before) {
            let Some(id) = layout::record_of(file) else { continue };
            let Ok(old) = self.facts(*blob)? else { continue };
            let now = match there.get(file) {
                Some(blob) => {
                    self.facts(*blob)?.map_err(|reason| refused(id, &format!("is damaged: {reason}")))?
                }
                None => return Err(refused(id, "was removed")),
            };
            match old.lost_in(&now).into_iter().next() {
                Some(EventLoss::Removed(event)) => return Err(refused(id, &format!("lacks event {event}"))),
                Some(EventLoss::Altered(event)) => return Err(altered(id, &event)),
                None => {}
            }
        }
        Ok(())
    }

    /// Fails if an event that is in both `here` and `there` differs, or if `there` has two events
    /// with one id.
    fn alters_nothing(&self, here: &Files, there: &Files) -> Result<(), Error> {
        for (file, blob) in changed(here, there) {
            let Some(id) = layout::record_of(file) else { continue };
            let Ok(theirs) = self.facts(*blob)? else { continue };
            let ours = here.get(file).map(|blob| self.facts(*blob)).transpose()?;
            let ours = ours.and_then(Result::ok).unwrap_or_default();
            let loss = ours.lost_in(&theirs).into_iter().find_map(|loss| match loss {
                EventLoss::Altered(event) => Some(event),
                EventLoss::Removed(_) => None,
            });
            loss.map_or(Ok(()), |event| Err(altered(id, &event)))?;
            let known: BTreeSet<&String> = ours.duplicate_ids().collect();
            if let Some(event) = theirs.duplicate_ids().find(|event| !known.contains(event)) {
                return Err(refused(id, &format!("has two different events {event}")));
            }
        }
        Ok(())
    }

    /// Fails unless `there` has every file of `before` that is not a record, unchanged: the schemas
    /// that were recorded with backups. Only a backup that has been completed again has another one.
    fn keeps_schemas(&self, before: &Files, there: &Files) -> Result<(), Error> {
        for (file, blob) in changed(there, before) {
            let Some(id) = layout::schema_of(file) else { continue };
            match there.get(file) {
                None => return Err(refused(id, "lacks its schema")),
                Some(_) if self.completions(id, there)?.is_subset(&self.completions(id, before)?) => {
                    return Err(refused(id, &format!("has its schema replaced ({blob} before)")));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Returns the ids of the events that complete the backup `id`.
    fn completions(&self, id: BackupId, files: &Files) -> Result<BTreeSet<EventId>, Error> {
        let Some(blob) = files.get(&format!("{id}.json")) else { return Ok(BTreeSet::new()) };
        let Ok(record) = Record::parse(&self.repository.blob(*blob)?) else { return Ok(BTreeSet::new()) };
        let events = record.ordered().into_iter();
        Ok(events.filter(|event| matches!(event.body, Body::Completed(_))).map(|event| event.id).collect())
    }

    fn facts(&self, blob: Oid) -> Result<Result<StoredEvents, String>, Error> {
        Ok(StoredEvents::parse(&self.repository.blob(blob)?))
    }
}

/// Returns the files of `new` that are missing from `old` or differ from it.
fn changed<'a>(old: &'a Files, new: &'a Files) -> impl Iterator<Item = (&'a String, &'a Oid)> {
    new.iter().filter(|(file, blob)| old.get(*file) != Some(blob))
}

/// Fails if one of the times of the event is after `latest`.
fn not_after(id: BackupId, event: &Event, latest: Timestamp) -> Result<(), Error> {
    let (began, ended) = match &event.body {
        Body::Started(body) => (body.started_at, None),
        Body::Completed(body) => (body.started_at, body.completed_at),
        _ => (None, None),
    };
    let late = [Some(event.at), began, ended].into_iter().flatten().find(|at| *at > latest);
    late.map_or(Ok(()), |at| {
        let text = format!("has event {} of {at}, more than a day ahead of the local clock", event.id);
        Err(refused(id, &text))
    })
}

fn altered(id: BackupId, event: &str) -> Error {
    refused(id, &format!("has event {event} altered"))
}

fn refused(id: BackupId, what: &str) -> Error {
    Error::RemoteRejected { reason: format!("the record of backup {id} on the remote {what}") }
}
