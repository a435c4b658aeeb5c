//! Physical backups: storing, restoring, and failures.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::cluster::{Options, bin_dir, fresh_dir, versions};
use crate::create::{Shop, names};
use crate::sandbox::Output;
use crate::tmpfs::Tmpfs;

const COPY: [&str; 2] = ["--tool", "pg_basebackup"];

/// Makes a shop on a cluster of its own.
fn shop(options: &Options) -> Shop {
    Shop::on(Arc::new(options.start()))
}

/// Makes a shop on PostgreSQL 17 with WAL summaries.
fn shop_17() -> Shop {
    let shop = shop(&Options::default().major(17).setting("summarize_wal=on"));
    shop.sandbox.git(["config", "pggit.pgBinDir", versions().to_str().unwrap()]);
    shop
}

fn copy(shop: &Shop, args: &[&str]) -> Value {
    let id = shop.create(&[&COPY, args].concat()).success().stdout_text().trim().to_owned();
    record(shop, &id)
}

fn record(shop: &Shop, id: &str) -> Value {
    shop.records().into_iter().find(|record| record["id"] == id).unwrap()
}

fn stored(record: &Value) -> u64 {
    record["stored_bytes"].as_u64().unwrap()
}

/// Restores into `data` below a directory that servers may use.
fn restore(shop: &Shop, backup: &str, args: &[&str]) -> (PathBuf, Output) {
    let dir = fresh_dir();
    let output = restore_into(shop, backup, &dir, args);
    (dir, output)
}

fn restore_into(shop: &Shop, backup: &str, dir: &Path, args: &[&str]) -> Output {
    let data = dir.join("data");
    shop.pggit(&[&["backup", "restore", backup, "--to", data.to_str().unwrap()], args].concat())
}

/// Returns the names of the files next to a data directory.
fn left(dir: &Path) -> Vec<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_copy_goes_into_the_store_and_comes_back() {
    let mut shop = shop(&Options::default());
    shop.cluster.psql("postgres", "alter system set archive_mode = on");
    // The language of the user does not change the messages that are parsed.
    shop.sandbox.set("LC_ALL", "de_DE.UTF-8");
    let first = copy(&shop, &["--name", "first", "--max-rate", "1024M"]);
    assert_eq!((&first["status"], &first["tool"]["name"]), (&"completed".into(), &"pg_basebackup".into()));
    assert_eq!((&first["type"], &first["metadata"]["checkpoint"]), (&"full".into(), &"fast".into()));
    let names: Vec<_> = first["artifacts"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["base.directory", "base.tree.json"]);
    let postgres = &first["postgres"];
    assert_eq!(postgres["timeline"], 1);
    assert!(postgres["system_identifier"].as_str().is_some_and(|id| id.len() > 15), "{postgres}");
    assert!(postgres["start_lsn"].as_str() < postgres["stop_lsn"].as_str(), "{postgres}");
    // Unchanged data is not stored again.
    shop.cluster.psql(&shop.database, "update orders set note = 'changed' where id = 7");
    let second = copy(&shop, &["--name", "second"]);
    assert!(stored(&second) * 5 < stored(&first), "{} after {}", stored(&second), stored(&first));

    let (dir, output) = restore(&shop, "second", &["--json"]);
    let said = output.success().json();
    assert_eq!((&said["archive_mode"], &said["backup"]), (&"off".into(), &second["id"]));
    let data = dir.join("data");
    let meta = fs::metadata(&data).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o700, fs::metadata(&dir).unwrap().uid()));
    assert_eq!(fs::metadata(data.join("PG_VERSION")).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(left(&dir), ["data"]);
    let restored = Options::default().start_in(dir.clone());
    assert_eq!(
        restored.psql(&shop.database, "select count(*), (select note from orders where id = 7) from orders"),
        "1000|changed"
    );
    assert_eq!(restored.psql("postgres", "show archive_mode"), "off");
    // An existing data directory is not overwritten, least of all that of a running server.
    let text = restore_into(&shop, "first", &dir, &[]).fails(12).stderr_text();
    assert!(text.contains("is the data directory of a running server"), "{text}");
    restored.stop();
    let text = restore_into(&shop, "first", &dir, &[]).fails(12).stderr_text();
    assert!(text.contains("is not empty"), "{text}");

    // A single file can be read.
    let file = shop.pggit(&["backup", "cat-artifact", "first", "base.directory/PG_VERSION"]).success();
    assert_eq!(file.stdout_text().trim(), major().to_string());

    let (dir, output) = restore(&shop, "first", &["--archive-mode", "preserve"]);
    output.success();
    let older = Options::default().start_in(dir);
    assert_eq!(older.psql("postgres", "show archive_mode"), "on");
    assert_ne!(older.psql(&shop.database, "select note from orders where id = 7"), "changed");
}

