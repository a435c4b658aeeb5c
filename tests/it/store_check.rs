//! Damaged objects are named, intact ones are not, and a copy repairs them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use pggit::domain::Timestamp;
use pggit::progress::Quiet;
use pggit::store::{CheckOptions, Portion};

use crate::backup_cli::crowd::Chance;
use crate::stores::{TestStore, duplicate, files, read, run};
use crate::tmpfs::Tmpfs;

/// Returns the number of damages; 1,000 with `PGGIT_TEST_LONG`.
fn damages() -> u32 {
    if std::env::var_os("PGGIT_TEST_LONG").is_some() { 1000 } else { 60 }
}

/// Returns the packs and manifests of a store.
fn objects(place: &TestStore) -> Vec<PathBuf> {
    let mut objects = files(&place.root().join("packs"));
    objects.extend(files(&place.root().join("artifacts")));
    objects
}

fn overwrite(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
}

/// Damages one object, or swaps two.
fn damage(objects: &[PathBuf], chance: &mut Chance) {
    let content = |path: &PathBuf| fs::read(path).ok().filter(|content| !content.is_empty());
    let whole: Vec<(&PathBuf, Vec<u8>)> =
        objects.iter().filter_map(|path| Some((path, content(path)?))).collect();
    let pick = |chance: &mut Chance| &whole[chance.below(whole.len() as u64) as usize];
    let (path, content) = pick(chance);
    let at = chance.below(content.len() as u64) as usize;
    match chance.below(8) {
        0..=3 => {
            let mut bad = content.clone();
            bad[at] ^= 1 << chance.below(8);
            overwrite(path, &bad);
        }
        4 | 5 => File::options().write(true).open(path).unwrap().set_len(at as u64).unwrap(),
        6 => fs::remove_file(path).unwrap(),
        _ => {
            let (other, second) = pick(chance);
            overwrite(path, second);
            overwrite(other, content);
        }
    }
}

#[test]
fn exactly_what_is_damaged_is_named() {
    let (place, contents) = TestStore::filled();
    let objects = objects(&place);
    let listed = place.store().list().unwrap();
    let expected: Vec<String> = listed.iter().map(|listed| listed.location.clone()).collect();
    let originals: BTreeMap<PathBuf, Vec<u8>> =
        objects.iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    let mut chance = Chance(0xDA4A6E);
    let (mut hits, mut harmless) = (0, 0);
    for round in 0..damages() {
        for _ in 0..=chance.below(4) / 3 {
            damage(&objects, &mut chance);
        }
        let changed: Vec<_> = originals
            .iter()
            .filter(|(path, content)| fs::read(path).ok().as_ref() != Some(content))
            .collect();
        let store = place.store();
        let there: BTreeSet<String> = store.list().unwrap().into_iter().map(|listed| listed.id).collect();
        let bad: BTreeSet<&String> = contents
            .iter()
            .filter(|(id, content)| {
                let whole = there.contains(*id).then(|| read(&store, id).ok()).flatten();
                // The result is correct, or an error.
                assert!(whole.as_ref().is_none_or(|read| read == *content), "round {round}: {id}");
                whole.is_none()
            })
            .map(|(id, _)| id)
            .collect();
        let all = CheckOptions { read: Some(Portion::All), expected: expected.clone() };
        let checked = place.store().check(&all, Timestamp::from_unix(0).unwrap(), &Quiet).unwrap();
        let named: BTreeSet<&String> = checked.affected.iter().map(|hit| &hit.id).collect();
        assert_eq!(named, bad, "round {round}: {checked:?}");
        assert_eq!(checked.findings.is_empty(), changed.is_empty(), "round {round}: {checked:?}");
        if bad.is_empty() {
            harmless += 1;
        } else {
            hits += 1;
        }
        for (path, content) in changed {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            overwrite(path, content);
        }
    }
    assert!(hits > 10, "{hits} hits, {harmless} without");
    place.assert_holds(&contents);
}

/// Returns the number of flipped bits; 10,000 with `PGGIT_TEST_LONG`.
fn flips() -> u32 {
    if std::env::var_os("PGGIT_TEST_LONG").is_some() { 10_000 } else { 400 }
}

