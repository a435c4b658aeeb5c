//! `git pggit wal`: the WAL archive in a store.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cluster::{Cluster, Options};
use crate::sandbox::{Output, Sandbox};

const SEGMENT: usize = 1 << 20;

/// A minimal data directory, with only the files that the commands read.
struct Data {
    sandbox: Sandbox,
    store: PathBuf,
    directory: PathBuf,
}

impl Data {
    fn new() -> Self {
        let mut sandbox = Sandbox::new();
        let (store, directory) = (sandbox.path().join("store"), sandbox.path().join("data"));
        fs::create_dir_all(directory.join("pg_wal/archive_status")).unwrap();
        fs::create_dir_all(directory.join("global")).unwrap();
        fs::create_dir_all(sandbox.path().join("tmp")).unwrap();
        sandbox.set("TMPDIR", sandbox.path().join("tmp"));
        let data = Self { sandbox, store, directory };
        data.control(7_710_420_227_913_410_699);
        data.sandbox.pggit(["store", "init", data.store.to_str().unwrap()]).success();
        data
    }

    fn control(&self, system: u64) {
        fs::write(self.directory.join("global/pg_control"), system.to_ne_bytes()).unwrap();
    }

    fn segment(&self, number: u32, fill: u8) -> String {
        let name = format!("00000001{:08X}{:08X}", number / 4096, number % 4096);
        fs::write(self.directory.join("pg_wal").join(&name), vec![fill; SEGMENT]).unwrap();
        name
    }

    fn ready(&self, name: &str) {
        fs::write(self.directory.join(format!("pg_wal/archive_status/{name}.ready")), "").unwrap();
    }

    fn run(&self, args: &[&str]) -> Output {
        self.run_with(args, "")
    }

    fn run_with(&self, args: &[&str], crash: &str) -> Output {
        let mut command = self.sandbox.pggit_command();
        command
            .current_dir(&self.directory)
            .arg("wal")
            .args(args)
            .args(["--store", self.store.to_str().unwrap()]);
        self.sandbox.output(command.env("PGGIT_CRASH_AT", crash))
    }

    fn push(&self, name: &str) -> Output {
        self.run(&["push", &format!("pg_wal/{name}")])
    }

    fn fetch(&self, name: &str) -> Output {
        self.run(&["fetch", name, "pg_wal/RECOVERYXLOG"])
    }

    fn fetched(&self) -> Vec<u8> {
        fs::read(self.directory.join("pg_wal/RECOVERYXLOG")).unwrap()
    }

    fn archived(&self) -> usize {
        walkdir::WalkDir::new(self.store.join("wal"))
            .into_iter()
            .flatten()
            .filter(|e| e.file_type().is_file())
            .count()
    }
}

#[test]
fn a_file_is_kept_once_and_another_of_its_name_refused() {
    let data = Data::new();
    let name = data.segment(1, 7);
    data.push(&name).success();
    data.push(&name).success();
    data.segment(1, 8);
    let said = data.push(&name).fails(12).stderr_text();
    assert!(said.contains("an object with this name and other content exists"), "{said}");
    data.fetch(&name).success();
    assert_eq!(data.fetched(), vec![7; SEGMENT]);
    // Another cluster has a WAL archive of its own.
    data.control(42);
    data.push(&name).success();
    data.fetch(&name).success();
    assert_eq!(data.fetched(), vec![8; SEGMENT]);
    let history = data.directory.join("pg_wal/00000002.history");
    fs::write(history, "1\t0/3000000\tno recovery target specified\n").unwrap();
    data.push("00000002.history").success();
    data.fetch("00000002.history").success();
    assert!(data.fetched().starts_with(b"1\t0/3000000"));
}

#[test]
fn the_end_of_the_log_and_trouble_are_told_apart() {
    let data = Data::new();
    let name = data.segment(1, 7);
    data.fetch(&name).fails(10);
    data.push(&name).success();
    let object = data.store.join(format!("wal/7710420227913410699/{name}"));
    let mut bytes = fs::read(&object).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&object, &bytes).unwrap();
    data.fetch(&name).fails(128);
    assert!(!data.directory.join("pg_wal/RECOVERYXLOG").exists());
    // Pushing the segment again repairs the damaged object.
    data.push(&name).success();
    data.fetch(&name).success();
    fs::remove_file(data.store.join("config")).unwrap();
    data.fetch(&name).fails(128);
    fs::remove_file(data.directory.join("global/pg_control")).unwrap();
    data.fetch(&name).fails(128);
    data.push(&name).fails(129);
    for bad in ["x", "../000000010000000000000001", "000000010000000000000001\n", "-x", ""] {
        data.run(&["fetch", "--", bad, "out"]).fails(129);
    }
}