#[test]
fn tablespaces_and_strange_files_come_along() {
    let shop = shop(&Options::default());
    let old = shop.cluster.dir().join("-odd =\u{fc} space");
    fs::create_dir(&old).unwrap();
    std::os::unix::fs::chown(&old, Some(fs::metadata(shop.cluster.dir()).unwrap().uid()), None).unwrap();
    shop.cluster.psql("postgres", &format!("create tablespace odd location '{}'", old.display()));
    shop.cluster
        .psql(&shop.database, "create table far tablespace odd as select generate_series(1, 10) as a");
    let stray = shop.cluster.dir().join("data/base/100% \u{1}stray");
    fs::write(&stray, "stray").unwrap();
    fs::set_permissions(&stray, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(&stray, Some(fs::metadata(shop.cluster.dir()).unwrap().uid()), None).unwrap();
    let plain = shop.sandbox.path().join("plain");
    fs::create_dir(&plain).unwrap();
    for (number, args) in
        [vec!["--wal", "stream"], vec!["--output", plain.to_str().unwrap()]].into_iter().enumerate()
    {
        let record = copy(&shop, &args);
        let id = record["id"].as_str().unwrap();
        assert_eq!(record["metadata"]["tablespaces"][0]["location"], old.to_str().unwrap());
        let escaped = |path: &Path| path.to_str().unwrap().replace('=', "\\=");
        let same = format!("{old}={old}", old = escaped(&old));
        let (dir, output) = restore(&shop, id, &[]);
        let text = output.fails(12).stderr_text();
        let line = text.lines().find_map(|line| line.split_once(" add: ")).expect("a line to copy").1;
        assert_eq!(shlex::split(line).unwrap(), ["--tablespace-mapping", &same]);
        // The original directory still contains the tablespace.
        let text = restore_into(&shop, id, &dir, &["--tablespace-mapping", &same]).fails(12).stderr_text();
        assert!(text.contains("is not empty") && text.contains("--tablespace-mapping"), "{text}");
        assert_eq!(left(&dir), [""; 0]);
        let new = dir.join(format!("-new={number}"));
        let mapping = format!("{}={}", escaped(&old), escaped(&new));
        let unknown = ["--tablespace-mapping", &mapping, "--tablespace-mapping", "/nowhere=/tmp/x"];
        restore_into(&shop, id, &dir, &unknown).fails(129);
        restore_into(&shop, id, &dir, &["--tablespace-mapping", &mapping]).success();
        let restored = Options::default().start_in(dir.clone());
        assert_eq!(restored.psql(&shop.database, "select sum(a) from far"), "55");
        let links: Vec<_> = fs::read_dir(dir.join("data/pg_tblspc")).unwrap().collect();
        assert_eq!(fs::read_link(links[0].as_ref().unwrap().path()).unwrap(), new);
        let there = dir.join("data/base/100% \u{1}stray");
        assert_eq!(fs::read_to_string(&there).unwrap(), "stray");
        assert_eq!(fs::metadata(there).unwrap().mode() & 0o7777, 0o640);
    }
    assert!(names(&plain).iter().any(|name| name.ends_with("base.directory.b3sums")));
    assert!(!names(&plain).iter().any(|name| name.contains("archives")));
}

#[test]
fn a_tablespace_is_made_where_it_was_only_when_the_caller_says_so() {
    let shop = shop(&Options::default());
    let home = fresh_dir();
    let old = home.join("ts");
    fs::create_dir(&old).unwrap();
    crate::cluster::give_to_owner(&old);
    shop.cluster.psql("postgres", &format!("create tablespace ts location '{}'", old.display()));
    shop.cluster.psql(&shop.database, "create table far tablespace ts as select generate_series(1, 10) as a");
    shop.sandbox.git(["config", "pggit.shop.recordSchema", "false"]);
    let record = copy(&shop, &[]);
    let id = record["id"].as_str().unwrap();
    // The original directory no longer exists, as on another machine.
    shop.cluster.psql(&shop.database, "drop table far");
    shop.cluster.psql("postgres", "drop tablespace ts");
    fs::remove_dir_all(&old).unwrap();
    let dir = fresh_dir();
    let data = dir.join("data").to_str().unwrap().to_owned();
    let mapping = format!("{old}={old}", old = old.display());
    let line = format!("--tablespace-mapping {mapping}");
    for action in ["restore", "plan"] {
        let text = shop.pggit(&["backup", action, id, "--to", &data]).fails(12).stderr_text();
        assert!(
            text.contains(&format!("an unmapped tablespace outside of {data}: {}", old.display())),
            "{text}"
        );
        assert!(text.contains(&line), "{text}");
    }
    let plan = shop.pggit(&["backup", "plan", id, "--to", &data, "--json"]).fails(12).json();
    assert!(plan["refusals"][0]["error"]["hints"][0].as_str().unwrap().contains(&line), "{plan}");
    assert_eq!((left(&dir), left(&home)), (Vec::new(), Vec::new()));
    shop.pggit(&["backup", "plan", id, "--to", &data, "--tablespace-mapping", &mapping]).success();
    // --check-schema fails if there is no schema to compare with.
    for action in ["plan", "restore"] {
        let args = ["backup", action, id, "--to", &data, "--tablespace-mapping", &mapping, "--check-schema"];
        let text = shop.pggit(&args).fails(12).stderr_text();
        assert!(text.contains("--check-schema: there is no schema of commit"), "{text}");
    }
    restore_into(&shop, id, &dir, &["--tablespace-mapping", &mapping]).success();
    assert_eq!(fs::metadata(&old).unwrap().mode() & 0o7777, 0o700);
    let restored = Options::default().start_in(dir);
    assert_eq!(restored.psql(&shop.database, "select sum(a) from far"), "55");
    drop(restored);
    fs::remove_dir_all(home).unwrap();
}

#[test]
fn incremental_copies_make_a_chain_and_one_directory() {
    let shop = shop_17();
    // Without a base backup it is a full one, and the program reports that.
    let output = shop.create(&[&COPY[..], &["--type", "incremental", "--name", "full"]].concat()).success();
    assert!(output.stderr_text().contains("there is no parent backup"), "{}", output.snapshot());
    let full = record(&shop, output.stdout_text().trim());
    assert_eq!((&full["type"], &full["metadata"]["requested_type"]), (&"full".into(), &"incremental".into()));
    let tablespace = shop.cluster.dir().join("ts");
    fs::create_dir(&tablespace).unwrap();
    std::os::unix::fs::chown(&tablespace, Some(fs::metadata(shop.cluster.dir()).unwrap().uid()), None)
        .unwrap();
    shop.cluster.psql("postgres", &format!("create tablespace ts location '{}'", tablespace.display()));
    shop.cluster.psql(&shop.database, "create table far tablespace ts as select generate_series(1, 10) as a");
    shop.cluster.psql(&shop.database, "insert into orders values (1001, 'more')");
    let one = copy(&shop, &["--type", "incremental", "--name", "one"]);
    shop.cluster
        .psql(&shop.database, "insert into orders values (1002, 'and more'); insert into far values (100)");
    let two = copy(&shop, &["--type", "incremental", "--name", "two"]);
    let three = copy(&shop, &["--type", "differential", "--name", "three"]);
    let needs =
        |record: &Value| (record["depends_on"][0]["id"].clone(), record["depends_on"][0]["kind"].clone());
    assert_eq!(needs(&one), (full["id"].clone(), "base".into()));
    assert_eq!(needs(&two), (one["id"].clone(), "incremental_chain".into()));
    assert_eq!(needs(&three), (full["id"].clone(), "differential_base".into()));
    assert!(one["size_bytes"].as_u64() < full["size_bytes"].as_u64());
    for (name, count) in [("two", 3), ("three", 2)] {
        let dir = fresh_dir();
        let new = dir.join("ts");
        let mapping = format!("{}={}", tablespace.display(), new.display());
        let said =
            restore_into(&shop, name, &dir, &["--json", "--tablespace-mapping", &mapping]).success().json();
        assert_eq!(said["backups"].as_array().unwrap().len(), count);
        assert_eq!(
            {
                let mut left = left(&dir);
                left.sort();
                left
            },
            ["data", "ts"]
        );
        let restored = Options::default().major(17).start_in(dir);
        assert_eq!(restored.psql(&shop.database, "select count(*) from orders"), "1002");
        assert_eq!(restored.psql(&shop.database, "select sum(a) from far"), "155");
    }

    // Programs of another version cannot combine the backups.
    let other = shop.sandbox.path().join("other");
    fs::create_dir(&other).unwrap();
    let script = "#!/bin/sh\necho 'pg_combinebackup (PostgreSQL) 18.1'\n";
    fs::write(other.join("pg_combinebackup"), script).unwrap();
    fs::set_permissions(other.join("pg_combinebackup"), fs::Permissions::from_mode(0o755)).unwrap();
    shop.sandbox.git(["config", "pggit.pgBinDir", other.to_str().unwrap()]);
    let far = format!("{}={}", tablespace.display(), fresh_dir().join("far").display());
    let text = restore(&shop, "one", &["--tablespace-mapping", &far]).1.fails(13).stderr_text();
    assert!(text.contains("files of PostgreSQL 17 need programs of that version"), "{text}");
    shop.sandbox.git(["config", "pggit.pgBinDir", versions().to_str().unwrap()]);

    // Programs of an older version cannot back up the server.
    let old = shop.sandbox.path().join("old/15");
    fs::create_dir_all(&old).unwrap();
    std::os::unix::fs::symlink(bin_dir(), old.join("bin")).unwrap();
    shop.sandbox.git(["config", "pggit.pgBinDir", old.parent().unwrap().to_str().unwrap()]);
    if major() < 17 {
        let text = shop.create(&COPY).fails(13).stderr_text();
        assert!(text.contains("server is PostgreSQL 17") && text.contains("install"), "{text}");
    }
    shop.sandbox.git(["config", "pggit.pgBinDir", versions().to_str().unwrap()]);

    // The bytes of a base backup are missing: backups that depend on it cannot be restored.
    remove_bytes(&shop, &one);
    let (dir, output) = restore(&shop, "two", &[]);
    output.fails(10);
    assert_eq!(left(&dir), [""; 0]);
    restore(&shop, "full", &[]).1.success();
    remove_bytes(&shop, &three);
    let text = shop.create(&[&COPY[..], &["--type", "incremental"]].concat()).fails(16).stderr_text();
    assert!(text.contains("base backup ") && text.contains("--type full"), "{text}");
    assert_eq!(shop.records().last().unwrap()["error"]["code"], "base-unreadable");
}

/// Deletes the bytes of a backup without git-pggit.
fn remove_bytes(shop: &Shop, record: &Value) {
    let artifacts = shop.sandbox.repo().join(".git/pggit/store/artifacts/shop");
    let id = record["id"].as_str().unwrap();
    for entry in fs::read_dir(&artifacts).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.file_name().unwrap().to_str().unwrap().starts_with(id) {
            if entry.is_dir() { fs::remove_dir_all(entry).unwrap() } else { fs::remove_file(entry).unwrap() }
        }
    }
}