#[test]
fn every_flipped_bit_is_found_and_none_comes_out() {
    let place = TestStore::new();
    let content = crate::stores::version(1, 0);
    let id = place.put("shop", &content[..100_000]);
    let originals: Vec<(PathBuf, Vec<u8>)> =
        objects(&place).into_iter().map(|path| (path.clone(), fs::read(&path).unwrap())).collect();
    let bytes: u64 = originals.iter().map(|(_, content)| content.len() as u64).sum();
    let all = CheckOptions { read: Some(Portion::All), expected: Vec::new() };
    let mut chance = Chance(0xF11B);
    for round in 0..flips() {
        let mut at = usize::try_from(chance.below(bytes)).unwrap();
        let flipped = originals.iter().find(|(_, content)| {
            let inside = at < content.len();
            at -= if inside { 0 } else { content.len() };
            inside
        });
        let (path, good) = flipped.unwrap();
        let mut bad = good.clone();
        bad[at] ^= 1 << chance.below(8);
        overwrite(path, &bad);
        let store = place.store();
        let checked = store.check(&all, Timestamp::from_unix(0).unwrap(), &Quiet).unwrap();
        assert!(!checked.findings.is_empty(), "round {round}: {} at {at}", path.display());
        let given = read(&store, &id).ok();
        assert!(given.is_none_or(|given| given == content[..100_000]), "round {round}");
        overwrite(path, good);
    }
}

#[test]
fn a_copy_gives_back_what_is_damaged() {
    for point in ["", "store.repair.pack", "store.repair.manifest", "store.object.partial"] {
        let (place, contents) = TestStore::filled();
        let copy = place.dir.path().join("copy");
        duplicate(&place.root(), &copy);
        let objects = objects(&place);
        for (at, path) in objects.iter().enumerate() {
            match at % 3 {
                0 => overwrite(path, b"damaged"),
                1 if path.starts_with(place.root().join("packs")) => fs::remove_file(path).unwrap(),
                _ => {}
            }
        }
        let repair = ["check", "--read-data", "--repair-from", copy.to_str().unwrap()];
        let killed = run(&place.root(), point, &repair);
        assert_eq!(killed.status.code(), point.is_empty().then_some(0), "{point}: {killed:?}");
        // Garbage collection keeps damaged objects.
        let _ = run(&place.root(), "", &["gc", "--force"]);
        let done = run(&place.root(), "", &repair);
        assert!(done.status.success(), "{point}: {done:?}");
        let _ = place.collect();
        place.assert_holds(&contents);
    }
}

/// Damages every pack in another way, and a manifest.
fn ruin(place: &TestStore) {
    for (at, path) in place.packs().iter().enumerate() {
        let mut bad = fs::read(path).unwrap();
        match at % 4 {
            0 => bad[60] ^= 1,
            1 => bad.truncate(100),
            2 => bad.clear(),
            _ => {
                fs::remove_file(path).unwrap();
                continue;
            }
        }
        overwrite(path, &bad);
    }
    let manifest = files(&place.root().join("artifacts")).remove(0);
    let mut bad = fs::read(&manifest).unwrap();
    bad[20] ^= 1;
    overwrite(&manifest, &bad);
}

/// Returns the packs whose content matches their names.
fn whole_packs(root: &Path) -> BTreeSet<PathBuf> {
    let whole = |path: &PathBuf| {
        let digest = blake3::hash(&fs::read(path).unwrap()).to_hex();
        path.file_name().unwrap().to_str() == Some(digest.as_str())
    };
    files(&root.join("packs")).into_iter().filter(whole).collect()
}

#[test]
fn a_repair_may_be_killed_at_every_step_and_takes_nothing_away() {
    let (pristine, contents) = TestStore::with_a_chain();
    let mut killed = 0;
    for point in ["store.repair.pack", "store.repair.manifest", "store.object.partial", "store.object.named"]
    {
        for time in 1.. {
            let place = pristine.twin();
            ruin(&place);
            let before: BTreeSet<PathBuf> = place.packs().into_iter().collect();
            let mut whole = whole_packs(&place.root());
            let copy = pristine.root();
            let repair = ["check", "--read-data", "--repair-from", copy.to_str().unwrap()];
            let done = place.run(&format!("{point}:{time}"), &repair);
            if done.status.success() {
                assert!(time > 1, "{point}");
                break;
            }
            assert_eq!(done.status.code(), None, "{point}:{time}: {done:?}");
            killed += 1;
            // All packs exist, and no intact one was damaged.
            assert!(before.is_subset(&place.packs().into_iter().collect()), "{point}:{time}");
            assert!(!files(&place.root().join("artifacts")).is_empty(), "{point}:{time}");
            let now = whole_packs(&place.root());
            whole.retain(|path| !now.contains(path));
            assert!(whole.is_empty(), "{point}:{time}: {whole:?}");
            let again = place.run("", &repair);
            assert!(again.status.success(), "{point}:{time}: {again:?}");
            let _ = place.collect();
            place.assert_holds(&contents);
            assert_eq!(place.packs().len(), 4, "{point}:{time}");
        }
    }
    assert!(killed >= 5 + 10, "{killed}");
    pristine.assert_holds(&contents);
}

