//! The places from which bytes are read, and stores that are missing, were moved, or differ from the
//! records.

use std::fs;
use std::path::{Path, PathBuf};

use pggit::store::{Access, Chunking, Error, Expected, NewArtifact, Store, StoreUrl};
use serde_json::Value;

use crate::create::Shop;

fn store_of(shop: &Shop) -> PathBuf {
    shop.sandbox.repo().join(".git/pggit/store")
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn said(shop: &Shop, status: i32, args: &[&str]) -> String {
    let output = shop.pggit(args);
    assert_eq!(output.status, status, "{args:?}: {}", output.snapshot());
    output.stderr_text()
}

fn states(shop: &Shop, status: i32) -> Vec<String> {
    let output = shop.pggit(&["backup", "coverage", "--commits", "HEAD", "--json"]);
    assert_eq!(output.status, status, "{}", output.snapshot());
    let commits = output.json()["commits"].clone();
    let state = |commit: &Value| commit["state"].as_str().unwrap().to_owned();
    commits.as_array().unwrap().iter().map(state).collect()
}

#[test]
fn a_record_leads_only_to_places_that_the_user_has_named() {
    let shop = Shop::with_store();
    let plain = shop.sandbox.path().join("plain");
    fs::create_dir(&plain).unwrap();
    let store = shop.sandbox.path().join("store");
    for (option, place) in [("--output", &plain), ("--store", &store)] {
        let name = if option == "--output" {
            "plain"
        } else {
            shop.pggit(&["store", "init", text(&store)]).success();
            "store"
        };
        shop.create(&["--name", name, option, text(place)]).success();
        shop.sandbox.git(["config", "--unset-all", "pggit.place"]);
        let into = format!("{}_{name}", shop.database);
        let commands: [&[&str]; 6] = [
            &["backup", "plan", name, "--into", &into],
            &["backup", "restore", name, "--into", &into],
            &["backup", "verify", name, "--kind", "checksum"],
            &["backup", "verify", name, "--kind", "restore-test"],
            &["backup", "cat-artifact", name],
            &["backup", "cat-artifact", name, "globals.sql"],
        ];
        for args in commands {
            let told = said(&shop, 12, args);
            let location = format!("{}/", StoreUrl::from_directory(place).unwrap());
            assert!(
                told.contains(&location) && told.contains("not in a store or directory of your"),
                "{told}"
            );
            assert!(told.contains("--from <place>"), "{told}");
        }
        assert!(!shop.cluster.psql("postgres", "select datname from pg_database").contains(&into));
        for args in commands {
            said(&shop, 0, &[args, &["--from", text(place)]].concat());
        }
        assert_eq!(shop.rows(&into), "1000");
        shop.sandbox.git(["config", "--add", "pggit.place", text(place)]);
        said(&shop, 0, &["backup", "cat-artifact", name]);
        shop.sandbox.git(["config", "--unset-all", "pggit.place"]);
    }
    // The same holds for a restore by commit. A symbolic link to the place is accepted.
    shop.sandbox.git(["checkout", "-q", "HEAD"]);
    let told = said(&shop, 10, &["backup", "find"]);
    assert!(told.contains("its bytes cannot be accessed"), "{told}");
    let link = shop.sandbox.path().join("link");
    std::os::unix::fs::symlink(&plain, &link).unwrap();
    said(&shop, 0, &["backup", "find", "--from", text(&link)]);
    said(&shop, 125, &["with", "HEAD", "--", "true"]);
    said(&shop, 0, &["with", "HEAD", "--from", text(&link), "--", "true"]);
    said(&shop, 10, &["checkout", "--name", &format!("{}_c", shop.database)]);
    said(&shop, 10, &["backup", "find", "--from", "/no/such/directory"]);
}

#[test]
fn a_forged_location_in_the_work_tree_is_refused() {
    let shop = Shop::new();
    shop.create(&[]).success();
    let id = shop.only_record()["id"].as_str().unwrap().to_owned();
    let theirs = shop.sandbox.repo().join("fixtures");
    fs::create_dir(&theirs).unwrap();
    fs::rename(shop.backups_dir().join("shop"), theirs.join("shop")).unwrap();
    let event = |location: &str| {
        let mut record = shop.only_record();
        for event in record["events"].as_array_mut().unwrap() {
            if event["kind"] == "completed" {
                event["location"] = location.into();
            }
        }
        record
    };
    for location in
        [format!("file:///proc/self/cwd/fixtures/shop/{id}"), format!("file://{}/shop/{id}", text(&theirs))]
    {
        let reference = shop.sandbox.git(["for-each-ref", "--format=%(refname)", "refs/backups/"]);
        let file = shop.sandbox.path().join("record");
        fs::write(&file, serde_json::to_string_pretty(&event(&location)).unwrap()).unwrap();
        let blob = shop.sandbox.git(["hash-object", "-w", text(&file)]);
        let index = shop.sandbox.path().join("index");
        let git = |args: &[&str]| {
            let mut command = shop.sandbox.command("git");
            let output = shop.sandbox.output(command.env("GIT_INDEX_FILE", &index).args(args));
            output.success().stdout_text().trim().to_owned()
        };
        git(&["read-tree", &reference]);
        git(&["update-index", "--cacheinfo", &format!("100644,{blob},.pggit/{id}.json")]);
        let tree = git(&["write-tree"]);
        let commit = git(&["commit-tree", &tree, "-p", &reference, "-m", "forged"]);
        shop.sandbox.git(["update-ref", &reference, &commit]);
        let told = said(&shop, 12, &["backup", "restore", &id, "--into", &shop.new_name()]);
        assert!(told.contains(&location), "{told}");
        said(&shop, 12, &["backup", "cat-artifact", &id]);
    }
    // In the original place, the backup would be found in spite of the forged location.
    fs::rename(theirs.join("shop"), shop.backups_dir().join("shop")).unwrap();
    said(&shop, 0, &["backup", "restore", &id, "--into", &shop.new_name()]);
}

#[test]
fn a_place_of_the_command_line_is_remembered() {
    let shop = Shop::with_store();
    let plain = shop.sandbox.path().join("plain");
    fs::create_dir(&plain).unwrap();
    for _ in 0..2 {
        shop.create(&["--output", text(&plain)]).success();
        let remembered = shop.sandbox.git(["config", "--get-all", "pggit.place"]);
        assert_eq!(remembered, StoreUrl::from_directory(&plain).unwrap().to_string());
    }
    said(&shop, 0, &["backup", "restore", "latest", "--into", &shop.new_name()]);
    // A configured place is not added again.
    shop.create(&[]).success();
    assert_eq!(shop.sandbox.git(["config", "--get-all", "pggit.place"]).lines().count(), 1);
    // The committed configuration of a clone cannot name a place.
    shop.sandbox.git(["config", "--unset-all", "pggit.place"]);
    let committed = format!("[pggit]\n\tplace = {}\n", text(&plain));
    shop.sandbox.commit(".pggitconfig", committed, "a place");
    said(&shop, 12, &["backup", "cat-artifact", "oldest"]);
}

#[test]
fn a_store_or_repository_that_was_moved_is_found() {
    let shop = Shop::with_store();
    shop.create(&["--name", "one"]).success();
    let moved = shop.sandbox.path().join("moved");
    fs::rename(store_of(&shop), &moved).unwrap();
    shop.sandbox.git(["config", "pggit.store", text(&moved)]);
    said(&shop, 0, &["backup", "restore", "one", "--into", &shop.new_name()]);
    said(&shop, 0, &["backup", "verify", "one", "--kind", "integrity"]);
    assert_eq!(states(&shop, 0), ["ok", "no_backup"]);
    // The store is still the only place of the backup.
    let id = shop.only_record()["id"].as_str().unwrap().to_owned();
    said(&shop, 12, &["store", "remove", &id, "--force"]);
    shop.create(&["--name", "two"]).success();
    shop.sandbox.git(["config", "--unset", "pggit.store"]);
    // The whole repository is moved with its store.
    fs::rename(&moved, store_of(&shop)).unwrap();
    let elsewhere = shop.sandbox.path().join("elsewhere");
    fs::rename(shop.sandbox.repo(), &elsewhere).unwrap();
    for name in ["one", "two"] {
        let mut command = shop.sandbox.pggit_command();
        let into = format!("{}_{name}", shop.database);
        command.current_dir(&elsewhere).args(["backup", "restore", name, "--into", &into]);
        shop.sandbox.output(&mut command).success();
    }
}

#[test]
fn a_place_of_the_command_line_is_read_before_the_recorded_one() {
    let shop = Shop::with_store();
    shop.create(&["--name", "one"]).success();
    let copy = shop.sandbox.path().join("copy");
    let copied = std::process::Command::new("cp").arg("-a").args([&store_of(&shop), &copy]).status().unwrap();
    assert!(copied.success());
    let packs: Vec<PathBuf> = walkdir::WalkDir::new(store_of(&shop))
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.is_file() && text(path).contains("/packs/"))
        .collect();
    assert!(!packs.is_empty());
    packs.iter().for_each(|pack| fs::write(pack, "damaged").unwrap());
    said(&shop, 16, &["backup", "cat-artifact", "one"]);
    said(&shop, 0, &["backup", "cat-artifact", "one", "--from", text(&copy)]);
    // A damaged copy is an error, even if another copy exists.
    fs::rename(store_of(&shop), shop.sandbox.path().join("damaged")).unwrap();
    fs::rename(&copy, store_of(&shop)).unwrap();
    said(&shop, 0, &["backup", "cat-artifact", "one"]);
    let damaged = shop.sandbox.path().join("damaged");
    said(&shop, 16, &["backup", "cat-artifact", "one", "--from", text(&damaged)]);
}

