//! Records pushed by a malicious user with push access.

use pggit::clock::{Clock as _, System};
use pggit::domain::{Body, Held, Line, Status, Tagged};
use pggit::ledger::{Direction, Ledger, NewBackup, Synced};
use serde_json::{Value, json};

use crate::ledger::{Repo, completed, new_backup};

const BOTH: Direction = Direction { fetch: true, push: true, dry_run: false, unattended: None };

/// A hub with two backups on two commits, and a clone of it.
struct Stage {
    hub: Repo,
    ada: Repo,
    /// The first one is attacked.
    backups: [NewBackup; 2],
}

impl Stage {
    fn new() -> Self {
        let hub = Repo::bare_clone_of(&Repo::with_history(&[]));
        let ada = Repo::clone_of(&hub, "Ada");
        let register = |name: &str| {
            on(&ada, |ledger| {
                let new = new_backup(ledger.repository(), name);
                ledger.register(&new, &[]).unwrap();
                ledger.append(new.id, |_| Ok(completed().into())).unwrap();
                new
            })
        };
        let first = register("first");
        ada.commit("0003.sql", "-- later", "later");
        ada.git(&["push", "-q", "origin", "main"]);
        let second = register("second");
        let stage = Self { hub, ada, backups: [first, second] };
        assert_eq!(stage.sync().pushed.len(), 2);
        stage
    }

    fn sync(&self) -> Synced {
        on(&self.ada, |ledger| ledger.sync("origin", BOTH).expect("syncs"))
    }

    fn reference(&self) -> String {
        format!("refs/backups/{}", self.backups[0].commit)
    }

    /// Pushes a ledger commit with these events on top of that of the hub.
    fn push(&self, forge: impl FnOnce(&mut Vec<Value>)) {
        let mallory = Repo::clone_of(&self.hub, "Mallory");
        let (name, id) = (self.reference(), self.backups[0].id);
        mallory.git(&["fetch", "-q", "origin", &format!("{name}:{name}")]);
        let path = format!(".pggit/{id}.json");
        let mut record: Value =
            serde_json::from_str(&mallory.git(&["show", &format!("{name}:{path}")])).unwrap();
        forge(record["events"].as_array_mut().unwrap());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), record.to_string()).unwrap();
        let blob = mallory.git(&["hash-object", "-w", file.path().to_str().unwrap()]);
        mallory.git(&["read-tree", &name]);
        mallory.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{path}")]);
        let tree = mallory.git(&["write-tree"]);
        let message = format!("backup: tagged first\n\nSchema-Commit: {}", self.backups[0].commit);
        let commit = mallory.git(&["commit-tree", &tree, "-p", &name, "-m", &message]);
        mallory.git(&["push", "-q", "origin", &format!("{commit}:{name}")]);
    }

    /// Checks that the ref is refused for `reason` and the other one is synchronised, repeatedly, until
    /// the hub is repaired.
    #[track_caller]
    fn is_refused(&self, reason: &str) {
        let good = self.ada.git(&["rev-parse", &self.reference()]);
        on(&self.ada, |ledger| {
            ledger.append(self.backups[1].id, |_| Ok(tag("new").into())).unwrap();
        });
        for pushed in [1, 0] {
            let synced = self.sync();
            let [left] = synced.left_alone.as_slice() else { panic!("{synced:?}") };
            assert!(left.refused && !left.rewritten && left.reason.contains(reason), "{left:?}");
            assert_eq!((&left.reference, synced.pushed.len()), (&self.reference(), pushed));
            assert_eq!(self.ada.git(&["rev-parse", &self.reference()]), good);
        }
        // Repairs the hub as docs/trust.md describes.
        self.hub.git(&["update-ref", &self.reference(), &good]);
        assert!(self.sync().is_nothing());
    }
}

