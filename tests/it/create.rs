//! `git pggit backup create` and `restore` on a real database.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::cluster::{Cluster, Options, bin_dir};
use crate::sandbox::{Output, Sandbox};
use crate::tmpfs::Tmpfs;

/// A schema repository with two commits and a database with that schema.
pub(crate) struct Shop {
    pub(crate) sandbox: Sandbox,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) database: String,
    pub(crate) commits: [String; 2],
}

impl Shop {
    /// Makes a shop whose backups are plain files.
    pub(crate) fn new() -> Self {
        let shop = Self::with_store();
        let output = shop.backups_dir();
        fs::create_dir_all(&output).unwrap();
        shop.sandbox.git(["config", "pggit.plainDir", output.to_str().unwrap()]);
        shop
    }

    /// Makes a shop whose backups go into the store of its repository.
    pub(crate) fn with_store() -> Self {
        Self::on(Cluster::shared())
    }

    /// Makes a shop on this cluster, whose backups go into the store.
    pub(crate) fn on(cluster: Arc<Cluster>) -> Self {
        let sandbox = Sandbox::new();
        let database = cluster.create_database("shop");
        let sql = "create table orders (id int primary key, note text)";
        let commits =
            [sandbox.commit("1.sql", sql, "orders"), sandbox.commit("2.sql", "-- nothing", "nothing")];
        cluster.psql(&database, sql);
        cluster.psql(&database, "insert into orders select g, md5(g::text) from generate_series(1, 1000) g");
        let shop = Self { sandbox, cluster, database, commits };
        shop.pggit(&["database", "add", "shop", "--url", &shop.cluster.url(&shop.database)]).success();
        shop
    }

    pub(crate) fn pggit(&self, args: &[&str]) -> Output {
        self.sandbox.pggit(args)
    }

    pub(crate) fn create(&self, args: &[&str]) -> Output {
        self.pggit(&[&["backup", "create"], args].concat())
    }

    /// Returns the records, read by git.
    pub(crate) fn records(&self) -> Vec<Value> {
        let refs = self.sandbox.git(["for-each-ref", "--format=%(refname)", "refs/backups/"]);
        let mut records: Vec<Value> = refs.lines().flat_map(|name| self.records_at(name)).collect();
        records.sort_by_key(|record| record["registered_at"].as_str().unwrap_or_default().to_owned());
        records
    }

    pub(crate) fn records_at(&self, reference: &str) -> Vec<Value> {
        let files = self.sandbox.git(["ls-tree", "--name-only", reference, ".pggit/"]);
        let json = files.lines().filter(|file| file.ends_with(".json"));
        let show = |file: &str| self.sandbox.git(["show", &format!("{reference}:{file}")]);
        json.map(|file| serde_json::from_str(&show(file)).expect("a record is JSON")).collect()
    }

    pub(crate) fn only_record(&self) -> Value {
        let mut records = self.records();
        assert_eq!(records.len(), 1, "{records:?}");
        records.remove(0)
    }

    pub(crate) fn rows(&self, database: &str) -> String {
        self.cluster.psql(database, "select count(*) from orders")
    }

    pub(crate) fn new_name(&self) -> String {
        format!("{}_restored", self.database)
    }

    /// Makes a directory of the real programs, with a script instead of `pg_dump`.
    pub(crate) fn with_pg_dump(&self, script: &str) -> PathBuf {
        let dir = self.sandbox.path().join("bin");
        fs::create_dir_all(&dir).unwrap();
        for program in ["pg_dumpall", "pg_restore", "psql"] {
            let _ = std::os::unix::fs::symlink(bin_dir().join(program), dir.join(program));
        }
        let real = bin_dir().join("pg_dump");
        let version = "case \"$1\" in --version) echo 'pg_dump (PostgreSQL) 99.1'; exit;; esac";
        let schema = format!("case \"$*\" in *--schema-only*) exec {} \"$@\";; esac", real.display());
        let text = format!("#!/bin/sh\n{version}\n{schema}\nreal={}\n{script}\n", real.display());
        fs::write(dir.join("pg_dump"), text).unwrap();
        fs::set_permissions(dir.join("pg_dump"), fs::Permissions::from_mode(0o755)).unwrap();
        self.sandbox.git(["config", "pggit.pgBinDir", dir.to_str().unwrap()]);
        dir
    }