#[test]
fn a_moved_artifact_that_is_removed_is_recorded_as_deleted() {
    let shop = Shop::with_store();
    shop.create(&[]).success();
    let moved = shop.sandbox.path().join("moved");
    fs::rename(store_of(&shop), &moved).unwrap();
    shop.sandbox.git(["config", "pggit.store", text(&moved)]);
    let id = shop.only_record()["id"].as_str().unwrap().to_owned();
    said(&shop, 0, &["store", "remove", &id, "--force", "--recorded"]);
    assert_eq!(shop.only_record()["status"], "deleted");
}

#[test]
fn no_store_is_made_in_the_place_of_one_that_is_not_there() {
    let shop = Shop::with_store();
    shop.create(&["--name", "one"]).success();
    assert_eq!(states(&shop, 0), ["ok", "no_backup"]);
    let away = shop.sandbox.path().join("away");
    fs::rename(store_of(&shop), &away).unwrap();
    for args in [&["backup", "create"][..], &["store", "list"]] {
        let told = said(&shop, 15, args);
        assert!(told.contains("missing, but 1 backup is recorded in it"), "{told}");
        assert!(told.contains("git pggit store init"), "{told}");
    }
    assert!(!store_of(&shop).exists());
    let found = shop.pggit(&["doctor"]).fails(1).stdout_text();
    assert!(found.contains("problem  shop: store: ") && found.contains("missing, but 1 backup"), "{found}");
    assert_eq!(states(&shop, 15), ["bytes_missing", "no_backup"]);
    let told = said(&shop, 10, &["backup", "find"]);
    assert!(told.contains("there is no store here"), "{told}");
    // The store is available again.
    fs::rename(&away, store_of(&shop)).unwrap();
    assert_eq!(states(&shop, 0), ["ok", "no_backup"]);
    // The store is lost, and a new one is made explicitly.
    fs::remove_dir_all(store_of(&shop)).unwrap();
    said(&shop, 0, &["store", "init"]);
    shop.create(&["--name", "two", "--commit", &shop.commits[0]]).success();
    assert_eq!(states(&shop, 15), ["bytes_missing", "ok"]);
    said(&shop, 0, &["backup", "restore", "two", "--into", &shop.new_name()]);
}

