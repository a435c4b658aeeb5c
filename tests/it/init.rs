//! `git pggit init`: the records that plain git shows and fetches afterwards, and the data that it must
//! never destroy.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::sandbox::{Output, Sandbox};

const RECORDS: &str = "+refs/backups/*:refs/pggit/remotes/origin/backups/*";
const NOTES: &str = "+refs/notes/backups*:refs/pggit/remotes/origin/notes*";

/// Makes a minimal record: a commit on a schema commit, and a note.
fn record(sandbox: &Sandbox, commit: &str, subject: &str) -> String {
    let tree = sandbox.git(["rev-parse", &format!("{commit}^{{tree}}")]);
    let record = sandbox.git(["commit-tree", "-p", commit, "-m", subject, &tree]);
    sandbox.git(["update-ref", &format!("refs/backups/{commit}"), &record]);
    sandbox.git(["notes", "--ref=backups", "add", "-f", "-m", &format!("note: {subject}"), commit]);
    record
}

/// Makes a repository with one commit, and `origin`, a clone of it in `<sandbox>/upstream`.
fn with_upstream() -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    let commit = sandbox.commit("0001.sql", "create table a ();", "one");
    sandbox.git(["clone", "-q", ".", "../upstream"]);
    sandbox.git(["remote", "add", "origin", "../upstream"]);
    (sandbox, commit)
}

fn upstream(sandbox: &Sandbox, args: &[&str]) -> String {
    sandbox.git(["-C", "../upstream"].iter().chain(args))
}

fn fetch_values(sandbox: &Sandbox) -> Vec<String> {
    sandbox.git(["config", "--get-all", "remote.origin.fetch"]).lines().map(str::to_owned).collect()
}

fn refs(sandbox: &Sandbox) -> String {
    sandbox.git(["for-each-ref", "refs/backups/", "refs/notes/"])
}