#[test]
fn no_password_is_anywhere() {
    let mut shop = shop(&Options::default().tcp());
    shop.cluster.psql(
        "postgres",
        "create role copier login replication password 'geheim7'; grant pg_read_all_data to copier",
    );
    fs::write(
        shop.cluster.dir().join("data/pg_hba.conf"),
        "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\nhost replication all 127.0.0.1/32 scram-sha-256\n",
    )
    .unwrap();
    shop.cluster.psql("postgres", "select pg_reload_conf()");
    let url = format!("postgresql://copier@127.0.0.1:{}/{}", shop.cluster.port(), shop.database);
    shop.sandbox.git(["config", "pggit.shop.url", &url]);
    shop.sandbox.set("PGPASSWORD", "geheim7");
    let seen = shop.sandbox.path().join("argv");
    with_program(
        &shop,
        "99.1",
        &format!("printf '%s\\n' \"$@\" >> '{}'\nexec \"$real\" \"$@\"", seen.display()),
    );
    let output = shop.create(&[&COPY[..], &["--json"]].concat()).success();
    let arguments = fs::read_to_string(&seen).unwrap();
    assert!(arguments.contains("--no-password") && arguments.contains("copier"), "{arguments}");
    let record = shop.only_record();
    for text in [arguments, output.snapshot(), record.to_string()] {
        assert!(!text.contains("geheim7"), "{text}");
    }
    // A wrong password does not appear either.
    shop.sandbox.set("PGPASSWORD", "falsch7");
    let text = shop.create(&COPY).fails(14).snapshot();
    assert!(
        !text.contains("falsch7")
            && !shop.records().iter().any(|record| record.to_string().contains("falsch7")),
        "{text}"
    );
}

