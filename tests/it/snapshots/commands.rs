//! The results of commands that need no server.

use std::fs;

use super::{Transcript, program, with_git};
use crate::backup_cli::{IDS, history, world};
use crate::sandbox::Sandbox;

const GROUP: &str = "commands";

#[test]
fn of_a_repository_without_anything() {
    let sandbox = Sandbox::new();
    let lines = [
        "--version",
        "backup list",
        "backup log",
        "backup coverage",
        "database list",
        "queue list",
        "schedule list",
        "store stats",
        "fsck",
        "init --check",
        "init",
        "init",
        "init --json",
        "hooks status",
        "clone list",
    ];
    Transcript::of(&sandbox).all(&lines).assert_shown(GROUP, "empty");
}

#[test]
fn of_the_doctor_in_a_repository_without_anything() {
    let mut sandbox = Sandbox::new();
    // The same programs on every machine: a git with a fixed version, and no PostgreSQL.
    let bin = with_git(&mut sandbox, "case \"$*\" in *--version*) echo 'git version 2.45.6'; exit;; esac");
    program(&bin.join("zstd"), "#!/bin/sh\n");
    sandbox.git(["config", "pggit.pgBinDir", bin.to_str().unwrap()]);
    Transcript::of(&sandbox).all(&["doctor", "doctor --json"]).assert_shown(GROUP, "doctor");
}

#[test]
fn of_the_settings() {
    let sandbox = Sandbox::new();
    sandbox.git(["config", "pggit.compressionLevel", "7"]);
    sandbox.git(["config", "pggit.pgBinDir", "/opt/postgresql/bin"]);
    sandbox.git(["config", "pggit.shop.url", "postgresql://ada@db1/shop"]);
    fs::write(sandbox.repo().join(".pggitconfig"), "[pggit]\n\tonMerge = main\n\tpgBinDir = /evil\n")
        .unwrap();
    let lines = ["config", "config --list-keys", "database list", "database show shop"];
    Transcript::of(&sandbox).all(&lines).assert_shown(GROUP, "config");
}

#[test]
fn of_backups_that_others_make() {
    let sandbox = history();
    let lines = [
        "backup register -d shop --tool zfs --size 1048576 --name nightly --label kind=nightly",
        "backup register -d shop --tool pg_basebackup@15.18 --in-progress --commit HEAD~1 --name weekly",
        "backup start weekly",
        "backup complete weekly --size 734003200 --stored-size 1000000 --location s3://shop-backups/weekly",
        "backup register -d shop --tool zfs --in-progress --name broken",
        "backup fail broken --message 'the pool is busy'",
        "backup register -d shop --tool zfs --size 1 --name hourly --json",
        "backup list",
        "backup show nightly",
        "backup log",
    ];
    Transcript::of(&sandbox).all(&lines).assert_shown(GROUP, "register");
}

#[test]
fn of_lists_of_backups() {
    let sandbox = world();
    let lines = [
        "backup list",
        "backup list --status failed",
        "backup list --name nothing",
        "backup list --sort name --reverse --limit 2",
        "backup list --ids",
        "backup list --database stats --json",
        "backup show base",
        "backup show hourly",
        "backup show base --json",
        "backup log",
        "backup log base --json",
        "backup coverage",
        "backup coverage --commits HEAD~2..HEAD",
        "backup coverage --json",
        "backup find HEAD~1 --database shop",
        "backup diff base hourly",
        "fsck",
        "fsck --json",
    ];
    Transcript::of(&sandbox).all(&lines).assert_shown(GROUP, "views");
}

#[test]
fn of_changes_of_records() {
    let sandbox = world();
    let base = IDS[0];
    let lines = [
        "backup tag base release=1.1 keep",
        "backup list --tag keep",
        "backup untag base keep",
        "backup untag base keep",
        "backup hold base --reason 'audit 2026'",
        "backup hold base --reason again",
        "backup release base --reason 'the audit is over'",
        "backup annotate base checked_by=Ada",
        &format!("backup tag {base} last --json"),
        "backup log base",
        "backup tag base kind=a -q",
    ];
    Transcript::of(&sandbox).all(&lines).assert_shown(GROUP, "changes");
}

#[test]
fn of_the_store() {
    let sandbox = history();
    let (first, second) = (sandbox.path().join("first"), sandbox.path().join("second"));
    fs::write(&first, "a line of a dump\n".repeat(100)).unwrap();
    fs::write(&second, "a line of a dump\n".repeat(101)).unwrap();
    let mut transcript = Transcript::of(&sandbox);
    transcript.run("store init");
    transcript.run("store show");
    let put = |transcript: &mut Transcript<'_>, file: &std::path::Path| {
        let output = transcript.run(&format!("store put --database shop {}", file.display())).success();
        output.stdout_text().trim().to_owned()
    };
    let id = put(&mut transcript, &first);
    put(&mut transcript, &second);
    for line in ["store list", "store list --json", "store stats", "store check", "store check --read-data"] {
        transcript.run(line);
    }
    for line in [format!("store remove {id}"), format!("store remove --force {id}")] {
        transcript.run(&line);
    }
    let copy = sandbox.path().join("copy");
    let copy = format!("store copy {}", copy.display());
    for line in ["store gc", "store gc --force", "store gc", &copy, &copy, "store list", "store stats --json"]
    {
        transcript.run(line);
    }
    transcript.assert_shown(GROUP, "store");
}

#[test]
fn of_the_queue() {
    let sandbox = history();
    sandbox.git(["config", "pggit.shop.url", "postgresql:///shop"]);
    let mut transcript = Transcript::of(&sandbox);
    let id = transcript.run("queue enqueue --branch main --priority 10").success().stdout_text();
    let id = id.trim();
    for line in [
        "queue enqueue --key nightly --label nightly",
        "queue enqueue --key nightly",
        "queue list",
        "queue list --state permanently_failed",
        &format!("queue show {id}"),
        &format!("queue show {id} --json"),
        &format!("queue pause {id}"),
        &format!("queue pause {id}"),
        &format!("queue resume {id}"),
        &format!("queue cancel {id}"),
        &format!("queue retry {id}"),
        "queue list",
        "queue stats",
        "queue stats --json",
        "queue clean",
    ] {
        transcript.run(line);
    }
    transcript.assert_shown(GROUP, "queue");
}

#[test]
fn of_schedules() {
    let sandbox = history();
    sandbox.git(["config", "pggit.shop.url", "postgresql:///shop"]);
    sandbox.git(["config", "pggit.shop.schedule", "0 0 29 2 * jitter=0"]);
    sandbox.git(["config", "pggit.shop.missedAfter", "1s"]);
    let lines = [
        "schedule list",
        "schedule list --json",
        "schedule next --count 1",
        "schedule next --count 1 --json",
        "schedule run",
        "schedule run",
        "schedule cron",
        "schedule systemd",
    ];
    Transcript::of(&sandbox).all(&lines).assert_shown(GROUP, "schedule");
}
