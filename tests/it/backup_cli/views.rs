//! Output for users: lists, one record, the log, coverage, differences.

use pggit::clock::System;
use pggit::domain::{Line, Owner};
use pggit::git::Repository;
use pggit::ledger::{Ledger, RecordChange};
use serde_json::{Value, json};

use super::{IDS, append, completed, history, register, registered, world};
use crate::sandbox::Sandbox;

/// Returns the text with columns two spaces apart: the width depends on the ages.
fn squeezed(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if !(c == ' ' && out.ends_with("  ")) {
            out.push(c);
        }
    }
    out
}

fn names(sandbox: &Sandbox, args: &[&str]) -> String {
    let output = sandbox.pggit([&["backup", "list", "--json"], args].concat()).success().json();
    let backups = output["backups"].as_array().expect("a list").clone();
    backups
        .iter()
        .map(|backup| backup["name"].as_str().expect("a name").to_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn list_shows_the_newest_first() {
    let sandbox = world();
    assert_eq!(
        squeezed(&sandbox.pggit(["backup", "list"]).snapshot()),
        "ID  NAME  DATABASE  COMMIT  TYPE  TOOL  STATUS  SIZE  STORED  AGE  VERIFIED  FLAGS\n\
         [COMMIT1]  nightly  stats  [COMMIT2] three  full  pg_dump  in_progress  -  -  [AGO]  -\n\
         [COMMIT3]  hourly  shop  [COMMIT4] two  incremental  pgbackrest  failed  -  -  [AGO]  -\n\
         [COMMIT5]  base  shop  [COMMIT6] one  full  pg_dump  completed  1.2 GiB  205 MiB  [AGO]  checksum [AGO]\n\
         [exit 0]\n"
    );
    let ids = sandbox.pggit(["backup", "list", "--ids", "--reverse"]).success().stdout_text();
    assert_eq!(ids.lines().collect::<Vec<_>>(), &IDS[..3]);
    let colourful = sandbox.pggit(["backup", "list", "--color=always"]).success().stdout_text();
    assert!(
        colourful.contains("\x1b[33m01aa0001\x1b[m  base") && colourful.contains("\x1b[32mcompleted\x1b[m"),
        "{colourful}"
    );
}

#[test]
fn filters_and_order_of_the_list() {
    let sandbox = world();
    for (args, expected) in [
        (&["--database", "shop"][..], "hourly base"),
        (&["-d", "shop", "-d", "stats"], "nightly hourly base"),
        (&["--commit", "HEAD~1"], "hourly"),
        (&["--branch", "main"], "nightly"),
        (&["--status", "failed", "--status", "completed"], "hourly base"),
        (&["--status", "interrupted"], ""),
        (&["--type", "full"], "nightly base"),
        (&["--tool", "pgbackrest"], "hourly"),
        (&["--name", "base"], "base"),
        (&["--tag", "pinned"], "base"),
        (&["--tag", "pinned=no"], ""),
        (&["--since", "2020-11-21T03:04:00Z"], "nightly hourly"),
        (&["--until", "2020-11-21T03:04:00Z"], "base"),
        (&["--limit", "1"], "nightly"),
        (&["--sort", "name"], "base hourly nightly"),
        (&["--sort", "name", "--reverse", "--limit", "1"], "nightly"),
        (&["--sort", "size"], "base nightly hourly"),
        (&["--sort", "status"], "base hourly nightly"),
    ] {
        assert_eq!(names(&sandbox, args), expected, "{args:?}");
    }
    assert_eq!(
        sandbox.pggit(["backup", "list", "--tag", "none"]).snapshot(),
        "[stderr]\nhint: no backup matches the filters\n[exit 0]\n"
    );
    assert_eq!(
        history().pggit(["backup", "list"]).snapshot(),
        "[stderr]\nhint: there are no backups yet; 'git pggit backup create' makes one\n[exit 0]\n"
    );
}

#[test]
fn list_as_json_has_whole_records() {
    let sandbox = world();
    let backups = sandbox.pggit(["backup", "list", "--json"]).success().json();
    let base = &backups["backups"][2];
    assert_eq!(base["id"], IDS[0]);
    assert_eq!(base["displayed_status"], "completed");
    assert_eq!(base["size_bytes"], 1_288_490_189);
    assert_eq!(base["tool"], json!({ "name": "pg_dump", "version": "15.18" }));
    assert_eq!(base["verifications"][0]["status"], "passed");
    assert_eq!(base.get("error"), None);
}

#[test]
fn show_tells_the_whole_story() {
    let sandbox = world();
    sandbox.git(["branch", "old", "HEAD~2"]);
    sandbox.git(["tag", "-a", "-m", "first", "v1", "HEAD~2"]);
    assert_eq!(
        sandbox.pggit(["backup", "show", "base"]).snapshot(),
        "backup [ID1] completed\n\
         Name:        base\n\
         Database:    shop\n\
         Commit:      [COMMIT1] one (old, tag: v1)\n\
         Type:        full\n\
         Tool:        pg_dump 15.18\n\
         Size:        1.2 GiB (1288490189 bytes)\n\
         Stored:      205 MiB (214748364 bytes)\n\
         Registered:  [TIME] by Ada <ada@example.com> on db1\n\
         Completed:   [TIME]\n\
         Needed by:   [ID2] hourly (failed)\n\
         Tags:        pinned\n\
         Verified:    checksum passed [TIME] by Ada <ada@example.com>\n\
         Events:      [TIME] registered by Ada <ada@example.com> on db1\n             \
                      [TIME] completed by Ada <ada@example.com> on db1\n             \
                      [TIME] verified by Ada <ada@example.com> on db1: checksum: passed\n\
         Ledger:      refs/backups/[COMMIT1] in [COMMIT2]\n\
         [exit 0]\n"
    );
    assert_eq!(
        sandbox.pggit(["backup", "show", "01aa0002"]).snapshot(),
        "backup [ID1] failed\n\
         Name:        hourly\n\
         Database:    shop\n\
         Commit:      [COMMIT1] two\n\
         Type:        incremental\n\
         Tool:        pgbackrest\n\
         Registered:  [TIME] by Ada <ada@example.com> on db1\n\
         Error:       disk-full: no space\n             \
                      left\n\
         Needs:       [ID2] base (completed)\n\
         Events:      [TIME] registered by Ada <ada@example.com> on db1\n             \
                      [TIME] failed by Ada <ada@example.com> on db1: disk-full: no space\n\
         Ledger:      refs/backups/[COMMIT1] in [COMMIT2]\n\
         [exit 0]\n"
    );
    let json = sandbox.pggit(["backup", "show", "oldest", "--json"]).success().json();
    assert_eq!(json["needed_by"], json!([IDS[1]]));
    assert_eq!(json["names"], json!(["old", "tag: v1"]));
    assert_eq!((json["events"].as_array().unwrap().len(), &json["subject"]), (3, &json!("one")));
    assert_eq!(json["ledger"]["ref"], format!("refs/backups/{}", sandbox.git(["rev-parse", "old"])));
}

#[test]
fn log_is_the_audit_trail() {
    let sandbox = world();
    assert_eq!(
        squeezed(&sandbox.pggit(["backup", "log"]).snapshot()),
        "AT  EVENT  BACKUP  NAME  DATABASE  BY  HOST  DETAIL\n\
         [TIME]  registered  [COMMIT1]  nightly  stats  Ada <ada@example.com>  db1\n\
         [TIME]  failed  [COMMIT2]  hourly  shop  Ada <ada@example.com>  db1  disk-full: no space\n\
         [TIME]  registered  [COMMIT2]  hourly  shop  Ada <ada@example.com>  db1\n\
         [TIME]  verified  [COMMIT3]  base  shop  Ada <ada@example.com>  db1  checksum: passed\n\
         [TIME]  completed  [COMMIT3]  base  shop  Ada <ada@example.com>  db1\n\
         [TIME]  registered  [COMMIT3]  base  shop  Ada <ada@example.com>  db1\n\
         [exit 0]\n"
    );
    let kinds = |args: &[&str]| -> Vec<String> {
        let output = sandbox.pggit([&["backup", "log", "--json"], args].concat()).success().json();
        output["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["kind"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(kinds(&["base", "--limit", "2"]), ["verified", "completed"]);
    assert_eq!(kinds(&["-d", "stats"]), ["registered"]);
}

#[test]
fn coverage_by_branch_and_by_commit() {
    let sandbox = world();
    sandbox.git(["branch", "old", "HEAD~2"]);
    assert_eq!(
        squeezed(&sandbox.pggit(["backup", "coverage"]).snapshot()),
        "BRANCH  TIP  STATE  BACKUPS  VERIFIED  NEAREST  BEHIND  MIGRATIONS\n\
         main  [COMMIT1]  in_progress  1  -  [COMMIT2] one  2  -\n\
         old  [COMMIT2]  ok  1  checksum [AGO]  [COMMIT2] one  0  0\n\
         3 backups: 1 completed, 1 failed, 1 in progress; 205 MiB stored\n\
         [exit 0]\n"
    );
    assert_eq!(
        sandbox.pggit(["backup", "coverage", "--commits", "HEAD~2..HEAD", "--exit-code"]).snapshot(),
        "COMMIT      STATE        BACKUPS  VERIFIED  SUBJECT\n\
         [COMMIT1]  in_progress        1  -         three\n\
         [COMMIT2]  failed             1  -         two\n\
         0 of 2 commits can be restored\n\
         [exit 1]\n"
    );
    let exit = |args: &[&str]| sandbox.pggit([&["backup", "coverage", "--exit-code"], args].concat()).status;
    assert_eq!((exit(&[]), exit(&["--branch", "old"]), exit(&["--commits", "old"])), (1, 0, 0));
    completed(&sandbox, IDS[2], 7);
    assert_eq!(exit(&[]), 0);
    let json = sandbox.pggit(["backup", "coverage", "--json"]).success().json();
    assert_eq!(json["branches"][0]["commits_since"], 0);
    assert_eq!(json["totals"]["by_status"], json!({ "completed": 2, "failed": 1 }));
}

#[test]
fn branches_that_meet_at_a_commit_count_its_backups_once() {
    let sandbox = history();
    for branch in ["a", "b", "c"] {
        sandbox.git(["branch", branch]);
    }
    registered(&sandbox, IDS[0], 1, "HEAD", json!({}));
    completed(&sandbox, IDS[0], 2);
    let json = sandbox.pggit(["backup", "coverage", "--json"]).success().json();
    assert_eq!(
        json["totals"],
        json!({ "backups": 1, "by_status": { "completed": 1 }, "stored_bytes": 214_748_364 })
    );
    let counted = json["branches"].as_array().unwrap();
    assert!(counted.len() == 4 && counted.iter().all(|branch| branch["tip"]["backups"] == 1), "{json}");
    // The coverage of a merge equals that of git.
    sandbox.git(["switch", "-q", "a"]);
    sandbox.commit("a.sql", "a", "on a");
    sandbox.git(["switch", "-q", "b"]);
    sandbox.commit("b1.sql", "b", "on b");
    sandbox.commit("b2.sql", "b", "on b again");
    sandbox.git(["merge", "-q", "--no-ff", "-m", "merge a", "a"]);
    let json = sandbox.pggit(["backup", "coverage", "--branch", "b", "--json"]).success().json();
    assert_eq!(
        json["branches"][0]["commits_since"].to_string(),
        sandbox.git(["rev-list", "--count", "c..b"])
    );
}

#[test]
fn a_full_backup_that_is_gone_leaves_no_full_backup() {
    let sandbox = history();
    registered(&sandbox, IDS[0], 1, "HEAD~1", json!({ "name": "base" }));
    completed(&sandbox, IDS[0], 2);
    let needs = json!([{ "id": IDS[0], "kind": "base" }]);
    registered(&sandbox, IDS[1], 3, "HEAD", json!({ "type": "incremental", "depends_on": needs }));
    completed(&sandbox, IDS[1], 4);
    let states = |sandbox: &Sandbox| -> Vec<Value> {
        let json = sandbox.pggit(["backup", "coverage", "--commits", "HEAD~2..", "--json"]).success().json();
        json["commits"].as_array().unwrap().iter().map(|commit| commit["state"].clone()).collect()
    };
    assert_eq!(states(&sandbox), ["ok", "ok"]);
    append(&sandbox, IDS[0], 5, json!({ "kind": "expired", "reason": "old" }));
    assert_eq!(states(&sandbox), ["no_full_backup", "no_backup"]);
}

#[test]
fn what_has_failed_its_latest_verification_is_no_coverage() {
    let sandbox = history();
    registered(&sandbox, IDS[0], 1, "HEAD~1", json!({ "name": "base" }));
    completed(&sandbox, IDS[0], 2);
    let needs = json!([{ "id": IDS[0], "kind": "base" }]);
    registered(
        &sandbox,
        IDS[1],
        3,
        "HEAD",
        json!({ "name": "hourly", "type": "incremental", "depends_on": needs }),
    );
    completed(&sandbox, IDS[1], 4);
    let coverage = ["backup", "coverage", "--commits", "HEAD~2..", "--exit-code"];
    let verdict = |minute: u32, status: &str| {
        let event = json!({ "kind": "verified", "verification": "checksum", "status": status });
        append(&sandbox, IDS[0], minute, event);
    };
    verdict(5, "passed");
    sandbox.pggit(coverage).success();
    verdict(6, "failed");
    let text = sandbox.pggit(coverage).fails(1).stdout_text();
    assert_eq!(text.matches("verification_failed").count(), 2, "{text}");
    let said = sandbox.pggit(["backup", "find", "HEAD"]).fails(10).stderr_text();
    let because = [
        format!("hourly on {{}}: it needs backup {}, which has failed its latest verification", IDS[0]),
        "base on {}: it has failed its latest verification".to_owned(),
    ];
    for (because, commit) in because.iter().zip(["HEAD", "HEAD~1"]) {
        let commit = sandbox.git(["rev-parse", "--short=10", commit]);
        assert!(said.contains(&because.replace("{}", &commit)), "{because}: {said}");
    }
    verdict(7, "passed");
    sandbox.pggit(coverage).success();
}

/// Records the schema of a backup, as `backup create` does.
fn record_schema(sandbox: &Sandbox, id: &str, schema: &str) {
    let repository = Repository::discover(&sandbox.repo()).expect("it is a repository");
    let host = Line::lossy("db1");
    let body = pggit::domain::Tagged { key: "schema".parse().expect("a tag"), value: Line::default() };
    let change = RecordChange { bodies: vec![body.into()], schema: Some(schema.into()) };
    Ledger::new(&repository, &System, &host)
        .append(id.parse().expect("an id"), |_| Ok(change.clone()))
        .expect("it is written");
}

#[test]
fn diff_is_git_s() {
    let sandbox = history();
    sandbox.git(["config", "user.name", "Ada"]);
    sandbox.git(["config", "user.email", "ada@example.com"]);
    let (old, new) =
        (register(&sandbox, &["--size=1", "--name=old"]), register(&sandbox, &["--size=1", "--name=new"]));
    assert_eq!(
        sandbox.pggit(["backup", "diff", "old", "new"]).snapshot(),
        "[stderr]\nerror: no schema is recorded with backup [ID1] (old)\n\
         hint: 'git pggit backup create' records the schema; backups of other programs have none\n[exit 10]\n"
    );
    record_schema(&sandbox, &old, "create table a ();\n");
    record_schema(&sandbox, &new, "create table a ();\ncreate table b ();\n");
    let text = sandbox.pggit(["backup", "diff", "old", "new"]).success().stdout_text();
    assert!(text.starts_with(&format!("diff --git a/.pggit/{old}.sql b/.pggit/{new}.sql\n")), "{text}");
    assert!(text.ends_with("@@ -1 +1,2 @@\n create table a ();\n+create table b ();\n"), "{text}");
    let colours = sandbox.pggit(["backup", "diff", "old", "new", "--color=always"]).success().stdout_text();
    assert!(colours.contains("\x1b[32m+\x1b[m\x1b[32mcreate table b"), "{colours:?}");
    let stat =
        sandbox.pggit(["backup", "diff", "old", "new", "--stat", "--exit-code"]).fails(1).stdout_text();
    assert!(stat.ends_with("1 file changed, 1 insertion(+)\n"), "{stat}");
    assert_eq!(sandbox.pggit(["backup", "diff", "old", "old", "--exit-code"]).snapshot(), "[exit 0]\n");
    assert_eq!(sandbox.pggit(["backup", "diff", "old", "new", "--exit-code", "-q"]).snapshot(), "[exit 1]\n");
    assert_eq!(sandbox.pggit(["backup", "diff", "old", "new", "--json"]).success().json()["differs"], true);
    assert_eq!(
        sandbox.pggit(["backup", "cat", "old", "schema"]).snapshot(),
        "create table a ();\n[exit 0]\n"
    );
}

/// Returns the owners of three attempts: one from before the last boot, this process, and one on another
/// host.
pub(super) fn owners() -> [Value; 3] {
    let me = Owner::current().expect("this process is known");
    let dead = Owner { boot_id: Line::lossy("before"), ..me.clone() };
    let far = Owner { host: Line::lossy("far.example"), ..me.clone() };
    [dead, me, far].map(|owner| json!(owner))
}

#[test]
fn a_dead_owner_is_shown_as_interrupted_everywhere() {
    let sandbox = history();
    for ((id, owner), name) in IDS.iter().zip(owners()).zip(["dead", "alive", "far"]) {
        registered(&sandbox, id, 1, "HEAD", json!({ "name": name }));
        append(&sandbox, id, 2, json!({ "kind": "started", "attempt": 1, "owner": owner }));
    }
    assert_eq!(names(&sandbox, &["--status", "interrupted"]), "dead");
    assert_eq!(names(&sandbox, &["--status", "in_progress", "--sort", "name"]), "alive far");
    let list = sandbox.pggit(["backup", "list", "--name=dead"]).success().stdout_text();
    assert!(list.contains("  interrupted  "), "{list}");
    let json = sandbox.pggit(["backup", "show", "dead", "--json"]).success().json();
    assert_eq!((&json["status"], &json["displayed_status"]), (&json!("in_progress"), &json!("interrupted")));
    let totals = sandbox.pggit(["backup", "coverage"]).success().stdout_text();
    assert!(totals.ends_with("3 backups: 2 in progress, 1 interrupted; 0 B stored\n"), "{totals}");
}