fn on<T>(repo: &Repo, work: impl FnOnce(&Ledger<'_>) -> T) -> T {
    let (repository, host) = (repo.open(), Line::lossy("db1"));
    work(&Ledger::new(&repository, &System, &host))
}

fn tag(key: &str) -> Body {
    Tagged { key: key.parse().unwrap(), value: Line::default() }.into()
}

/// Returns an event of this backup with a clock and a time.
#[expect(clippy::needless_pass_by_value, reason = "callers write the fields in place")]
fn event(backup: &NewBackup, clock: u64, at: &str, more: Value) -> Value {
    let mut event = json!({
        "format": 1, "id": "ffffffff-ffff-7fff-bfff-ffffffffffff", "backup": backup.id, "clock": clock, "at": at,
        "by": "Mallory <m@example.com>", "host": "evil",
    });
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event
}

#[test]
fn a_fast_forward_that_takes_an_event_away_is_refused() {
    let stage = Stage::new();
    stage.push(|events| events.retain(|event| event["kind"] != "completed"));
    stage.is_refused("lacks event");
    let status = on(&stage.ada, |ledger| ledger.by_id(stage.backups[0].id).unwrap().backup.status);
    assert_eq!(status, Status::Completed);
}

#[test]
fn a_fast_forward_that_alters_an_event_is_refused() {
    let stage = Stage::new();
    stage.push(|events| events[1]["size_bytes"] = json!(1));
    stage.is_refused("altered");
}

#[test]
fn a_history_that_went_its_own_way_is_looked_at_too() {
    let stage = Stage::new();
    // Both sides diverge from the same commit; an event of the hub is missing.
    stage.push(|events| drop(events.remove(1)));
    let held = || Held { reason: Line::lossy("audit") };
    on(&stage.ada, |ledger| ledger.append(stage.backups[0].id, |_| Ok(held().into())).unwrap());
    let synced = stage.sync();
    assert!(synced.left_alone.len() == 1 && synced.left_alone[0].refused, "{synced:?}");
    // If events were only added, both sides are merged.
    let stage = Stage::new();
    stage.push(|events| {
        let tagged = json!({ "kind": "tagged", "key": "theirs", "value": "" });
        events.push(event(&stage.backups[0], 3, &System.now().to_string(), tagged));
    });
    on(&stage.ada, |ledger| ledger.append(stage.backups[0].id, |_| Ok(held().into())).unwrap());
    let synced = stage.sync();
    assert_eq!((synced.merged.len(), synced.left_alone.len()), (1, 0), "{synced:?}");
}

#[test]
fn clocks_and_times_that_nothing_can_follow_are_refused() {
    let (now, hold) = (System.now(), json!({ "kind": "held", "reason": "for ever" }));
    let late = now.plus(std::time::Duration::from_secs(2 * 86_400)).to_string();
    for (clock, at, reason) in [
        (u64::MAX, now.to_string(), "far above all before it"),
        ((1 << 32) + 10, now.to_string(), "far above all before it"),
        (3, late.clone(), "more than a day ahead"),
        (3, "9999-12-31T23:59:59.999999Z".to_owned(), "more than a day ahead"),
    ] {
        let stage = Stage::new();
        stage.push(|events| events.push(event(&stage.backups[0], clock, &at, hold.clone())));
        stage.is_refused(reason);
    }
    // The time of completion is checked too.
    let stage = Stage::new();
    stage.push(|events| {
        let body = json!({ "kind": "completed", "size_bytes": 1, "stored_bytes": 1, "completed_at": late });
        events.push(event(&stage.backups[0], 3, &now.to_string(), body));
    });
    stage.is_refused("more than a day ahead");
    // A clock that is some hours ahead is accepted.
    let stage = Stage::new();
    let soon = now.plus(std::time::Duration::from_secs(20 * 3600)).to_string();
    stage.push(|events| events.push(event(&stage.backups[0], 1000, &soon, hold)));
    assert!(stage.sync().left_alone.is_empty());
}

#[test]
fn a_ledger_that_was_poisoned_before_works_on() {
    let stage = Stage::new();
    stage.push(|events| {
        let hold = json!({ "kind": "held", "reason": "for ever" });
        events.push(event(&stage.backups[0], u64::MAX, "9999-12-31T23:59:59.999999Z", hold));
    });
    // Takes the forged ref over, as earlier versions did.
    stage.ada.git(&["fetch", "-q", "origin", &format!("+{0}:{0}", stage.reference())]);
    on(&stage.ada, |ledger| {
        let id = stage.backups[0].id;
        let entry = ledger.append(id, |_| Ok(tag("mine").into())).unwrap();
        assert_eq!((entry.backup.holds.len(), entry.backup.tags.len(), entry.ignored.len()), (0, 1, 1));
        assert!(entry.ignored[0].reason.contains("clock"), "{:?}", entry.ignored);
        let clock = entry.record.ordered().iter().map(|event| event.clock).rev().nth(1);
        assert_eq!((clock, entry.record.next_clock()), (Some(3), 4));
    });
    assert!(stage.sync().left_alone.is_empty());
}

#[test]
fn a_record_that_was_removed_or_damaged_is_refused() {
    let stage = Stage::new();
    stage.push(Vec::clear);
    stage.is_refused("lacks event");
}
