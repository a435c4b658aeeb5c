//! Garbage is collected, and needed packs are kept, whichever process crashes at any time.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pggit::progress::Quiet;
use pggit::store::{Access, Amount, Error, Store, StoreUrl};

use crate::backup_cli::crowd::{Chance, killed_after};
use crate::stores::{TestStore, begin, files, now, publish, read, run, set_age, version, write};
use crate::tmpfs::Tmpfs;

const POINTS: [&str; 9] = [
    "store.gc.condemned",
    "store.gc.seen",
    "store.gc.buried",
    "store.gc.ripe",
    "store.gc.read",
    "store.gc.removed",
    "store.gc.swept",
    "store.object.partial",
    "store.remove.removed",
];

#[test]
fn what_no_artifact_needs_goes_and_the_rest_stays() {
    let (place, mut contents) = TestStore::filled();
    let before = place.packs().len();
    let ids: Vec<String> = contents.keys().cloned().collect();
    assert_eq!(place.collect().removed, Amount::default());
    // Removes all artifacts of one database, and the middle of a chain of the other.
    for id in ids.iter().skip(1).step_by(2).chain([&ids[2]]) {
        place.remove(id);
        contents.remove(id);
    }
    let planned = place.store().garbage(now()).unwrap();
    assert!(planned.garbage.count > 0 && planned.removed.count == 0, "{planned:?}");
    assert_eq!(place.packs().len(), before);
    let collected = place.collect();
    assert_eq!((collected.garbage, collected.removed), (planned.garbage, planned.garbage));
    assert_eq!(place.packs().len(), before - planned.garbage.count);
    place.assert_holds(&contents);
    assert_eq!(place.check().garbage, Some(Amount::default()));
    assert!(files(&place.root().join("gc")).is_empty());
    assert_eq!(place.collect().garbage, Amount::default());
}

#[test]
fn a_manifest_that_cannot_be_read_stops_it() {
    let (place, contents) = TestStore::filled();
    let ids: Vec<&String> = contents.keys().collect();
    place.remove(ids[0]);
    let packs = place.packs();
    let manifest = files(&place.root().join("artifacts")).remove(0);
    let good = fs::read(&manifest).unwrap();
    for at in [0, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&manifest, &bad).unwrap();
        assert!(matches!(place.store().collect(&Quiet), Err(Error::Damaged { .. })), "{at}");
        assert!(matches!(place.store().garbage(now()), Err(Error::Damaged { .. })), "{at}");
    }
    assert_eq!(place.packs(), packs);
    fs::write(&manifest, &good).unwrap();
    place.collect();
}

#[test]
fn what_is_being_written_and_what_it_is_built_on_stays() {
    let place = TestStore::new();
    let old = place.put("shop", &version(1, 0));
    for pack in place.packs() {
        set_age(&pack, Duration::from_secs(3600));
    }
    let writer = place.begin("shop");
    assert_eq!(writer.base(), Some(old.as_str()));
    let _ = write(&writer, &version(1, 1));
    assert!(writer.flush().unwrap() > 0);
    place.remove(&old);
    let collected = place.collect();
    assert_eq!((collected.removed.count, collected.waiting.count), (0, 1), "{collected:?}");
    assert_eq!((collected.unfinished.count, collected.writers.len()), (1, 1), "{collected:?}");
    // A writer that begins now does not use a pending deletion as its base.
    let late = place.begin("shop");
    assert_eq!(late.base(), None);
    let location = writer.publish(None).unwrap().location;
    let id = location.rsplit('/').next().unwrap().to_owned();
    let after = place.begin("shop");
    assert_eq!(after.base(), None, "its pack is a pending deletion");
    drop(after);
    drop(late);
    let collected = place.collect();
    assert_eq!(collected.removed.count, 0, "{collected:?}");
    place.assert_holds(&BTreeMap::from([(id.clone(), version(1, 1))]));
    assert_eq!(place.begin("shop").base(), Some(id.as_str()), "no deletion is pending");
}