#[test]
fn what_the_server_is_not_set_up_for_is_said_with_what_to_do() {
    let shop = shop(&Options::default());
    let text = shop.create(&[&COPY[..], &["--type", "incremental"]].concat()).fails(19).stderr_text();
    let expected = if major() >= 17 { "summarize_wal is off" } else { "makes only full base backups" };
    assert!(text.contains(expected) && text.contains("hint: "), "{text}");
    shop.cluster.psql("postgres", "create role app login");
    shop.cluster.psql(&shop.database, "grant all on orders to app");
    let url = shop.cluster.url(&shop.database).replace("user=postgres", "user=app");
    shop.sandbox.git(["config", "pggit.shop.url", &url]);
    let text = shop.create(&COPY).fails(19).stderr_text();
    assert!(text.contains("no REPLICATION attribute") && text.contains("ALTER ROLE"), "{text}");
    assert!(shop.records().iter().all(|record| record["status"] == "failed"), "{:?}", shop.records());
    shop.sandbox.git(["config", "pggit.shop.tool", "pg_basebackup"]);
    shop.sandbox.git(["config", "pggit.shop.type", "incremental"]);
    let said = shop.pggit(&["doctor"]).snapshot();
    assert!(
        said.contains("\"app\" may not make physical backups")
            && said.contains("ALTER ROLE \"app\" REPLICATION"),
        "{said}"
    );
    assert!(said.contains("incremental backups require PostgreSQL 17 and summarize_wal"), "{said}");
    assert!(said.contains("pg_basebackup"), "{said}");
}

