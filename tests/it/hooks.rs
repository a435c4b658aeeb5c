//! `git pggit hooks` and `git pggit schedule catch-up`: git moves branches, and the tests check the queue.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::sandbox::{Output, Sandbox};

/// Makes a repository with one commit, the hooks, and a database that is backed up when `main` or a release
/// branch moves.
fn watched() -> Sandbox {
    let sandbox = Sandbox::new();
    let _ = sandbox.commit("0001.sql", "create table a ();", "one");
    sandbox.git(["config", "pggit.shop.url", "service=shop"]);
    sandbox.git(["config", "pggit.shop.onMerge", "main release/*"]);
    let _ = sandbox.pggit(["hooks", "install", "-q"]).success();
    sandbox
}

/// Returns the commit and the branch of each job in the queue.
fn queued(sandbox: &Sandbox) -> Vec<(String, String)> {
    jobs(sandbox).iter().map(|job| (text(&job["work"]["commit"]), text(&job["work"]["branch"]))).collect()
}

fn jobs(sandbox: &Sandbox) -> Vec<serde_json::Value> {
    sandbox.pggit(["queue", "list", "--json"]).success().json()["jobs"].as_array().unwrap().clone()
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Runs git, which must succeed.
fn git(sandbox: &Sandbox, args: &[&str]) -> Output {
    sandbox.output(sandbox.command("git").args(args)).success()
}

/// Makes a branch `name` with one more file; `main` does not move.
fn branch(sandbox: &Sandbox, name: &str, file: &str) -> String {
    sandbox.git(["switch", "-q", "-c", name, "main"]);
    let tip = sandbox.commit(file, file, "work");
    sandbox.git(["switch", "-q", "main"]);
    tip
}

fn hook(sandbox: &Sandbox, name: &str) -> PathBuf {
    sandbox.repo().join(".git/hooks").join(name)
}

fn write_hook(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_merge_that_changes_the_schema_queues_a_backup_and_another_one_does_not() {
    let sandbox = watched();
    let _ = branch(&sandbox, "items", "0002.sql");
    let merged = git(&sandbox, &["merge", "--no-ff", "-m", "items", "items"]);
    let tip = sandbox.git(["rev-parse", "main"]);
    assert_eq!(queued(&sandbox), [(tip.clone(), "main".to_owned())]);
    let said = merged.stdout_text() + &merged.stderr_text();
    let short = &tip[..10];
    assert!(said.contains(&format!("git pggit: queued a backup of shop for main at {short}")), "{said}");
    let job = &jobs(&sandbox)[0];
    assert_eq!(
        (&job["priority"], &job["work"]["tags"]["merge"]),
        (&10.into(), &tip.as_str().into()),
        "{job:#}"
    );
    // No schema change; a branch that is not watched; a commit that is not a merge.
    let _ = branch(&sandbox, "words", "README.md");
    git(&sandbox, &["merge", "-q", "--no-ff", "-m", "words", "words"]);
    let _ = branch(&sandbox, "more", "0003.sql");
    sandbox.git(["switch", "-q", "-c", "feature", "main"]);
    git(&sandbox, &["merge", "-q", "--no-ff", "-m", "more", "more"]);
    sandbox.git(["switch", "-q", "main"]);
    let _ = sandbox.commit("0004.sql", "x", "four");
    git(&sandbox, &["merge", "--squash", "feature"]);
    sandbox.git(["commit", "-q", "-m", "squashed"]);
    assert_eq!(queued(&sandbox).len(), 1);
    // Every path can be configured as schema.
    sandbox.git(["config", "pggit.shop.schemaPaths", "*"]);
    let _ = branch(&sandbox, "all", "LICENSE");
    git(&sandbox, &["merge", "-q", "all"]);
    assert_eq!(queued(&sandbox).len(), 2, "a fast-forward is a merge as well");
}

#[test]
fn a_merge_with_conflicts_and_a_rebase_are_seen() {
    let sandbox = watched();
    for (name, content) in [("left", "create table l ();"), ("right", "create table r ();")] {
        sandbox.git(["switch", "-q", "-c", name, "main"]);
        let _ = sandbox.commit("0002.sql", content, name);
    }
    sandbox.git(["switch", "-q", "main"]);
    git(&sandbox, &["merge", "-q", "--no-ff", "-m", "left", "left"]);
    let conflict = sandbox.output(sandbox.command("git").args(["merge", "right"]));
    assert_ne!(conflict.status, 0);
    fs::write(sandbox.repo().join("0002.sql"), "create table both ();").unwrap();
    git(&sandbox, &["commit", "-q", "-a", "-m", "both"]);
    let both = sandbox.git(["rev-parse", "main"]);
    assert!(queued(&sandbox).contains(&(both, "main".to_owned())));
    let before = queued(&sandbox).len();
    let _ = branch(&sandbox, "base", "0005.sql");
    let _ = sandbox.commit("0006.sql", "x", "six");
    git(&sandbox, &["rebase", "-q", "base"]);
    let rebased = sandbox.git(["rev-parse", "main"]);
    assert_eq!(queued(&sandbox).len(), before + 1);
    assert!(queued(&sandbox).contains(&(rebased, "main".to_owned())));
}

#[test]
fn a_push_to_a_bare_repository_is_seen_whatever_branches_are_called() {
    let sandbox = watched();
    let _ = sandbox.pggit(["hooks", "remove", "-q"]).success();
    sandbox.git(["clone", "-q", "--bare", ".", "../server.git"]);
    let server = sandbox.path().join("server.git");
    let in_server = |program: &mut std::process::Command, args: &[&str]| {
        sandbox.output(program.arg("-C").arg(&server).args(args)).success()
    };
    for setting in [["pggit.shop.url", "service=shop"], ["pggit.shop.onMerge", "main release/**"]] {
        in_server(&mut sandbox.command("git"), &["config", setting[0], setting[1]]);
    }
    // Another hook reads the input of git, and still gets it.
    write_hook(
        &server.join("hooks/post-receive"),
        "#!/bin/sh\nwhile read -r old new ref; do echo \"saw $ref\" >>seen; done\nexit 3",
    );
    in_server(&mut sandbox.pggit_command(), &["hooks", "install", "post-receive"]);
    sandbox.git(["remote", "add", "server", "../server.git"]);
    let hostile = "release/$(touch${IFS}pwned)'\";`id`&|größe";
    sandbox.git(["branch", hostile]);
    sandbox.git(["switch", "-q", hostile]);
    let tip = sandbox.commit("0002.sql", "x", "two");
    sandbox.git(["branch", "other"]);
    sandbox.git(["tag", "v1"]);
    let pushed = git(&sandbox, &["push", "server", hostile, "other", "main", "v1"]);
    assert!(
        pushed.stderr_text().contains("git pggit: queued a backup of shop for release/$(touch"),
        "{}",
        pushed.snapshot()
    );
    let listed = in_server(&mut sandbox.pggit_command(), &["queue", "list", "--json"]).json();
    let jobs = listed["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), 1, "{listed:#}");
    assert_eq!(
        (&jobs[0]["work"]["commit"], &jobs[0]["work"]["branch"]),
        (&tip.as_str().into(), &hostile.into())
    );
    assert!(!server.join("pwned").exists() && !sandbox.repo().join("pwned").exists());
    let seen = fs::read_to_string(server.join("seen")).unwrap();
    assert!(
        seen.contains("saw refs/heads/other") && seen.contains("saw refs/tags/v1") && seen.contains(hostile),
        "{seen}"
    );
    // A deleted branch needs no backup.
    git(&sandbox, &["push", "-q", "server", &format!(":{hostile}")]);
    let listed = in_server(&mut sandbox.pggit_command(), &["queue", "list", "--json"]).json();
    assert_eq!(listed["jobs"].as_array().unwrap().len(), 1);
}

#[test]
fn git_never_fails_because_of_us() {
    let sandbox = watched();
    let mut number = 1;
    let mut merge = |why: &str| {
        number += 1;
        let name = format!("b{number}");
        let _ = branch(&sandbox, &name, &format!("{number:04}.sql"));
        let merged = git(&sandbox, &["merge", "--no-ff", "-m", &name, &name]);
        assert!(!merged.stderr_text().contains("panick"), "{why}: {}", merged.snapshot());
        merged.stdout_text() + &merged.stderr_text()
    };
    assert!(merge("as it should be").contains("queued a backup"));
    // An invalid value, an invalid committed file, an unreachable queue.
    sandbox.git(["config", "pggit.stats.onMerge", "-x"]);
    let said = merge("broken value");
    assert!(said.contains("warning: database stats: bad value '-x' for pggit.stats.onMerge"), "{said}");
    assert!(said.contains("queued a backup of shop"), "{said}");
    sandbox.git(["config", "--unset", "pggit.stats.onMerge"]);
    sandbox.git(["config", "pggit.queue", "postgresql://nobody@/nothing?host=/nonexistent"]);
    let said = merge("no queue");
    assert!(said.contains("queued a backup") || said.contains("no backup was queued"), "{said}");
    sandbox.git(["config", "--unset", "pggit.queue"]);
    let _ = sandbox.commit(".pggitconfig", "[pggit \"shop\"\nbroken", "a broken file");
    assert!(merge("broken committed file").contains("no backup was queued"));
    sandbox.git(["rm", "-q", ".pggitconfig"]);
    sandbox.git(["commit", "-q", "-m", "no broken file"]);
    // No configuration at all.
    sandbox.git(["config", "--remove-section", "pggit.shop"]);
    assert!(!merge("no configuration").contains("pggit:"));
    // An old program without the command, and no program.
    for program in ["#!/bin/sh\necho 'unknown command' >&2\nexit 129\n", ""] {
        let old = sandbox.path().join("git-pggit");
        write_hook(&old, program);
        if program.is_empty() {
            fs::remove_file(&old).unwrap();
        }
        let file = hook(&sandbox, "post-merge");
        let text = fs::read_to_string(&file).unwrap();
        let ours = env!("CARGO_BIN_EXE_git-pggit");
        fs::write(&file, text.replace(ours, &old.display().to_string())).unwrap();
        assert!(!merge("old program").contains("unknown command"));
        fs::write(&file, text).unwrap();
    }
}

#[test]
fn hooks_of_others_are_kept_and_given_back() {
    let sandbox = watched();
    let _ = sandbox.pggit(["hooks", "remove"]).success();
    assert!(!hook(&sandbox, "post-merge").exists());
    // A shell hook without a newline at its end, a hook in another language, a disabled one, and a link.
    let shell = "#!/bin/bash -e\n# mine\necho shell >>seen\nexit 0";
    let python = "#!/usr/bin/env python3\nimport sys\nopen('seen', 'a').write('python %s' % sys.argv[1:])\n";
    write_hook(&hook(&sandbox, "post-commit"), shell);
    write_hook(&hook(&sandbox, "post-merge"), python);
    write_hook(&hook(&sandbox, "post-rewrite"), "#!/bin/sh\necho never >>seen\n");
    fs::set_permissions(hook(&sandbox, "post-rewrite"), fs::Permissions::from_mode(0o644)).unwrap();
    write_hook(&sandbox.repo().join("tracked-hook"), "#!/bin/sh\ncat >>seen\n");
    symlink("../../tracked-hook", hook(&sandbox, "post-receive")).unwrap();
    let first = sandbox.pggit(["hooks", "install"]).success().stderr_text();
    assert_eq!(first.matches("renamed ").count(), 3, "{first}");
    let again = sandbox.pggit(["hooks", "install"]).success();
    assert!(again.stderr_text().starts_with("already installed"), "{}", again.snapshot());
    let status = sandbox.pggit(["hooks", "status", "--json"]).success().json();
    assert!(status["hooks"].as_array().unwrap().iter().all(|it| it["state"] == "installed"), "{status:#}");
    assert_eq!(status["rules"][0]["branches"], "main release/*");
    let _ = branch(&sandbox, "items", "0002.sql");
    git(&sandbox, &["merge", "-q", "--no-ff", "-m", "items", "items"]);
    git(&sandbox, &["commit", "-q", "--amend", "-m", "items!"]);
    let seen = fs::read_to_string(sandbox.repo().join("seen")).unwrap();
    assert!(seen.contains("python ['0']") && seen.contains("shell") && !seen.contains("never"), "{seen}");
    assert!(!queued(&sandbox).is_empty());
    assert_eq!(fs::read_to_string(sandbox.repo().join("tracked-hook")).unwrap(), "#!/bin/sh\ncat >>seen\n");
    let _ = sandbox.pggit(["hooks", "remove"]).success();
    assert_eq!(fs::read_to_string(hook(&sandbox, "post-commit")).unwrap(), shell);
    assert_eq!(fs::read_to_string(hook(&sandbox, "post-merge")).unwrap(), python);
    assert_eq!(fs::metadata(hook(&sandbox, "post-rewrite")).unwrap().permissions().mode() & 0o777, 0o644);
    assert!(fs::symlink_metadata(hook(&sandbox, "post-receive")).unwrap().is_symlink());
    let left = fs::read_dir(sandbox.repo().join(".git/hooks")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!left.iter().any(|name| name.contains("pggit")), "{left:?}");
}

#[test]
fn dying_while_a_hook_is_put_aside_leaves_it_working() {
    let sandbox = watched();
    let _ = sandbox.pggit(["hooks", "remove"]).success();
    let python = "#!/usr/bin/env python3\nprint('here')\n";
    write_hook(&hook(&sandbox, "post-merge"), python);
    let mut dying = sandbox.pggit_command();
    let output = sandbox.output(dying.args(["hooks", "install"]).env("PGGIT_CRASH_AT", "hook-put-aside"));
    assert_ne!(output.status, 0, "{}", output.snapshot());
    assert_eq!(fs::read_to_string(hook(&sandbox, "post-merge")).unwrap(), python);
    let _ = sandbox.pggit(["hooks", "install"]).success();
    assert!(
        sandbox
            .output(&mut sandbox.command(hook(&sandbox, "post-merge")))
            .success()
            .stdout_text()
            .contains("here")
    );
    let _ = sandbox.pggit(["hooks", "remove"]).success();
    assert_eq!(fs::read_to_string(hook(&sandbox, "post-merge")).unwrap(), python);
}

#[test]
fn what_is_in_the_way_is_said_and_left_alone() {
    let sandbox = watched();
    let _ = sandbox.pggit(["hooks", "remove"]).success();
    write_hook(&hook(&sandbox, "post-merge"), "#!/usr/bin/python3\n");
    write_hook(&hook(&sandbox, "post-merge.before-pggit"), "precious");
    let stderr = sandbox.pggit(["hooks", "install", "post-merge"]).fails(12).stderr_text();
    assert!(stderr.contains("post-merge.before-pggit exists already"), "{stderr}");
    assert_eq!(fs::read_to_string(hook(&sandbox, "post-merge")).unwrap(), "#!/usr/bin/python3\n");
    fs::remove_file(hook(&sandbox, "post-merge.before-pggit")).unwrap();
    write_hook(&hook(&sandbox, "post-merge"), "#!/bin/sh\n# <<< git pggit hooks <<<\n");
    let _ = sandbox.pggit(["hooks", "install", "post-merge"]).fails(12);
    // Hooks are disabled: a file is in place of the directory.
    sandbox.git(["config", "core.hooksPath", "/dev/null"]);
    let stderr = sandbox.pggit(["hooks", "install"]).fails(12).stderr_text();
    assert!(stderr.contains("hooks are disabled: core.hooksPath is /dev/null"), "{stderr}");
    // A directory in which no file can be created, not even by root.
    sandbox.git(["config", "core.hooksPath", "/proc/1"]);
    let _ = sandbox.pggit(["hooks", "install"]).fails(15);
    let stderr = sandbox.pggit(["hooks", "install", "pre-push"]).fails(129).stderr_text();
    assert!(stderr.contains("expected one of post-merge"), "{stderr}");
}

#[test]
fn hooks_are_where_git_looks_for_them() {
    let sandbox = watched();
    let _ = sandbox.pggit(["hooks", "remove"]).success();
    sandbox.git(["config", "core.hooksPath", ".githooks"]);
    let output = sandbox.pggit(["hooks", "install"]).success();
    assert!(output.stderr_text().contains("warning: core.hooksPath is set"), "{}", output.snapshot());
    let _ = branch(&sandbox, "items", "0002.sql");
    git(&sandbox, &["merge", "-q", "--no-ff", "-m", "items", "items"]);
    assert_eq!(queued(&sandbox).len(), 1);
    assert!(sandbox.repo().join(".githooks/post-merge").exists() && !hook(&sandbox, "post-merge").exists());
    // Another worktree uses the hooks of the repository, with a branch of its own.
    sandbox.git(["config", "core.hooksPath", "~/hooks"]);
    let _ = sandbox.pggit(["hooks", "install"]).success();
    assert!(sandbox.home().join("hooks/post-merge").exists());
    let _ = branch(&sandbox, "more", "0003.sql");
    sandbox.git(["worktree", "add", "-q", "-b", "release/1", "../tree"]);
    git(&sandbox, &["-C", "../tree", "merge", "-q", "--no-ff", "-m", "more", "more"]);
    let tip = sandbox.git(["rev-parse", "release/1"]);
    assert!(queued(&sandbox).contains(&(tip, "release/1".to_owned())));
}

#[test]
fn what_hooks_have_missed_is_found() {
    let sandbox = watched();
    let _ = sandbox.pggit(["hooks", "remove"]).success();
    let reconcile = || {
        sandbox.pggit(["schedule", "catch-up", "--json"]).success().json()["jobs"].as_array().unwrap().len()
    };
    let first = sandbox.git(["rev-parse", "main"]);
    let dry = sandbox.pggit(["schedule", "catch-up", "--dry-run"]).success();
    assert_eq!(dry.stdout_text(), format!("would queue a backup of shop: main at {}\n", &first[..10]));
    assert!(queued(&sandbox).is_empty());
    assert_eq!((reconcile(), reconcile()), (1, 0), "a commit with a job needs no other");
    // Other files do not count; a migration does, also below a commit of other files.
    let _ = sandbox.commit("README.md", "x", "words");
    assert_eq!(reconcile(), 0);
    let _ = sandbox.commit("0002.sql", "x", "two");
    let tip = sandbox.commit("README.md", "y", "more words");
    // A record counts like a job, even if the database was marked with another commit.
    let args = [
        "backup",
        "register",
        "-d",
        "shop",
        "--tool",
        "x",
        "--location",
        "file:///x",
        "--size",
        "1",
        "--commit",
    ];
    let _ = sandbox
        .pggit(args.iter().copied().chain([first.as_str(), "--label", &format!("merge={tip}")]))
        .success();
    assert_eq!(reconcile(), 0);
    let _ = sandbox.commit("0003.sql", "x", "three");
    assert_eq!(reconcile(), 1);
    sandbox.git(["branch", "release/1"]);
    assert_eq!(reconcile(), 0, "the same commit");
    sandbox.git(["branch", "release/old", &first]);
    assert_eq!(reconcile(), 0);
}

#[test]
fn a_hook_says_nothing_where_nothing_is_watched() {
    let sandbox = watched();
    let run = |args: &[&str], input: &[u8]| {
        let mut command = sandbox.pggit_command();
        command
            .args(["hooks", "run"])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    for (args, input) in [
        (&["post-commit"][..], &b""[..]),
        (&["post-merge", "1"], b""),
        (&["post-rewrite", "amend"], b"a b\n"),
        (&["post-receive"], b"\xff\xfe garbage \0\n"),
        (&["post-receive"], b""),
    ] {
        assert_eq!(run(args, input), "", "{args:?}");
    }
    // A detached HEAD is not a branch; an unborn branch has no commit.
    sandbox.git(["checkout", "-q", "--detach"]);
    assert_eq!(run(&["post-merge", "0"], b""), "");
    sandbox.git(["checkout", "-q", "--orphan", "release/new"]);
    let _ = run(&["post-merge", "0"], b"");
    assert!(queued(&sandbox).is_empty());
}