#[test]
fn a_writer_that_begins_after_a_marker_does_not_hold_it_up() {
    let place = TestStore::new();
    let old = place.put("shop", &version(1, 0));
    set_age(&place.packs()[0], Duration::from_secs(7200));
    let first = place.begin("crm");
    place.remove(&old);
    set_age(&files(&place.root().join("writers"))[0], Duration::from_secs(3600));
    assert_eq!(place.collect().waiting.count, 1);
    for marker in files(&place.root().join("gc")) {
        set_age(&marker, Duration::from_secs(1800));
    }
    let second = place.begin("crm");
    drop(first);
    assert_eq!(place.collect().removed.count, 1);
    let id = publish(second, &version(2, 0)).unwrap();
    place.assert_holds(&BTreeMap::from([(id, version(2, 0))]));
}

#[test]
fn who_was_taken_for_dead_cannot_publish() {
    let place = TestStore::new();
    let kept = place.put("shop", &version(1, 0));
    let writer = place.begin("shop");
    let _ = write(&writer, &version(1, 1));
    let _ = writer.flush().unwrap();
    place.age_writers();
    let planned = place.store().garbage(now()).unwrap();
    assert!(planned.writers[0].expired && planned.garbage.count == 1, "{planned:?}");
    assert_eq!(place.collect().removed.count, 1);
    let error = writer.publish(None).unwrap_err();
    assert!(matches!(error, Error::LeaseExpired { .. }) && error.retry(), "{error}");
    assert_eq!(place.store().list().unwrap().len(), 1);
    assert!(files(&place.root().join("writers")).is_empty());
    place.assert_holds(&BTreeMap::from([(kept, version(1, 0))]));
}

#[test]
fn nothing_is_built_on_an_artifact_without_its_packs() {
    let place = TestStore::new();
    let _ = place.put("shop", &version(1, 0));
    fs::remove_file(&place.packs()[0]).unwrap();
    let writer = place.begin("shop");
    assert_eq!(writer.base(), None);
    let id = publish(writer, &version(1, 0)).unwrap();
    assert_eq!(read(&place.store(), &id).unwrap(), version(1, 0));
}

#[test]
fn a_marker_that_cannot_be_read_makes_backups_large_and_goes() {
    let place = TestStore::new();
    let _ = place.put("shop", &version(1, 0));
    fs::create_dir_all(place.root().join("gc")).unwrap();
    fs::write(place.root().join("gc/0190"), "x").unwrap();
    assert_eq!(place.begin("shop").base(), None);
    place.collect();
    assert!(files(&place.root().join("gc")).is_empty());
    assert!(place.begin("shop").base().is_some());
}

#[test]
fn files_of_writers_that_died_go_after_a_day() {
    let place = TestStore::new();
    let partial = place.root().join("partial");
    fs::create_dir_all(&partial).unwrap();
    fs::write(partial.join("old"), "x").unwrap();
    fs::write(partial.join("new"), "x").unwrap();
    set_age(&partial.join("old"), Duration::from_secs(13 * 3600));
    assert_eq!(place.collect().swept, 1);
    assert!(partial.join("new").exists() && !partial.join("old").exists());
}

#[test]
fn it_may_be_killed_at_every_step() {
    for point in POINTS {
        let (place, mut contents) = TestStore::filled();
        let dead = place.begin("crm");
        let _ = write(&dead, &version(3, 0));
        let _ = dead.flush().unwrap();
        place.age_writers();
        let (first, _) = contents.pop_first().unwrap();
        let killed = match point {
            "store.remove.removed" => place.run(point, &["remove", "--force", &first]),
            _ => {
                place.remove(&first);
                place.run(point, &["gc", "--force"])
            }
        };
        assert_eq!(killed.status.code(), None, "{point}: {killed:?}");
        place.assert_holds(&contents);
        let twice = place.run(point, &["gc", "--force"]);
        place.assert_holds(&contents);
        assert!(place.run("", &["gc", "--force"]).status.success(), "{point}: {twice:?}");
        place.assert_holds(&contents);
        let checked = place.check();
        assert_eq!((checked.garbage, checked.markers), (Some(Amount::default()), 0), "{point}");
        assert!(dead.publish(None).is_err());
        assert!(files(&place.root().join("writers")).is_empty(), "{point}");
    }
}

