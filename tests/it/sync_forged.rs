//! Records pushed by a malicious user with push access.

use pggit::clock::{Clock as _, System};
use pggit::domain::{Body, Held, Line, Status, Tagged};
use pggit::ledger::{Ledger, NewBackup, RecordChange, SyncOptions, SyncReport};
use serde_json::{Value, json};

use crate::ledger::{Repo, completed, new_backup};

const BOTH: SyncOptions = SyncOptions { fetch: true, push: true, dry_run: false, unattended: None };

/// A hub with two backups on two commits, and a clone of it.
struct Stage {
    hub: Repo,
    ada: Repo,
    /// The attack is on the first one.
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
                ledger
                    .append(new.id, |_| {
                        let schema = Some(b"CREATE TABLE t ();".to_vec());
                        Ok(RecordChange { bodies: vec![completed()], schema })
                    })
                    .unwrap();
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

    fn sync(&self) -> SyncReport {
        on(&self.ada, |ledger| ledger.sync("origin", BOTH).expect("syncs"))
    }

    fn reference(&self) -> String {
        format!("refs/backups/{}", self.backups[0].commit)
    }

    /// Pushes a ledger commit with these events on top of the one in the hub.
    fn push(&self, forge: impl FnOnce(&mut Vec<Value>)) {
        self.push_file("json", |content| {
            let mut record: Value = serde_json::from_str(content).unwrap();
            forge(record["events"].as_array_mut().unwrap());
            Some(record.to_string())
        });
    }

    /// Pushes a ledger commit that replaces or deletes the file of the first backup with this extension.
    fn push_file(&self, extension: &str, forge: impl FnOnce(&str) -> Option<String>) {
        let mallory = Repo::clone_of(&self.hub, "Mallory");
        let (name, id) = (self.reference(), self.backups[0].id);
        mallory.git(&["fetch", "-q", "origin", &format!("{name}:{name}")]);
        let path = format!(".pggit/{id}.{extension}");
        let content = forge(&mallory.git(&["show", &format!("{name}:{path}")]));
        mallory.git(&["read-tree", &name]);
        match content {
            Some(content) => {
                let file = tempfile::NamedTempFile::new().unwrap();
                std::fs::write(file.path(), content).unwrap();
                let blob = mallory.git(&["hash-object", "-w", file.path().to_str().unwrap()]);
                mallory.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{path}")]);
            }
            None => drop(mallory.git(&["update-index", "--force-remove", &path])),
        }
        let tree = mallory.git(&["write-tree"]);
        let message = format!("backup: tagged first\n\nSchema-Commit: {}", self.backups[0].commit);
        let commit = mallory.git(&["commit-tree", &tree, "-p", &name, "-m", &message]);
        mallory.git(&["push", "-q", "origin", &format!("{commit}:{name}")]);
    }

