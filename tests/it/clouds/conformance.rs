//! The behaviour that is expected of every place, with the same tests for each.

use std::sync::Barrier;
use std::thread;

use pggit::store::{Error, Store};

use super::maintenance::{sealed_stores_are_kept, stores_are_kept};
use super::{AZURITE, MOTO, Place, S3S, get, noise, now, put};
use crate::sandbox::Sandbox;

macro_rules! everywhere {
    ($($test:ident),* $(,)?) => {
        mod directory {
            $(#[test] fn $test() {
                let directory = tempfile::tempdir().unwrap();
                let url = pggit::store::StoreUrl::from_directory(&directory.path().join("store")).unwrap();
                super::$test(&super::Place { url, variables: vec![], address: String::new() });
            })*
        }
        mod s3s { $(#[test] fn $test() { super::$test(&super::S3S.place()); })* }
        mod moto { $(#[test] fn $test() { super::$test(&super::MOTO.place()); })* }
        mod azurite { $(#[test] fn $test() { super::$test(&super::AZURITE.place()); })* }
        mod azurite_signature {
            $(#[test] fn $test() { super::$test(&super::AZURITE.place_with_signature()); })*
        }
    };
}

everywhere!(
    stores_are_made_once,
    artifacts_come_back,
    writers_work_at_once,
    ids_are_used_once,
    commands_work,
    stores_are_kept,
    sealed_stores_are_kept
);

fn stores_are_made_once(place: &Place) {
    let access = place.access();
    assert!(matches!(Store::open(&place.url, &access), Err(Error::NoStore { .. })));
    let made = place.init();
    assert!(matches!(Store::init(&place.url, &access, now()), Err(Error::StoreExists { .. })));
    assert_eq!(place.open().config(), made.config());
    assert_eq!(Store::open_or_init(&place.url, &access, now()).unwrap().config(), made.config());
    assert_eq!(made.list().unwrap(), []);
    assert!(matches!(made.at(&place.url.join("artifacts/x/y")), Err(Error::NoObject { .. })));
}

fn artifacts_come_back(place: &Place) {
    let store = place.init();
    let mut content = noise(1, 3 << 20);
    let first = put(&store, "shop", "a", &content).unwrap();
    content[2_000_000..2_000_100].copy_from_slice(&[0; 100]);
    let second = put(&store, "shop", "b", &content).unwrap();
    assert!(second.stored_bytes < first.stored_bytes / 20, "{second:?}");
    let odd = put(&store, "a b/é", "c", b"").unwrap();

    // Another process reads the store.
    let store = place.open();
    let ids =
        |listed: Vec<pggit::store::ListedArtifact>| listed.into_iter().map(|l| l.id).collect::<Vec<_>>();
    assert_eq!(ids(store.list_lineage("shop").unwrap()), ["a", "b"]);
    assert_eq!(ids(store.list_lineage("a b/é").unwrap()), ["c"]);
    assert_eq!(store.list().unwrap().len(), 3);
    assert_eq!(get(&store, &second.location).unwrap(), content);
    content[2_000_000..2_000_100].copy_from_slice(&noise(1, 3 << 20)[2_000_000..2_000_100]);
    assert_eq!(get(&store, &first.location).unwrap(), content);
    assert_eq!(get(&store, &odd.location).unwrap(), b"");
    store.at(&second.location).unwrap().read("dump.custom").unwrap().verify(&|_| {}).unwrap();
    assert!(matches!(store.at(&first.location).unwrap().read("other"), Err(Error::NoObject { .. })));
}

fn writers_work_at_once(place: &Place) {
    let store = place.init();
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for number in 0..4 {
            let (store, start) = (&store, &start);
            scope.spawn(move || {
                start.wait();
                let content = noise(number, 400_000);
                let published = put(store, "shop", &format!("n{number}"), &content).unwrap();
                assert_eq!(get(store, &published.location).unwrap(), content);
            });
        }
    });
    assert_eq!(place.open().list().unwrap().len(), 4);
}

fn ids_are_used_once(place: &Place) {
    let store = place.init();
    let first = put(&store, "shop", "a", b"first").unwrap();
    assert!(matches!(put(&store, "shop", "a", b"second"), Err(Error::OtherObject { .. })));
    assert_eq!(get(&store, &first.location).unwrap(), b"first");
}

fn commands_work(place: &Place) {
    let mut sandbox = Sandbox::new();
    for (name, value) in &place.variables {
        sandbox.set(name, value);
    }
    let url = place.url.to_string();
    let content = noise(3, 200_000);
    std::fs::write(sandbox.repo().join("dump"), &content).unwrap();
    let missing = sandbox.pggit(["store", "list", "--store", &url]).fails(10);
    assert!(missing.stderr_text().contains("store init"), "{}", missing.snapshot());
    let _ = sandbox.pggit(["store", "init", &url]).success();
    let id = sandbox
        .pggit(["store", "put", "--store", &url, "--database", "shop", "dump"])
        .success()
        .stdout_text();
    let listed = sandbox.pggit(["store", "list", "--store", &url]).success().stdout_text();
    assert!(listed.starts_with(id.trim()), "{listed}");
    // The second read uses the cache.
    for _ in 0..2 {
        assert_eq!(sandbox.pggit(["store", "get", "--store", &url, id.trim()]).success().stdout, content);
    }
}

/// Sixteen processes create a store at the same time: exactly one succeeds.
fn exactly_one_wins(place: &Place) {
    let start = Barrier::new(16);
    let won = thread::scope(|scope| {
        let racers: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    let access = place.access();
                    start.wait();
                    Store::init(&place.url, &access, now())
                })
            })
            .collect();
        let ended = racers.into_iter().map(|racer| racer.join().unwrap());
        let stores: Vec<_> = ended
            .filter_map(|ended| match ended {
                Ok(store) => Some(store.config().id),
                Err(Error::StoreExists { .. }) => None,
                Err(error) => panic!("{error}"),
            })
            .collect();
        stores
    });
    assert_eq!(won, [place.open().config().id]);
}

#[test]
fn exactly_one_of_sixteen_wins_on_moto() {
    exactly_one_wins(&MOTO.place());
}

#[test]
fn exactly_one_of_sixteen_wins_on_azurite() {
    exactly_one_wins(&AZURITE.place());
}

/// On s3s-fs several writers may succeed with the same name: its create-only writes are not atomic. Backups
/// are safe there, because each writes objects with names of its own.
#[test]
fn sixteen_writers_are_safe_without_atomic_creation() {
    let place = S3S.place();
    let store = place.init();
    let start = Barrier::new(16);
    thread::scope(|scope| {
        for number in 0..16 {
            let (store, start) = (&store, &start);
            scope.spawn(move || {
                start.wait();
                put(store, "shop", &format!("n{number}"), &noise(number, 100_000)).unwrap();
            });
        }
    });
    let store = place.open();
    let listed = store.list().unwrap();
    assert_eq!(listed.len(), 16);
    for listed in listed {
        let number = listed.id[1..].parse().unwrap();
        assert_eq!(get(&store, &listed.location).unwrap(), noise(number, 100_000));
    }
}