#[test]
fn a_directory_of_plain_files_that_is_not_mounted_is_not_filled_again() {
    let shop = Shop::new();
    shop.create(&[]).success();
    let away = shop.sandbox.path().join("away");
    fs::rename(shop.backups_dir(), &away).unwrap();
    fs::create_dir(shop.backups_dir()).unwrap();
    let told = said(&shop, 15, &["backup", "create"]);
    assert!(told.contains("missing, but 1 backup is recorded in it") && told.contains("mkdir"), "{told}");
    assert!(shop.pggit(&["doctor"]).fails(1).stdout_text().contains("problem  shop: output: "));
    assert_eq!(states(&shop, 15), ["bytes_missing", "no_backup"]);
    fs::create_dir(shop.backups_dir().join("shop")).unwrap();
    shop.create(&["--commit", &shop.commits[0]]).success();
}

#[test]
fn a_clone_makes_a_store_of_its_own() {
    let shop = Shop::with_store();
    shop.create(&["--name", "one"]).success();
    let clone = shop.sandbox.path().join("clone");
    shop.sandbox.git(["clone", "-q", text(&shop.sandbox.repo()), text(&clone)]);
    let pggit =
        |args: &[&str]| shop.sandbox.output(shop.sandbox.pggit_command().args(args).current_dir(&clone));
    pggit(&["sync"]).success();
    pggit(&["database", "add", "shop", "--url", &shop.cluster.url(&shop.database)]).success();
    assert!(pggit(&["backup", "list"]).success().stdout_text().contains("one"));
    // The record alone does not permit reading the bytes of the other clone.
    pggit(&["backup", "cat-artifact", "one"]).fails(12);
    pggit(&["backup", "cat-artifact", "one", "--from", text(&store_of(&shop))]).success();
    let covered = pggit(&["backup", "coverage"]).success();
    assert!(
        covered.stderr_text().contains("1 backup is outside of the configured stores"),
        "{}",
        covered.snapshot()
    );
    pggit(&["backup", "create", "--name", "two"]).success();
    assert!(clone.join(".git/pggit/store/config").exists());
    pggit(&["backup", "cat-artifact", "two"]).success();
}

