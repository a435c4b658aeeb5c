//! Commands that change records, as users run them.

use serde_json::json;

use super::views::owners;
use super::{IDS, append, history, pggit_with, register, registered};
use crate::sandbox::Sandbox;

/// Returns one line of `git log` per event of the ledger.
fn audit(sandbox: &Sandbox) -> String {
    let head = sandbox.git(["rev-parse", "HEAD"]);
    sandbox.git([
        "log",
        "--first-parent",
        "--reverse",
        "--format=%s",
        &format!("{head}..refs/backups/{head}"),
    ])
}

#[test]
fn register_prints_the_id_and_records_everything() {
    let sandbox = history();
    let args = [
        "backup",
        "register",
        "--database",
        "shop",
        "--tool",
        "pgbackrest@2.45",
        "--name",
        "weekly",
        "--size",
        "1288490189",
        "--stored-size",
        "214748364",
        "--location",
        "pgbackrest:main/20261121-004914F",
        "--compression",
        "zstd:3",
        "--encryption-key",
        "ops-2026",
        "--digest",
        &format!("sha256:{}", "0a".repeat(32)),
        "--started-at",
        "2026-11-21T00:49:14Z",
        "--completed-at",
        "2026-11-21T00:59:14+00:00",
        "--expires-at",
        "2099-01-01",
        "--label",
        "pinned",
        "--tag",
        "release=2.0",
        "--metadata",
        "-",
        "--postgres-version",
        "15.18",
        "--system-identifier",
        "7575575757575757575",
        "--start-lsn",
        "16/B374D848",
        "--stop-lsn",
        "16/B374D950",
        "--timeline",
        "3",
    ];
    let output = pggit_with(&sandbox, &args, br#"{"rows": 12, "host": {"os": "debian"}}"#);
    assert_eq!(
        output.snapshot(),
        "[ID1]\n[stderr]\nregistered weekly of shop on [COMMIT1] (three)\n[exit 0]\n"
    );
    let id = output.stdout_text().trim().to_owned();
    let json = sandbox.pggit(["backup", "show", &id, "--json"]).success().json();
    for (field, expected) in [
        ("status", json!("completed")),
        ("commit", json!(sandbox.git(["rev-parse", "HEAD"]))),
        ("branch", json!("main")),
        ("type", json!("full")),
        ("tool", json!({ "name": "pgbackrest", "version": "2.45" })),
        ("size_bytes", json!(1_288_490_189)),
        ("stored_bytes", json!(214_748_364)),
        ("location", json!("pgbackrest:main/20261121-004914F")),
        ("encryption", json!({ "key_id": "ops-2026" })),
        ("started_at", json!("2026-11-21T00:49:14.000000Z")),
        ("completed_at", json!("2026-11-21T00:59:14.000000Z")),
        ("expires_at", json!("2099-01-01T00:00:00.000000Z")),
        ("tags", json!({ "pinned": "", "release": "2.0" })),
        ("metadata", json!({ "rows": 12, "host": { "os": "debian" } })),
        ("created_by", json!("Ada <ada@example.com>")),
    ] {
        assert_eq!(json[field], expected, "{field}");
    }
    assert_eq!(json["postgres"]["system_identifier"], "7575575757575757575");
    assert_eq!(
        (&json["postgres"]["stop_lsn"], &json["postgres"]["timeline"]),
        (&json!("16/B374D950"), &json!(3))
    );
    // Both events are in one commit of the ledger.
    assert_eq!(audit(&sandbox), "backup: completed weekly (full, pgbackrest, 1.2 GiB)");
    sandbox.git(["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn register_chooses_the_commit_as_it_is_told() {
    let sandbox = history();
    sandbox.git(["branch", "old", "HEAD~1"]);
    let place = |sandbox: &Sandbox, more: &[&str]| {
        let args = [&["backup", "register", "-d", "shop", "--tool=zfs", "--size=1", "--json"], more].concat();
        let json = sandbox.pggit(args).success().json();
        let subject = sandbox.git(["log", "-1", "--format=%s", json["commit"].as_str().unwrap()]);
        format!("{subject} {}", json.get("branch").map_or("-", |branch| branch.as_str().unwrap()))
    };
    assert_eq!(place(&sandbox, &[]), "three main");
    assert_eq!(place(&sandbox, &["--commit", "HEAD~2"]), "one -");
    assert_eq!(place(&sandbox, &["--branch", "old"]), "two old");
    sandbox.git(["switch", "-q", "--detach", "HEAD~1"]);
    assert_eq!(place(&sandbox, &[]), "two -");
}

#[test]
fn register_takes_the_database_of_the_configuration_and_names_the_backup() {
    let sandbox = history();
    let _added = sandbox.pggit(["database", "add", "shop", "--url", "service=shop"]).success();
    let json = sandbox.pggit(["backup", "register", "--tool=zfs", "--size=1", "--json"]).success().json();
    let name = json["name"].as_str().unwrap();
    assert_eq!(json["database"], "shop");
    assert!(
        name.starts_with("shop-20") && name.ends_with('Z') && name.len() <= "shop-20261121T034006.123Z".len(),
        "{name}"
    );
}

#[test]
fn dependencies_have_rules() {
    let sandbox = history();
    let base = register(&sandbox, &["--size=1", "--name=base"]);
    let hourly =
        register(&sandbox, &["--size=1", "--name=hourly", "--type=incremental", "--depends-on", "base"]);
    register(&sandbox, &["--size=1", "--name=later", "--type=incremental", "--depends-on", &hourly]);
    let kind =
        |name: &str| sandbox.pggit(["backup", "show", name, "--json"]).success().json()["depends_on"].clone();
    assert_eq!(kind("hourly"), json!([{ "id": base, "kind": "base" }]));
    assert_eq!(kind("later"), json!([{ "id": hourly, "kind": "incremental_chain" }]));
    let refused = |more: &[&str]| {
        let args = [&["backup", "register", "-d", "shop", "--tool=zfs", "--size=1"], more].concat();
        sandbox.pggit(args).fails(12).snapshot()
    };
    assert_eq!(
        refused(&["--type=incremental"]),
        "[stderr]\nerror: an incremental backup depends on another one\nhint: name the parent backup with --depends-on <backup>\n[exit 12]\n"
    );
    assert!(refused(&["--depends-on=base"]).contains("a full backup depends on no other backup"));
    assert!(
        refused(&["--type=differential", "--depends-on=hourly"])
            .contains("a differential backup cannot depend on an incremental backup")
    );
    let _other =
        sandbox.pggit(["backup", "register", "-d=stats", "--tool=zfs", "--size=1", "--name=other"]).success();
    assert!(
        refused(&["--type=incremental", "--depends-on=other"])
            .contains("is of database `stats`, not of `shop`")
    );
    let _unknown = sandbox
        .pggit(["backup", "register", "-d=shop", "--tool=zfs", "--size=1", "--depends-on=none"])
        .fails(10);
    register(&sandbox, &["--in-progress", "--name=half"]);
    assert!(refused(&["--type=incremental", "--depends-on=half"]).contains("is in_progress, not completed"));
}

#[test]
fn a_backup_in_progress_is_started_failed_and_completed() {
    let sandbox = history();
    register(&sandbox, &["--in-progress", "--name", "nightly"]);
    for (args, said) in [
        (&["start", "nightly"][..], "started nightly of shop ([ID1]), attempt 1"),
        (
            &["fail", "nightly", "--message", "no space\nleft", "--code", "disk-full"],
            "failed nightly of shop ([ID1])",
        ),
        (&["start", "nightly", "--started-at", "5m"], "started nightly of shop ([ID1]), attempt 2"),
        (
            &["complete", "nightly", "--size", "1048576", "--attempt", "2"],
            "completed nightly of shop ([ID1]), 1.0 MiB",
        ),
    ] {
        let output = sandbox.pggit([&["backup"], args].concat());
        assert_eq!(output.snapshot(), format!("[stderr]\n{said}\n[exit 0]\n"));
    }
    assert_eq!(
        audit(&sandbox),
        "backup: registered nightly (full, zfs)\nbackup: started nightly (full, zfs)\nbackup: failed nightly (full, zfs)\n\
         backup: started nightly (full, zfs)\nbackup: completed nightly (full, zfs, 1.0 MiB)"
    );
}

#[test]
fn what_the_state_does_not_allow_is_a_conflict() {
    let sandbox = history();
    registered(&sandbox, IDS[0], 1, "HEAD", json!({}));
    let run = |args: &[&str]| sandbox.pggit([&["backup"], args].concat()).snapshot();
    assert_eq!(
        run(&["complete", IDS[0], "--size=1"]),
        "[stderr]\ncompleted nightly of shop ([ID1]), 1 B\n[exit 0]\n"
    );
    let refs = sandbox.git(["for-each-ref"]);
    for (args, verb) in [
        (&["complete", "latest", "--size=1"][..], "completed"),
        (&["fail", "latest", "-m", "x"], "failed"),
        (&["start", "latest"], "started"),
    ] {
        let expected =
            format!("[stderr]\nerror: backup [ID1] cannot be {verb}: the backup is completed\n[exit 12]\n");
        assert_eq!(run(args), expected);
    }
    assert_eq!(sandbox.git(["for-each-ref"]), refs);
    append(&sandbox, IDS[0], 2, json!({ "kind": "expired", "reason": "old" }));
    append(&sandbox, IDS[0], 3, json!({ "kind": "deleted", "reason": "old" }));
    for (args, verb) in [
        (&["tag", IDS[0], "x"][..], "tagged"),
        (&["hold", IDS[0], "--reason", "x"], "held"),
        (&["annotate", IDS[0], "a=b"], "annotated"),
    ] {
        let expected =
            format!("[stderr]\nerror: backup [ID1] cannot be {verb}: the backup is deleted\n[exit 12]\n");
        assert_eq!(run(args), expected);
    }
}

#[test]
fn an_attempt_that_was_replaced_settles_nothing() {
    let sandbox = history();
    register(&sandbox, &["--in-progress", "--name=x"]);
    for _ in 0..2 {
        let _started = sandbox.pggit(["backup", "start", "x"]).success();
    }
    let late = sandbox.pggit(["backup", "complete", "x", "--size=1", "--attempt=1"]);
    assert_eq!(
        late.snapshot(),
        "[stderr]\nerror: backup [ID1] cannot be completed: another attempt is running\n[exit 12]\n"
    );
}

#[test]
fn tags_come_and_go() {
    let sandbox = history();
    register(&sandbox, &["--size=1", "--name=x"]);
    let run = |args: &[&str]| sandbox.pggit([&["backup"], args].concat()).snapshot();
    assert_eq!(
        run(&["tag", "x", "pinned", "ticket=OPS-1: why, how?"]),
        "[stderr]\ntagged x of shop ([ID1]): pinned,ticket=OPS-1: why, how?\n[exit 0]\n"
    );
    let commits = audit(&sandbox);
    assert!(run(&["tag", "x", "pinned"]).ends_with("[exit 0]\n"));
    assert_eq!(audit(&sandbox), commits, "an unchanged value is not an event");
    assert_eq!(run(&["untag", "x", "pinned"]), "[stderr]\nuntagged x of shop ([ID1]): pinned\n[exit 0]\n");
    assert_eq!(
        run(&["untag", "x", "ticket", "pinned"]),
        "[stderr]\nerror: backup [ID1] has no tag 'pinned'\nhint: the backup has ticket=OPS-1: why, how?\n[exit 10]\n"
    );
    let tagged = sandbox.pggit(["backup", "tag", "x", "a=1", "--json"]).success().json();
    assert_eq!(tagged["tags"], json!({ "a": "1", "ticket": "OPS-1: why, how?" }));
}

#[test]
fn holds_are_set_and_released() {
    let sandbox = history();
    register(&sandbox, &["--size=1", "--name=x"]);
    let run = |args: &[&str]| sandbox.pggit([&["backup"], args].concat());
    assert_eq!(
        run(&["hold", "x", "--reason", "audit"]).snapshot(),
        "[stderr]\nheld x of shop ([ID1]): audit\n[exit 0]\n"
    );
    let held = run(&["hold", "x", "--reason", "lawsuit", "--json"]).success().json();
    let first = held["holds"][0]["id"].as_str().unwrap();
    assert_eq!(held["holds"][1]["reason"], "lawsuit");
    assert!(run(&["list"]).stdout_text().contains("  held\n"));
    assert_eq!(
        run(&["release", "x", "--hold", first]).snapshot(),
        "[stderr]\nreleased x of shop ([ID1]): 1 hold left\n[exit 0]\n"
    );
    assert_eq!(
        run(&["release", "x", "--hold", first]).snapshot(),
        "[stderr]\nerror: backup [ID1] has no hold [ID2]\nhint: 'git pggit backup show' lists its holds\n[exit 10]\n"
    );
    let released = run(&["release", "x", "--reason", "over"]);
    assert_eq!(released.snapshot(), "[stderr]\nreleased x of shop ([ID1]): no longer held\n[exit 0]\n");
    assert_eq!(run(&["release", "x"]).snapshot(), "[stderr]\nerror: backup [ID1] has no holds\n[exit 10]\n");
}

#[test]
fn facts_are_added_replaced_and_removed() {
    let sandbox = history();
    register(&sandbox, &["--size=1", "--name=x"]);
    let _annotated = sandbox.pggit(["backup", "annotate", "x", "region=eu", "rows=1=2"]).success();
    let patch = br#"{"rows": 12, "region": null, "deep": {"a": [1]}}"#;
    let json = pggit_with(&sandbox, &["backup", "annotate", "x", "--metadata", "-", "--json"], patch)
        .success()
        .json();
    assert_eq!(json["metadata"], json!({ "rows": 12, "deep": { "a": [1] } }));
    let output = sandbox.pggit(["backup", "annotate", "x", "--remove", "deep"]);
    assert_eq!(output.snapshot(), "[stderr]\nannotated x of shop ([ID1])\n[exit 0]\n");
    let json = sandbox.pggit(["backup", "show", "x", "--json"]).success().json();
    assert_eq!(json["metadata"], json!({ "rows": 12 }));
}

/// Makes three records in progress: the owner is dead, alive, or on another host.
fn orphans() -> Sandbox {
    let sandbox = history();
    for ((id, owner), name) in IDS.iter().zip(owners()).zip(["dead", "alive", "far"]) {
        registered(&sandbox, id, 1, "HEAD", json!({ "name": name }));
        append(&sandbox, id, 2, json!({ "kind": "started", "attempt": 1, "owner": owner }));
    }
    sandbox
}

#[test]
fn records_of_dead_processes_are_settled() {
    let sandbox = orphans();
    let run = |args: &[&str]| sandbox.pggit([&["backup", "fail", "--interrupted"], args].concat()).snapshot();
    assert_eq!(run(&[]), "[stderr]\nsettled dead of shop ([ID1])\n[exit 0]\n");
    assert_eq!(run(&["--all"]), "[stderr]\nno backup was interrupted\n[exit 0]\n");
    assert_eq!(run(&["--json"]), "{\n  \"settled\": []\n}\n[exit 0]\n");
    let error = sandbox.pggit(["backup", "show", "dead", "--json"]).success().json()["error"].clone();
    assert_eq!(error["code"], "interrupted");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.starts_with("process ") && message.ends_with(" exited without completing the backup"),
        "{message}"
    );
    assert_eq!(
        run(&["dead"]),
        "[stderr]\nerror: backup [ID1] was not interrupted: it is failed\n[exit 12]\n"
    );
}

#[test]
fn records_of_living_and_unseen_processes_are_not_settled_by_mistake() {
    let sandbox = orphans();
    let run = |args: &[&str]| sandbox.pggit([&["backup", "fail", "--interrupted"], args].concat()).snapshot();
    let (me, far) = (std::process::id(), "far.example");
    for args in [&["alive"][..], &["alive", "--force"]] {
        let expected = format!(
            "[stderr]\nerror: backup [ID1] was not interrupted: process {me} is working on it\n[exit 12]\n"
        );
        assert_eq!(run(args), expected);
    }
    let expected = format!(
        "[stderr]\nerror: backup [ID1] was not interrupted: process {me} on {far} cannot be observed from this machine\n\
         hint: use --force if that process has certainly exited\n[exit 12]\n"
    );
    assert_eq!(run(&["far"]), expected);
    assert_eq!(run(&["far", "--force"]), "[stderr]\nsettled far of shop ([ID1])\n[exit 0]\n");
    assert_eq!(run(&["dead"]), "[stderr]\nsettled dead of shop ([ID1])\n[exit 0]\n");
    let start = sandbox.pggit(["backup", "start", "alive"]).fails(12);
    assert!(start.stderr_text().contains("is being made by process"), "{}", start.snapshot());
    register(&sandbox, &["--in-progress", "--name=external"]);
    assert_eq!(
        run(&["external"]),
        "[stderr]\nerror: backup [ID1] was not interrupted: no process of git-pggit is making it\n\
         hint: use --message instead\n[exit 12]\n"
    );
}