#[test]
fn what_waits_is_kept_in_the_same_go_and_what_follows_is_there_already() {
    let data = Data::new();
    let names: Vec<String> = (1..=6).map(|n| data.segment(n, u8::try_from(n).unwrap())).collect();
    names.iter().for_each(|name| data.ready(name));
    data.run(&["push", &format!("pg_wal/{}", names[0]), "--batch", "4"]).success();
    assert_eq!(data.archived(), 4);
    // The later calls for these segments do not access the store.
    let away = data.store.with_extension("away");
    fs::rename(&data.store, &away).unwrap();
    for name in &names[1..4] {
        data.push(name).success();
    }
    assert_ne!(data.push(&names[4]).status, 0);
    fs::rename(&away, &data.store).unwrap();
    // A segment that was rewritten meanwhile differs from the archived one.
    data.run(&["push", &format!("pg_wal/{}", names[4]), "--batch", "2"]).success();
    data.segment(6, 99);
    data.push(&names[5]).fails(12);
    data.segment(6, 6);
    data.push(&names[5]).success();

    data.fetch(&names[0]).success();
    fs::rename(&data.store, &away).unwrap();
    for (number, name) in names.iter().enumerate().take(5).skip(1) {
        data.fetch(name).success();
        assert_eq!(data.fetched()[0], u8::try_from(number + 1).unwrap());
    }
    data.fetch(&names[5]).fails(128);
    fs::rename(&away, &data.store).unwrap();
    data.fetch(&names[5]).success();
}

