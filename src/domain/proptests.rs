//! Properties of the fold and of the record file, for any history.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{BackupId, Event, EventId, Record, Status, fold, to_canonical_json};

const BACKUP: &str = "01a1fc4d-1b4e-7a30-a139-0dfc0e59e1a5";

fn backup() -> BackupId {
    BACKUP.parse().unwrap()
}

/// The `n`th event id of the test.
fn event_id(n: u16) -> EventId {
    format!("01a1fc4d-1b4e-7a30-8000-{n:012x}").parse().unwrap()
}

fn registered(n: u16, clock: u64) -> Value {
    json!({
        "format": 1, "kind": "registered", "id": event_id(n).to_string(), "backup": BACKUP, "clock": clock,
        "at": "2026-11-21T03:40:06.000000Z", "by": "A <a@b>", "host": "h", "name": "nightly", "database": "shop",
        "commit": "c0cae53cf046fd372a4fcea319a62491c890a372", "type": "full", "tool": {"name": "pg_dump"},
    })
}

/// The own fields of an event of any kind, known, unknown or nonsense.
fn body() -> impl Strategy<Value = Value> {
    let hash = format!("blake3:{}", "0".repeat(64));
    prop_oneof![
        (1..4u32).prop_map(|attempt| json!({"kind": "started", "attempt": attempt})),
        (any::<u32>(), proptest::option::of(1..4u32)).prop_map(move |(size, attempt)| json!({
            "kind": "completed", "size_bytes": size, "stored_bytes": size / 2, "digest": hash, "attempt": attempt,
        })),
        proptest::option::of(1..4u32).prop_map(
            |attempt| json!({"kind": "failed", "attempt": attempt, "error": {"code": "x", "message": "y"}})
        ),
        Just(json!({"kind": "expired", "reason": "old"})),
        Just(json!({"kind": "deleted", "reason": "old"})),
        Just(json!({"kind": "verified", "verification": "restore_test", "status": "passed"})),
        "[a-c]".prop_map(|key| json!({"kind": "tagged", "key": key, "value": key})),
        "[a-c]".prop_map(|key| json!({"kind": "untagged", "key": key})),
        Just(json!({"kind": "held", "reason": "audit"})),
        (0..12u16).prop_map(|n| json!({"kind": "released", "holds": [event_id(n).to_string()]})),
        any::<i32>().prop_map(|n| json!({"kind": "annotated", "metadata": {"n": n, "gone": null}})),
        "[a-z]{3,9}".prop_map(|kind| json!({"kind": kind, "future": [1.50, {"deep": null}]})),
        Just(json!({"kind": "completed", "size_bytes": "many"})),
        Just(registered(0, 0)),
    ]
}

prop_compose! {
    fn event(n: u16)(body in body(), clock in 1..6u64, second in 0..4u32, extra in any::<bool>()) -> Event {
        let mut value = registered(n, clock);
        let fields = value.as_object_mut().unwrap();
        fields.retain(|key, _| ["format", "id", "backup", "clock", "by", "host"].contains(&key.as_str()));
        fields.insert("at".into(), json!(format!("2026-11-21T03:40:{second:02}.000000Z")));
        fields.extend(body.as_object().unwrap().clone());
        fields.insert("id".into(), json!(event_id(n).to_string()));
        if extra {
            fields.insert("of_the_future".into(), json!({"kept": 18_446_744_073_709_551_615u64}));
        }
        Event::from_value(value).unwrap()
    }
}

/// A registration and up to eleven other events.
fn history() -> impl Strategy<Value = Vec<Event>> {
    let others: Vec<_> = (1..12u16).map(|n| proptest::option::of(event(n))).collect();
    others.prop_map(|others| {
        let first = Event::from_value(registered(0, 0)).unwrap();
        std::iter::once(first).chain(others.into_iter().flatten()).collect()
    })
}

fn record(events: &[Event]) -> Record {
    let mut record = Record::new(backup());
    events.iter().for_each(|event| record.add(event.clone()).unwrap());
    record
}

/// A history and a cut through it by a bit mask for each of three clones; the
/// registration is in all of them.
fn clones() -> impl Strategy<Value = [Record; 3]> {
    (history(), any::<[u16; 3]>()).prop_map(|(events, masks)| {
        masks.map(|mask| {
            let mine: Vec<Event> = events
                .iter()
                .enumerate()
                .filter(|(n, _)| *n == 0 || mask >> n & 1 == 1)
                .map(|(_, e)| e.clone())
                .collect();
            record(&mine)
        })
    })
}

proptest! {
    #[test]
    fn the_fold_does_not_depend_on_the_order_of_reading((events, shuffled) in history().prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle()))) {
        prop_assert_eq!(fold(backup(), &events), fold(backup(), &shuffled));
        prop_assert_eq!(record(&events).to_bytes(), record(&shuffled).to_bytes());
    }

    #[test]
    fn union_is_associative_commutative_and_idempotent([a, b, c] in clones()) {
        prop_assert_eq!(a.union(&b), b.union(&a));
        prop_assert_eq!(a.union(&b).unwrap().union(&c), a.union(&b.union(&c).unwrap()));
        prop_assert_eq!(a.union(&a).unwrap(), a);
    }

    #[test]
    fn everything_survives_a_round_trip(events in history()) {
        let record = record(&events);
        let bytes = record.to_bytes().unwrap();
        let again = Record::parse(&bytes).unwrap();
        prop_assert_eq!(&again, &record);
        prop_assert_eq!(again.to_bytes().unwrap(), bytes);
        for event in &events {
            let text = to_canonical_json(&event.to_value());
            prop_assert_eq!(&Event::parse(&text).unwrap(), event);
        }
    }

    #[test]
    fn a_completed_backup_has_its_sizes(events in history()) {
        let backup = record(&events).fold().unwrap().backup;
        if backup.status == Status::Completed {
            prop_assert!(backup.size_bytes.is_some() && backup.stored_bytes.is_some() && backup.error.is_none());
        }
    }

    #[test]
    fn no_bytes_can_make_the_parsers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Event::parse(&bytes);
        let _ = Record::parse(&bytes);
        let _ = super::Metadata::parse(&bytes);
    }
}

#[test]
fn two_events_with_one_id_are_chosen_from_without_regard_to_order() {
    let first = Event::from_value(registered(0, 0)).unwrap();
    let mut other = registered(0, 0);
    other["name"] = json!("forged");
    let other = Event::from_value(other).unwrap();
    assert_eq!(record(&[first.clone(), other.clone()]), record(&[other, first]));
}

#[test]
fn an_event_of_a_newer_format_is_kept_and_not_understood() {
    let mut value = registered(1, 2);
    value["format"] = json!(2);
    let event = Event::from_value(value.clone()).unwrap();
    assert!(event.validate().is_err());
    assert_eq!(event.to_value(), value);
}
