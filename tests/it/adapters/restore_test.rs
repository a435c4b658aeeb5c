//! Restore tests of backups in repositories of tools, by a user without access to these.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use pggit::domain::Backup;
use serde_json::{Value, json};

use super::{Rig, damage};
use crate::cluster::{Options, give_to_owner, owner, versions};
use crate::verify::servers_in;

/// The verdict of a restore test.
pub(super) struct Verified(pub(super) Value);

impl Verified {
    pub(super) fn status(&self) -> &str {
        self.0["status"].as_str().unwrap_or_default()
    }

    fn reasons(&self) -> String {
        self.0["reasons"].to_string()
    }

    #[track_caller]
    pub(super) fn passed(self) -> Self {
        assert_eq!(self.status(), "passed", "{:#}", self.0);
        let details = &self.0["details"];
        assert_eq!(
            (&details["schema"], &details["amcheck"]),
            (&json!("equal"), &json!("passed")),
            "{:#}",
            self.0
        );
        assert!(details["rto_s"].as_f64().is_some());
        self
    }

    /// Asserts that only the WAL of the backup itself was replayed.
    #[track_caller]
    fn recovered(self) {
        let Self(verdict) = self.passed();
        let log = verdict["details"]["log_tail"].as_str().unwrap();
        assert!(log.contains("consistent recovery state reached"), "{log}");
        assert!(verdict["details"]["log_segments"].as_u64() > Some(0), "{verdict:#}");
    }

    #[track_caller]
    pub(super) fn failed(&self, why: &str) {
        assert!(self.status() == "failed" && self.reasons().contains(why), "{why}: {:#}", self.0);
    }
}

impl Rig {
    /// Returns the directory of scratch clusters. Their servers run as a user who owns no repository.
    pub(super) fn scratch(&self) -> PathBuf {
        let scratch = self.dir.join("scratch");
        if !scratch.exists() {
            fs::create_dir(&scratch).unwrap();
            self.sandbox.git(["config", "pggit.scratchDir", scratch.to_str().unwrap()]);
            if owner().is_some() {
                self.sandbox.git(["config", "pggit.scratchUser", "nobody"]);
            }
        }
        scratch
    }

    /// Runs a restore test, and asserts that it leaves nothing behind.
    #[track_caller]
    pub(super) fn restore_test(&self, backup: &Backup) -> Verified {
        let scratch = self.scratch();
        let id = backup.id.to_string();
        let test = ["backup", "verify", &id, "--kind", "restore-test", "--force", "--json"];
        let output = self.pggit(&test);
        assert!(matches!(output.status, 0 | 1), "{}", output.snapshot());
        let verdict = Verified(output.json()["verifications"][0].take());
        assert_eq!(output.status, i32::from(verdict.status() == "failed"), "{}", output.snapshot());
        self.assert_clean(&scratch);
        verdict
    }

    #[track_caller]
    fn assert_clean(&self, scratch: &Path) {
        assert_eq!(fs::read_dir(scratch).unwrap().count(), 0);
        assert_eq!(servers_in(scratch), [""; 0]);
    }

    /// Adds a table in a tablespace outside of the data directory, and an assertion that counts its rows.
    fn with_tablespace(&self) -> PathBuf {
        let space = self.dir.join("space");
        fs::create_dir(&space).unwrap();
        give_to_owner(&space);
        self.cluster.psql("postgres", &format!("create tablespace far location '{}'", space.display()));
        self.cluster
            .psql("shop", "create table distant tablespace far as select generate_series(1, 10) as n");
        self.expect("distant", 10);
        space
    }

    /// Configures an assertion: the restored table has at least this number of rows.
    fn expect(&self, table: &str, rows: u32) {
        let assertion = format!("select count(*) >= {rows} from {table}");
        self.sandbox.git(["config", "--add", "pggit.shop.assertion", &assertion]);
    }
}

/// Returns all files below a directory with their sizes.
fn files(dir: &Path) -> Vec<(PathBuf, u64)> {
    let all = walkdir::WalkDir::new(dir).sort_by_file_name().into_iter().map(Result::unwrap);
    let files = all.filter(|entry| entry.file_type().is_file());
    files.map(|entry| (entry.path().to_owned(), entry.metadata().unwrap().len())).collect()
}

fn label(backup: &Backup) -> &str {
    backup.location.as_ref().unwrap().as_str().rsplit('/').next().unwrap()
}