#[test]
fn the_first_run_says_what_it_did_and_the_second_has_nothing_to_do() {
    let (sandbox, _) = with_upstream();
    let check = sandbox.pggit(["init", "--check"]).fails(1);
    assert_eq!(
        check.snapshot(),
        "missing: [SANDBOX]/repo/.git/pggit\n\
         missing: notes.displayRef = refs/notes/backups*\n\
         missing: notes.rewriteRef = refs/notes/backups*\n\
         missing: remote.origin.fetch = +refs/backups/*:refs/pggit/remotes/origin/backups/*\n\
         missing: remote.origin.fetch = +refs/notes/backups*:refs/pggit/remotes/origin/notes*\n\
         [stderr]\n\
         hint: no database is configured; add one with 'git pggit database add <name> --url <url>'\n\
         [exit 1]\n"
    );
    assert_eq!(
        sandbox.pggit(["init"]).snapshot(),
        "[stderr]\n\
         created [SANDBOX]/repo/.git/pggit\n\
         set notes.displayRef = refs/notes/backups*\n\
         set notes.rewriteRef = refs/notes/backups*\n\
         set remote.origin.fetch = +refs/backups/*:refs/pggit/remotes/origin/backups/*\n\
         set remote.origin.fetch = +refs/notes/backups*:refs/pggit/remotes/origin/notes*\n\
         hint: no database is configured; add one with 'git pggit database add <name> --url <url>'\n\
         [exit 0]\n"
    );
    let mode = fs::metadata(sandbox.repo().join(".git/pggit")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    sandbox.git(["config", "pggit.main.url", "service=main"]);
    let config = fs::read(sandbox.repo().join(".git/config")).unwrap();
    assert_eq!(sandbox.pggit(["init"]).snapshot(), "[stderr]\nalready set up\n[exit 0]\n");
    assert_eq!(sandbox.pggit(["init", "--check"]).snapshot(), "[stderr]\nalready set up\n[exit 0]\n");
    assert_eq!(fs::read(sandbox.repo().join(".git/config")).unwrap(), config);
}

#[test]
fn json_lists_the_changes() {
    let (sandbox, _) = with_upstream();
    for (args, status, applied) in
        [(&["init", "--check", "--json"][..], 1, false), (&["init", "--json"], 0, true)]
    {
        let json = sandbox.pggit(args).fails(status).json();
        assert_eq!(json["applied"], applied);
        assert_eq!(json["changes"].as_array().unwrap().len(), 5, "{json:#}");
        assert_eq!(json["changes"][1]["key"], "notes.displayRef");
    }
    let json = sandbox.pggit(["init", "--json"]).success().json();
    assert_eq!(json, serde_json::json!({ "applied": true, "changes": [], "dangerous_refspecs": [] }));
}

#[test]
fn plain_git_shows_notes_and_draws_records() {
    let (sandbox, commit) = with_upstream();
    assert_eq!(sandbox.pggit(["init", "-q"]).success().snapshot(), "[exit 0]\n");
    // Before the first backup, git must not warn about a missing ref.
    for args in [&["log", "-1"][..], &["fetch"], &["commit", "-q", "--amend", "--allow-empty", "-m", "one"]] {
        let output = sandbox.output(sandbox.command("git").args(args)).success();
        assert!(!output.stderr_text().contains("warning"), "{}", output.snapshot());
    }
    let amended = sandbox.git(["rev-parse", "HEAD"]);
    sandbox.git(["reset", "-q", "--hard", &commit]);
    record(&sandbox, &commit, "backup: completed nightly");
    assert!(sandbox.git(["log", "-1"]).contains("Notes (backups):\n    note: backup: completed nightly"));
    sandbox.commit("0002.sql", "create table b ();", "two");
    let graph = sandbox.git(["log", "--graph", "--all", "--oneline", "--format=%s"]);
    assert!(graph.contains("backup: completed nightly") && graph.contains("|/"), "{graph}");
    // A rewritten commit keeps its note.
    sandbox.git(["checkout", "-q", &commit]);
    sandbox.git(["commit", "-q", "--amend", "-m", "uno"]);
    assert_ne!(sandbox.git(["rev-parse", "HEAD"]), amended);
    assert!(sandbox.git(["log", "-1"]).contains("note: backup: completed nightly"));
}

#[test]
fn values_of_the_user_are_kept_and_understood() {
    let sandbox = Sandbox::new();
    sandbox.git(["config", "--global", "notes.displayRef", "refs/notes/*"]);
    sandbox.git(["config", "notes.rewriteRef", "refs/notes/review"]);
    let output = sandbox.pggit(["init"]).success().stderr_text();
    assert!(!output.contains("displayRef") && output.contains("set notes.rewriteRef"), "{output}");
    let values = sandbox.git(["config", "--get-all", "notes.rewriteRef"]);
    assert_eq!(values, "refs/notes/review\nrefs/notes/backups*");
    // A setting for one command only is not permanent.
    let sandbox = Sandbox::new();
    let mut command = sandbox.pggit_command();
    let output = sandbox
        .output(command.args(["init"]).env("GIT_CONFIG_PARAMETERS", "'notes.displayRef'='refs/notes/*'"));
    assert!(output.success().stderr_text().contains("set notes.displayRef"));
}

#[test]
fn records_of_a_remote_are_fetched_beside_ours_and_nothing_of_ours_is_lost() {
    let (sandbox, commit) = with_upstream();
    let _ = sandbox.pggit(["init"]).success();
    let ours = record(&sandbox, &commit, "ours");
    let second = sandbox.commit("0002.sql", "create table b ();", "two");
    record(&sandbox, &second, "only ours");
    let before = refs(&sandbox);
    // The remote gets a different record on the same commit, another note, and a new commit.
    let tree = upstream(&sandbox, &["rev-parse", "HEAD^{tree}"]);
    let theirs = upstream(&sandbox, &["commit-tree", "-p", &commit, "-m", "theirs", &tree]);
    upstream(&sandbox, &["update-ref", &format!("refs/backups/{commit}"), &theirs]);
    upstream(&sandbox, &["notes", "--ref=backups", "add", "-m", "theirs", &commit]);
    upstream(&sandbox, &["commit", "-q", "--allow-empty", "-m", "three"]);
    assert_ne!(ours, theirs);
    sandbox.git(["fetch", "-q"]);
    sandbox.git(["branch", "-q", "--set-upstream-to=origin/main"]);
    for args in [
        &["fetch"][..],
        &["fetch", "--prune"],
        &["fetch", "--all", "--prune", "--tags", "--force"],
        &["pull", "-q", "--rebase"],
        &["remote", "update", "--prune"],
    ] {
        let _ = sandbox.output(sandbox.command("git").args(args)).success();
        let after = refs(&sandbox);
        for line in before.lines().filter(|line| line.contains("refs/backups/")) {
            assert!(after.contains(line), "{args:?} lost {line}\n{after}");
        }
        assert_eq!(sandbox.git(["notes", "--ref=backups", "show", &commit]), "note: ours", "{args:?}");
        assert_eq!(sandbox.git(["notes", "--ref=backups", "show", &second]), "note: only ours", "{args:?}");
    }
    let tracked = sandbox.git(["rev-parse", &format!("refs/pggit/remotes/origin/backups/{commit}")]);
    assert_eq!(tracked, theirs);
    assert_eq!(sandbox.git(["show", &format!("refs/pggit/remotes/origin/notes:{commit}")]), "theirs");
    // Deletions there remove the remote-tracking refs only.
    upstream(&sandbox, &["update-ref", "-d", &format!("refs/backups/{commit}")]);
    upstream(&sandbox, &["update-ref", "-d", "refs/notes/backups"]);
    sandbox.git(["fetch", "-q", "--prune"]);
    assert_eq!(sandbox.git(["for-each-ref", "refs/pggit/"]), "");
    sandbox.git(["remote", "remove", "origin"]);
    assert_eq!(sandbox.git(["rev-parse", &format!("refs/backups/{commit}")]), ours);
}

#[test]
fn a_pull_from_a_remote_without_refspecs_merges_no_records() {
    let (sandbox, commit) = with_upstream();
    sandbox.git(["config", "--unset-all", "remote.origin.fetch"]);
    upstream(&sandbox, &["notes", "--ref=backups", "add", "-m", "theirs", &commit]);
    let _ = sandbox.pggit(["init"]).success();
    assert_eq!(fetch_values(&sandbox), [RECORDS, NOTES]);
    sandbox.git(["fetch", "-q"]);
    let heads = fs::read_to_string(sandbox.repo().join(".git/FETCH_HEAD")).unwrap();
    assert!(heads.lines().all(|line| line.contains("\tnot-for-merge\t")), "{heads}");
}

#[test]
fn remotes_that_come_and_change_their_names_are_followed() {
    let sandbox = Sandbox::new();
    sandbox.commit("a", "", "one");
    let _ = sandbox.pggit(["init"]).success();
    sandbox.git(["remote", "add", "origin", "/nowhere"]);
    sandbox.git(["remote", "add", "team/fork", "/nowhere"]);
    let output = sandbox.pggit(["init"]).success().stderr_text();
    assert_eq!(output.matches("set remote.").count(), 4, "{output}");
    assert!(
        output
            .contains("set remote.team/fork.fetch = +refs/backups/*:refs/pggit/remotes/team/fork/backups/*")
    );
    sandbox.git(["remote", "rename", "origin", "upstream"]);
    let check = sandbox.pggit(["init", "--check"]).fails(1).stdout_text();
    assert!(check.contains(&format!("outdated: remote.upstream.fetch = {RECORDS}")), "{check}");
    let output = sandbox.pggit(["init"]).success().stderr_text();
    assert!(output.contains(&format!("removed remote.upstream.fetch = {NOTES}")), "{output}");
    let values = sandbox.git(["config", "--get-all", "remote.upstream.fetch"]);
    assert_eq!(
        values,
        "+refs/heads/*:refs/remotes/upstream/*\n\
         +refs/backups/*:refs/pggit/remotes/upstream/backups/*\n\
         +refs/notes/backups*:refs/pggit/remotes/upstream/notes*"
    );
    assert!(sandbox.pggit(["init"]).success().stderr_text().starts_with("already set up\n"));
}

#[test]
fn names_of_remotes_that_git_would_not_take_are_left_alone() {
    let sandbox = Sandbox::new();
    for name in ["-x", "a b", "a..b", "a\"b", "*"] {
        sandbox.git(["config", &format!("remote.{name}.url"), "/nowhere"]);
    }
    let config = sandbox.repo().join(".git/config");
    let mut text = fs::read(&config).unwrap();
    text.extend_from_slice(b"[remote \"caf\xe9\"]\n\turl = /nowhere\n");
    fs::write(&config, text).unwrap();
    let output = sandbox.pggit(["init"]).success().stderr_text();
    // `-x` and `a"b` are odd names, but valid in refs.
    assert_eq!(output.matches("warning: records of the remote").count(), 4, "{output}");
    assert!(sandbox.pggit(["init"]).success().stderr_text().contains("already set up"));
}

#[test]
fn refspecs_that_destroy_records_are_named_with_the_command_that_removes_them() {
    let (sandbox, commit) = with_upstream();
    record(&sandbox, &commit, "ours");
    let before = refs(&sandbox);
    sandbox.git(["config", "--add", "remote.origin.fetch", "+refs/notes/*:refs/notes/*"]);
    sandbox.git(["config", "--add", "remote.origin.fetch", "refs/backups/*:refs/backups/*"]);
    let output = sandbox.pggit(["init"]).success().stderr_text();
    assert!(
        output.contains(
            "warning: 'git fetch origin' overwrites records and notes that were not pushed: \
             remote.origin.fetch = +refs/notes/*:refs/notes/*\n\
             hint: remove the refspec: git config --local --fixed-value --unset-all remote.origin.fetch \
             '+refs/notes/*:refs/notes/*'\n\
             warning: 'git fetch origin' removes, with --prune, records and notes that were not pushed: "
        ),
        "{output}"
    );
    // The remedies, run exactly as they are printed.
    for line in output.lines().filter_map(|line| line.strip_prefix("hint: remove the refspec: ")) {
        let _ = sandbox.output(sandbox.command("sh").args(["-c", line])).success();
    }
    assert_eq!(fetch_values(&sandbox), ["+refs/heads/*:refs/remotes/origin/*", RECORDS, NOTES]);
    let output = sandbox.pggit(["init"]).success().stderr_text();
    assert!(!output.contains("warning"), "{output}");
    sandbox.git(["fetch", "-q", "--prune"]);
    assert_eq!(refs(&sandbox), before);
}

#[test]
fn mirrors_are_warned_about() {
    let (sandbox, _) = with_upstream();
    let bare = sandbox.path().join("mirror.git");
    sandbox.git(["clone", "-q", "--mirror", ".", bare.to_str().unwrap()]);
    let output = in_dir(&sandbox, &bare, &["init"]).success().stderr_text();
    assert!(output.contains("overwrites records and notes") && output.contains("+refs/*:refs/*"), "{output}");
}

fn in_dir(sandbox: &Sandbox, dir: &std::path::Path, args: &[&str]) -> Output {
    sandbox.output(sandbox.pggit_command().current_dir(dir).args(args))
}

#[test]
fn it_works_in_bare_repositories_work_trees_and_with_sha_256() {
    let (sandbox, _) = with_upstream();
    let tree = sandbox.path().join("tree");
    sandbox.git(["worktree", "add", "-q", tree.to_str().unwrap()]);
    sandbox.git(["config", "extensions.worktreeConfig", "true"]);
    let _ = in_dir(&sandbox, &tree, &["init"]).success();
    assert!(fetch_values(&sandbox).contains(&RECORDS.to_owned()), "the common configuration is written");
    assert!(sandbox.repo().join(".git/pggit").is_dir());
    let _ = sandbox.pggit(["init", "--check"]).success();

    let bare = sandbox.path().join("bare.git");
    sandbox.git(["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    let _ = in_dir(&sandbox, &bare, &["init"]).success();
    assert!(bare.join("pggit").is_dir());
    let _ = in_dir(&sandbox, &bare, &["init", "--check"]).success();

    let new = sandbox.path().join("sha256");
    sandbox.git(["init", "-q", "--object-format=sha256", new.to_str().unwrap()]);
    let _ = in_dir(&sandbox, &new, &["init"]).success();
    let _ = in_dir(&sandbox, &new, &["init", "--check"]).success();
}

#[test]
fn a_shared_repository_shares_its_directory_and_a_private_one_closes_it() {
    let sandbox = Sandbox::new();
    let dir = sandbox.repo().join(".git/pggit");
    let mode = || fs::metadata(&dir).unwrap().permissions().mode() & 0o7777;
    sandbox.git(["config", "core.sharedRepository", "group"]);
    let _ = sandbox.pggit(["init"]).success();
    assert_eq!(mode(), 0o2770);
    let _ = sandbox.pggit(["init", "--check"]).success();
    sandbox.git(["config", "--unset", "core.sharedRepository"]);
    let _ = sandbox.pggit(["init"]).success();
    assert_eq!(mode() & 0o777, 0o700);
}

#[test]
fn a_configuration_that_cannot_be_written_is_an_error() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.repo().join(".git/config.lock"), "").unwrap();
    let output = sandbox.pggit(["init"]).fails(17);
    assert!(output.stderr_text().contains("could not lock config file"), "{}", output.snapshot());
    let _ = Sandbox::without_repository().pggit(["init"]).fails(18);
}
