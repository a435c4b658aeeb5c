//! The manifests of many artifacts: read several at once, and kept in a local cache.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pggit::progress::Quiet;
use pggit::store::{Access, CheckOptions, Error, Store};

use super::maintenance::Raw;
use super::proxy::{Crowd, Fault, Proxy, Seen};
use super::{MOTO, Place, S3S, noise, now, put};

const ROOM: u64 = 1 << 20;

fn reads_manifest(seen: &Seen) -> bool {
    seen.method == "GET" && seen.target.contains("/artifacts/")
}

/// Returns the ids of all artifacts, as their manifests have them.
fn listed(store: &Store) -> Result<Vec<String>, Error> {
    store.read_listed(&store.list()?, |_, manifest| manifest.id.clone())
}

/// A store with artifacts of several databases, and a directory for the cache.
struct Scene {
    place: Place,
    ids: Vec<String>,
    directory: tempfile::TempDir,
}

impl Scene {
    fn new(place: Place, count: usize) -> Self {
        let store = place.init();
        let ids: Vec<String> = (0..count).map(|number| format!("id-{number:03}")).collect();
        for (number, id) in ids.iter().enumerate() {
            put(&store, &format!("db{}", number * 4 / count), id, &noise(1, 2000)).unwrap();
        }
        Self { place, ids, directory: tempfile::tempdir().unwrap() }
    }

    fn access(&self, address: &str) -> Access {
        let mut access = self.place.through(address).access();
        access.manifest_cache = Some((self.directory.path().to_owned(), ROOM));
        access
    }

    fn store(&self, proxy: &Proxy) -> Store {
        Store::open(&self.place.url, &self.access(&proxy.address)).unwrap()
    }

    fn cached(&self) -> Vec<PathBuf> {
        let files = walkdir::WalkDir::new(self.directory.path()).into_iter().map(|entry| entry.unwrap());
        files.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
    }
}

#[test]
fn manifests_are_read_several_at_once_and_in_order() {
    let crowd = Arc::new(Mutex::new(Arc::new(Crowd::default())));
    let there = Arc::clone(&crowd);
    let scene = Scene::new(S3S.place(), 40);
    let proxy = Proxy::start(&scene.place.address, move |seen| {
        if reads_manifest(seen) {
            let crowd = Arc::clone(&there.lock().unwrap());
            crowd.meet(16);
        }
        Fault::None
    });
    let store = Store::open(&scene.place.url, &scene.place.through(&proxy.address).access()).unwrap();
    let most = || std::mem::take(&mut *crowd.lock().unwrap()).most();
    assert_eq!(listed(&store).unwrap(), scene.ids);
    assert_eq!(most(), 16, "list");
    assert_eq!(store.stats().unwrap().artifacts, 40);
    assert_eq!(most(), 16, "stats");
    assert_eq!(store.garbage(now()).unwrap().artifacts, 40);
    assert_eq!(most(), 16, "gc");
    assert_eq!(store.check(&CheckOptions::default(), now(), &Quiet).unwrap().artifacts, 40);
    assert_eq!(most(), 16, "check");
}

#[test]
fn manifests_are_read_once_and_deleted_artifacts_are_not_listed() {
    let scene = Scene::new(S3S.place(), 6);
    let proxy = Proxy::start(&scene.place.address, |_| Fault::None);
    let reads = || proxy.seen().iter().filter(|seen| reads_manifest(seen)).count();
    let store = scene.store(&proxy);
    assert_eq!(listed(&store).unwrap(), scene.ids);
    let stats = store.stats().unwrap();
    assert_eq!((reads(), scene.cached().len()), (6, 6));
    // Another process finds them.
    assert_eq!(listed(&scene.store(&proxy)).unwrap(), scene.ids);
    assert_eq!(scene.store(&proxy).stats().unwrap(), stats);
    assert_eq!(reads(), 6);

    // An artifact that was removed is not listed, and another one of its name is not mistaken for it.
    let direct = scene.place.open();
    let first = direct.list().unwrap().remove(0);
    direct.remove(&first.location).unwrap();
    assert_eq!(listed(&store).unwrap(), scene.ids[1..]);
    assert_eq!(store.stats().unwrap().artifacts, 5);
    put(&direct, "db0", &first.id, &noise(2, 3 << 20)).unwrap();
    let sizes = store.read_listed(&store.list().unwrap(), |_, manifest| manifest.files[0].size).unwrap();
    assert_eq!(sizes, [3 << 20, 2000, 2000, 2000, 2000, 2000]);
    assert_eq!(reads(), 7);
}

