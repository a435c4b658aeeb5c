//! The record file: the state of a backup and the events that it is derived from.
//!
//! A reader uses only the events. The rest of the file is for people and for tools that have nothing
//! but git. The merge of two versions of a record is the union of their events.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::fold::Believable;
use super::{Backup, BackupId, Body, Event, EventError, EventId, Folded, fold, to_canonical_json};

/// The version of the record and event format that this program writes.
pub const FORMAT: u32 = 1;
/// The maximum size of one event, in bytes.
pub const EVENT_BYTES_MAX: usize = 4 << 20;
/// The maximum size of one record, in bytes.
pub const RECORD_BYTES_MAX: usize = 64 << 20;

/// The reason why a file is not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The file is not the JSON of a record.
    #[error("not a record: {0}")]
    Shape(String),
    /// One of the events cannot be read.
    #[error(transparent)]
    Event(#[from] EventError),
    /// An event belongs to another backup.
    #[error("event {event} belongs to backup {backup}")]
    Foreign {
        /// The event.
        event: EventId,
        /// The backup that the event belongs to.
        backup: BackupId,
    },
    /// No event registers the backup.
    #[error("no event registers the backup")]
    NotRegistered,
}

/// All events of one backup.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    id: BackupId,
    events: BTreeMap<EventId, Event>,
}

impl Record {
    /// Creates a record without events.
    pub fn new(id: BackupId) -> Self {
        Self { id, events: BTreeMap::new() }
    }

    /// Reads the content of a record file. Fails if it is too long, is not a record, or has an invalid
    /// event.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let shape = |reason: String| RecordError::Shape(reason);
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(shape(format!("it has {} bytes, and the limit is {RECORD_BYTES_MAX}", bytes.len())));
        }
        let value: Value = serde_json::from_slice(bytes).map_err(|error| shape(error.to_string()))?;
        let Value::Object(mut fields) = value else {
            return Err(shape("it is not a JSON object".to_owned()));
        };
        let id = match fields.get("id").and_then(Value::as_str).map(str::parse) {
            Some(Ok(id)) => id,
            Some(Err(invalid)) => return Err(shape(format!("{invalid}"))),
            None => return Err(shape("it has no `id`".to_owned())),
        };
        let Some(Value::Array(events)) = fields.remove("events") else {
            return Err(shape("it has no list of `events`".to_owned()));
        };
        let mut record = Self::new(id);
        for event in events {
            record.add(Event::from_value(event)?)?;
        }
        if record.events.is_empty() {
            return Err(RecordError::NotRegistered);
        }
        Ok(record)
    }

    /// Returns the id of the backup.
    pub fn id(&self) -> BackupId {
        self.id
    }

    /// Adds an event. Does nothing if the record has it already. If another event has the same id (the
    /// record was tampered with), the choice between them does not depend on the order. Fails if the
    /// event belongs to another backup.
    pub fn add(&mut self, event: Event) -> Result<(), RecordError> {
        if event.backup != self.id {
            return Err(RecordError::Foreign { event: event.id, backup: event.backup });
        }
        match self.events.get(&event.id) {
            Some(known) if !precedes(&event, known) => {}
            _ => drop(self.events.insert(event.id, event)),
        }
        Ok(())
    }

    /// Returns a record with the events of both. Fails if they are of different backups.
    pub fn union(&self, other: &Self) -> Result<Self, RecordError> {
        let mut union = self.clone();
        for event in other.events.values() {
            union.add(event.clone())?;
        }
        Ok(union)
    }

    /// Returns the events in the order of the fold.
    pub fn ordered(&self) -> Vec<&Event> {
        let mut events: Vec<&Event> = self.events.values().collect();
        events.sort_by_key(|event| event.order());
        events
    }

    /// Returns the event with this id.
    pub fn event(&self, id: EventId) -> Option<&Event> {
        self.events.get(&id)
    }

    /// Returns the clock of the next event. Clocks that the fold ignores are left out, so that the
    /// next event takes effect.
    pub fn next_clock(&self) -> u64 {
        let mut clocks: Vec<u64> = self.events.values().map(|event| event.clock).collect();
        clocks.sort_unstable();
        let mut believable = Believable::default();
        clocks.retain(|clock| believable.is(*clock));
        believable.highest.saturating_add(1)
    }

    /// Returns the number of the next attempt.
    pub fn next_attempt(&self) -> u32 {
        let attempt = |event: &Event| match &event.body {
            Body::Started(body) => body.attempt,
            _ => 0,
        };
        self.events.values().map(attempt).max().unwrap_or(0).saturating_add(1)
    }

    /// Folds the events into the state of the backup. Fails if no event registers the backup.
    pub fn fold(&self) -> Result<Folded, RecordError> {
        fold(self.id, self.events.values()).ok_or(RecordError::NotRegistered)
    }

    /// Returns the content of the record file. Fails if no event registers the backup.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RecordError> {
        let folded = self.fold()?;
        let mut fields = state_fields(&folded.backup);
        let events = self.ordered().into_iter().map(Event::to_value).collect();
        fields.insert("events".to_owned(), Value::Array(events));
        Ok(to_canonical_json(&Value::Object(fields)))
    }
}

/// Returns the derived fields of the record file.
fn state_fields(backup: &Backup) -> Map<String, Value> {
    let Ok(Value::Object(mut fields)) = serde_json::to_value(backup) else {
        unreachable!("a struct with string keys serialises to an object")
    };
    fields.insert("format".to_owned(), Value::from(FORMAT));
    fields
}

/// Chooses between two events with the same id. Returns true if `a` takes precedence.
fn precedes(a: &Event, b: &Event) -> bool {
    to_canonical_json(&a.to_value()) < to_canonical_json(&b.to_value())
}
