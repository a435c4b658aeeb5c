//! Backups in the store: made, restored, read without git-pggit, rebuilt.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::Value;

use crate::create::{Shop, names};
use crate::sandbox::Output;

fn store_of(shop: &Shop) -> PathBuf {
    shop.sandbox.repo().join(".git/pggit/store")
}

/// Returns all files of the store.
fn objects(shop: &Shop) -> Vec<String> {
    let store = store_of(shop);
    names(&store).into_iter().filter(|name| store.join(name).is_file()).collect()
}

fn checked(output: Output) -> String {
    output.success().stdout_text().trim().to_owned()
}

#[test]
fn every_format_goes_in_and_comes_back() {
    let shop = Shop::with_store();
    let staging = shop.sandbox.repo().join(".git/pggit/staging");
    for (format, jobs) in [("custom", None), ("tar", None), ("plain", None), ("directory", Some("2"))] {
        assert!(!staging.exists(), "{format}: it is only needed for formats that cannot be streamed");
        let mut args = vec!["--format", format, "--name", format];
        args.extend(jobs.map(|_| "--jobs").into_iter().chain(jobs));
        let id = checked(shop.create(&args));
        let record = shop.records().into_iter().find(|record| record["id"] == id.as_str()).unwrap();
        let location = record["location"].as_str().unwrap();
        assert!(location.ends_with(&format!("/pggit/store/artifacts/shop/{id}")), "{location}");
        assert_eq!(record["compression"], Value::from("zstd:3"), "{format}");
        assert!(record["stored_bytes"].as_u64().unwrap() < record["size_bytes"].as_u64().unwrap());
        let copy = format!("{}_{format}", shop.database);
        shop.pggit(&["backup", "restore", format, "--into", &copy]).success();
        assert_eq!(shop.rows(&copy), "1000", "{format}");
    }
    assert_eq!(names(&staging), [""; 0], "nothing is left behind");
    assert_eq!(staging.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let listed = shop.pggit(&["store", "list", "--json"]).success().json();
    assert_eq!(listed.as_array().unwrap().len(), 4);
    assert!(objects(&shop).iter().all(|name| !name.starts_with("writers/") && !name.starts_with("partial/")));
}

#[test]
fn a_second_version_costs_what_has_changed() {
    let shop = Shop::with_store();
    shop.cluster.psql(
        &shop.database,
        "insert into orders select g, md5(g::text) || md5(random()::text) from generate_series(2000, 30000) g",
    );
    checked(shop.create(&[]));
    shop.cluster.psql(&shop.database, "update orders set note = 'changed' where id % 1000 = 7");
    checked(shop.create(&[]));
    let listed = shop.pggit(&["store", "list", "--json"]).success().json();
    let stored = |at: usize| listed[at]["stored_bytes"].as_u64().unwrap();
    assert_eq!(listed[1]["base"], listed[0]["id"]);
    assert!(stored(1) * 20 < stored(0), "{} after {}", stored(1), stored(0));
}

#[test]
fn a_file_of_a_backup_is_printed_and_the_script_of_the_documents_agrees() {
    let shop = Shop::with_store();
    checked(shop.create(&["--name", "first"]));
    shop.cluster.psql(&shop.database, "update orders set note = 'changed' where id % 100 = 7");
    let id = checked(shop.create(&["--name", "second"]));
    let ours = shop.pggit(&["backup", "cat-artifact", "second"]).success().stdout;
    assert!(ours.starts_with(b"PGDMP"));
    let roles = shop.pggit(&["backup", "cat-artifact", "second", "globals.sql"]).success();
    assert!(roles.stdout_text().contains("CREATE ROLE"));
    shop.pggit(&["backup", "cat-artifact", "second", "../config"]).fails(10);
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/read-store.py");
    let mut command = shop.sandbox.command("python3");
    command.arg(script).arg(store_of(&shop)).args([id.as_str(), "dump.custom"]);
    let theirs = shop.sandbox.output(&mut command).success().stdout;
    assert!(ours == theirs);
}

#[test]
fn records_are_made_anew_from_the_store() {
    let shop = Shop::with_store();
    checked(shop.create(&["--name", "first"]));
    checked(shop.create(&["--name", "second"]));
    let before = shop.records();
    for name in
        shop.sandbox.git(["for-each-ref", "--format=%(refname)", "refs/backups", "refs/notes"]).lines()
    {
        shop.sandbox.git(["update-ref", "-d", name]);
    }
    shop.pggit(&["ledger", "rebuild", "--from-store", "--dry-run"]).success();
    assert!(shop.records().is_empty());
    shop.pggit(&["ledger", "rebuild", "--from-store"]).success();
    assert_eq!(shop.records(), before);
    let again = shop.pggit(&["ledger", "rebuild", "--from-store", "--json"]).success().json();
    assert_eq!((&again["unchanged"], &again["events"]), (&Value::from(2), &Value::from(0)));
    shop.pggit(&["backup", "restore", "second", "--into", &shop.new_name()]).success();
}

#[test]
fn a_crash_at_any_step_leaves_garbage_at_most() {
    for point in [
        "store.writer.begun",
        "store.object.partial",
        "store.pack.written",
        "store.packs.written",
        "store.artifact.written",
        "backup.published",
    ] {
        let shop = Shop::with_store();
        let output = shop
            .sandbox
            .output(shop.sandbox.pggit_command().args(["backup", "create"]).env("PGGIT_CRASH_AT", point));
        assert_eq!(output.status, -1, "{point} was not reached: {}", output.snapshot());
        // If the store is not created yet, the backup is not registered yet.
        if let Some(record) = shop.records().first() {
            assert_eq!(record["status"], "in_progress", "{point}");
        }
        let id = checked(shop.create(&[]));
        shop.pggit(&["backup", "restore", &id, "--into", &shop.new_name()]).success();
        assert_eq!(shop.rows(&shop.new_name()), "1000", "{point}");
    }
}

#[test]
fn damage_is_found_and_nothing_is_restored() {
    let shop = Shop::with_store();
    let id = checked(shop.create(&[]));
    let pack = objects(&shop).into_iter().find(|name| name.starts_with("packs/")).unwrap();
    let pack = store_of(&shop).join(pack);
    let good = fs::read(&pack).unwrap();
    for at in (24..good.len() - 100).step_by(good.len() / 9) {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(&pack, bytes).unwrap();
        let cat = shop.pggit(&["backup", "cat-artifact", &id]);
        let roles = shop.pggit(&["backup", "cat-artifact", &id, "globals.sql"]);
        assert!(cat.status == 16 || roles.status == 16, "a flipped bit at {at} is in one of the two");
        if cat.status == 16 {
            shop.pggit(&["backup", "restore", &id, "--into", &shop.new_name()]).fails(16);
        }
    }
    fs::write(&pack, &good[..good.len() / 2]).unwrap();
    shop.pggit(&["backup", "restore", &id, "--into", &shop.new_name()]).fails(16);
    fs::remove_file(&pack).unwrap();
    shop.pggit(&["backup", "restore", &id, "--into", &shop.new_name()]).fails(10);
    fs::write(&pack, &good).unwrap();
    shop.pggit(&["backup", "restore", &id, "--into", &shop.new_name()]).success();
}

#[test]
fn what_pg_dump_does_not_finish_is_never_completed() {
    let shop = Shop::with_store();
    shop.with_pg_dump("\"$real\" \"$@\" | head -c 2000; exit 1");
    shop.create(&[]).fails(13);
    assert_eq!(shop.only_record()["status"], "failed");
    assert!(
        objects(&shop).iter().all(|name| !name.starts_with("artifacts/") && !name.starts_with("writers/"))
    );
}

#[test]
fn a_store_that_is_configured_is_made_on_purpose() {
    let shop = Shop::with_store();
    let elsewhere = shop.sandbox.path().join("my store");
    shop.sandbox.git(["config", "pggit.store", elsewhere.to_str().unwrap()]);
    let refused = shop.create(&[]).fails(10);
    assert!(refused.stderr_text().contains("store init"), "{}", refused.snapshot());
    shop.pggit(&["store", "init"]).success();
    shop.pggit(&["store", "init"]).fails(12);
    let id = checked(shop.create(&[]));
    shop.pggit(&["backup", "restore", &id, "--into", &shop.new_name()]).success();
    assert!(!store_of(&shop).exists());
    for bad in ["relative", "s3://key:secret@b/x", "ftp://x/y", "s3://b/x?sig=1"] {
        shop.sandbox.git(["config", "pggit.store", bad]);
        let refused = shop.create(&[]).fails(19);
        assert!(!refused.stderr_text().contains("secret"), "{}", refused.snapshot());
    }
}

#[test]
fn bytes_are_put_and_got_whatever_they_are() {
    let shop = Shop::with_store();
    shop.pggit(&["store", "init"]).success();
    let file = shop.sandbox.path().join("file");
    for (number, content) in [&b""[..], b"x", b"\0\n\xff", &[b' '; 3_000_000]].into_iter().enumerate() {
        fs::write(&file, content).unwrap();
        let path = file.to_str().unwrap();
        for database in ["odd", "../x", "a/b\n"] {
            let id = checked(shop.pggit(&["store", "put", "--database", database, "--name", "a b/c", path]));
            let output = shop.sandbox.path().join("out");
            let got = shop.pggit(&["store", "get", &id]).success();
            assert!(got.stdout == content, "{number} {database}");
            shop.pggit(&["store", "get", &id, "--output", output.to_str().unwrap()]).success();
            assert!(fs::read(&output).unwrap() == content);
        }
    }
    shop.pggit(&["store", "get", "nope"]).fails(10);
    shop.pggit(&["store", "get", ""]).fails(10);
    shop.pggit(&["store", "put", "--database", "x", "/nonexistent"]).fails(128);
    assert_eq!(shop.pggit(&["store", "list", "--json"]).success().json().as_array().unwrap().len(), 12);
}
