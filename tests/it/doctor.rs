//! `git pggit doctor` on healthy repositories and databases, and on ones with problems.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::cluster::{Cluster, bin_dir};
use crate::sandbox::{Output, Sandbox};

/// Returns the findings of `check`.
fn found(output: &Output, check: &str) -> Vec<Value> {
    let json = output.json();
    let all = json["checks"].as_array().expect("a list");
    all.iter().filter(|row| row["check"] == check).cloned().collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// Returns the findings of `check` as "status: message".
fn rows(output: &Output, check: &str) -> Vec<String> {
    found(output, check)
        .iter()
        .map(|row| format!("{}: {}", text(&row["status"]), text(&row["message"])))
        .collect()
}

/// Returns the only row of `check`.
#[track_caller]
fn row(output: &Output, check: &str) -> String {
    let mut rows = rows(output, check);
    assert_eq!(rows.len(), 1, "{check}: {}", output.snapshot());
    rows.remove(0)
}

/// Returns the first remedy for `check`.
fn remedy(output: &Output, check: &str) -> String {
    text(&found(output, check)[0]["remedies"][0])
}

/// Makes a sandbox without problems, with one database.
fn healthy(cluster: &Cluster, dbname: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.commit("0001.sql", "create table a ();", "one");
    sandbox.set("PGGIT_PGBIN", bin_dir());
    sandbox.git(["config", "pggit.main.url", &cluster.url(dbname)]);
    let backups = sandbox.path().join("backups");
    fs::create_dir(&backups).expect("fresh directory");
    sandbox.git(["config".as_ref(), "pggit.main.plainDir".as_ref(), backups.as_os_str()]);
    let _ = sandbox.pggit(["init"]).success();
    let _ = sandbox.pggit(["mark"]).success();
    sandbox
}

fn doctor(sandbox: &Sandbox, status: i32) -> Output {
    sandbox.pggit(["doctor", "--json"]).fails(status)
}

/// Sets the time of `path` to that of a stale lock.
fn make_old(path: &Path) {
    let old = Command::new("touch").args(["-d", "2 hours ago"]).arg(path).status().expect("touch runs");
    assert!(old.success());
}

#[test]
fn a_healthy_repository_and_database_have_no_problem_and_are_not_touched() {
    let cluster = Cluster::shared();
    let sandbox = healthy(&cluster, &cluster.create_database("doctor"));
    let files = |sandbox: &Sandbox| {
        sandbox.output(sandbox.command("find").args([".git", "-printf", "%p %T@ %s\n"])).stdout_text()
    };
    let before = files(&sandbox);
    let output = doctor(&sandbox, 0);
    assert_eq!(files(&sandbox), before, "doctor looks and does not touch");
    let json = output.json();
    assert_eq!(json["ok"], true);
    for check in json["checks"].as_array().unwrap() {
        let optional = check["check"] == "zstd";
        assert!(check["status"] == "ok" || optional, "{check:#}");
    }
    assert_eq!(row(&output, "identity"), "ok: Ada <ada@example.com>");
    assert_eq!(row(&output, "set mark"), "ok: the role may record the mark");
    assert!(row(&output, "server").starts_with("ok: PostgreSQL 1"));
    assert!(row(&output, "mark").ends_with("one, this is HEAD"));
    assert!(row(&output, "output").ends_with(" free"));
    let text = sandbox.pggit(["doctor", "--database", "main"]).success().stdout_text();
    assert!(text.contains("\nok       main: read: the role may read all tables\n"), "{text}");
    assert!(text.contains("0 problems, "), "{text}");
}

#[test]
fn without_anything_set_up_each_thing_has_its_remedy() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.home().join(".gitconfig"), "[user]\n\tuseConfigOnly = true\n").unwrap();
    let output = doctor(&sandbox, 1);
    assert_eq!(row(&output, "history"), "warning: branch `main` has no commits yet");
    assert_eq!(row(&output, "setup"), "warning: 3 settings are missing for plain git");
    assert_eq!(remedy(&output, "setup"), "git pggit init");
    assert_eq!(row(&output, "identity"), "problem: git has no name or email address for the user");
    assert_eq!(row(&output, "database"), "warning: none is configured");
    let text = sandbox.pggit(["doctor"]).fails(1).stdout_text();
    assert!(text.contains("\n           -> git pggit init\n"), "{text}");
    // An unknown database is a usage error, not a finding.
    let _ = sandbox.pggit(["doctor", "--database", "nosuch"]).fails(10);
}

#[test]
fn outside_of_a_repository_the_rest_is_still_checked() {
    let output = doctor(&Sandbox::without_repository(), 1);
    assert!(row(&output, "git").starts_with("ok: 2."));
    assert!(row(&output, "repository").starts_with("problem: not a git repository"));
    assert_eq!(row(&output, "configuration"), "ok: all settings are valid");
}

