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

#[test]
fn a_lost_database_comes_back_with_its_properties() {
    let history = crate::restore_commit::History::new();
    let (name, role) = (history.database.clone(), format!("{}_app", history.database));
    let of = |sql: &str| history.cluster.psql("postgres", sql);
    of(&format!("create role \"{role}\" login"));
    for sql in [
        format!("alter database \"{name}\" owner to \"{role}\""),
        format!("comment on database \"{name}\" is 'the \"shop\"; it''s'"),
        format!("alter database \"{name}\" connection limit 7"),
        format!("alter database \"{name}\" set work_mem to '5MB'"),
        format!("alter role \"{role}\" in database \"{name}\" set search_path to 'a', 'b c'"),
        format!("revoke connect on database \"{name}\" from public"),
        format!("grant create on database \"{name}\" to \"{role}\" with grant option"),
    ] {
        of(&sql);
    }
    history.pggit(&["mark", "--database", "shop"]).success();
    let facts = |dbname: &str| {
        of(&format!(
            "select pg_get_userbyid(datdba), datconnlimit, array(select a::text from unnest(datacl) a order by 1), shobj_description(d.oid, 'pg_database'), \
             array(select coalesce(pg_get_userbyid(nullif(setrole, 0)), '-') || s.setconfig::text \
             from pg_db_role_setting s where s.setdatabase = d.oid order by 1) \
             from pg_database d where datname = '{dbname}'"
        ))
    };
    let before = facts(&name);
    history.backup("last");
    of(&format!("drop database \"{name}\""));
    let restored = history.pggit(&["backup", "restore", "last", "--into", &name, "--json"]).success().json();
    assert_eq!(restored["not_set"], serde_json::json!([]));
    assert_eq!(facts(&name), before);
    // Another name is another database.
    history.restore("last", &[]).success();
    assert!(facts(&history.copy()).starts_with("postgres|-1|{}|"), "{}", facts(&history.copy()));
    // A role that is missing is named, and the rest is set.
    of(&format!("drop database \"{name}\""));
    of(&format!("drop database \"{}\"", history.copy()));
    of(&format!("drop role \"{role}\""));
    let restored = history.pggit(&["backup", "restore", "last", "--into", &name]).success().stderr_text();
    assert!(restored.contains("not set: ALTER DATABASE") && restored.contains(&role), "{restored}");
    assert!(facts(&name).contains("|7|"), "{}", facts(&name));
    // What is not restored is not set.
    of(&format!("drop database \"{name}\""));
    let options = ["--no-owner", "--no-privileges"];
    let args = [&["backup", "restore", "last", "--into", &name][..], &options].concat();
    history.pggit(&args).success();
    assert!(facts(&name).starts_with("postgres|7|{}|"), "{}", facts(&name));
}