fn major() -> u32 {
    let out = std::process::Command::new(bin_dir().join("postgres")).arg("--version").output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    text.split(' ').nth(2).unwrap().split('.').next().unwrap().trim().parse().unwrap()
}

/// Puts a script instead of pg_basebackup before the real programs.
fn with_program(shop: &Shop, version: &str, script: &str) {
    let dir = shop.with_pg_dump("exec $real \"$@\"");
    let real = bin_dir().join("pg_basebackup");
    let answer =
        format!("case \"$1\" in --version) echo 'pg_basebackup (PostgreSQL) {version}'; exit;; esac");
    let text = format!("#!/bin/bash\n{answer}\nreal={}\n{script}\n", real.display());
    fs::write(dir.join("pg_basebackup"), text).unwrap();
    fs::set_permissions(dir.join("pg_basebackup"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_program_that_is_not_what_it_should_be_makes_no_backup() {
    let shop = Shop::with_store();
    let scripts = [
        ("99.1", "exit 0", 13, "was not received"),
        ("99.1", "\"$real\" \"$@\" | head -c 3000000", 13, "cannot be read"),
        (
            "99.1",
            "\"$real\" \"$@\" | tar --delete --file=- backup_manifest",
            13,
            "backup_manifest was not received",
        ),
        (
            "99.1",
            "\"$real\" \"$@\" | tar --delete --file=- global/pg_control",
            13,
            "global/pg_control is in the manifest, but was not received",
        ),
        (
            "99.1",
            "\"$real\" \"$@\" | LC_ALL=C sed 's/\"Manifest-Checksum\": \"../\"Manifest-Checksum\": \"zz/'",
            13,
            "does not match its own checksum",
        ),
        (
            "99.1",
            "\"$real\" \"$@\" | LC_ALL=C sed 's/^START TIMELINE: 1/START TIMELINE: 2/'",
            13,
            "backup_label has another checksum",
        ),
        ("99.1", "\"$real\" \"$@\" > /dev/null; kill -9 $$", 13, "killed"),
        ("99.1", "\"$real\" \"$@\"; echo 'pg_basebackup: error: disk quota' >&2; exit 1", 13, "disk quota"),
        ("9.1", "exec \"$real\" \"$@\"", 13, "is 9.1"),
        ("rubbish", "", 13, "unexpected answer"),
    ];
    let count = scripts.len();
    for (version, script, status, expected) in scripts {
        with_program(&shop, version, script);
        let text = shop.create(&COPY).fails(status).stderr_text();
        assert!(text.contains(expected), "{script}: {text}");
    }
    with_program(&shop, "99.1", "sleep 600");
    shop.sandbox.git(["config", "pggit.shop.timeout", "1s"]);
    let text = shop.create(&COPY).fails(13).stderr_text();
    assert!(text.contains("timed out after 1 s"), "{text}");
    fs::remove_file(shop.sandbox.path().join("bin/pg_basebackup")).unwrap();
    let text = shop.create(&COPY).fails(13).stderr_text();
    assert!(text.contains("pg_basebackup not found"), "{text}");
    let records = shop.records();
    assert_eq!(records.len(), count + 2);
    assert!(records.iter().all(|record| record["status"] == "failed"), "{records:?}");
    assert_eq!(names(&shop.sandbox.repo().join(".git/pggit/staging")), [""; 0]);
    assert_eq!(shop.pggit(&["store", "list", "--json"]).success().json(), Value::Array(vec![]));
}

#[test]
fn a_full_disk_makes_no_backup_and_no_data_directory() {
    let shop = shop(&Options::default());
    let Some(disk) = Tmpfs::mount("size=6m,mode=0777") else { return };
    let text = shop
        .create(&[&COPY[..], &["--output", disk.path().to_str().unwrap()]].concat())
        .fails(15)
        .stderr_text();
    assert!(text.to_lowercase().contains("no space left"), "{text}");
    assert_eq!(names(disk.path()), [""; 0]);
    assert_eq!(shop.only_record()["status"], "failed");
    copy(&shop, &["--name", "whole"]);
    let target = disk.path().join("data");
    fs::create_dir(&target).unwrap();
    std::os::unix::fs::chown(&target, Some(fs::metadata(shop.cluster.dir()).unwrap().uid()), None).unwrap();
    let text =
        shop.pggit(&["backup", "restore", "whole", "--to", target.to_str().unwrap()]).fails(15).stderr_text();
    assert!(text.contains("not enough disk space in"), "{text}");
    assert_eq!(names(disk.path()), ["data"]);
}

#[test]
fn a_crash_at_any_step_leaves_nothing_that_passes_for_a_backup() {
    let shop = shop(&Options::default());
    let crash = |point: &str, args: &[&str]| {
        let mut command = shop.sandbox.pggit_command();
        let output = shop.sandbox.output(command.args(args).env("PGGIT_CRASH_AT", point));
        assert_eq!(output.status, -1, "{point} was not reached: {}", output.snapshot());
    };
    for point in ["backup.registered", "store.pack.written", "store.packs.written"] {
        crash(point, &["backup", "create", "--tool", "pg_basebackup"]);
    }
    assert!(shop.records().iter().all(|record| record["status"] == "in_progress"));
    copy(&shop, &["--name", "whole"]);
    let dir = fresh_dir();
    let data = dir.join("data");
    for point in ["recovery.partial", "recovery.step", "recovery.unpacked"] {
        crash(point, &["backup", "restore", "whole", "--to", data.to_str().unwrap()]);
        assert!(!data.exists(), "{point}");
    }
    restore_into(&shop, "whole", &dir, &[]).success();
    assert_eq!(left(&dir), ["data"]);
}

#[test]
fn places_that_cannot_be_data_directories_are_refused() {
    let shop = shop(&Options::default());
    copy(&shop, &["--name", "whole"]);
    let dir = fresh_dir();
    fs::write(dir.join("file"), "").unwrap();
    let to = |path: &Path, status: i32| {
        let output = shop.sandbox.pggit([
            "backup".as_ref(),
            "restore".as_ref(),
            "whole".as_ref(),
            "--to".as_ref(),
            path.as_os_str(),
        ]);
        output.fails(status).stderr_text()
    };
    assert!(to(&dir.join("file"), 12).contains("is not a directory"));
    assert!(to(&dir.join("no/such"), 12).contains("does not exist"));
    assert!(to(Path::new("/"), 12).contains("cannot be a data directory"));
    if rustix::process::geteuid().is_root() {
        let ours = shop.sandbox.path().join("ours");
        assert!(to(&ours, 12).contains("would belong to root"));
        if let Some(disk) = Tmpfs::mount("size=1m") {
            assert!(to(disk.path(), 12).contains("is a mount point"));
        }
    }
    // A dump is not a data directory; a physical backup can be restored to one database.
    shop.create(&["--name", "dump"]).success();
    let text = restore(&shop, "dump", &[]).1.fails(12).stderr_text();
    assert!(text.contains("into a database, not into a data directory"), "{text}");
    shop.pggit(&["backup", "restore", "whole", "--into", &shop.new_name()]).success();
    assert_eq!(shop.rows(&shop.new_name()), "1000");
    shop.pggit(&["backup", "restore", "whole"]).fails(129);
    shop.pggit(&["backup", "restore", "whole", "--into", "x", "--to", "y"]).fails(129);
    // A commit selects the best physical backup of the cluster.
    let steps = restore(&shop, &shop.commits[1], &["--dry-run", "--json"]).1.success().json();
    assert!(steps["steps"][0]["what"].as_str().unwrap().starts_with("unpack base.directory"), "{steps}");
}

#[test]
fn the_size_decides_which_tool_it_is() {
    let shop = shop(&Options::default());
    let dump = shop.create(&["--tool", "auto"]).success().stdout_text();
    assert_eq!(record(&shop, dump.trim())["tool"]["name"], "pg_dump");
    shop.sandbox.git(["config", "pggit.shop.autoThreshold", "1MB"]);
    shop.sandbox.git(["config", "pggit.shop.tool", "auto"]);
    let copy = shop.create(&[]).success().stdout_text();
    assert_eq!(record(&shop, copy.trim())["tool"]["name"], "pg_basebackup");
    let text = shop.create(&["--schema", "public"]).fails(129).stderr_text();
    assert!(text.contains("--schema is for pg_dump"), "{text}");
}

#[test]
fn an_ordinary_user_copies_and_restores() {
    if !rustix::process::geteuid().is_root() {
        // All other tests run as an ordinary user then.
        return;
    }
    let shop = shop(&Options::default());
    let meta = fs::metadata(shop.cluster.dir()).unwrap();
    for entry in walkdir::WalkDir::new(shop.sandbox.path()) {
        std::os::unix::fs::lchown(entry.unwrap().path(), Some(meta.uid()), Some(meta.gid())).unwrap();
    }
    // The other user needs access to the program.
    let dir = fresh_dir();
    let program = dir.join("git-pggit");
    // Another thread may fork while this process has the file open for writing, and then the file cannot be
    // executed (ETXTBSY).
    let copied = std::process::Command::new("cp")
        .args([env!("CARGO_BIN_EXE_git-pggit").as_ref(), program.as_os_str()])
        .status();
    assert!(copied.unwrap().success());
    let run = |args: &[&str]| {
        use std::os::unix::process::CommandExt as _;
        let mut command = shop.sandbox.command(&program);
        shop.sandbox.output(command.args(args).uid(meta.uid()).gid(meta.gid()))
    };
    run(&["backup", "create", "--tool", "pg_basebackup", "--name", "mine"]).success();
    let data = dir.join("data");
    run(&["backup", "restore", "mine", "--to", data.to_str().unwrap()]).success();
    assert_eq!(fs::metadata(&data).unwrap().uid(), meta.uid());
    let restored = Options::default().start_in(dir.clone());
    assert_eq!(restored.psql(&shop.database, "select count(*) from orders"), "1000");
    drop(restored);
}