    /// Asserts that the ref is refused for `reason` and the other one is synchronised, repeatedly, until
    /// the hub is repaired.
    #[track_caller]
    fn is_refused(&self, reason: &str) {
        let good = self.ada.git(&["rev-parse", &self.reference()]);
        on(&self.ada, |ledger| {
            ledger.append(self.backups[1].id, |_| Ok(tag("new").into())).unwrap();
        });
        for pushed in [1, 0] {
            let synced = self.sync();
            let [left] = synced.skipped.as_slice() else { panic!("{synced:?}") };
            assert!(left.refused && !left.rewritten && left.reason.contains(reason), "{left:?}");
            assert_eq!((&left.reference, synced.pushed.len()), (&self.reference(), pushed));
            assert_eq!(self.ada.git(&["rev-parse", &self.reference()]), good);
        }
        // Inspects and repairs the hub as docs/trust.md describes. The first command moves the tracking ref
        // if `git pggit init` has configured that.
        let refspec = "+refs/backups/*:refs/pggit/remotes/origin/backups/*";
        self.ada.git(&["config", "--add", "remote.origin.fetch", refspec]);
        self.ada.git(&["fetch", "-q", "origin", &self.reference()]);
        let looked = self.ada.git(&["log", "-p", &format!("{good}..FETCH_HEAD"), "--", ".pggit"]);
        assert!(looked.contains(&self.backups[0].id.to_string()), "{looked}");
        let synced = self.sync();
        assert!(synced.skipped.len() == 1 && synced.skipped[0].refused, "{synced:?}");
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
fn a_diverged_history_is_checked_too() {
    let stage = Stage::new();
    // Both sides diverge from the same commit; an event of the hub is missing.
    stage.push(|events| drop(events.remove(1)));
    let held = || Held { reason: Line::lossy("audit") };
    on(&stage.ada, |ledger| ledger.append(stage.backups[0].id, |_| Ok(held().into())).unwrap());
    let synced = stage.sync();
    assert!(synced.skipped.len() == 1 && synced.skipped[0].refused, "{synced:?}");
    // If events were only added, both sides are merged.
    let stage = Stage::new();
    stage.push(|events| {
        let tagged = json!({ "kind": "tagged", "key": "theirs", "value": "" });
        events.push(event(&stage.backups[0], 3, &System.now().to_string(), tagged));
    });
    on(&stage.ada, |ledger| ledger.append(stage.backups[0].id, |_| Ok(held().into())).unwrap());
    let synced = stage.sync();
    assert_eq!((synced.merged.len(), synced.skipped.len()), (1, 0), "{synced:?}");
}

#[test]
fn clocks_and_times_that_nothing_can_follow_are_refused() {
    let (now, hold) = (System.now(), json!({ "kind": "held", "reason": "for ever" }));
    let late = now.plus(std::time::Duration::from_secs(2 * 86_400)).to_string();
    for (clock, at, reason) in [
        (u64::MAX, now.to_string(), "far above the clocks of all earlier events"),
        ((1 << 32) + 10, now.to_string(), "far above the clocks of all earlier events"),
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
    assert!(stage.sync().skipped.is_empty());
}

#[test]
fn a_ledger_that_was_poisoned_before_works_on() {
    let stage = Stage::new();
    stage.push(|events| {
        let hold = json!({ "kind": "held", "reason": "for ever" });
        events.push(event(&stage.backups[0], u64::MAX, "9999-12-31T23:59:59.999999Z", hold));
    });
    // Accepts the forged ref, as earlier versions did.
    stage.ada.git(&["fetch", "-q", "origin", &format!("+{0}:{0}", stage.reference())]);
    on(&stage.ada, |ledger| {
        let id = stage.backups[0].id;
        let entry = ledger.append(id, |_| Ok(tag("mine").into())).unwrap();
        assert_eq!((entry.backup.holds.len(), entry.backup.tags.len(), entry.ignored.len()), (0, 1, 1));
        assert!(entry.ignored[0].reason.contains("clock"), "{:?}", entry.ignored);
        let clock = entry.record.ordered().iter().map(|event| event.clock).rev().nth(1);
        assert_eq!((clock, entry.record.next_clock()), (Some(3), 4));
    });
    assert!(stage.sync().skipped.is_empty());
}

#[test]
fn a_record_that_was_removed_emptied_or_damaged_is_refused() {
    let stage = Stage::new();
    stage.push(Vec::clear);
    stage.is_refused("lacks event");
    let stage = Stage::new();
    stage.push_file("json", |_| None);
    stage.is_refused("was removed");
    let stage = Stage::new();
    stage.push_file("json", |content| Some(content[..40].to_owned()));
    stage.is_refused("is damaged");
    // All events are there, but the record is that of another backup.
    let stage = Stage::new();
    stage.push_file("json", |content| {
        let mut record: Value = serde_json::from_str(content).unwrap();
        record["id"] = json!(stage.backups[1].id);
        Some(record.to_string())
    });
    stage.is_refused("cannot be read");
}

#[test]
fn a_second_event_with_the_id_of_another_is_refused() {
    let stage = Stage::new();
    stage.push(|events| {
        let mut second = events[1].clone();
        second["size_bytes"] = json!(1);
        events.push(second);
    });
    stage.is_refused("two different events");
}

#[test]
fn a_schema_that_was_replaced_or_removed_is_refused() {
    let stage = Stage::new();
    stage.push_file("sql", |_| Some("CREATE TABLE forged ();".to_owned()));
    stage.is_refused("has its schema replaced");
    let stage = Stage::new();
    stage.push_file("sql", |_| None);
    stage.is_refused("lacks its schema");
    // The check also applies when both sides have new events.
    let stage = Stage::new();
    stage.push_file("sql", |_| Some("CREATE TABLE forged ();".to_owned()));
    let held = || Held { reason: Line::lossy("audit") };
    on(&stage.ada, |ledger| ledger.append(stage.backups[0].id, |_| Ok(held().into())).unwrap());
    let synced = stage.sync();
    let [left] = synced.skipped.as_slice() else { panic!("{synced:?}") };
    assert!(left.refused && left.reason.contains("has its schema replaced"), "{left:?}");
}

#[test]
fn a_new_clone_takes_over_an_event_without_effect() {
    let stage = Stage::new();
    stage.push(|events| {
        let hold = json!({ "kind": "held", "reason": "for ever" });
        events.push(event(&stage.backups[0], u64::MAX, "9999-12-31T23:59:59.999999Z", hold));
    });
    let bob = Repo::clone_of(&stage.hub, "Bob");
    on(&bob, |ledger| {
        assert!(ledger.sync("origin", BOTH).unwrap().skipped.is_empty());
        let entry = ledger.by_id(stage.backups[0].id).unwrap();
        assert_eq!((entry.backup.holds.len(), entry.ignored.len()), (0, 1));
    });
}