    pub(crate) fn backups_dir(&self) -> PathBuf {
        self.sandbox.repo().join(".git/pggit/backups")
    }
}

/// Returns all paths below `dir`, including hidden ones.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let entries = walkdir::WalkDir::new(dir).min_depth(1).sort_by_file_name();
    let relative =
        |entry: walkdir::DirEntry| entry.path().strip_prefix(dir).unwrap().to_string_lossy().into_owned();
    entries.into_iter().filter_map(Result::ok).map(relative).collect()
}

#[test]
fn a_backup_is_recorded_stored_and_restored_in_every_format() {
    let shop = Shop::new();
    let output = shop.sandbox.path().join("backups");
    fs::create_dir(&output).unwrap();
    for format in ["custom", "directory", "tar", "plain"] {
        let args = [
            "--format",
            format,
            "--output",
            output.to_str().unwrap(),
            "--name",
            format,
            "--label",
            "tested=yes",
        ];
        let created = shop.create(&args).success();
        let id = created.stdout_text().trim().to_owned();
        let record = shop.records().pop().unwrap();
        assert_eq!((&record["id"], &record["status"]), (&Value::from(id.clone()), &Value::from("completed")));
        assert_eq!(record["commit"], Value::from(shop.commits[1].clone()));
        assert_eq!(
            (&record["branch"], &record["tags"]["tested"]),
            (&Value::from("main"), &Value::from("yes"))
        );
        assert!(
            record["size_bytes"].as_u64().unwrap() > 10_000
                && record["stored_bytes"].as_u64().unwrap() > 10_000
        );
        assert_eq!(record["postgres"]["dbname"], Value::from(shop.database.clone()));
        let copy = format!("{}_{format}", shop.database);
        shop.pggit(&["backup", "restore", format, "--into", &copy]).success();
        assert_eq!(shop.rows(&copy), "1000");
        assert!(shop.cluster.psql("postgres", &format!("select setconfig::text from pg_db_role_setting join pg_database d on d.oid = setdatabase where datname = '{copy}'")).contains(&shop.commits[1]));
        let stored = output.join("shop").join(&id);
        assert!(stored.join("globals.sql.zst").exists() && stored.join("record.json").exists());
        let beside: Value = serde_json::from_slice(&fs::read(stored.join("record.json")).unwrap()).unwrap();
        assert_eq!(beside, record, "the record beside the bytes is the one in the ledger");
    }
    let schema = shop.sandbox.git([
        "show",
        &format!("refs/backups/{}:.pggit/{}.sql", shop.commits[1], shop.records()[0]["id"].as_str().unwrap()),
    ]);
    assert!(schema.contains("CREATE TABLE public.orders"), "{schema}");
    shop.sandbox.git(["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn a_dump_can_be_read_without_this_program() {
    let shop = Shop::new();
    shop.create(&[]).success();
    let record = shop.only_record();
    let dir = record["location"].as_str().unwrap().strip_prefix("file://").unwrap().to_owned();
    shop.cluster.psql("postgres", &format!("create database \"{}\"", shop.new_name()));
    let script = format!(
        "set -e; zstd -dc '{dir}/dump.custom.zst' | {}/pg_restore --single-transaction -d '{}'",
        bin_dir().display(),
        shop.cluster.url(&shop.new_name())
    );
    let output = shop.sandbox.output(shop.sandbox.command("sh").args(["-c", &script]));
    output.success();
    assert_eq!(shop.rows(&shop.new_name()), "1000");
    let modes: Vec<u32> = names(Path::new(&dir))
        .iter()
        .map(|name| Path::new(&dir).join(name))
        .filter(|path| path.is_file())
        .map(|path| path.metadata().unwrap().permissions().mode() & 0o777)
        .collect();
    assert!(modes.iter().all(|mode| *mode == 0o600), "{modes:?}");
}

#[test]
fn the_commit_is_the_one_asked_for_or_the_database_s_or_head() {
    let shop = Shop::new();
    let [first, second] = shop.commits.clone();
    let commit = |args: &[&str]| {
        shop.create(args).success();
        let record = shop.records().pop().unwrap();
        (
            record["commit"].as_str().unwrap().to_owned(),
            record["metadata"]["commit_source"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(commit(&[]), (second.clone(), "head".into()));
    assert_eq!(commit(&["--commit", "HEAD~1"]), (first.clone(), "commit".into()));
    shop.sandbox.git(["branch", "old", "HEAD~1"]);
    assert_eq!(commit(&["--branch", "old"]), (first.clone(), "branch".into()));
    shop.cluster.psql("postgres", &format!("alter database {} set pggit.commit = '{first}'", shop.database));
    assert_eq!(commit(&[]), (first.clone(), "database".into()));
    let before = shop.records().len();
    let refused = shop.create(&["--commit", "HEAD"]).fails(12);
    assert!(
        refused.stderr_text().contains(&format!("is marked with commit {}", &first[..10])),
        "{}",
        refused.snapshot()
    );
    assert_eq!(shop.records().len(), before, "nothing was written");
    assert_eq!(commit(&["--commit", "HEAD", "--force"]), (second, "commit".into()));
    assert_eq!(shop.records().pop().unwrap()["metadata"]["commit_in_database"], Value::from(first));
    shop.cluster.psql(
        "postgres",
        &format!("alter database {} set pggit.commit = '{}'", shop.database, "1".repeat(40)),
    );
    let unknown = shop.create(&[]).fails(12);
    assert!(unknown.stderr_text().contains("which is not in this repository"), "{}", unknown.snapshot());
}

#[test]
fn what_cannot_begin_says_so_and_writes_nothing() {
    let shop = Shop::new();
    for (args, status) in [
        (&["--commit", "nope"][..], 10),
        (&["--commit", "-x"], 129),
        (&["--branch", "nope"], 10),
        (&["--database", "nope"], 10),
        (&["--type", "incremental"], 129),
        (&["--jobs", "2"], 129),
        (&["--name", "a\nb"], 129),
        (&["--name", "latest"], 129),
        (&["--name=-rf"], 129),
        (&["--label", "a b"], 129),
        (&["--format", "zip"], 129),
        (&["--commit", "a", "--branch", "b"], 129),
    ] {
        let output = shop.create(args);
        assert_eq!(output.status, status, "{args:?}: {}", output.snapshot());
        assert!(output.stdout.is_empty());
    }
    let long = "x".repeat(10_000);
    shop.create(&["--name", &long]).fails(129);
    assert_eq!(shop.sandbox.git(["for-each-ref", "refs/backups", "refs/notes"]), "");
    assert_eq!(names(&shop.backups_dir()), [""; 0]);
}

#[test]
fn a_hook_s_environment_names_the_repository() {
    let shop = Shop::new();
    shop.create(&[]).success();
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = shop.sandbox.pggit_command();
    command.args(["backup", "list", "--ids"]).current_dir(elsewhere.path());
    command.env("GIT_DIR", shop.sandbox.repo().join(".git")).env("GIT_INDEX_FILE", "index");
    let listed = shop.sandbox.output(&mut command).success();
    assert_eq!(listed.stdout_text().trim(), shop.only_record()["id"].as_str().unwrap());
}

#[test]
fn a_repository_without_commits_has_nothing_to_back_up_for() {
    let (sandbox, cluster) = (Sandbox::new(), Cluster::shared());
    let database = cluster.create_database("empty");
    sandbox.pggit(["database", "add", "shop", "--url", &cluster.url(&database)]).success();
    let refused = sandbox.pggit(["backup", "create"]).fails(10);
    assert!(refused.stderr_text().contains("branch `main` has no commits yet"), "{}", refused.snapshot());
}

#[test]
fn an_unreachable_database_is_a_failed_backup_and_not_silence() {
    let shop = Shop::new();
    let gone = shop.sandbox.path().join("no-server");
    shop.sandbox.git(["config", "pggit.shop.url", &format!("postgresql:///x?host={}", gone.display())]);
    let failed = shop.create(&[]).fails(14);
    assert!(failed.stderr_text().contains("cannot reach the server"), "{}", failed.snapshot());
    let record = shop.only_record();
    assert_eq!(
        (&record["status"], &record["error"]["code"]),
        (&"failed".into(), &"database-unreachable".into())
    );
    shop.sandbox.git(["config", "pggit.shop.url", &shop.cluster.url("does_not_exist")]);
    let missing = shop.create(&[]).fails(14);
    assert!(missing.stderr_text().contains("does not exist"), "{}", missing.snapshot());
}

#[test]
fn tools_that_fail_leave_a_failed_record_with_their_words_and_no_bytes() {
    let shop = Shop::new();
    let loud = "i=0; line=$(printf '%1023s' x); while [ $i -lt 10240 ]; do echo \"$line\" >&2; i=$((i+1)); done; echo 'pg_dump: error: last words' >&2; exit 1";
    for (script, status, words) in [
        ("echo 'pg_dump: error: no luck' >&2; exit 1", 13, "no luck"),
        ("kill -9 $$", 13, "killed by signal 9"),
        ("exit 0", 13, "no output"),
        ("$real \"$@\" | head -c 1000 | tail -c 900", 13, "no header"),
        (loud, 13, "last words"),
    ] {
        shop.with_pg_dump(script);
        let output = shop.create(&[]);
        assert_eq!(output.status, status, "{script}: {}", output.snapshot());
        let record = shop.records().pop().unwrap();
        assert_eq!(record["status"], Value::from("failed"), "{script}");
        let message = record["error"]["message"].as_str().unwrap();
        assert!(message.contains(words) && message.len() < 20_000, "{script}: {message}");
        assert_eq!(names(&shop.backups_dir().join("shop")), [""; 0], "{script}");
    }
}

#[test]
fn programs_that_are_missing_or_too_old_are_named() {
    let shop = Shop::new();
    let empty = shop.sandbox.path().join("empty");
    fs::create_dir(&empty).unwrap();
    shop.sandbox.git(["config", "pggit.pgBinDir", empty.to_str().unwrap()]);
    let missing = shop.create(&[]).fails(13);
    assert!(missing.stderr_text().contains("pg_dump not found"), "{}", missing.snapshot());
    let dir = shop.with_pg_dump("exit 1");
    let old = fs::read_to_string(dir.join("pg_dump")).unwrap().replace("99.1", "9.6.24");
    fs::write(dir.join("pg_dump"), old).unwrap();
    let old = shop.create(&[]).fails(13);
    assert!(old.stderr_text().contains("pg_dump is 9.6.24"), "{}", old.snapshot());
    assert_eq!(shop.records().iter().filter(|record| record["status"] == "failed").count(), 2);
}

#[test]
fn an_output_that_cannot_take_it_is_named() {
    let shop = Shop::new();
    let missing = shop.sandbox.path().join("missing");
    let output = shop.create(&["--output", missing.to_str().unwrap()]).fails(15);
    assert!(output.stderr_text().contains("no such directory"), "{}", output.snapshot());
    fs::write(&missing, "a file").unwrap();
    let output = shop.create(&["--output", missing.to_str().unwrap()]).fails(15);
    assert!(output.stderr_text().contains("not a directory"), "{}", output.snapshot());
    if let Some(disk) = Tmpfs::mount("size=24k") {
        let output = shop
            .create(&["--output", disk.path().to_str().unwrap(), "--compression-level", "none"])
            .fails(15);
        assert!(
            output.stderr_text().contains("No space left") || output.stderr_text().contains("no space left"),
            "{}",
            output.snapshot()
        );
        assert_eq!(names(disk.path()).iter().filter(|name| name.contains("dump")).count(), 0);
    }
    if let Some(disk) = Tmpfs::mount("size=1m,ro") {
        let output = shop.create(&["--output", disk.path().to_str().unwrap()]).fails(15);
        assert!(output.stderr_text().contains("read-only"), "{}", output.snapshot());
    }
    assert!(
        shop.records()
            .iter()
            .all(|record| record["status"] == "failed" && record["error"]["code"] == "storage")
    );
}

#[test]
fn ctrl_c_marks_the_record_failed_and_leaves_no_partial_file() {
    let shop = Shop::new();
    let fifo = shop.sandbox.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .unwrap();
    shop.with_pg_dump(&format!("printf PGDMP; echo running > '{}'; exec sleep 1000", fifo.display()));
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let child = shop
            .sandbox
            .pggit_command()
            .args(["backup", "create"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut running = String::new();
        fs::File::open(&fifo).unwrap().read_to_string(&mut running).unwrap();
        kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(130), "{stderr}");
        assert!(stderr.contains("interrupted"), "{stderr}");
        let record = shop.records().pop().unwrap();
        assert_eq!((&record["status"], &record["error"]["code"]), (&"failed".into(), &"interrupted".into()));
        assert_eq!(names(&shop.backups_dir().join("shop")), [""; 0]);
    }
    assert_eq!(shop.records().len(), 3);
}

#[test]
fn a_backup_that_was_settled_meanwhile_is_not_completed_and_leaves_no_bytes() {
    let shop = Shop::new();
    let fifo = |name: &str| {
        let path = shop.sandbox.path().join(name);
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
        rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).unwrap();
        path
    };
    let (running, gate) = (fifo("running"), fifo("gate"));
    let wait = format!("echo x > '{}'; cat '{}' > /dev/null", running.display(), gate.display());
    shop.with_pg_dump(&format!("{wait}; exec $real \"$@\""));
    let mut command = shop.sandbox.pggit_command();
    let child =
        command.args(["backup", "create"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    fs::read(&running).unwrap();
    let id = shop.only_record()["id"].as_str().unwrap().to_owned();
    shop.pggit(&["backup", "fail", &id, "--message", "given up"]).success();
    fs::write(&gate, "").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(12), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(shop.only_record()["error"]["message"], Value::from("given up"));
    assert_eq!(names(&shop.backups_dir()).iter().filter(|name| name.contains(&id)).count(), 0);
}

#[test]
fn a_crash_at_any_step_leaves_the_truth() {
    let shop = Shop::new();
    for point in [
        "ledger.objects-written",
        "ledger.refs-moved",
        "backup.registered",
        "store.draft-created",
        "store.mid-write",
        "store.written",
        "store.published",
        "backup.published",
    ] {
        let output = shop
            .sandbox
            .output(shop.sandbox.pggit_command().args(["backup", "create"]).env("PGGIT_CRASH_AT", point));
        assert_eq!(output.status, -1, "{point} was not reached: {}", output.snapshot());
        let last = shop.records().pop();
        let status = last.as_ref().map_or("none", |record| record["status"].as_str().unwrap());
        let expected = if point == "ledger.objects-written" { "none" } else { "in_progress" };
        assert_eq!(status, expected, "{point}");
        // The next run succeeds, and cleans up.
        shop.create(&[]).success();
        let dir = shop.backups_dir().join("shop");
        let partial: Vec<_> = names(&dir).into_iter().filter(|name| name.contains(".partial")).collect();
        assert_eq!(partial, [""; 0], "{point}");
        shop.sandbox.git(["fsck", "--strict", "--no-dangling"]);
        clear(&shop);
    }
}

/// Deletes all records for the next round.
fn clear(shop: &Shop) {
    for name in
        shop.sandbox.git(["for-each-ref", "--format=%(refname)", "refs/backups", "refs/notes"]).lines()
    {
        shop.sandbox.git(["update-ref", "-d", name]);
    }
}

#[test]
fn a_crash_while_completing_is_completed_or_not_and_never_in_between() {
    let shop = Shop::new();
    for point in ["completion.objects-written", "completion.refs-moved"] {
        let output = shop
            .sandbox
            .output(shop.sandbox.pggit_command().args(["backup", "create"]).env("PGGIT_CRASH_AT", point));
        assert_eq!(output.status, -1, "{point} was not reached: {}", output.snapshot());
        let record = shop.only_record();
        let location = names(&shop.backups_dir().join("shop"));
        match record["status"].as_str().unwrap() {
            "completed" => assert!(location.iter().any(|name| name.ends_with("dump.custom.zst"))),
            other => assert_eq!((other, point), ("in_progress", "completion.objects-written")),
        }
        clear(&shop);
    }
}

#[test]
fn a_restore_never_touches_what_is_there_and_proves_the_bytes_first() {
    let shop = Shop::new();
    let id = shop.create(&[]).success().stdout_text().trim().to_owned();
    let existing = shop.pggit(&["backup", "restore", &id, "--into", &shop.database]).fails(12);
    assert!(existing.stderr_text().contains("already exists"), "{}", existing.snapshot());
    shop.pggit(&["backup", "restore", "nope", "--into", &shop.new_name()]).fails(10);
    shop.pggit(&["backup", "restore", "HEAD~1", "--into", &shop.new_name()]).fails(10);
    let file = shop.backups_dir().join("shop").join(&id).join("dump.custom.zst");
    let good = fs::read(&file).unwrap();
    for damage in ["flipped", "truncated", "empty"] {
        let mut bytes = good.clone();
        match damage {
            "flipped" => bytes[good.len() / 2] ^= 1,
            "truncated" => bytes.truncate(good.len() / 2),
            _ => bytes.clear(),
        }
        fs::write(&file, bytes).unwrap();
        let refused = shop.pggit(&["backup", "restore", &id, "--into", &shop.new_name()]).fails(16);
        assert!(!refused.stderr.is_empty(), "{damage}");
    }
    fs::remove_file(&file).unwrap();
    shop.pggit(&["backup", "restore", &id, "--into", &shop.new_name()]).fails(10);
    fs::write(&file, good).unwrap();
    let count = "select count(*) from pg_database where datname like '%restored%' and datname like '"
        .to_owned()
        + &shop.database
        + "%'";
    assert_eq!(shop.cluster.psql("postgres", &count), "0", "no trace of the attempts");
    shop.pggit(&["backup", "restore", "HEAD", "--into", &shop.new_name()]).success();
    assert_eq!(shop.rows(&shop.new_name()), "1000");
}

#[test]
fn a_killed_restore_leaves_no_database_of_that_name_and_can_be_repeated() {
    let shop = Shop::new();
    shop.create(&[]).success();
    for point in ["recovery.created", "recovery.commented", "recovery.loaded", "recovery.renamed"] {
        let name = format!("{}_{}", shop.new_name(), point.split('.').nth(1).unwrap());
        let mut command = shop.sandbox.pggit_command();
        let output = shop.sandbox.output(
            command.args(["backup", "restore", "latest", "--into", &name]).env("PGGIT_CRASH_AT", point),
        );
        assert_eq!(output.status, -1, "{point} was not reached: {}", output.snapshot());
        let there = shop
            .cluster
            .psql("postgres", &format!("select count(*) from pg_database where datname = '{name}'"));
        if point == "recovery.renamed" {
            assert_eq!((there.as_str(), shop.rows(&name).as_str()), ("1", "1000"));
        } else {
            assert_eq!(there, "0", "{point}");
            shop.pggit(&["backup", "restore", "latest", "--into", &name]).success();
            assert_eq!(shop.rows(&name), "1000");
        }
    }
}

#[test]
fn no_password_is_written_anywhere() {
    const PASSWORDS: [&str; 3] = ["hunter2-login", "hunter2-mapping", "hunter2-role"];
    let cluster = Options::default().tcp().start();
    cluster.psql("postgres", "create role backup login superuser password 'hunter2-login'");
    cluster.psql("postgres", "create role other login password 'hunter2-role'");
    cluster.psql("postgres", "create extension postgres_fdw; create server far foreign data wrapper postgres_fdw options (host 'far'); create user mapping for public server far options (user 'u', password 'hunter2-mapping')");
    let mut sandbox = Sandbox::new();
    sandbox.commit("1.sql", "select 1", "one");
    let url = format!("postgresql://backup@127.0.0.1:{}/postgres", cluster.port());
    sandbox.pggit(["database", "add", "shop", "--url", &url]).success();
    let refused =
        sandbox.pggit(["database", "add", "bad", "--url", &url.replace("backup@", "backup:hunter2-login@")]);
    let refused_restore = sandbox.pggit([
        "backup",
        "restore",
        "latest",
        "--into",
        "x",
        "--maintenance-db",
        &url.replace("backup@", "backup:hunter2-login@"),
    ]);
    let without = sandbox.pggit(["backup", "create"]);
    sandbox.set("PGPASSWORD", "wrong-hunter2-login");
    let wrong = sandbox.pggit(["backup", "create"]).fails(14);
    sandbox.set("PGPASSWORD", "hunter2-login");
    let right = sandbox.pggit(["backup", "create", "--json"]).success();
    let restored = sandbox.pggit(["backup", "restore", "latest", "--into", "copy", "--json"]).success();
    let mut everything = sandbox.git(["cat-file", "--batch-all-objects", "--batch"]);
    for output in [refused, refused_restore, without, wrong, right, restored] {
        everything.push_str(&output.stdout_text());
        everything.push_str(&output.stderr_text());
    }
    for name in names(&sandbox.repo().join(".git")) {
        let path = sandbox.repo().join(".git").join(name);
        // The dump and the globals contain the passwords of the database.
        if path.is_file() && !path.to_string_lossy().contains("/pggit/backups/")
            || path.ends_with("record.json")
        {
            everything.push_str(&String::from_utf8_lossy(&fs::read(path).unwrap()));
        }
    }
    for password in PASSWORDS {
        assert!(!everything.contains(password), "{password} was written");
    }
    assert!(everything.contains("CREATE USER MAPPING"), "the schema was looked at");
}

#[test]
fn tables_and_schemas_are_chosen_and_left_out() {
    let shop = Shop::with_store();
    shop.cluster.psql(
        &shop.database,
        r#"create schema sales; create schema "Odd.S"; create table sales.big (a int); create table sales.small (a int);
           create table "Odd.S"."a.*" (a int); create table "Odd.S".more (a int)"#,
    );
    let tables = "select string_agg(schemaname || '/' || tablename, ' ' order by 1) from pg_tables \
                  where schemaname not in ('pg_catalog', 'information_schema')";
    let cases: [(&[&str], &str); 5] = [
        (&["--table", "sales.small", "--table", "\"Odd.S\".\"a.*\""], "Odd.S/a.* sales/small"),
        (
            &["--schema", "sales", "--schema", "Odd.S", "--exclude-table", "sales.big"],
            "Odd.S/a.* Odd.S/more sales/small",
        ),
        (&["--exclude-schema", "Odd.S", "--exclude-table", "orders"], "sales/big sales/small"),
        (&["--table", "orders", "--format", "directory", "--jobs", "2"], "public/orders"),
        (&["--table", "sales.big"], "sales/big"),
    ];
    for (number, (args, expected)) in cases.into_iter().enumerate() {
        let id = shop.create(args).success().stdout_text().trim().to_owned();
        let name = format!("{}_{number}", shop.new_name());
        // A dump of a table does not contain its schema, which has to exist for a restore.
        if args[0] == "--table" && expected.contains("sales") {
            let text = shop.pggit(&["backup", "cat-artifact", &id, "dump.custom"]).success();
            assert!(text.stdout.starts_with(b"PGDMP"));
            continue;
        }
        shop.pggit(&["backup", "restore", &id, "--into", &name]).success();
        assert_eq!(shop.cluster.psql(&name, tables), expected, "{args:?}");
    }
    let record = &shop.records()[0];
    assert_eq!(record["metadata"]["tables"], serde_json::json!(["sales.small", "\"Odd.S\".\"a.*\""]));
    shop.create(&["--table", "nosuch"]).fails(13);
    shop.create(&["--table", "a.b.c"]).fails(129);
    shop.create(&["--table", "orders", "--schema", "sales"]).fails(129);
    for option in [["--checkpoint", "fast"], ["--max-rate", "1M"], ["--wal", "fetch"]] {
        let text = shop.create(&option).fails(129).stderr_text();
        assert!(text.contains(&format!("{} is for pg_basebackup, and pg_dump makes", option[0])), "{text}");
    }
    shop.sandbox.git(["config", "--add", "pggit.shop.schema", "sales"]);
    shop.sandbox.git(["config", "--add", "pggit.shop.table", "orders"]);
    let text = shop.create(&[]).fails(129).stderr_text();
    assert!(text.contains("schemas or tables, not both"), "{text}");
}
