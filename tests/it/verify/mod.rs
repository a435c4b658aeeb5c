//! `git pggit backup verify` on real backups.

mod faults;
mod physical;
mod restore_test;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cluster::bin_dir;
use crate::create::{Shop, names};
use crate::sandbox::Output;

/// A shop with a directory for scratch clusters to which its servers have access.
pub(crate) struct Tested {
    pub(crate) shop: Shop,
    scratch: tempfile::TempDir,
}

impl Tested {
    /// Makes a shop whose backups are in a store.
    pub(crate) fn new() -> Self {
        Self::of(Shop::with_store())
    }

    fn of(shop: Shop) -> Self {
        let scratch = tempfile::Builder::new().prefix("pgv").tempdir_in("/tmp").unwrap();
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let tested = Self { shop, scratch };
        tested.scratch_in(tested.scratch.path());
        tested
    }

    fn scratch_in(&self, dir: &Path) {
        self.shop.sandbox.git(["config", "pggit.scratchDir", dir.to_str().unwrap()]);
    }

    pub(crate) fn back_up(&self, args: &[&str]) -> String {
        self.shop.create(args).success().stdout_text().trim().to_owned()
    }

    pub(crate) fn verify(&self, args: &[&str]) -> Output {
        self.shop.pggit(&[&["backup", "verify"], args].concat())
    }

    /// Runs a restore test of the newest backup. Returns the exit status and the verdict.
    pub(crate) fn restore_test(&self, args: &[&str]) -> (i32, Value) {
        let output =
            self.verify(&[&["--latest", "--kind", "restore-test", "--force", "--json"], args].concat());
        assert!(matches!(output.status, 0 | 1), "{}", output.snapshot());
        let mut document = output.json();
        (output.status, document["verifications"][0].take())
    }

    pub(crate) fn verifications(&self) -> Vec<Value> {
        self.shop
            .records()
            .iter()
            .flat_map(|it| it["verifications"].as_array().cloned().unwrap_or_default())
            .collect()
    }

    /// Asserts that no file and no process is left.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        assert_eq!(names(self.scratch.path()), [""; 0]);
        assert_eq!(servers_in(self.scratch.path()), [""; 0]);
    }

    pub(crate) fn config(&self, key: &str, value: &str) {
        self.shop.sandbox.git(["config", "--add", key, value]);
    }

    /// Makes a directory of the real programs, with the shell script `script` instead of `program`. The
    /// wrapper handles `--version`.
    pub(crate) fn with_program(&self, program: &str, script: &str) -> PathBuf {
        let dir = self.shop.sandbox.path().join("bin");
        fs::create_dir_all(&dir).unwrap();
        for name in ["pg_dump", "pg_dumpall", "pg_restore", "psql", "initdb", "postgres", "pg_amcheck"] {
            let _ = std::os::unix::fs::symlink(bin_dir().join(name), dir.join(name));
        }
        let real = bin_dir().join(program);
        let version = format!("case \"$1\" in --version|-V) exec {} --version;; esac", real.display());
        fs::remove_file(dir.join(program)).unwrap();
        fs::write(dir.join(program), format!("#!/bin/sh\nreal={}\n{version}\n{script}\n", real.display()))
            .unwrap();
        fs::set_permissions(dir.join(program), fs::Permissions::from_mode(0o755)).unwrap();
        // Users other than root need access, too.
        fs::set_permissions(self.shop.sandbox.path(), fs::Permissions::from_mode(0o755)).unwrap();
        self.shop.sandbox.git(["config", "pggit.pgBinDir", dir.to_str().unwrap()]);
        dir
    }
}

/// Returns the processes whose current directory is below `dir`.
pub(crate) fn servers_in(dir: &Path) -> Vec<String> {
    let dir = dir.canonicalize().unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let there =
        processes.filter(|it| fs::read_link(it.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&dir)));
    there.map(|it| it.file_name().to_string_lossy().into_owned()).collect()
}

/// Flips one bit in the middle of a file.
pub(crate) fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, bytes).unwrap();
}

pub(crate) fn packs(tested: &Tested) -> Vec<PathBuf> {
    let packs = tested.shop.sandbox.repo().join(".git/pggit/store/packs");
    walkdir::WalkDir::new(packs)
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .collect()
}