#[test]
fn damaged_files_of_the_cache_are_read_again() {
    let scene = Scene::new(S3S.place(), 3);
    let proxy = Proxy::start(&scene.place.address, |_| Fault::None);
    let store = scene.store(&proxy);
    listed(&store).unwrap();
    let file = scene.cached().remove(0);
    let good = fs::read(&file).unwrap();
    let other = fs::read(scene.cached().remove(1)).unwrap();
    let mut flipped = good.clone();
    flipped[10] ^= 1;
    for bad in [&good[..20], &[], &flipped, &other] {
        fs::write(&file, bad).unwrap();
        assert_eq!(listed(&store).unwrap(), scene.ids);
        assert_eq!(fs::read(&file).unwrap(), good);
    }
    // A cache that cannot be written, or has no room, changes nothing.
    for (path, room) in [(file, ROOM), (scene.directory.path().to_owned(), 0)] {
        let access = Access { manifest_cache: Some((path, room)), ..scene.access(&proxy.address) };
        assert_eq!(listed(&Store::open(&scene.place.url, &access).unwrap()).unwrap(), scene.ids);
    }
    assert_eq!(scene.cached().len(), 0);
}

#[test]
fn checks_and_collections_read_the_store_and_not_the_cache() {
    let scene = Scene::new(S3S.place(), 3);
    let proxy = Proxy::start(&scene.place.address, |_| Fault::None);
    let store = scene.store(&proxy);
    listed(&store).unwrap();
    let raw = Raw::of(&scene.place);
    let name = raw.names("artifacts").remove(0);
    raw.overwrite(&name, b"damaged".to_vec());
    let checked = store.check(&CheckOptions::default(), now(), &Quiet).unwrap();
    assert_eq!(checked.findings.len(), 1);
    assert_eq!(checked.findings[0].code, "manifest-damaged");
    assert!(matches!(store.garbage(now()), Err(Error::Damaged { .. })));
    assert!(matches!(store.collect(&Quiet), Err(Error::Damaged { .. })));
    // The damaged object has another size: the cached one is not used for it.
    assert!(matches!(listed(&store), Err(Error::Damaged { .. })));
}

/// All requests share the limit: many artifacts do not multiply the time until a command fails.
#[test]
fn an_outage_ends_all_requests_at_the_same_time() {
    let scene = Scene::new(MOTO.place(), 100);
    let down = Arc::new(AtomicBool::new(false));
    let attempts = Arc::new(AtomicUsize::new(0));
    let (is_down, counted) = (Arc::clone(&down), Arc::clone(&attempts));
    let proxy = Proxy::start(&scene.place.address, move |seen| {
        if is_down.load(Ordering::SeqCst) && reads_manifest(seen) {
            counted.fetch_add(1, Ordering::SeqCst);
            return Fault::Answer(503, "", "");
        }
        Fault::None
    });
    let mut access = scene.place.through(&proxy.address).access();
    access.cloud.retries = None;
    access.cloud.retry_time = Some(Duration::from_secs(1));
    let store = Store::open(&scene.place.url, &access).unwrap();
    let all = store.list().unwrap();
    down.store(true, Ordering::SeqCst);
    let error = store.read_listed(&all, |_, _| ()).unwrap_err();
    assert!(error.retry() && error.to_string().ends_with("status 503"), "{error}");
    // Sixteen requests wait for a second, with five to seven attempts; the others have one each.
    let attempts = attempts.load(Ordering::SeqCst);
    assert!(attempts <= 84 + 16 * 10, "{attempts}");
    // The store works again: the next request is not refused because of the past.
    down.store(false, Ordering::SeqCst);
    assert_eq!(listed(&store).unwrap(), scene.ids);
}
