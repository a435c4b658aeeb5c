//! Restores are recorded in the ledger.

use std::os::unix::fs::PermissionsExt as _;

use crate::restore_commit::History;

#[test]
fn who_restored_what_where_to_is_recorded_and_shown() {
    let mut history = History::new();
    history.sandbox.set("PGPASSWORD", "hunter2");
    history.backup("first");
    let to = history.commit("0002_items.sql", "create table items (id int primary key);");
    let _ = history.restore("HEAD", &["--dry-run"]).success();
    let _ = history.pggit(&["with", "HEAD", "--", "true"]).success();
    let show = |history: &History| history.pggit(&["backup", "show", "first", "--json"]).success().json();
    assert_eq!(show(&history)["restores"], serde_json::Value::Null, "temporary restores are not recorded");

    history.restore("HEAD", &[]).success();
    let shown = show(&history);
    let restored = &shown["restores"][0];
    let target = restored["target"].as_str().unwrap();
    assert!(
        target.starts_with("postgresql://postgres@") && target.ends_with(&format!("/{}", history.copy()))
    );
    assert_eq!((&restored["mode"], &restored["commit"]), (&"clone".into(), &to.as_str().into()));
    assert_eq!(restored["by"], "Ada <ada@example.com>");
    let details = &restored["details"];
    assert_eq!(details["schema"], "equal");
    assert_eq!(details["ran"], serde_json::json!(["0002_items.sql"]));
    assert_eq!(details["schema_compared_with"], "the schema that 2 migrations create in an empty database");
    assert!(details["duration_s"].as_f64().unwrap() > 0.0 && details["size_bytes"].as_u64().unwrap() > 0);
    assert!(!shown.to_string().contains("hunter2"));
    let text = history.pggit(&["backup", "show", "first"]).success().stdout_text();
    assert!(
        text.lines().any(|line| line.starts_with("Restored:    clone ") && line.contains(target)),
        "{text}"
    );
    let log = history.pggit(&["backup", "log", "first", "--limit", "1"]).success().stdout_text();
    assert!(log.contains("restored") && log.contains(&format!("clone at commit {}", &to[..7])), "{log}");
    let note = history.sandbox.git([
        "log",
        "-1",
        "--format=%s",
        &format!("refs/backups/{}", shown["commit"].as_str().unwrap()),
    ]);
    assert!(note.starts_with("backup: restored first ("), "{note}");

    // A schema difference is recorded too.
    history.cluster.psql("postgres", &format!("drop database {}", history.copy()));
    history.commit("0003_more.sql", "create table more (id int); create table \"of owner\" (id int);");
    history.sandbox.git(["commit", "-q", "--allow-empty", "-m", "later"]);
    history.migrate("0004_last.sql", "create table last (id int);");
    history.backup("hand-made");
    history.restore("first", &["--commit", "HEAD", "--allow-schema-difference"]).success();
    let details = show(&history)["restores"][1]["details"].clone();
    assert_eq!(details["schema"], "differs");
    assert!(details["schema_difference"].as_str().unwrap().contains("CREATE TABLE"), "{details}");

    // All commands that read the ledger support the event.
    let _ = history.pggit(&["fsck"]).success();
    let export = history.sandbox.output(history.sandbox.pggit_command().args(["ledger", "export"])).success();
    assert!(export.stdout_text().contains("\"kind\":\"restored\""));
    let file = history.sandbox.path().join("export");
    std::fs::write(&file, &export.stdout).unwrap();
    let imported = history.pggit(&["ledger", "import", file.to_str().unwrap(), "--json"]).success().json();
    assert_eq!(imported["changed"], serde_json::json!([]), "{imported}");
}

#[test]
fn a_restore_that_cannot_be_recorded_is_a_restore_all_the_same() {
    let history = History::new();
    history.backup("first");
    // The hook forbids all changes of refs.
    let hook = history.sandbox.repo().join(".git/hooks/reference-transaction");
    std::fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = history.restore("latest", &[]).success();
    assert!(
        output.stderr_text().contains("the restore is not recorded in the ledger"),
        "{}",
        output.snapshot()
    );
    assert_eq!(history.copies(), history.copy());
}

#[test]
fn a_migration_that_is_undone_is_a_restore_in_place() {
    let history = History::new();
    let url = history.cluster.url(&history.database);
    let command = [
        "backup",
        "guard",
        "--disconnect",
        "--",
        "psql",
        "-d",
        &url,
        "-c",
        "drop table orders",
        "-c",
        "select 1/0",
    ];
    let output = history.pggit(&command);
    assert_ne!(output.status, 0);
    let shown = history.pggit(&["backup", "show", "latest", "--json"]).success().json();
    let restored = &shown["restores"][0];
    assert_eq!(restored["mode"], "disaster", "{}", output.snapshot());
    assert_eq!(restored["details"]["reason"], "a guarded migration failed");
    let aside = restored["details"]["put_aside"].as_str().unwrap();
    assert!(output.stderr_text().contains(aside), "{}", output.snapshot());
    history.cluster.psql("postgres", &format!("drop database \"{aside}\""));
}