#[test]
fn checksums_and_integrity_are_verified_and_recorded() {
    let tested = Tested::new();
    let id = tested.back_up(&["--name", "first"]);
    let output = tested.verify(&[&id, "--kind", "checksum"]).success();
    assert!(
        output.stdout_text().starts_with(&format!("passed: checksum of first of shop ({id}), ")),
        "{}",
        output.snapshot()
    );
    let integrity = tested.verify(&["--latest", "--json"]).success().json();
    let verdict = &integrity["verifications"][0];
    assert_eq!((&verdict["kind"], &verdict["status"]), (&json!("integrity_check"), &json!("passed")));
    assert_eq!(verdict["reused"], json!(false));
    assert!(verdict["details"]["archive_entries"].as_u64().unwrap() > 0, "{verdict}");
    let record = tested.shop.only_record();
    assert_eq!(record["verifications"].as_array().unwrap().len(), 2);
    assert_eq!(record["verifications"][0]["by"], json!("Ada <ada@example.com>"));
    assert_eq!(record["verifications"][0]["details"]["verified_artifacts"], json!(2));
    // A recent verification is reused, unless --force is given.
    let reused = tested.verify(&["first", "--kind", "checksum", "--json"]).success().json();
    assert_eq!(reused["verifications"][0]["reused"], json!(true));
    assert_eq!(tested.verifications().len(), 2);
    tested.verify(&["first", "--kind", "checksum", "--force"]).success();
    assert_eq!(tested.verifications().len(), 3);
    tested.shop.pggit(&["fsck"]).success();
}

#[test]
fn damage_is_a_verdict_and_what_cannot_be_looked_at_is_an_error() {
    let tested = Tested::new();
    let id = tested.back_up(&[]);
    packs(&tested).iter().for_each(|pack| flip(pack));
    for kind in ["checksum", "integrity", "restore-test"] {
        let output = tested.verify(&[&id, "--kind", kind]).fails(1);
        assert!(output.stdout_text().starts_with(&format!("failed: {kind} of ")), "{}", output.snapshot());
        let words = output.stdout_text();
        assert!(words.contains("damaged") || words.contains("digest"), "{words}");
        assert!(output.stderr_text().contains("verification failed"), "{}", output.snapshot());
        // A failed verdict is reused, too.
        tested.verify(&[&id, "--kind", kind]).fails(1);
    }
    assert_eq!(tested.verifications().len(), 3);
    assert!(tested.verifications().iter().all(|it| it["status"] == "failed"));
    let store = tested.shop.sandbox.repo().join(".git/pggit/store");
    fs::rename(&store, store.with_extension("away")).unwrap();
    let gone = tested.verify(&[&id, "--kind", "checksum", "--force"]);
    assert!(gone.status > 1, "{}", gone.snapshot());
    assert_eq!(tested.verifications().len(), 3);
    tested.assert_clean();
}

#[test]
fn plain_files_are_proved_before_they_are_restored() {
    let tested = Tested::of(Shop::new());
    let id = tested.back_up(&["--compression-level", "none"]);
    let (status, verdict) = tested.restore_test(&[]);
    assert_eq!((status, &verdict["status"]), (0, &json!("passed")), "{verdict}");
    let dir = tested.shop.backups_dir();
    let dump = names(&dir).into_iter().find(|name| name.ends_with("dump.custom")).unwrap();
    flip(&dir.join(dump));
    let (status, verdict) = tested.restore_test(&[]);
    assert_eq!(
        (status, &verdict["backup"], &verdict["status"]),
        (1, &json!(id), &json!("failed")),
        "{verdict}"
    );
    assert_eq!(verdict["details"]["server_version"], Value::Null, "nothing was restored");
}

#[test]
fn what_cannot_be_verified_says_so_and_records_nothing() {
    let tested = Tested::new();
    for (args, status) in [
        (&[][..], 129),
        (&["--latest", "--all"], 129),
        (&["--latest", "--kind", "sniff"], 129),
        (&["--latest", "--window", "soon"], 129),
        (&["--due", "--kind", "checksum"], 129),
        (&["nope"], 10),
        (&["--all", "--since", "1d"], 129),
    ] {
        let output = tested.verify(args);
        assert_eq!(output.status, status, "{args:?}: {}", output.snapshot());
    }
    let nothing = tested.verify(&["--all", "--kind", "checksum"]).success();
    assert!(nothing.stderr_text().contains("there is no completed backup"), "{}", nothing.snapshot());
    let begun = tested.shop.pggit(&["backup", "register", "--tool", "pg_dump", "--in-progress"]).success();
    let id = begun.stdout_text().trim().to_owned();
    let refused = tested.verify(&[&id]).fails(12);
    assert!(refused.stderr_text().contains("it is in progress"), "{}", refused.snapshot());
    let other = tested.shop.pggit(&["backup", "register", "--tool", "xtrabackup", "--size", "1"]).success();
    let refused = tested.verify(&[other.stdout_text().trim()]).fails(19);
    assert!(refused.stderr_text().contains("there is no tool `xtrabackup`"), "{}", refused.snapshot());
    assert_eq!(tested.verifications().len(), 0);
}