#[test]
fn a_repository_of_somebody_else_is_explained_in_git_s_words() {
    let sandbox = Sandbox::new();
    if !rustix::process::getuid().is_root() {
        return; // Only root can change the owner of a directory.
    }
    for path in [sandbox.repo(), sandbox.repo().join(".git")] {
        std::os::unix::fs::chown(path, Some(65534), Some(65534)).unwrap();
    }
    let output = doctor(&sandbox, 1);
    assert!(row(&output, "repository").contains("dubious ownership"), "{}", output.snapshot());
    assert!(row(&output, "repository").contains("safe.directory"), "{}", output.snapshot());
}

#[test]
fn locks_that_were_left_behind_are_found_and_young_ones_are_not() {
    let sandbox = Sandbox::new();
    sandbox.commit("a", "", "one");
    let git = sandbox.repo().join(".git");
    fs::create_dir_all(git.join("refs/backups")).unwrap();
    let locks =
        ["refs/backups/x.lock", "refs/heads/main.lock", "packed-refs.lock", "HEAD.lock", "config.lock"];
    for lock in locks.iter().chain(&["index.lock"]) {
        fs::write(git.join(lock), "").unwrap();
    }
    assert_eq!(row(&doctor(&sandbox, 0), "locks"), "ok: no stale lock");
    for lock in locks.iter().chain(&["index.lock"]) {
        make_old(&git.join(lock));
    }
    let output = doctor(&sandbox, 1);
    let stale = rows(&output, "lock");
    assert_eq!(stale.len(), locks.len(), "{stale:#?}");
    for lock in locks {
        assert!(
            stale.iter().any(|row| row.contains(lock) && row.ends_with("was created 2 hours ago")),
            "{stale:#?}"
        );
    }
    // The remedies, run exactly as they are printed, solve the problem.
    for row in found(&output, "lock") {
        let remedy = text(&row["remedies"][0]);
        let (_, command) = remedy.split_once("is stale: ").unwrap();
        let _ = sandbox.output(sandbox.command("sh").args(["-c", command])).success();
    }
    assert_eq!(row(&doctor(&sandbox, 0), "locks"), "ok: no stale lock");
}

#[test]
fn the_file_of_a_gc_that_was_killed_is_found() {
    let sandbox = Sandbox::new();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let file = sandbox.repo().join(".git/gc.pid");
    fs::write(&file, format!("{} {}", std::process::id(), host.trim())).unwrap();
    assert!(rows(&doctor(&sandbox, 0), "gc").is_empty(), "it runs");
    fs::write(&file, format!("4999999 {}", host.trim())).unwrap();
    assert!(row(&doctor(&sandbox, 0), "gc").starts_with("warning: "));
}

#[test]
fn a_shallow_clone_is_warned_about() {
    let sandbox = Sandbox::new();
    sandbox.commit("a", "", "one");
    sandbox.commit("b", "", "two");
    let shallow = sandbox.path().join("shallow");
    let url = format!("file://{}", sandbox.repo().display());
    sandbox.git(["clone", "-q", "--depth", "1", &url, shallow.to_str().unwrap()]);
    let mut command = sandbox.pggit_command();
    let output = sandbox.output(command.args(["doctor", "--json"]).current_dir(shallow)).success();
    assert!(row(&output, "history").starts_with("warning: this clone is shallow"));
    assert_eq!(remedy(&output, "history"), "git fetch --unshallow");
}

#[test]
fn a_dangerous_refspec_and_wrong_settings_are_problems() {
    let sandbox = Sandbox::new();
    sandbox.git(["remote", "add", "origin", "/nowhere"]);
    sandbox.git(["config", "--add", "remote.origin.fetch", "+refs/notes/*:refs/notes/*"]);
    sandbox.git(["config", "pggit.main.jobs", "many"]);
    sandbox.git(["config", "pggit.main.ulr", "service=x"]);
    let output = doctor(&sandbox, 1);
    assert!(row(&output, "refspec").starts_with("problem: 'git fetch origin' overwrites"));
    let found = rows(&output, "configuration");
    assert!(found[0].starts_with("warning: unknown key pggit.main.ulr"), "{found:#?}");
    assert!(found[1].starts_with("problem: bad value 'many' for pggit.main.jobs"), "{found:#?}");
    assert_eq!(row(&output, "settings"), "problem: are invalid");
}

