//! Property tests of the fold and of the record file, for any history.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{BackupId, Event, EventId, Record, Status, fold, to_canonical_json};

const BACKUP: &str = "01a1fc4d-1b4e-7a30-a139-0dfc0e59e1a5";

fn backup() -> BackupId {
    BACKUP.parse().unwrap()
}

/// Returns the `n`th event id of the test.
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

/// Generates the fields of an event of any kind: known, unknown or nonsense.
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
        Just(json!({
            "kind": "restored", "mode": "clone", "target": "postgresql://ada@db1:5432/shop_copy",
            "commit": "c0cae53cf046fd372a4fcea319a62491c890a372", "details": {"duration_s": 1.5},
        })),
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

/// Generates a registration and up to eleven other events.
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

/// Generates a history, and one part of it for each of three clones by a bit mask. Each part has the
/// registration.
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
        parse_all(&bytes);
    }

    #[test]
    fn no_json_can_make_the_parsers_panic(value in json()) {
        parse_all(&to_canonical_json(&value));
        let mut event = registered(0, 1);
        event.as_object_mut().unwrap().extend(value.as_object().cloned().unwrap_or_default());
        parse_all(&to_canonical_json(&event));
        parse_all(&to_canonical_json(&json!({ "id": BACKUP, "events": [registered(0, 0), event, value] })));
    }

    /// Parsers tend to fail on text that is almost a record.
    #[test]
    fn no_damage_can_make_the_parsers_panic(events in history(), damage in damage()) {
        let mut bytes = record(&events).to_bytes().unwrap();
        for (at, change) in damage {
            let at = at.index(bytes.len().max(1));
            match change {
                Change::Set(byte) => if let Some(old) = bytes.get_mut(at) { *old = byte },
                Change::Cut => bytes.truncate(at),
                Change::Remove(length) => drop(bytes.drain(at..(at + length).min(bytes.len()))),
                Change::Repeat(length) => {
                    let piece = bytes[at..(at + length).min(bytes.len())].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
        }
        parse_all(&bytes);
    }
}

/// Calls all parsers of this room. A parser must be able to write every value that it accepts.
fn parse_all(bytes: &[u8]) {
    let _ = super::Metadata::parse(bytes);
    if let Ok(event) = Event::parse(bytes) {
        assert_eq!(Event::parse(&to_canonical_json(&event.to_value())).unwrap(), event);
    }
    if let Ok(record) = Record::parse(bytes)
        && let Ok(written) = record.to_bytes()
    {
        assert_eq!(Record::parse(&written).unwrap(), record);
    }
}

#[derive(Debug, Clone)]
enum Change {
    Set(u8),
    Cut,
    Remove(usize),
    Repeat(usize),
}

fn damage() -> impl Strategy<Value = Vec<(proptest::sample::Index, Change)>> {
    let change = prop_oneof![
        any::<u8>().prop_map(Change::Set),
        prop_oneof![Just(b'"'), Just(b'{'), Just(b']'), Just(b'-'), Just(b'9')].prop_map(Change::Set),
        Just(Change::Cut),
        (1..40usize).prop_map(Change::Remove),
        (1..200usize).prop_map(Change::Repeat),
    ];
    proptest::collection::vec((any::<proptest::sample::Index>(), change), 1..6)
}

/// Generates any JSON, with keys that have a meaning.
fn json() -> impl Strategy<Value = Value> {
    const KEYS: &[&str] = &[
        "id",
        "backup",
        "kind",
        "clock",
        "at",
        "by",
        "host",
        "format",
        "events",
        "metadata",
        "tags",
        "tool",
        "name",
        "commit",
        "depends_on",
        "attempt",
        "owner",
        "size_bytes",
        "postgres",
        "holds",
        "error",
        "details",
        "digest",
        "location",
        "expires_at",
        "x",
    ];
    const TEXTS: &[&str] = &[
        "registered",
        "completed",
        "released",
        BACKUP,
        "blake3:",
        "2026-11-21T03:40:06.123456Z",
        "full",
        "s3://a/b",
        "9999-12-31T23:59:59.999999Z",
        "-1",
        "\u{0}",
        "\u{202e}x",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(TEXTS).prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    let key = prop_oneof![proptest::sample::select(KEYS).prop_map(str::to_owned), "[a-z]{1,5}"];
    leaf.prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(key.clone(), inner, 0..10)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

#[test]
fn deep_nesting_is_an_error_and_no_overflow() {
    for open in ["[", "{\"a\":"] {
        parse_all(open.repeat(2_000_000 / open.len()).as_bytes());
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