#[test]
fn every_member_of_a_chain_of_pgbackrest_is_recovered_by_somebody_who_cannot_read_it() {
    let rig = Rig::with_pgbackrest();
    let space = rig.with_tablespace();
    rig.expect("orders", 100);
    // The configuration for the real server does not apply to a scratch cluster.
    let config = rig.dir.join("pgbackrest.conf");
    let text = fs::read_to_string(&config).unwrap();
    let elsewhere = rig.dir.join("elsewhere");
    let more = format!("[main]\nlink-all=y\narchive-async=y\ntablespace-map-all={}\n", elsewhere.display());
    fs::write(&config, text.replacen("[main]\n", &more, 1)).unwrap();
    for closed in [&config, &rig.dir.join("repo")] {
        let mode = if closed.is_dir() { 0o700 } else { 0o600 };
        fs::set_permissions(closed, fs::Permissions::from_mode(mode)).unwrap();
    }
    let full = rig.create(&[]);
    rig.cluster.psql("shop", "insert into orders values (101)");
    let diff = rig.create(&["--type", "differential"]);
    rig.cluster.psql("shop", "insert into orders values (102)");
    let incr = rig.create(&["--type", "incremental"]);
    // The original directory is empty, and no file may be restored into it.
    rig.cluster.psql("shop", "drop table distant");
    rig.cluster.psql("postgres", "drop tablespace far");
    rig.cluster.psql("postgres", "checkpoint");
    let (repository, there) = (rig.dir.join("repo"), files(&space));
    let archived = files(&repository);
    for backup in [&full, &diff, &incr] {
        rig.restore_test(backup).recovered();
    }
    assert_eq!(files(&space), there);
    assert!(!elsewhere.exists());
    assert_eq!(files(&repository), archived, "nothing is archived");

    let segment = full.metadata.as_map()["wal_start"].as_str().unwrap();
    let stored = archived.iter().find(|(path, _)| path.to_string_lossy().contains(segment)).unwrap();
    let aside = rig.dir.join("aside");
    fs::rename(&stored.0, &aside).unwrap();
    rig.restore_test(&full).failed(&format!("WAL segment {segment}, which the backup needs, is not"));
    fs::rename(&aside, &stored.0).unwrap();
    damage(&repository.join("backup"), &format!("{}/pg_data", label(&full)));
    rig.restore_test(&incr).failed("checksum invalid: 1");
    rig.pgbackrest(&["expire", &format!("--set={}", label(&incr))]);
    rig.restore_test(&incr)
        .failed(&format!("{} is not in the repository of pgbackrest any more", label(&incr)));
    let coverage = rig.pggit(&["backup", "coverage", "--commits", "HEAD", "--json"]).success();
    assert!(coverage.stdout_text().contains("verification_failed"), "{}", coverage.snapshot());
}

#[test]
fn trouble_of_a_tool_is_no_verdict() {
    let rig = Rig::with_pgbackrest();
    let (scratch, backup) = (rig.scratch(), rig.create(&[]));
    let id = backup.id.to_string();
    let attempt = |script: &str, args: &[&str], status: i32, said: &str| {
        let script =
            format!("#!/bin/sh\ncase \"$*\" in {script};; *) exec /usr/bin/pgbackrest \"$@\";; esac\n");
        let path = rig.write("instead", &script, 0o755);
        rig.config("pgbackrestPath", path.to_str().unwrap());
        let out =
            rig.pggit(&[&["backup", "verify", &id, "--kind", "restore-test"], args].concat()).fails(status);
        assert!(out.stderr_text().contains(said), "{said}: {}", out.snapshot());
        assert!(rig.records()[0].verifications.is_empty());
        rig.assert_clean(&scratch);
    };
    attempt("*' restore'*) echo 'ERROR: [082]: no luck' >&2; exit 82", &[], 13, "no luck");
    attempt("*' restore'*) echo 'ERROR: No space left on device' >&2; exit 39", &[], 13, "No space left");
    attempt("*' restore'*) exec sleep 100", &["--timeout", "2s"], 13, "timed out after 2 s");
    attempt("*' archive-get'*) echo 'ERROR: [103]: not reached' >&2; exit 103", &[], 13, "not reached");
    // The tool restores a symbolic link to the original directory.
    let leads = format!(
        "*' restore'*) /usr/bin/pgbackrest \"$@\" || exit; for arg; do case $arg in --pg1-path=*) \
         rm -r \"${{arg#*=}}/pg_wal\"; ln -s {} \"${{arg#*=}}/pg_wal\";; esac; done",
        rig.cluster.dir().join("data/pg_wal").display()
    );
    let wal = files(&rig.cluster.dir().join("data/pg_wal")).len();
    attempt(&leads, &[], 12, "data/pg_wal, which leads out of the directory");
    assert!(files(&rig.cluster.dir().join("data/pg_wal")).len() <= wal + 1);
    rig.sandbox.git(["config", "--unset", "pggit.shop.pgbackrestPath"]);
    // Killed while the tool owns the directory, the test leaves a directory that the next one removes.
    let mut command = rig.sandbox.pggit_command();
    command.args(["backup", "verify", &id, "--kind", "restore-test"]).env("PGGIT_CRASH_AT", "verify.lent");
    assert_eq!(rig.sandbox.output(&mut command).status, -1);
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 1);
    rig.restore_test(&backup).passed();
}

