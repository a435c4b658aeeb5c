//! What one record file says, event by event. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::domain::{
    BackupId, Body, CommitId, Event, Folded, RECORD_BYTES_MAX, Record, Status, to_canonical_json,
};

use super::Code;

/// One event as it is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ledger) struct Fact {
    /// Its canonical bytes.
    pub(super) bytes: Vec<u8>,
    pub(super) kind: String,
    pub(super) by: String,
}

/// The events of a record file by id; several under one id are a forgery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::ledger) struct Facts(pub(super) BTreeMap<String, Vec<Fact>>);

/// What happened to an event between two versions of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ledger) enum Loss {
    Removed(String),
    Altered(String),
}

impl Facts {
    /// Reads a record file without judging its events.
    pub(in crate::ledger) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(format!("it has {} bytes, the most is {RECORD_BYTES_MAX}", bytes.len()));
        }
        let mut value: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let Some(Value::Array(events)) = value.get_mut("events").map(Value::take) else {
            return Err("it has no list of `events`".to_owned());
        };
        let mut facts = Self::default();
        for event in events {
            let text = |key: &str| event.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let fact = Fact { bytes: to_canonical_json(&event), kind: text("kind"), by: text("by") };
            let same = facts.0.entry(text("id")).or_default();
            if !same.contains(&fact) {
                same.push(fact);
                same.sort();
            }
        }
        Ok(facts)
    }

    /// The events of `self` that `later` does not have as they were.
    pub(in crate::ledger) fn lost_in(&self, later: &Self) -> Vec<Loss> {
        let loss = |(id, facts): (&String, &Vec<Fact>)| match later.0.get(id) {
            None => Some(Loss::Removed(id.clone())),
            Some(now) if facts.iter().all(|fact| now.contains(fact)) => None,
            Some(_) => Some(Loss::Altered(id.clone())),
        };
        self.0.iter().filter_map(loss).collect()
    }

    /// The ids that stand for more than one event.
    pub(in crate::ledger) fn twice(&self) -> impl Iterator<Item = &String> {
        self.0.iter().filter(|(_, facts)| facts.len() > 1).map(|(id, _)| id)
    }
}

/// What the file of a record is now.
#[derive(Debug, Default)]
pub(super) struct Looked {
    pub(super) findings: Vec<(Code, String)>,
    pub(super) folded: Option<Folded>,
}

/// Judges the file of backup `id` on `commit`.
pub(super) fn look(id: BackupId, commit: &CommitId, bytes: &[u8]) -> Looked {
    let mut looked = Looked::default();
    let mut found = |code, message: String| looked.findings.push((code, message));
    let record = match Record::parse(bytes) {
        Ok(record) => record,
        // What does not even have events was found where it was written.
        Err(error) => {
            found(Code::RecordUnreadable, error.to_string());
            return looked;
        }
    };
    if record.id() != id {
        found(Code::RecordMisplaced, format!("it is the record of backup {}", record.id()));
    }
    for event in record.ordered() {
        about(event, &mut found);
    }
    let folded = match record.fold() {
        Ok(folded) => folded,
        Err(error) => {
            found(Code::RecordUnreadable, error.to_string());
            return looked;
        }
    };
    for ignored in &folded.ignored {
        let known = record.event(ignored.id).map(|event| &event.body);
        if !matches!(known, Some(Body::Unknown { .. } | Body::Malformed { .. })) {
            found(Code::EventIgnored, format!("event {} changes nothing: {}", ignored.id, ignored.reason));
        }
    }
    if folded.backup.commit != *commit {
        found(Code::RecordMisplaced, format!("it belongs to commit {}", folded.backup.commit));
    }
    let backup = &folded.backup;
    if backup.status == Status::Completed && (backup.size_bytes.is_none() || backup.stored_bytes.is_none()) {
        found(Code::SizesMissing, "the backup is completed and has no sizes".to_owned());
    }
    if record.to_bytes().is_ok_and(|derived| derived != bytes) {
        found(Code::RecordStale, "its state is not what its events add up to".to_owned());
    }
    looked.folded = Some(folded);
    looked
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
    use super::{Facts, Loss};

    fn facts(events: &str) -> Facts {
        Facts::parse(format!("{{\"events\":[{events}]}}").as_bytes()).unwrap()
    }

    #[test]
    fn lost_and_changed_events_are_told_apart() {
        let before = facts(r#"{"id":"a","x":1},{"id":"b"},{"id":"c"}"#);
        assert!(before.lost_in(&facts(r#"{"id":"c"},{"x":1,"id":"a"},{"id":"b"},{"id":"d"}"#)).is_empty());
        let after = facts(r#"{"id":"a","x":2},{"id":"c"}"#);
        assert_eq!(before.lost_in(&after), [Loss::Altered("a".into()), Loss::Removed("b".into())]);
    }

    #[test]
    fn two_events_with_one_id_are_found_and_equal_ones_are_one() {
        assert_eq!(facts(r#"{"id":"a"},{"id":"a"}"#).twice().count(), 0);
        assert_eq!(facts(r#"{"id":"a"},{"id":"a","x":1}"#).twice().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn no_bytes_make_it_panic() {
        for bytes in [&b""[..], b"[]", b"{\"events\":1}", b"{\"events\":[1,null,[]]}", b"\xff"] {
            let _ = Facts::parse(bytes);
        }
    }
}