#[test]
fn another_store_in_the_place_of_the_recorded_one_is_refused() {
    let shop = Shop::with_store();
    shop.create(&["--name", "one"]).success();
    let away = shop.sandbox.path().join("away");
    fs::rename(store_of(&shop), &away).unwrap();
    let other = StoreUrl::from_directory(&store_of(&shop)).unwrap();
    let now = "2026-11-21T00:00:00Z".parse().unwrap();
    let id = Store::init(&other, &Access::default(), now).unwrap().config().id;
    for args in [&["backup", "create"][..], &["store", "list"], &["backup", "restore", "one", "--into", "x"]]
    {
        let told = said(&shop, 12, args);
        assert!(told.contains(&format!("this is store {id}, and backups are recorded in store")), "{told}");
    }
    assert_eq!(states(&shop, 15), ["bytes_missing", "no_backup"]);
    // The backup is found in a place that the command line names.
    said(&shop, 0, &["backup", "restore", "one", "--into", &shop.new_name(), "--from", text(&away)]);
    // If it is in none of them, the replaced store is named.
    let told = said(&shop, 12, &["backup", "cat-artifact", "one", "--from", text(&store_of(&shop))]);
    assert!(told.contains(&format!("this is store {id}")), "{told}");
    // The user can accept the other store with a setting.
    shop.sandbox.git(["config", "--add", "pggit.place", &format!("{other} {id}")]);
    shop.create(&[]).success();
}

#[test]
fn a_store_that_was_encrypted_and_says_that_it_is_not_is_refused() {
    let mut shop = Shop::with_store();
    let key = shop.sandbox.path().join("key");
    let public = shop.pggit(&["store", "key", "generate", text(&key)]).success().stdout_text();
    shop.sandbox.set("PGGIT_STORE_IDENTITY", key.clone());
    shop.pggit(&["store", "init", "--recipient", public.trim()]).success();
    shop.create(&["--name", "one"]).success();
    let config = store_of(&shop).join("config");
    let content = fs::read_to_string(&config).unwrap();
    let open = content.replace("\"encrypted\": true", "\"encrypted\": false");
    assert_ne!(content, open);
    let content_before = content;
    fs::write(&config, open).unwrap();
    for args in [&["backup", "create"][..], &["store", "list"], &["backup", "restore", "one", "--into", "x"]]
    {
        let told = said(&shop, 12, args);
        assert!(told.contains("is not encrypted, but its backups are recorded as encrypted"), "{told}");
    }
    // The store is encrypted, but with other keys.
    fs::remove_dir_all(store_of(&shop)).unwrap();
    shop.pggit(&["store", "init", "--recipient", public.trim()]).success();
    let fresh = fs::read_to_string(&config).unwrap();
    let id = |text: &str| serde_json::from_str::<Value>(text).unwrap()["id"].as_str().unwrap().to_owned();
    let keys = store_of(&shop).join("keys/00000001");
    let text = fs::read_to_string(&keys).unwrap();
    assert!(text.contains(&id(&fresh)));
    shop.sandbox.git(["config", "--unset-all", "pggit.place"]);
    let told = said(&shop, 12, &["backup", "create"]);
    assert!(told.contains("this is store") && told.contains("git config --add pggit.place"), "{told}");
    // The other store cannot be given the id of the first one.
    for (file, content) in [(&config, &fresh), (&keys, &text)] {
        fs::write(file, content.replace(&id(&fresh), &id(&content_before))).unwrap();
    }
    let told = said(&shop, 16, &["backup", "create"]);
    assert!(told.contains("changed without a key"), "{told}");
}

