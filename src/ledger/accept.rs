//! Decides whether the records of a remote are accepted. Anyone with push access to the remote
//! could have written them.
//!
//! A ref is refused as a whole if it removes or alters events, or if it has new events with a clock
//! or a time so far ahead that they would come after everything that is written later. A refused
//! ref is not lost: the remote keeps it, and a person has to look at it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::fsck::{Facts, Loss};
use super::{Error, Ledger, layout};
use crate::domain::{BackupId, Body, CLOCK_STEP_MAX, CommitId, Event, Record, Timestamp};
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
        let here = ours.map(|ours| self.files(ours)).transpose()?.unwrap_or_default();
        if let Some(ours) = ours {
            for base in self.common(ours, theirs, Oid::from(commit))? {
                self.loses_nothing(&self.files(base)?, &there)?;
            }
            self.alters_nothing(&here, &there)?;
        }
        let latest = self.clock.now().plus(AHEAD_MAX);
        for (file, blob) in changed(&here, &there) {
            let Some(id) = layout::record_of(file) else { continue };
            // Files that are not valid records are reported where records are read.
            let Ok(record) = Record::parse(&self.repository.blob(*blob)?) else { continue };
            let known = match here.get(file) {
                Some(blob) => Record::parse(&self.repository.blob(*blob)?).ok(),
                None => None,
            };
            let known = known.unwrap_or_else(|| Record::new(id));
            let new = record.ordered().into_iter().filter(|event| known.event(event.id).is_none());
            for event in new {
                plausible(id, event, known.next_clock(), latest)?;
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
                Some(Loss::Removed(event)) => return Err(refused(id, &format!("lacks event {event}"))),
                Some(Loss::Altered(event)) => return Err(altered(id, &event)),
                None => {}
            }
        }
        Ok(())
    }

    /// Fails if an event that is in both `here` and `there` differs.
    fn alters_nothing(&self, here: &Files, there: &Files) -> Result<(), Error> {
        for (file, blob) in changed(here, there) {
            let (Some(id), Some(ours)) = (layout::record_of(file), here.get(file)) else { continue };
            let (Ok(ours), Ok(theirs)) = (self.facts(*ours)?, self.facts(*blob)?) else { continue };
            let loss = ours.lost_in(&theirs).into_iter().find_map(|loss| match loss {
                Loss::Altered(event) => Some(event),
                Loss::Removed(_) => None,
            });
            loss.map_or(Ok(()), |event| Err(altered(id, &event)))?;
        }
        Ok(())
    }

    fn facts(&self, blob: Oid) -> Result<Result<Facts, String>, Error> {
        Ok(Facts::parse(&self.repository.blob(blob)?))
    }
}

/// Returns the files of `new` that are missing from `old` or differ from it.
fn changed<'a>(old: &'a Files, new: &'a Files) -> impl Iterator<Item = (&'a String, &'a Oid)> {
    new.iter().filter(|(file, blob)| old.get(*file) != Some(blob))
}

/// Fails if the clock of the event is too far above all before it, or if one of its times is after
/// `latest`.
fn plausible(id: BackupId, event: &Event, next_clock: u64, latest: Timestamp) -> Result<(), Error> {
    if event.clock > next_clock.saturating_add(CLOCK_STEP_MAX) {
        let text = format!("has event {} with clock {}, far above all before it", event.id, event.clock);
        return Err(refused(id, &text));
    }
    let (began, ended) = match &event.body {
        Body::Started(body) => (body.started_at, None),
        Body::Completed(body) => (body.started_at, body.completed_at),
        _ => (None, None),
    };
    let late = [Some(event.at), began, ended].into_iter().flatten().find(|at| *at > latest);
    late.map_or(Ok(()), |at| {
        let text = format!("has event {} of {at}, more than a day ahead of the clock here", event.id);
        Err(refused(id, &text))
    })
}

fn altered(id: BackupId, event: &str) -> Error {
    refused(id, &format!("has event {event} altered"))
}

fn refused(id: BackupId, what: &str) -> Error {
    Error::NotTaken { reason: format!("the record of backup {id} there {what}") }
}
