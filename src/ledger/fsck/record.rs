//! Checks one record file, event by event. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::domain::{
    BackupId, Body, CommitId, Event, Folded, RECORD_BYTES_MAX, Record, Status, to_canonical_json,
};

use super::Code;

/// One event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ledger) struct StoredEvent {
    /// The canonical JSON.
    pub(super) bytes: Vec<u8>,
    pub(super) kind: String,
    pub(super) by: String,
}

/// The events of a record file by id. Several events with one id are a forgery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::ledger) struct StoredEvents(pub(super) BTreeMap<String, Vec<StoredEvent>>);

/// The loss of an event, by id, between two versions of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ledger) enum EventLoss {
    Removed(String),
    Altered(String),
}

impl StoredEvents {
    /// Parses a record file without checking its events. Fails if it is too large or has no list of
    /// events.
    pub(in crate::ledger) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(format!(
                "the file has {} bytes, at most {RECORD_BYTES_MAX} are allowed",
                bytes.len()
            ));
        }
        let mut value: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let Some(Value::Array(events)) = value.get_mut("events").map(Value::take) else {
            return Err("the list of `events` is missing".to_owned());
        };
        let mut facts = Self::default();
        for event in events {
            let text = |key: &str| event.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let fact = StoredEvent { bytes: to_canonical_json(&event), kind: text("kind"), by: text("by") };
            let same = facts.0.entry(text("id")).or_default();
            if !same.contains(&fact) {
                same.push(fact);
                same.sort();
            }
        }
        Ok(facts)
    }

    /// Returns the events of `self` that `later` lacks or has changed.
    pub(in crate::ledger) fn lost_in(&self, later: &Self) -> Vec<EventLoss> {
        let loss = |(id, facts): (&String, &Vec<StoredEvent>)| match later.0.get(id) {
            None => Some(EventLoss::Removed(id.clone())),
            Some(now) if facts.iter().all(|fact| now.contains(fact)) => None,
            Some(_) => Some(EventLoss::Altered(id.clone())),
        };
        self.0.iter().filter_map(loss).collect()
    }

    /// Returns the ids that more than one event has.
    pub(in crate::ledger) fn duplicate_ids(&self) -> impl Iterator<Item = &String> {
        self.0.iter().filter(|(_, facts)| facts.len() > 1).map(|(id, _)| id)
    }
}

/// The result of the check of a record file.
#[derive(Debug, Default)]
pub(super) struct RecordCheck {
    pub(super) findings: Vec<(Code, String)>,
    pub(super) folded: Option<Folded>,
}

/// Checks the record file of backup `id` on `commit`.
pub(super) fn check(id: BackupId, commit: &CommitId, bytes: &[u8]) -> RecordCheck {
    let mut checked = RecordCheck::default();
    let mut found = |code, message: String| checked.findings.push((code, message));
    let record = match Record::parse(bytes) {
        Ok(record) => record,
        // A file without a list of events was already reported at the commit that wrote it.
        Err(error) => {
            found(Code::RecordUnreadable, error.to_string());
            return checked;
        }
    };
    if record.id() != id {
        found(Code::RecordMisplaced, format!("the file has the record of backup {}", record.id()));
    }
    for event in record.ordered() {
        about(event, &mut found);
    }
    let folded = match record.fold() {
        Ok(folded) => folded,
        Err(error) => {
            found(Code::RecordUnreadable, error.to_string());
            return checked;
        }
    };
    for ignored in &folded.ignored {
        let known = record.event(ignored.id).map(|event| &event.body);
        if !matches!(known, Some(Body::Unknown { .. } | Body::Malformed { .. })) {
            found(Code::EventIgnored, format!("event {} has no effect: {}", ignored.id, ignored.reason));
        }
    }
    if folded.backup.commit != *commit {
        found(Code::RecordMisplaced, format!("the record belongs to commit {}", folded.backup.commit));
    }
    let backup = &folded.backup;
    if backup.status == Status::Completed && (backup.size_bytes.is_none() || backup.stored_bytes.is_none()) {
        found(Code::SizesMissing, "the backup is completed and has no sizes".to_owned());
    }
    if record.to_bytes().is_ok_and(|derived| derived != bytes) {
        found(Code::RecordStale, "the state in the file differs from the state of its events".to_owned());
    }
    checked.folded = Some(folded);
    checked
}

fn about(event: &Event, found: &mut impl FnMut(Code, String)) {
    match &event.body {
        Body::Unknown { kind } => {
            found(Code::EventUnknown, format!("event {} is of kind `{kind}` or of a newer format", event.id));
        }
        Body::Malformed { reason, .. } => {
            found(Code::EventMalformed, format!("event {}: {reason}", event.id));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{EventLoss, StoredEvents};

    fn facts(events: &str) -> StoredEvents {
        StoredEvents::parse(format!("{{\"events\":[{events}]}}").as_bytes()).unwrap()
    }

    #[test]
    fn lost_and_changed_events_are_distinguished() {
        let before = facts(r#"{"id":"a","x":1},{"id":"b"},{"id":"c"}"#);
        assert!(before.lost_in(&facts(r#"{"id":"c"},{"x":1,"id":"a"},{"id":"b"},{"id":"d"}"#)).is_empty());
        let after = facts(r#"{"id":"a","x":2},{"id":"c"}"#);
        assert_eq!(before.lost_in(&after), [EventLoss::Altered("a".into()), EventLoss::Removed("b".into())]);
    }

    #[test]
    fn only_different_events_with_one_id_are_reported() {
        assert_eq!(facts(r#"{"id":"a"},{"id":"a"}"#).duplicate_ids().count(), 0);
        assert_eq!(facts(r#"{"id":"a"},{"id":"a","x":1}"#).duplicate_ids().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn no_input_causes_a_panic() {
        for bytes in [&b""[..], b"[]", b"{\"events\":1}", b"{\"events\":[1,null,[]]}", b"\xff"] {
            let _ = StoredEvents::parse(bytes);
        }
    }
}