#[test]
fn a_store_without_encryption_has_none_of_the_recorded_keys() {
    let directory = tempfile::tempdir().unwrap();
    let url = StoreUrl::from_directory(directory.path()).unwrap();
    let now = "2026-11-21T00:00:00Z".parse().unwrap();
    let store = Store::init(&url, &Access::default(), now).unwrap();
    let keys = |key: &str| Expected { keys: [key.to_owned()].into(), ..Expected::default() };
    let error = store.check_identity(&keys("other")).unwrap_err();
    assert!(matches!(error, Error::RecordedAsEncrypted { .. }), "{error}");
    store.check_identity(&Expected::default()).unwrap();
}

#[test]
fn other_files_under_the_id_of_a_backup_are_refused() {
    let shop = Shop::with_store();
    shop.create(&["--name", "one"]).success();
    let record = shop.only_record();
    let (id, location) = (record["id"].as_str().unwrap(), record["location"].as_str().unwrap());
    let url = StoreUrl::from_directory(&store_of(&shop)).unwrap();
    let store = Store::open(&url, &Access::default()).unwrap();
    let original = store.at(location).unwrap();
    let read = |name: &str| {
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut original.read(name).unwrap(), &mut content).unwrap();
        content
    };
    let (dump, globals) = (read("dump.custom"), read("globals.sql"));
    let mut flipped = dump.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let put = |files: &[(&str, &[u8])]| {
        store.remove(location).unwrap();
        let created_at = "2026-11-21T00:00:00Z".parse().unwrap();
        let new = NewArtifact { id: id.to_owned(), lineage: "shop".to_owned(), created_at, level: 3 };
        let writer = store.begin(new).unwrap();
        for (name, content) in files {
            let mut file = writer.file(name, Chunking::Content).unwrap();
            std::io::Write::write_all(&mut file, content).unwrap();
            file.finish().unwrap();
        }
        writer.publish(None).unwrap();
    };
    type Files<'a> = &'a [(&'a str, &'a [u8])];
    let cases: [(Files<'_>, &str); 4] = [
        (&[("dump.custom", &dump[1..]), ("globals.sql", &globals)], "dump.custom has another size"),
        (&[("dump.custom", &flipped), ("globals.sql", &globals)], "digest is"),
        (&[("dump.custom", &dump)], "globals.sql is missing"),
        (
            &[("dump.custom", &dump), ("extra", b"x"), ("globals.sql", &globals)],
            "the record does not have extra",
        ),
    ];
    for (files, reason) in cases {
        put(files);
        for args in [
            &["backup", "restore", id, "--into", "x"][..],
            &["backup", "cat-artifact", id],
            &["backup", "cat-artifact", id, "globals.sql"],
        ] {
            let told = said(&shop, 16, args);
            assert!(told.contains(reason), "{reason}: {told}");
        }
        for kind in ["checksum", "integrity", "restore-test"] {
            let failed = shop.pggit(&["backup", "verify", id, "--kind", kind, "--force"]).fails(1);
            assert!(failed.stdout_text().contains(reason), "{reason}: {}", failed.snapshot());
        }
    }
    put(&[("dump.custom", &dump), ("globals.sql", &globals)]);
    for kind in ["checksum", "integrity", "restore-test"] {
        said(&shop, 0, &["backup", "verify", id, "--kind", kind, "--force"]);
    }
    said(&shop, 0, &["backup", "restore", id, "--into", &shop.new_name()]);
}

#[test]
fn a_place_means_nothing_for_what_a_tool_keeps() {
    let shop = Shop::with_store();
    let register = ["backup", "register", "-d", "shop", "--type", "full", "--name", "kept", "--size", "1"];
    let kept = ["--tool", "barman", "--location", "barman:main/20261121T034006"];
    shop.pggit(&[&register[..], &kept].concat()).success();
    let directory = shop.sandbox.path().to_owned();
    let from = ["--from", text(&directory)];
    for args in [
        &["backup", "verify", "kept", "--kind", "checksum"][..],
        &["backup", "restore", "kept", "--to", "/no/such/place"],
        &["backup", "plan", "kept", "--to", "/no/such/place"],
        &["backup", "plan", "kept", "--into", "x"],
    ] {
        let told = said(&shop, 129, &[args, &from].concat());
        assert!(told.contains("is stored by barman"), "{args:?}: {told}");
    }
    said(&shop, 129, &[&["backup", "verify", "--due", "--dry-run"][..], &from].concat());
    said(&shop, 129, &[&["backup", "find", "--no-check"][..], &from].concat());
    said(&shop, 129, &[&["backup", "restore", "list"][..], &from].concat());
}