#[test]
fn a_chain_without_its_beginning_is_found() {
    let tested = Tested::new();
    let register = |args: &[&str]| {
        let output =
            tested.shop.pggit(&[&["backup", "register", "--tool", "pg_dump", "--size", "1"], args].concat());
        output.success().stdout_text().trim().to_owned()
    };
    let base = register(&[]);
    let next = register(&["--type", "incremental", "--depends-on", &base]);
    for kind in ["expired", "deleted"] {
        let event = json!({ "backup": base, "kind": kind, "reason": "test" }).to_string();
        let mut append = tested.shop.sandbox.pggit_command();
        let mut append = append
            .args(["backup", "append", "--stdin"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut append.stdin.take().unwrap(), event.as_bytes()).unwrap();
        assert!(append.wait().unwrap().success());
    }
    let output = tested.verify(&[&next]);
    assert_eq!(output.status, 1, "{}", output.snapshot());
    let expected = format!("it needs backup {base}, which is deleted");
    assert!(output.stdout_text().contains(&expected), "{}", output.snapshot());
}

#[test]
fn policy_says_what_is_due() {
    let tested = Tested::new();
    let (old, new) = (tested.back_up(&["--name", "old"]), tested.back_up(&["--name", "new"]));
    let due = |args: &[&str]| tested.verify(&[&["--due"], args].concat()).success();
    assert!(due(&[]).stderr_text().contains("nothing is due"));
    // A policy may be in a committed file.
    let policy = "[pggit \"shop\"]\n\tverify = integrity every 7d\n\tverify = checksum of all every 30d\n";
    tested.shop.sandbox.commit(".pggitconfig", policy, "policy");
    let shown = due(&["--dry-run", "--json"]).json();
    let shown: Vec<_> = shown["due"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["backup"].clone(), it["kind"].clone()))
        .collect();
    let expected = [(&new, "integrity_check"), (&new, "checksum"), (&old, "checksum")];
    assert_eq!(shown, expected.map(|(id, kind)| (json!(id), json!(kind))));
    assert_eq!(tested.verifications().len(), 0);
    due(&[]);
    assert_eq!(tested.verifications().len(), 3);
    assert!(due(&[]).stderr_text().contains("nothing is due"));
    tested.shop.sandbox.git(["config", "pggit.shop.verify", "sometimes"]);
    let wrong = tested.verify(&["--due"]).fails(19);
    assert!(wrong.stderr_text().contains("restore-test every 7d"), "{}", wrong.snapshot());
}

#[test]
fn auditors_get_a_report() {
    let tested = Tested::new();
    let id = tested.back_up(&["--name", "nightly"]);
    tested.verify(&["--latest", "--kind", "restore-test"]).success();
    let report = tested.verify(&["--report"]).success().stdout_text();
    for line in [
        "| restore-test | 1 | 0 | 0 |",
        "## restore-test of nightly at ",
        "- restored in (demonstrated RTO): ",
        "- schema: equal",
        "- pg\\_amcheck: passed",
        "- evidence: ledger commit `",
    ] {
        let plain = line.replace("pg\\_amcheck", "pg_amcheck");
        assert!(report.contains(&plain), "{line}\n{report}");
    }
    let json = tested.verify(&["--report", "--format", "json", "--since", "1d"]).success().json();
    let one = &json["verifications"][0];
    assert_eq!((&one["backup"], &one["verification"]["status"]), (&json!(id), &json!("passed")));
    let commit = one["evidence_commit"].as_str().unwrap();
    let message = tested.shop.sandbox.git(["log", "-1", "--format=%B", commit]);
    assert!(message.contains("restore_test: passed") && message.contains(&id), "{message}");
    let none = tested.verify(&["--report", "--json", "--since", "2999-01-01"]).success().json();
    assert_eq!(none["verifications"], json!([]));
}