#[test]
fn a_role_that_may_too_little_is_told_what_it_needs() {
    let cluster = Cluster::shared();
    let dbname = cluster.create_database("doctor");
    let sandbox = healthy(&cluster, &dbname);
    let role = format!("{dbname}_r");
    cluster.psql(
        &dbname,
        &format!(
            "create role {role} login; create table \"Se cret\" (); create table open (); \
             grant select on open to {role}; create sequence numbers; create schema closed; create table closed.t (); \
             create table rows (); alter table rows enable row level security; grant select on rows to {role}"
        ),
    );
    sandbox.git([
        "config",
        "pggit.main.url",
        &cluster.url(&dbname).replace("user=postgres", &format!("user={role}")),
    ]);
    let output = doctor(&sandbox, 1);
    assert_eq!(
        row(&output, "read"),
        format!("problem: \"{role}\" may not read closed.t, public.\"Se cret\", public.numbers")
    );
    assert_eq!(
        row(&output, "row security"),
        format!("problem: \"{role}\" does not see all rows of public.rows")
    );
    assert_eq!(row(&output, "roles"), format!("problem: \"{role}\" may not read the passwords of roles"));
    assert!(row(&output, "set mark").starts_with("warning: "));
    // A backup of one schema needs privileges on that schema only.
    sandbox.git(["config", "pggit.main.schema", "closed"]);
    assert_eq!(row(&doctor(&sandbox, 1), "read"), format!("problem: \"{role}\" may not read closed.t"));
    // The remedies, exactly as they are printed.
    sandbox.git(["config", "pggit.main.globals", "no-passwords"]);
    cluster.psql(&dbname, &format!("grant pg_read_all_data to {role}; alter role {role} bypassrls"));
    cluster.psql(
        &dbname,
        &format!("grant set on parameter pggit.commit to {role}; alter database {dbname} owner to {role}"),
    );
    sandbox.git(["config", "--unset", "pggit.main.schema"]);
    let output = doctor(&sandbox, 0);
    for check in ["read", "set mark"] {
        assert!(row(&output, check).starts_with("ok: "), "{}", output.snapshot());
    }
    let _ = sandbox.pggit(["mark"]).success();
}

#[test]
fn servers_marks_programs_and_directories_that_are_not_there() {
    let cluster = Cluster::shared();
    let dbname = cluster.create_database("doctor");
    let mut sandbox = healthy(&cluster, &dbname);
    let foreign = "1234567890abcdef1234567890abcdef12345678";
    cluster.psql(&dbname, &format!("alter database {dbname} set pggit.commit = '{foreign}'"));
    assert_eq!(
        row(&doctor(&sandbox, 1), "mark"),
        format!("problem: {foreign} is not a commit of this repository")
    );
    cluster.psql(&dbname, &format!("alter database {dbname} reset pggit.commit"));
    assert!(row(&doctor(&sandbox, 0), "mark").starts_with("warning: no commit is recorded"));

    let missing = sandbox.path().join("missing");
    sandbox.git(["config", "pggit.main.plainDir", missing.to_str().unwrap()]);
    assert_eq!(row(&doctor(&sandbox, 1), "output"), format!("problem: {} does not exist", missing.display()));
    fs::write(&missing, "").unwrap();
    assert_eq!(
        row(&doctor(&sandbox, 1), "output"),
        format!("problem: {} is not a directory", missing.display())
    );
    sandbox.git(["config", "pggit.main.plainDir", "/proc/self"]);
    assert!(row(&doctor(&sandbox, 1), "output").starts_with("problem: /proc/self cannot be written"));
    sandbox.git(["config", "--unset", "pggit.main.plainDir"]);
    assert!(row(&doctor(&sandbox, 0), "store").ends_with("/pggit/store, created by the first backup"));
    sandbox.git(["config", "pggit.store", "/nonexistent/store"]);
    assert!(
        row(&doctor(&sandbox, 1), "store")
            .starts_with("problem: file:///nonexistent/store: there is no store")
    );
    sandbox.git(["config", "--unset", "pggit.store"]);

    let empty = sandbox.path().join("empty");
    fs::create_dir(&empty).unwrap();
    sandbox.set("PGGIT_PGBIN", &empty);
    let output = doctor(&sandbox, 1);
    assert_eq!(row(&output, "pg_dump"), "problem: pg_dump not found");

    sandbox.set("PGGIT_PGBIN", bin_dir());
    sandbox.git(["config", "pggit.main.url", "host=/nonexistent port=1"]);
    let output = doctor(&sandbox, 1);
    assert!(row(&output, "server").starts_with("problem: cannot reach the server"), "{}", output.snapshot());
    assert!(row(&output, "pg_dump").starts_with("ok: "), "the programs are looked for all the same");
    let databases: Vec<Value> =
        output.json()["checks"].as_array().unwrap().iter().map(|row| row["database"].clone()).collect();
    assert!(databases.contains(&"main".into()) && databases.contains(&Value::Null));
}