#[test]
fn a_writer_that_is_killed_leaves_garbage_at_most() {
    let points = ["store.writer.begun", "store.object.partial", "store.pack.written", "store.packs.written"];
    let (place, mut contents) = TestStore::filled();
    let input = place.dir.path().join("input");
    fs::write(&input, version(1, 5)).unwrap();
    let input = input.to_str().unwrap();
    for point in points.into_iter().chain(["store.artifact.written"]) {
        let killed = place.run(point, &["put", "--database", "shop", input]);
        assert_eq!(killed.status.code(), None, "{point}: {killed:?}");
    }
    // The last artifact was complete before the crash, so it exists.
    for listed in place.store().list().unwrap() {
        contents.entry(listed.id).or_insert_with(|| version(1, 5));
    }
    assert_eq!(contents.len(), 7);
    place.assert_holds(&contents);
    let collected = place.collect();
    assert!(collected.removed.count == 0 && collected.unfinished.count > 0, "{collected:?}");
    place.age_writers();
    for partial in files(&place.root().join("partial")) {
        set_age(&partial, Duration::from_secs(13 * 3600));
    }
    let collected = place.collect();
    assert!(collected.removed.count > 0 && collected.swept > 0, "{collected:?}");
    place.assert_holds(&contents);
    assert_eq!(place.check().garbage, Some(Amount::default()));
    assert!(files(&place.root().join("partial")).is_empty());
}

#[test]
fn a_full_disk_stops_it_without_harm() {
    let Some(disk) = Tmpfs::mount("size=16m") else { return };
    let root = disk.path().join("store");
    let store = Store::init(&StoreUrl::from_directory(&root).unwrap(), &Access::default(), now()).unwrap();
    let first = publish(begin(&store, "shop"), &version(1, 0)).unwrap();
    let second = publish(begin(&store, "crm"), &version(2, 0)).unwrap();
    let listed = store.list().unwrap().into_iter().find(|listed| listed.id == first).unwrap();
    store.remove(&listed.location).unwrap();
    let mut left = 0_u64;
    while left < 40 {
        // Leaves a few pages only: each attempt gets one step further.
        disk.leave(left * 4096);
        let collected = store.collect(&Quiet);
        assert_eq!(read(&store, &second).unwrap(), version(2, 0));
        match collected {
            Err(Error::Full { .. }) => {}
            Err(error) => panic!("{error}"),
            Ok(_) => break,
        }
        left += 1;
    }
    assert!((1..40).contains(&left), "{left}");
    disk.make_room();
    let _ = store.collect(&Quiet).unwrap();
    assert_eq!(store.stats().unwrap().garbage_packs, 0);
}

