//! The local cache for packs of a cloud.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use pggit::store::Store;

use super::proxy::{Crowd, Fault, Proxy, Seen};
use super::{Place, S3S, get, noise, put};

/// An artifact in several packs, with a directory for the cache.
struct Scene {
    place: Place,
    location: String,
    content: Vec<u8>,
    directory: tempfile::TempDir,
}

impl Scene {
    fn new(megabytes: usize) -> Self {
        let place = S3S.place();
        let content = noise(11, megabytes << 20);
        let location = put(&place.init(), "shop", "a", &content).unwrap().location;
        Self { place, location, content, directory: tempfile::tempdir().unwrap() }
    }

    fn store(&self, cache: u64) -> Store {
        let mut access = self.place.access();
        access.cache = Some((self.directory.path().to_owned(), cache));
        Store::open(&self.place.url, &access).unwrap()
    }

    fn read(&self, cache: u64) {
        assert!(get(&self.store(cache), &self.location).unwrap() == self.content);
    }

    /// Reads the artifact through a proxy.
    fn read_through(&self, proxy: &Proxy, cache: u64) {
        let other = Self {
            place: self.place.through(&proxy.address),
            location: self.location.clone(),
            content: Vec::new(),
            directory: tempfile::tempdir().unwrap(),
        };
        let store = other.store(cache);
        let reader = store.at(&other.location).unwrap().read("dump.custom").unwrap();
        reader.verify(&|_| {}).unwrap();
    }

    fn files(&self) -> Vec<PathBuf> {
        files(self.directory.path())
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = walkdir::WalkDir::new(directory)
        .into_iter()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .collect();
    files.sort();
    files
}

fn reads_pack(seen: &Seen) -> bool {
    seen.method == "GET" && seen.target.contains("/packs/")
}

const ROOM: u64 = 1 << 30;

#[test]
fn packs_are_fetched_once_for_all_who_read() {
    let scene = Scene::new(40);
    let proxy = Proxy::start(&scene.place.address, |_| Fault::None);
    let through = Scene { place: scene.place.through(&proxy.address), ..scene };
    let store = through.store(ROOM);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert!(get(&store, &through.location).unwrap() == through.content));
        }
    });
    assert_eq!(proxy.seen().iter().filter(|seen| reads_pack(seen)).count(), 3);
    // Another process finds the packs in the cache.
    through.read(ROOM);
    assert_eq!(proxy.seen().iter().filter(|seen| reads_pack(seen)).count(), 3);
    assert_eq!(through.files().len(), 3);
}

/// Readers share no state, as separate processes do.
#[test]
fn strangers_share_a_cache() {
    let scene = Scene::new(20);
    thread::scope(|scope| {
        for room in [ROOM, ROOM, 0, 17 << 20] {
            let scene = &scene;
            scope.spawn(move || scene.read(room));
        }
    });
    scene.read(ROOM);
}

#[test]
fn the_cache_has_a_bound() {
    let scene = Scene::new(40);
    for room in [0, 20 << 20] {
        scene.read(room);
        let kept: u64 = scene.files().iter().map(|file| fs::metadata(file).unwrap().len()).sum();
        assert!(kept <= room, "{kept} bytes");
    }
}

#[test]
fn damaged_files_are_fetched_again() {
    let scene = Scene::new(20);
    scene.read(ROOM);
    let files = scene.files();
    assert_eq!(files.len(), 2);
    let good = fs::read(&files[0]).unwrap();
    let mut flipped = good.clone();
    flipped.iter_mut().for_each(|byte| *byte ^= 1);
    for bad in [&good[..100], &[], &flipped] {
        fs::write(&files[0], bad).unwrap();
        scene.read(ROOM);
        assert!(fs::read(&files[0]).unwrap() == good);
    }
    // A correct file is kept when others are damaged or missing.
    fs::remove_file(&files[1]).unwrap();
    scene.read(ROOM);
    assert_eq!(scene.files(), files);
}

#[test]
fn a_place_that_cannot_be_written_is_no_reason_not_to_read() {
    let scene = Scene::new(2);
    // The directory cannot be created, not even by root: a file has its name.
    let blocked = scene.directory.path().join("file");
    fs::write(&blocked, "").unwrap();
    let mut access = scene.place.access();
    access.cache = Some((blocked, ROOM));
    let store = Store::open(&scene.place.url, &access).unwrap();
    assert!(get(&store, &scene.location).unwrap() == scene.content);
}

#[test]
fn a_pack_that_is_damaged_in_the_cloud_is_not_kept() {
    let scene = Scene::new(2);
    let proxy = Proxy::start(&scene.place.address, |seen| match reads_pack(seen) {
        true => Fault::Answer(
            200,
            "ETag: \"x\"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n",
            "not a pack",
        ),
        false => Fault::None,
    });
    let through = Scene { place: scene.place.through(&proxy.address), ..scene };
    let error = get(&through.store(ROOM), &through.location).unwrap_err();
    assert!(error.to_string().contains("damaged: its content does not match its digest"), "{error}");
    assert_eq!(through.files(), [] as [PathBuf; 0]);
}

/// Each response of a cloud has a latency, so a reader sends several requests at once.
#[test]
fn packs_are_fetched_several_at_once_before_they_are_needed() {
    let scene = Scene::new(64);
    let crowd = Arc::new(Crowd::default());
    let there = Arc::clone(&crowd);
    let slow = Proxy::start(&scene.place.address, move |seen| {
        if reads_pack(seen) {
            there.meet(3);
        }
        Fault::None
    });
    scene.read_through(&slow, ROOM);
    assert!((3..=6).contains(&crowd.most()), "{} at once", crowd.most());
}