#[test]
fn gaps_are_found_and_copies_have_the_log_too() {
    let data = Data::new();
    for number in [1, 2, 4] {
        let name = data.segment(number, 1);
        data.push(&name).success();
    }
    let json = data.run(&["check", "--json"]).fails(1).json();
    let runs: Vec<(u64, bool)> = json["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| (run["segments"].as_u64().unwrap(), run["gap_before"] == Value::Bool(true)))
        .collect();
    assert_eq!(runs, [(2, false), (1, true)]);
    data.push(&data.segment(3, 1)).success();
    data.run(&["check"]).success();
    data.run(&["check", "--system-identifier", "1"]).fails(10);
    let copy = data.sandbox.path().join("copy");
    let (store, copy) = (data.store.to_str().unwrap(), copy.to_str().unwrap());
    data.sandbox.pggit(["store", "copy", "--store", store, copy]).success();
    assert_eq!(fs::read_dir(Path::new(copy).join("wal/7710420227913410699")).unwrap().count(), 4);
    let object = data.store.join("wal/7710420227913410699/000000010000000000000002");
    fs::write(&object, "damaged").unwrap();
    data.sandbox.pggit(["store", "check", "--store", store]).success();
    let said = data.sandbox.pggit(["store", "check", "--store", store, "--read-data"]).fails(1).stdout_text();
    assert!(said.contains("000000010000000000000002") && said.contains("[wal-damaged]"), "{said}");
    data.sandbox.pggit(["store", "check", "--store", store, "--read-data", "--repair-from", copy]).success();
    data.sandbox.pggit(["store", "gc", "--store", store, "--execute", "--grace", "0s"]).stdout_text();
    assert_eq!(data.archived(), 4);
}

#[test]
fn a_server_archives_and_its_log_is_received() {
    let mut sandbox = Sandbox::new();
    sandbox.commit("a", "b", "first");
    sandbox.set("TMPDIR", sandbox.path().to_owned());
    let store = sandbox.path().join("store");
    sandbox.pggit(["store", "init", store.to_str().unwrap()]).success();
    let cluster: Cluster = Options::default().setting("wal_level=replica").start();
    cluster.psql("postgres", "create table t (n int)");
    sandbox.pggit(["database", "add", "shop", "--url", &cluster.url("postgres")]).success();
    let system = cluster.psql("postgres", "select system_identifier from pg_control_system()");
    let args = |until: &str| {
        let store = store.to_str().unwrap();
        ["wal", "receive", "--slot", "pggit", "--store", store, "--until", until].map(str::to_owned)
    };
    // No WAL is lost between two runs. The first one crashes before it deletes the received segments that
    // it has archived.
    for (round, crash) in [(1, "wal.received"), (2, "")] {
        if round == 1 {
            cluster.psql("postgres", "select pg_create_physical_replication_slot('pggit', true)");
        }
        for _ in 0..2 {
            cluster.psql("postgres", "insert into t select generate_series(1, 1000); select pg_switch_wal()");
        }
        let until = cluster.psql("postgres", "select pg_current_wal_lsn()");
        let mut command = sandbox.pggit_command();
        let output = sandbox.output(command.args(args(&until)).env("PGGIT_CRASH_AT", crash));
        assert_eq!(output.status == 0, crash.is_empty(), "{}", output.snapshot());
    }
    let check =
        ["wal", "check", "--system-identifier", &system, "--store", store.to_str().unwrap(), "--json"];
    let json = sandbox.pggit(check).success().json();
    assert_eq!(json["runs"].as_array().unwrap().len(), 1);
    assert!(json["runs"][0]["segments"].as_u64().unwrap() >= 4, "{json}");
}

#[test]
fn a_cluster_comes_back_as_it_was_just_before_a_mistake() {
    let cluster = Options::default().setting("archive_mode=on").setting("wal_level=replica").start();
    let sandbox = Sandbox::new();
    sandbox.commit("a", "b", "first");
    sandbox.pggit(["database", "add", "shop", "--url", &cluster.url("postgres")]).success();
    sandbox.git(["config", "pggit.shop.tool", "pg_basebackup"]);
    // The user of the server and this process both need access to the store.
    let store = cluster.dir().join("it's the log %f");
    let text = store.to_str().unwrap();
    sandbox.pggit(["store", "init", text]).success();
    let uid = std::os::unix::fs::MetadataExt::uid(&fs::metadata(cluster.dir()).unwrap());
    for entry in walkdir::WalkDir::new(&store) {
        std::os::unix::fs::chown(entry.unwrap().path(), Some(uid), None).unwrap();
    }
    let quoted = text.replace('\'', "'\\''").replace('%', "%%");
    let archive = format!("{} wal push --store '{quoted}' %p", env!("CARGO_BIN_EXE_git-pggit"));
    cluster
        .psql("postgres", &format!("alter system set archive_command = '{}'", archive.replace('\'', "''")));
    cluster.psql("postgres", "select pg_reload_conf()");
    cluster.psql("postgres", "create table t (n int); insert into t select generate_series(1, 10)");
    sandbox.pggit(["backup", "create", "--name", "base"]).success();
    let lsn_of = |sql: &str| {
        cluster.psql("postgres", sql);
        cluster.psql("postgres", "select pg_current_wal_insert_lsn()")
    };
    let middle = lsn_of("insert into t select generate_series(11, 30)");
    let time = cluster.psql(
        "postgres",
        "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
    );
    cluster.psql("postgres", "select pg_create_restore_point('before the mistake')");
    let end = lsn_of("delete from t where n > 5");
    let last = cluster.psql("postgres", "select pg_walfile_name(pg_switch_wal())");
    cluster.wait_until("postgres", &format!("select last_archived_wal >= '{last}' from pg_stat_archiver"));

    let restore = |args: &[&str]| {
        let dir = crate::cluster::fresh_dir();
        let data = dir.join("data");
        let args =
            [&["backup", "restore", "latest", "--to", data.to_str().unwrap(), "--wal-store", text], args]
                .concat();
        (dir, sandbox.pggit(args))
    };
    for (args, rows) in [
        (vec!["--at", time.as_str()], "30"),
        (vec!["--lsn", middle.as_str()], "30"),
        (vec!["--restore-point", "before the mistake"], "30"),
        (vec!["--to-latest"], "5"),
    ] {
        let (dir, output) = restore(&args);
        output.success();
        let restored = Options::default().start_in(dir);
        restored.wait_until("postgres", "select not pg_is_in_recovery()");
        assert_eq!(restored.psql("postgres", "select count(*) from t"), rows, "{args:?}");
        assert_eq!(restored.psql("postgres", "show archive_mode"), "off");
    }
    // An unreachable recovery target is an error, and not taken for the latest.
    let said = restore(&["--lsn", "F/0"]).1.fails(12).stderr_text();
    assert!(said.contains("ends at"), "{said}");
    let said = restore(&["--at", "2020-01-01"]).1.fails(10).stderr_text();
    assert!(said.contains("no physical backup was complete at"), "{said}");
    let (dir, output) = restore(&["--restore-point", "no such point"]);
    output.success();
    // The server exits during its start or shortly later.
    let ended = std::panic::catch_unwind(|| {
        let restored = Options::default().start_in(dir.clone());
        let waited = "do $$ begin while pg_is_in_recovery() loop perform pg_sleep(0.05); end loop; end $$";
        assert!(!restored.try_psql("postgres", waited).status.success());
        fs::read_to_string(dir.join("log")).unwrap()
    });
    let log = ended.unwrap_or_else(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default());
    assert!(log.contains("recovery ended before configured recovery target was reached"), "{log}");
    let args = ["wal", "check", "--system-identifier"];
    let system = cluster.psql("postgres", "select system_identifier from pg_control_system()");
    let json = sandbox.pggit([&args[..], &[&system, "--store", text, "--json"]].concat()).success().json();
    assert_eq!(json["backups"][0]["reach"]["consistent"], true, "{json} {end}");
}
