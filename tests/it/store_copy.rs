//! A second store with the same content, and its entries in records.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::sandbox::Sandbox;
use crate::stores::{TestStore, files, read, run, set_age, version, write};
use pggit::store::{Access, Store, StoreUrl};

fn at(root: &Path) -> Store {
    Store::open(&StoreUrl::from_directory(root).unwrap(), &Access::default()).unwrap()
}

#[test]
fn an_empty_place_becomes_a_copy_whenever_it_is_killed() {
    let (place, mut contents) = TestStore::filled();
    let copy = place.dir.path().join("copies/first");
    let args = ["copy", copy.to_str().unwrap()];
    let points =
        ["store.copy.keys", "store.copy.begun", "store.copy.pack", "store.copy.packs", "store.copy.manifest"];
    for point in points.into_iter().chain(["store.object.partial"]) {
        let killed = place.run(point, &args);
        assert_eq!(killed.status.code(), None, "{point}: {killed:?}");
    }
    let done = place.run("", &args);
    assert!(done.status.success(), "{done:?}");
    let again = place.run("", &args);
    let said = String::from_utf8(again.stdout).unwrap();
    assert_eq!(said, "copied 0 artifacts with 0 packs (0 B); 6 were already copied\n");
    for (id, content) in &contents {
        assert_eq!(read(&at(&copy), id).unwrap(), *content);
    }
    assert_eq!(at(&copy).config(), place.store().config());
    // Removed artifacts stay in the copy, and new ones are copied.
    let (gone, old) = contents.pop_first().unwrap();
    place.remove(&gone);
    let _ = place.collect();
    contents.insert(place.put("shop", &version(1, 9)), version(1, 9));
    assert!(place.run("", &args).status.success());
    assert_eq!(read(&at(&copy), &gone).unwrap(), old);
    for (id, content) in &contents {
        assert_eq!(read(&at(&copy), id).unwrap(), *content);
    }
    let checked = run(&copy, "", &["check", "--read-data"]);
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn the_copy_of_one_artifact_may_be_killed_at_every_step() {
    let (place, contents) = TestStore::with_a_chain();
    let steps = ["keys", "begun", "pack", "packs", "manifest"].map(|step| format!("store.copy.{step}"));
    let objects = ["store.object.partial", "store.object.named"].map(str::to_owned);
    let mut killed = 0;
    for point in steps.into_iter().chain(objects) {
        for time in 1.. {
            let copy = place.dir.path().join(format!("{point}-{time}"));
            let args = ["copy", copy.to_str().unwrap()];
            let done = place.run(&format!("{point}:{time}"), &args);
            if done.status.success() {
                assert!(time > 1, "{point}");
                break;
            }
            assert_eq!(done.status.code(), None, "{point}:{time}: {done:?}");
            killed += 1;
            // Every listed artifact in the copy is complete, and the store is unchanged.
            if copy.join("config").exists() {
                for listed in at(&copy).list().unwrap() {
                    assert_eq!(read(&at(&copy), &listed.id).unwrap(), contents[&listed.id]);
                }
            }
            let again = place.run("", &args);
            assert!(again.status.success(), "{point}:{time}: {again:?}");
            for (id, content) in &contents {
                assert_eq!(read(&at(&copy), id).unwrap(), *content, "{point}:{time}");
            }
            assert_eq!(files(&copy.join("packs")).len(), 4, "{point}:{time}");
        }
    }
    // Four packs, a manifest, the configuration and two heartbeats, each twice.
    assert!(killed >= 8 + 16, "{killed}");
    place.assert_holds(&contents);
}

#[test]
fn another_store_is_not_overwritten() {
    let (place, other) = (TestStore::new(), TestStore::new());
    let refused = place.run("", &["copy", other.root().to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(12), "{refused:?}");
    let itself = place.run("", &["copy", place.root().to_str().unwrap()]);
    assert_eq!(itself.status.code(), Some(129), "{itself:?}");
}

#[test]
fn a_damaged_pack_is_not_copied_and_the_rest_is() {
    let (place, contents) = TestStore::filled();
    let pack = place.packs().remove(0);
    let mut bad = fs::read(&pack).unwrap();
    bad[100] ^= 1;
    fs::write(&pack, &bad).unwrap();
    let copy = place.dir.path().join("copy");
    let done = place.run("", &["copy", copy.to_str().unwrap()]);
    assert_eq!(done.status.code(), Some(16), "{done:?}");
    let there = at(&copy).list().unwrap();
    assert!(!there.is_empty() && there.len() < contents.len(), "{}", there.len());
    assert!(run(&copy, "", &["check", "--read-data"]).status.success());
}

#[test]
fn nothing_relies_on_packs_that_are_about_to_go() {
    let place = TestStore::new();
    let id = place.put("shop", &version(1, 0));
    let copy = place.dir.path().join("copy");
    let args = ["copy", copy.to_str().unwrap()];
    assert!(place.run("", &args).status.success());
    // The artifact is removed from the copy while another process writes there.
    let replica = at(&copy);
    for pack in files(&copy.join("packs")) {
        set_age(&pack, Duration::from_secs(3600));
    }
    let writer = crate::stores::begin(&replica, "crm");
    let _ = write(&writer, &version(2, 0));
    assert!(run(&copy, "", &["remove", "--force", &id]).status.success());
    assert!(run(&copy, "", &["gc", "--force"]).status.success());
    let busy = place.run("", &args);
    assert_eq!(busy.status.code(), Some(17), "{busy:?}");
    assert!(writer.publish(None).is_ok());
    assert!(place.run("", &args).status.success());
    assert_eq!(read(&at(&copy), &id).unwrap(), version(1, 0));
    assert!(run(&copy, "", &["check", "--read-data"]).status.success());
}

/// A repository with a backup in its store.
struct Recorded {
    sandbox: Sandbox,
    store: String,
    id: String,
}

fn recorded() -> Recorded {
    let sandbox = Sandbox::new();
    sandbox.commit("1.sql", "create table a ()", "one");
    let store = sandbox.path().join("store").to_str().unwrap().to_owned();
    let _ = sandbox.git(["config", "pggit.store", &format!("file://{store}")]);
    let _ = sandbox.pggit(["store", "init"]).success();
    fs::write(sandbox.repo().join("dump"), version(1, 0)).unwrap();
    let put = sandbox.pggit(["store", "put", "--database", "shop", "dump", "--json"]).success().json();
    let location = put["location"].as_str().unwrap();
    let register = ["backup", "register", "-q", "--database", "shop", "--tool", "pg_dump", "--size", "1"];
    let id = sandbox
        .pggit(register.into_iter().chain(["--name", "nightly", "--location", location]))
        .success()
        .stdout_text()
        .trim()
        .to_owned();
    Recorded { sandbox, store, id }
}

impl Recorded {
    fn record(&self) -> Value {
        self.sandbox.pggit(["backup", "show", &self.id, "--json"]).success().json()
    }

    fn artifact(&self) -> String {
        let list = self.sandbox.pggit(["store", "list", "--json"]).success().json();
        list[0]["id"].as_str().unwrap_or_default().to_owned()
    }
}

#[test]
fn records_name_their_copies() {
    let it = recorded();
    let copy = it.sandbox.path().join("copy");
    let copy = copy.to_str().unwrap();
    let location = format!("file://{copy}/artifacts/shop/{}", it.artifact());
    for _ in 0..2 {
        let _ = it.sandbox.pggit(["store", "copy", copy]).success();
        let record = it.record();
        assert_eq!(record["metadata"]["copies"], serde_json::json!([location]));
        let count = |kind: &str| {
            let events = it.sandbox.pggit(["backup", "cat", &it.id, "events"]).success().json();
            events.as_array().unwrap().iter().filter(|event| event["kind"] == kind).count()
        };
        assert_eq!(count("annotated"), 1);
    }
    // A damage names the backup; a missing artifact is found by its record.
    let check = |store: &str| it.sandbox.pggit(["store", "check", "--store", store]);
    fs::remove_dir_all(format!("{copy}/artifacts/shop")).unwrap();
    let said = check(copy).fails(1).stdout_text();
    assert!(said.contains("[artifact-missing]") && said.contains("nightly of shop"), "{said}");
    // A repair that is killed leaves the artifact missing or complete.
    let repair = ["store", "check", "--store", copy, "--repair-from", &it.store];
    fs::remove_dir_all(format!("{copy}/packs")).unwrap();
    for point in ["object.partial", "object.named", "copy.pack", "copy.packs", "copy.manifest"] {
        let mut command = it.sandbox.pggit_command();
        command.args(repair).env("PGGIT_CRASH_AT", format!("store.{point}"));
        let _ = it.sandbox.output(&mut command).fails(-1);
        let listed = at(Path::new(copy)).list().unwrap();
        assert_eq!(listed.len(), usize::from(point == "copy.manifest"), "{point}");
    }
    let _ = it.sandbox.pggit(repair).success();
    let _ = check(copy).success();
    // An artifact may be removed from a copy; the record is updated.
    let _ = it.sandbox.pggit(["store", "remove", "--store", copy, "--force", &it.artifact()]).success();
    assert_eq!(it.record()["metadata"]["copies"], Value::Null);
    let _ = check(copy).success();
}

#[test]
fn the_bytes_of_a_record_go_only_when_it_says_so_first() {
    let it = recorded();
    let artifact = it.artifact();
    let rm = |more: &[&str], point: &str| {
        let mut command = it.sandbox.pggit_command();
        command.args(["store", "remove", &artifact]).args(more).env("PGGIT_CRASH_AT", point);
        it.sandbox.output(&mut command)
    };
    let said = rm(&["--force"], "").fails(12).stderr_text();
    assert!(said.contains("nightly of shop") && said.contains("--recorded"), "{said}");
    let _ = it.sandbox.pggit(["backup", "hold", "nightly", "--reason", "audit"]).success();
    let _ = rm(&["--force", "--recorded"], "").fails(12);
    let _ = it.sandbox.pggit(["backup", "release", "nightly"]).success();
    let _ = rm(&["--recorded"], "").success();
    assert_eq!((it.artifact(), it.record()["status"].as_str()), (artifact.clone(), Some("completed")));
    let _ = rm(&["--force", "--recorded", "--reason", "test data"], "store.remove.recorded").fails(-1);
    assert_eq!((it.artifact(), it.record()["status"].as_str()), (artifact.clone(), Some("deleted")));
    // Another user may have recorded the deletion while the bytes still exist.
    let said = rm(&["--force"], "").fails(12).stderr_text();
    assert!(said.contains("is recorded as deleted") && said.contains("--recorded"), "{said}");
    let _ = rm(&["--force", "--recorded"], "").success();
    assert_eq!(it.artifact(), "");
    let _ = it.sandbox.pggit(["store", "check"]).success();
    let log = it.sandbox.pggit(["backup", "log", &it.id]).success().stdout_text();
    assert!(log.contains("test data"), "{log}");
}

#[test]
fn a_backup_that_others_need_or_that_is_made_now_is_not_removed() {
    let it = recorded();
    let artifact = it.artifact();
    let register = ["backup", "register", "-q", "--database", "shop", "--tool", "x", "--size", "1"];
    let _ = it
        .sandbox
        .pggit(register.into_iter().chain([
            "--type",
            "incremental",
            "--depends-on",
            &it.id,
            "--name",
            "second",
        ]))
        .success();
    let said = it.sandbox.pggit(["store", "remove", &artifact, "--recorded"]).fails(12).stderr_text();
    assert!(said.contains("is needed by another"), "{said}");
}
