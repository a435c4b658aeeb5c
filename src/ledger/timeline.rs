//! The events of many records in the order of time, and the signatures of their commits.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::collections::binary_heap::{BinaryHeap, PeekMut};
use std::sync::Arc;

use crate::domain::{Backup, BackupId, CommitId, Event, Timestamp};
use crate::git::Signature;

use super::{Entry, Error, Ledger, Row};

/// An event with the present state of its backup.
pub struct TimelineEvent {
    /// The backup.
    pub backup: Arc<Backup>,
    /// The event.
    pub event: Event,
    /// The order of events: their time, the age of the record, and the place in
    /// the record, for where the clock stands still.
    rank: (Timestamp, (Timestamp, BackupId), usize),
}

impl Ord for TimelineEvent {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank.cmp(&other.rank)
    }
}

impl PartialOrd for TimelineEvent {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for TimelineEvent {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl Eq for TimelineEvent {}

impl Ledger<'_> {
    /// Hands over at most `limit` events of `rows`, the newest first. Keeps only those in memory that
    /// may have to wait for others. Fails if a record cannot be read or `show` fails.
    pub fn newest_events<E: From<Error>>(
        &self,
        mut rows: Vec<Row<'_>>,
        limit: usize,
        mut show: impl FnMut(TimelineEvent) -> Result<(), E>,
    ) -> Result<(), E> {
        // Across records there is only the wall clock. Each record has an event at
        // its last time, so the newest events are in as many of these records.
        rows.reverse();
        rows.sort_by_key(|row| Reverse(row.last_at()));
        rows.truncate(limit);
        let mut waiting = BinaryHeap::new();
        let (mut read, mut left) = (0, limit);
        let mut show_newer = |waiting: &mut BinaryHeap<TimelineEvent>, than: Option<Timestamp>| {
            while let Some(next) = waiting.peek_mut() {
                if left == 0 || than.is_some_and(|than| next.event.at <= than) {
                    break;
                }
                left -= 1;
                show(PeekMut::pop(next))?;
            }
            Ok::<_, E>(())
        };
        let events = |entry: Entry| {
            let Entry { backup, record, .. } = entry;
            (Arc::new(backup), record.ordered().into_iter().cloned().collect::<Vec<Event>>())
        };
        self.each_entry(&rows, events, |(backup, events)| {
            for (at, event) in events.into_iter().enumerate() {
                let rank = (event.at, (backup.registered_at, backup.id), at);
                waiting.push(TimelineEvent { backup: Arc::clone(&backup), event, rank });
            }
            read += 1;
            match rows.get(read) {
                Some(next) => show_newer(&mut waiting, Some(next.last_at())),
                None => show_newer(&mut waiting, None),
            }
        })
    }
}

/// The signatures of the ledger commits that added events. Each record is read when it is first asked
/// for.
pub struct EventSignatures<'a> {
    ledger: Ledger<'a>,
    /// For each schema commit the signatures by the ids of events.
    by_commit: BTreeMap<CommitId, BTreeMap<String, Signature>>,
}

impl<'a> EventSignatures<'a> {
    /// Reads nothing yet.
    pub fn new(ledger: Ledger<'a>) -> Self {
        Self { ledger, by_commit: BTreeMap::new() }
    }

    /// Returns the signature of the commit that added an event, or `None` if it is not signed. Fails if
    /// the history of the record cannot be read.
    pub fn of(&mut self, it: &TimelineEvent) -> Result<Option<&Signature>, Error> {
        let commit = &it.backup.commit;
        if !self.by_commit.contains_key(commit) {
            let found = self.ledger.signatures_of_events(commit)?;
            self.by_commit.insert(commit.clone(), found);
        }
        Ok(self.by_commit.get(commit).and_then(|found| found.get(&it.event.id.to_string())))
    }
}