fn barman(rig: &Rig) {
    let space = rig.with_tablespace();
    rig.expect("orders", 100);
    fs::set_permissions(rig.dir.join("home"), fs::Permissions::from_mode(0o700)).unwrap();
    let backup = rig.create(&[]);
    rig.cluster.psql("shop", "drop table distant");
    rig.cluster.psql("postgres", "drop tablespace far");
    rig.cluster.psql("postgres", "checkpoint");
    let there = files(&space);
    rig.restore_test(&backup).recovered();
    assert_eq!(files(&space), there);
    let segment = backup.metadata.as_map()["wal_start"].as_str().unwrap();
    let stored = files(&rig.dir.join("home/main/wals"));
    let stored = &stored.iter().find(|(path, _)| path.ends_with(segment)).unwrap().0;
    fs::rename(stored, rig.dir.join("aside")).unwrap();
    rig.restore_test(&backup).failed(&format!("WAL segment {segment}"));
}

#[test]
fn a_backup_of_the_old_barman_is_recovered() {
    barman(&Rig::with_barman(&super::barman::debians()));
}

#[test]
fn a_backup_of_the_newest_barman_is_recovered() {
    barman(&Rig::with_barman(&super::barman::newest()));
}

#[test]
fn what_barman_copied_without_checksums_is_tested_all_the_same() {
    let rig = Rig::with_barman(&super::barman::newest());
    let config = rig.dir.join("barman.conf");
    let text = fs::read_to_string(&config).unwrap();
    let rsync = "backup_method = local-rsync\nbackup_options = concurrent_backup\nreuse_backup = link";
    fs::write(&config, text.replace("backup_method = postgres", rsync)).unwrap();
    let backup = rig.create(&[]);
    let id = backup.id.to_string();
    let refused = rig.pggit(&["backup", "verify", &id, "--kind", "checksum"]);
    assert!(
        refused.status > 1 && refused.stderr_text().contains("has no checksums"),
        "{}",
        refused.snapshot()
    );
    let verdict = rig.restore_test(&backup);
    let compared = verdict.0["details"]["checksum"].as_str().unwrap_or_default().to_owned();
    assert!(compared.starts_with("not compared: ") && compared.contains("rsync"), "{compared}");
    verdict.recovered();
}

#[test]
fn what_was_imported_is_asked_in_the_database_that_is_configured() {
    let rig = Rig::with_pgbackrest();
    rig.pgbackrest(&["backup"]);
    rig.pggit(&["backup", "import"]).success();
    rig.expect("orders", 100);
    let imported = rig.records().pop().unwrap();
    let verdict = rig.restore_test(&imported);
    let details = &verdict.0["details"];
    assert_eq!((verdict.status(), &details["schema"]), ("passed", &json!("not recorded")), "{:#}", verdict.0);
    assert_eq!(details["assertions"][0]["result"], json!("true"), "{:#}", verdict.0);
    rig.config("url", &rig.cluster.url("gone"));
    rig.restore_test(&imported).failed("there is no database");
}

#[test]
fn an_incremental_backup_of_barman_is_recovered() {
    let server = Options::default().major(17).setting("summarize_wal=on");
    let rig = Rig::of(server, false).for_barman(&super::barman::newest());
    rig.sandbox.git(["config", "pggit.pgBinDir", versions().to_str().unwrap()]);
    let staging = rig.dir.join("staging");
    fs::create_dir(&staging).unwrap();
    give_to_owner(&staging);
    let config = rig.dir.join("barman.conf");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}local_staging_path = {}\n", staging.display())).unwrap();
    let full = rig.create(&[]);
    rig.cluster.psql("shop", "insert into orders values (101)");
    rig.expect("orders", 101);
    let incremental = rig.create(&["--type", "incremental"]);
    assert_eq!(incremental.depends_on[0].id, full.id);
    rig.restore_test(&incremental).passed();
    rig.restore_test(&full).failed("not true: select count(*) >= 101 from orders");
}

#[test]
fn a_tool_of_one_s_own_that_told_where_tablespaces_were_is_told_where_they_go() {
    let rig = Rig::new();
    let seen = rig.dir.join("log/seen");
    let script = format!(
        "#!/bin/sh\ncase $PGGIT_ACTION in backup) echo '{{\"location\":\"own:1\",\"size_bytes\":1,\"stored_bytes\":1,\
         \"metadata\":{{\"tablespaces\":[\"/srv/fast\"]}}}}';; *) env | grep ^PGGIT_ >{}; echo no >&2; exit 1;; esac\n",
        seen.display()
    );
    let path = rig.write("own", &script, 0o755);
    for action in ["backup", "restore"] {
        rig.sandbox.git(["config", &format!("pggit.tool.own.{action}"), path.to_str().unwrap()]);
    }
    rig.config("tool", "own");
    let own = rig.create(&[]);
    let refused = rig.pggit(&["backup", "verify", &own.id.to_string(), "--kind", "restore-test"]).fails(13);
    assert!(refused.stderr_text().contains("no"), "{}", refused.snapshot());
    let seen = fs::read_to_string(seen).unwrap();
    for told in [
        r#"PGGIT_TABLESPACES=[{"from":"/srv/fast","to":"#,
        "PGGIT_RECOVERY_TARGET=immediate",
        "PGGIT_TARGET=directory",
    ] {
        assert!(seen.contains(told), "{told}: {seen}");
    }
    assert!(seen.contains("home/space-0") && seen.contains("home/data"), "{seen}");
    rig.assert_clean(&rig.scratch());
}