#[test]
fn a_full_disk_stops_writers_and_copies_without_harm() {
    let Some(disk) = Tmpfs::mount("size=16m") else { return };
    let root = disk.path().join("store");
    let store = Store::init(&StoreUrl::from_directory(&root).unwrap(), &Access::default(), now()).unwrap();
    let first = publish(begin(&store, "shop"), &version(1, 0)).unwrap();
    let source = TestStore::filled();
    let full = |left: u64, work: &mut dyn FnMut() -> Result<(), Error>| {
        disk.leave(left * 8192);
        let done = work();
        disk.make_room();
        assert_eq!(read(&store, &first).unwrap(), version(1, 0));
        match done {
            Ok(()) => true,
            Err(Error::Full { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    };
    let begin_new = || {
        let id = uuid::Uuid::now_v7().to_string();
        let lineage = "crm".to_owned();
        store.begin(pggit::store::NewArtifact { id, lineage, created_at: now(), level: 1 })
    };
    let mut put = || {
        let writer = begin_new()?;
        let mut file = writer.file("dump", pggit::store::Chunking::Content)?;
        let full = |error: std::io::Error| error.downcast::<Error>().unwrap();
        std::io::Write::write_all(&mut file, &version(2, 0)).map_err(full)?;
        let _ = file.finish()?;
        writer.publish(None).map(drop)
    };
    let puts = (0..60).take_while(|left| !full(*left, &mut put)).count();
    assert!((2..60).contains(&puts), "{puts}");
    let copy = StoreUrl::from_directory(&disk.path().join("copy")).unwrap();
    let mut copied = || {
        let replica = source.0.store().replica(&copy, &Access::default())?;
        source.0.store().copy_to(&replica, &Quiet).map(drop)
    };
    let copies = (0..60).take_while(|left| !full(*left, &mut copied)).count();
    assert!((2..60).contains(&copies), "{copies}");
    for store in [Store::open(&copy, &Access::default()).unwrap(), store.clone()] {
        let all = pggit::store::CheckOptions { read: Some(pggit::store::Portion::All), expected: Vec::new() };
        let checked = store.check(&all, now(), &Quiet).unwrap();
        assert!(checked.is_sound() && checked.artifacts > 1, "{checked:?}");
    }
}

/// Returns the number of processes that are killed; 600 with `PGGIT_TEST_LONG`.
fn kills() -> u32 {
    if std::env::var_os("PGGIT_TEST_LONG").is_some() { 600 } else { 24 }
}

fn start(place: &TestStore, args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_git-pggit"));
    command.env_clear().env("HOME", place.dir.path()).env("PATH", std::env::var_os("PATH").unwrap());
    command.env("GIT_CEILING_DIRECTORIES", place.dir.path()).current_dir(place.dir.path());
    command.arg("store").args(args).arg("--store").arg(place.root());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn writers_and_collections_are_killed_and_nothing_acknowledged_is_lost() {
    let place = TestStore::new();
    let inputs: Vec<String> = (0..6)
        .map(|number| {
            let path = place.dir.path().join(format!("v{number}"));
            fs::write(&path, version(1, number)).unwrap();
            path.to_str().unwrap().to_owned()
        })
        .collect();
    let mut chance = Chance(0xC0FFEE);
    let mut contents: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let born = Instant::now();
    assert!(run(&place.root(), "", &["put", "--database", "shop", &inputs[0]]).status.success());
    let life = born.elapsed();
    for round in 0..kills() {
        let at = chance.below(6) as usize;
        let mut writers: Vec<(usize, Child)> = vec![
            (at, start(&place, &["put", "--database", "shop", &inputs[at]])),
            (0, start(&place, &["put", "--database", "shop", &inputs[0]])),
        ];
        let mut others = vec![start(&place, &["gc", "--force"]), start(&place, &["gc", "--force"])];
        if let Some(id) = contents.keys().nth(chance.below(4) as usize).cloned() {
            contents.remove(&id);
            others.push(start(&place, &["remove", "--force", &id]));
        }
        for child in others.iter_mut().take(chance.below(4) as usize) {
            killed_after(child, life * chance.below(1000) as u32 / 2000);
        }
        if chance.below(2) == 0 {
            killed_after(&mut writers[0].1, life * chance.below(1000) as u32 / 1000);
        }
        if round % 4 == 3 {
            // The leases of killed writers expire; those of running ones seem to expire, too.
            place.age_writers();
        }
        for child in others {
            let _ = child.wait_with_output().unwrap();
        }
        for (at, child) in writers {
            let output = child.wait_with_output().unwrap();
            let id = String::from_utf8(output.stdout).unwrap().trim().to_owned();
            if output.status.success() {
                contents.insert(id, version(1, at as u32));
            }
        }
    }
    assert!(contents.len() > 3, "{}", contents.len());
    place.assert_holds(&contents);
    place.age_writers();
    let _ = place.collect();
    place.assert_holds(&contents);
    assert_eq!(place.check().garbage, Some(Amount::default()));
}

/// Clocks of machines that are wrong by years: their timestamps are for display only, and garbage
/// collection does not depend on them.
#[test]
fn clocks_that_are_wrong_lose_nothing() {
    let (place, mut contents) = TestStore::filled();
    for (number, years) in [(3, 30_i64), (4, -30), (5, 0)] {
        let seconds = now().unix_millis() / 1000 + years * 365 * 86_400;
        let at = pggit::domain::Timestamp::from_unix(seconds).unwrap();
        let new = pggit::store::NewArtifact {
            id: pggit::domain::BackupId::new(at).to_string(),
            lineage: "shop".to_owned(),
            created_at: at,
            level: 1,
        };
        let writer = place.store().begin(new).unwrap();
        // A garbage collection runs during the write, too.
        let content = version(1, number);
        let _ = write(&writer, &content);
        let _ = place.collect();
        let id = writer.publish(None).unwrap().location.rsplit('/').next().unwrap().to_owned();
        contents.insert(id, content);
        let _ = place.collect();
    }
    let _ = place.collect();
    place.assert_holds(&contents);
}