#[test]
fn a_full_disk_stops_a_repair_without_harm() {
    let Some(disk) = Tmpfs::mount("size=16m") else { return };
    let (pristine, contents) = TestStore::with_a_chain();
    let ruined = pristine.twin();
    ruin(&ruined);
    let root = disk.path().join("store");
    duplicate(&ruined.root(), &root);
    let open = || {
        let url = pggit::store::StoreUrl::from_directory(&root).unwrap();
        pggit::store::Store::open(&url, &pggit::store::Access::default()).unwrap()
    };
    let all = CheckOptions { read: Some(Portion::All), expected: Vec::new() };
    let checked = || open().check(&all, Timestamp::from_unix(0).unwrap(), &Quiet).unwrap();
    let (mut full, mut left) = (0, 0_u64);
    let mut found = checked();
    while !found.is_sound() {
        let before: BTreeSet<PathBuf> = files(&root.join("packs")).into_iter().collect();
        let whole = whole_packs(&root);
        disk.leave(left * 4096);
        let repaired = open().repair(&found, &pristine.store(), &Quiet);
        disk.make_room();
        match repaired {
            Ok(repaired) => assert_eq!(repaired.failed.len(), 0, "{repaired:?}"),
            Err(pggit::store::Error::Full { .. }) => full += 1,
            Err(error) => panic!("{error}"),
        }
        assert!(before.is_subset(&files(&root.join("packs")).into_iter().collect()), "{left} pages");
        assert!(whole.is_subset(&whole_packs(&root)), "{left} pages");
        assert!(files(&root.join("partial")).is_empty(), "{left} pages");
        left += 1;
        assert!(left < 500, "the repair never succeeds");
        found = checked();
    }
    assert!(full > 2, "{full} times full");
    for (id, content) in &contents {
        assert_eq!(read(&open(), id).unwrap(), *content);
    }
}

#[test]
fn a_copy_that_is_damaged_too_replaces_nothing() {
    let (place, contents) = TestStore::filled();
    let copy = place.dir.path().join("copy");
    let pack = place.packs().remove(0);
    let good = fs::read(&pack).unwrap();
    overwrite(&pack, &good[..good.len() - 1]);
    duplicate(&place.root(), &copy);
    let done = run(&place.root(), "", &["check", "--repair-from", copy.to_str().unwrap()]);
    assert_eq!(done.status.code(), Some(1));
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(said.contains("cannot be repaired") && said.contains("[pack-size]"), "{said}");
    assert_eq!(fs::read(&pack).unwrap().len(), good.len() - 1);
    // Another store is not a copy.
    let other = TestStore::new();
    let done = run(&place.root(), "", &["check", "--repair-from", other.root().to_str().unwrap()]);
    assert_eq!(done.status.code(), Some(12), "{done:?}");
    overwrite(&pack, &good);
    place.assert_holds(&contents);
}

#[test]
fn a_percentage_finds_a_damage_within_days() {
    let (place, _) = TestStore::filled();
    let pack = place.packs().remove(0);
    let mut bad = fs::read(&pack).unwrap();
    bad[40] ^= 1;
    overwrite(&pack, &bad);
    let some = CheckOptions { read: Some(Portion::Percent(25)), expected: Vec::new() };
    let found = (0..4).filter(|day| {
        let now = Timestamp::from_unix(day * 86_400).unwrap();
        !place.store().check(&some, now, &Quiet).unwrap().findings.is_empty()
    });
    assert!((1..=2).contains(&found.count()));
    let json = run(&place.root(), "", &["check", "--read-data", "--json"]);
    let json: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["sound"], false);
    assert_eq!(json["damaged"][0]["code"], "pack-content");
}
