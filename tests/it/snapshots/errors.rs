//! Errors: those of the command line, and one of each exit status that needs no server.

use std::fs;

use super::{Transcript, with_git};
use crate::backup_cli::{history, world};
use crate::sandbox::Sandbox;

const GROUP: &str = "errors";

#[test]
fn command_lines_that_are_wrong() {
    let sandbox = Sandbox::new();
    let lines = [
        "frobnicate",
        "configg",
        "backup crate",
        "backup list --limt 3",
        "backup list --limit many",
        "backup list --status gone",
        "backup show",
        "backup register --name x",
        "backup tag latest 'no spaces'",
        "backup verify latest --again",
        "checkout HEAD --server x",
        "store remove --even-if-recorded x",
        "store ls",
        "backup restore base --into x --in-place",
        "queue enqueue --how checksum",
        "config --frob --json",
        "--color sometimes config",
    ];
    Transcript::of(&sandbox).all(&lines).assert_shown(GROUP, "usage");
}

#[test]
fn nothing_is_asked_for() {
    let sandbox = Sandbox::new();
    Transcript::of(&sandbox).all(&["", "--json"]).assert_shown(GROUP, "nothing");
}

#[test]
fn what_is_not_there_or_not_clear() {
    let sandbox = world();
    let lines = [
        "backup show weekly",
        "backup show 01ffffff",
        "backup list --commit v9",
        "backup show 01aa --json",
        "backup show base --database stats",
        "database show shop",
        "database check",
        "queue show 0123",
        "store get 0123",
        "clone remove x",
        "backup find HEAD~2 --database nowhere",
    ];
    Transcript::of(&sandbox).all(&lines).assert_shown(GROUP, "not-found");
}

#[test]
fn a_name_that_several_backups_have() {
    let sandbox = world();
    let lines = ["backup show 01aa", "backup tag 01aa x", "backup show 01aa --json"];
    Transcript::of(&sandbox).all(&lines).assert_shown(GROUP, "ambiguous");
}

#[test]
fn what_the_state_does_not_allow() {
    let sandbox = world();
    let lines = [
        "backup complete hourly --size 1",
        "backup start base",
        "backup fail base --message x",
        "backup release base --reason x",
        "store init",
        "store init",
    ];
    Transcript::of(&sandbox).all(&lines).assert_shown(GROUP, "conflict");
}

#[test]
fn programs_servers_and_places_that_fail() {
    let mut sandbox = world();
    let file = sandbox.path().join("file");
    fs::write(&file, "x").unwrap();
    sandbox.git(["config", "pggit.shop.url", "postgresql:///shop?host=/nowhere&user=ada"]);
    sandbox.git(["remote", "add", "origin", "/nowhere/hub.git"]);
    // A git whose messages do not depend on its version.
    with_git(&mut sandbox, "case \"$*\" in *fetch*) echo 'fatal: no such place' >&2; exit 128;; esac");
    let lines = [
        "sync",
        "database check shop",
        "mark HEAD --database shop",
        &format!("store init {}/below", file.display()),
        &format!("store put --store {}/missing --database shop {}", sandbox.path().display(), file.display()),
    ];
    Transcript::of(&sandbox).all(&lines).assert_shown(GROUP, "surroundings");
}

#[test]
fn what_is_damaged() {
    let sandbox = history();
    let file = sandbox.path().join("file");
    fs::write(&file, "the content of a file").unwrap();
    let mut transcript = Transcript::of(&sandbox);
    transcript.run("store init").success();
    let id = transcript.run(&format!("store put --database shop {}", file.display())).success().stdout_text();
    let packs = walkdir::WalkDir::new(sandbox.repo().join(".git/pggit/store/packs")).into_iter().flatten();
    for pack in packs.filter(|entry| entry.file_type().is_file()) {
        crate::verify::flip(pack.path());
    }
    transcript.run(&format!("store get {}", id.trim()));
    transcript.run("store check --read-data");
    sandbox.git(["update-ref", "refs/backups/0123456789012345678901234567890123456789", "HEAD"]);
    transcript.run("fsck");
    transcript.assert_shown(GROUP, "damaged");
}

#[test]
fn no_repository() {
    let sandbox = Sandbox::without_repository();
    Transcript::of(&sandbox).all(&["backup list", "init --json"]).assert_shown(GROUP, "not-a-repository");
}

#[test]
fn settings_that_are_missing_or_wrong() {
    let sandbox = history();
    let mut transcript = Transcript::of(&sandbox);
    transcript.run("backup create");
    sandbox.git(["config", "pggit.compressionLevel", "much"]);
    sandbox.git(["config", "pggit.pgBinDir", "/opt/postgresql/bin"]);
    sandbox.git(["config", "pggit.shop.url", "mysql://shop"]);
    sandbox.git(["config", "pggit.shop.schedule", "sometimes"]);
    transcript.run("backup create");
    transcript.run("config");
    transcript.run("schedule list");
    transcript.run("database check shop");
    transcript.assert_shown(GROUP, "configuration");
}

#[test]
fn questions_whose_answer_is_no_and_commits_without_a_backup() {
    let sandbox = world();
    let lines =
        ["init --check", "backup coverage --exit-code", "with HEAD -- true", "-C nowhere backup list"];
    Transcript::of(&sandbox).all(&lines).assert_shown(GROUP, "other");
}
