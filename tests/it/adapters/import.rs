//! Importing the backups of a tool, and comparing its catalogue with the ledger.

use std::collections::BTreeSet;

use pggit::domain::{Backup, BackupType, Status};

use super::Rig;
use crate::sandbox::Sandbox;

fn long() -> bool {
    std::env::var_os("PGGIT_TEST_LONG").is_some()
}

fn ids(records: &[Backup]) -> BTreeSet<String> {
    records.iter().map(|record| record.id.to_string()).collect()
}

#[test]
fn a_repository_of_existing_backups_is_imported_once_in_every_clone() {
    let rig = Rig::with_pgbackrest();
    let count = if long() { 30 } else { 5 };
    rig.pgbackrest(&["--type=full", "backup"]);
    let older = rig.sandbox.git(["rev-parse", "HEAD"]);
    for _ in 2..count {
        rig.pgbackrest(&["--type=incr", "backup"]);
    }
    // One backup is annotated with a commit that was not the current one.
    let annotated = rig.sandbox.git(["rev-parse", "HEAD~1"]);
    rig.pgbackrest(&["--type=diff", &format!("--annotation=pggit.commit={annotated}"), "backup"]);
    rig.sandbox.commit("3.sql", "-- later", "later");
    let text = rig.pggit(&["backup", "import"]).success();
    assert!(
        text.stderr_text().contains(&format!(
            "imported {count} of {count} backups from pgbackrest; 0 were already recorded"
        )),
        "{}",
        text.snapshot()
    );
    let records = rig.records();
    assert_eq!(records.len(), count);
    for record in &records {
        assert_eq!((record.status, record.metadata.as_map()["imported"] == true), (Status::Completed, true));
        assert!(record.started_at < record.completed_at && record.postgres.is_some());
        assert_eq!(record.depends_on.len(), usize::from(record.kind != BackupType::Full));
        let source = record.metadata.as_map()["commit_source"].as_str().unwrap();
        match record.kind {
            BackupType::Differential => {
                assert_eq!((source, record.commit.as_str()), ("annotation", annotated.as_str()));
            }
            _ => assert_eq!((source, record.commit.as_str()), ("inferred", older.as_str())),
        }
    }
    let again = rig.pggit(&["backup", "import", "--json"]).success().json();
    assert!(again["backups"].as_array().unwrap().iter().all(|it| it["outcome"] == "known"), "{again:#}");
    assert_eq!(rig.records().len(), count);
    rig.pggit(&["fsck"]).success();
    rig.pggit(&["backup", "reconcile"]).success();
    // Another clone without these records derives the same ids.
    let refs =
        rig.sandbox.git(["for-each-ref", "--format=delete %(refname)", "refs/backups/", "refs/notes/"]);
    for line in refs.lines() {
        rig.sandbox.git(["update-ref", "-d", line.trim_start_matches("delete ")]);
    }
    rig.pggit(&["backup", "import", "--tool", "pgbackrest", "--stanza", "main"]).success();
    assert_eq!(ids(&rig.records()), ids(&records));
}

#[test]
fn what_a_catalogue_does_not_say_is_not_made_up() {
    let sandbox = Sandbox::new();
    sandbox.commit("1.sql", "select 1", "one");
    sandbox.pggit(["database", "add", "shop", "--url", "postgresql:///shop?host=/nowhere"]).success();
    let list = sandbox.path().join("list.json");
    let bare = r#"{"label":"a","location":"x:a","type":"full","stopped_at":"2001-01-01T00:00:00Z"}"#;
    let broken = r#"{"label":"b","location":"x:b","type":"full","unusable":"torn"}"#;
    let child = r#"{"label":"c","location":"x:c","type":"incremental","parent":"a","stopped_at":"2001-01-02T00:00:00Z"}"#;
    std::fs::write(&list, format!("{{\"backups\":[{child},{broken},{bare}]}}")).unwrap();
    sandbox.git(["config", "pggit.tool.x.list", &format!("cat '{}'", list.display())]);
    let out = sandbox.pggit(["backup", "import", "--tool", "x"]).success();
    assert!(out.stderr_text().contains("skipped b: torn"), "{}", out.snapshot());
    assert!(out.stderr_text().contains("imported 2 of 3"), "{}", out.snapshot());
    sandbox.pggit(["fsck"]).success();
    let backups = sandbox.pggit(["backup", "list", "--json"]).success().json();
    let backups = backups["backups"].as_array().unwrap();
    assert_eq!((backups.len(), &backups[0]["depends_on"][0]["id"]), (2, &backups[1]["id"]), "{backups:#?}");
    // The backup ended before the first commit.
    assert!(
        backups[0]["metadata"]["inferred"]
            .as_str()
            .unwrap()
            .starts_with("older than the first commit of main")
    );
    let seen = sandbox.pggit(["backup", "reconcile", "--tool", "x"]).fails(1);
    assert!(seen.stdout_text().contains("unknown  x:b (torn)"), "{}", seen.snapshot());
}

#[test]
fn a_lost_ledger_comes_back_with_the_ids_that_it_had() {
    let rig = Rig::with_pgbackrest();
    let (full, incr) = (rig.create(&["--commit", "HEAD~1"]), rig.create(&["--type", "incremental"]));
    for name in rig.sandbox.git(["for-each-ref", "--format=%(refname)", "refs/backups/"]).lines() {
        rig.sandbox.git(["update-ref", "-d", name]);
    }
    assert_eq!(rig.records(), []);
    rig.pggit(&["backup", "import"]).success();
    let back = rig.records();
    assert_eq!(ids(&back), ids(&[full.clone(), incr.clone()]));
    for (before, after) in
        [(&full, back.iter().find(|it| it.id == full.id)), (&incr, back.iter().find(|it| it.id == incr.id))]
    {
        let after = after.unwrap();
        assert_eq!(
            (&before.commit, &before.location, before.kind),
            (&after.commit, &after.location, after.kind)
        );
        assert_eq!((&before.depends_on, before.stored_bytes), (&after.depends_on, after.stored_bytes));
    }
}

#[test]
fn what_is_gone_unknown_or_changed_is_said_and_marked_only_when_asked() {
    let rig = Rig::with_pgbackrest();
    let (first, second) = (rig.create(&[]), rig.create(&[]));
    let label = |backup: &Backup| backup.metadata.as_map()["label"].as_str().unwrap().to_owned();
    rig.pgbackrest(&["expire", &format!("--set={}", label(&first))]);
    rig.pgbackrest(&["--type=incr", "backup"]);
    rig.pgbackrest(&[
        &format!("--set={}", label(&second)),
        "--annotation=pggit.commit=1111111111111111111111111111111111111111",
        "annotate",
    ]);
    let found = rig.pggit(&["backup", "reconcile", "--json"]).fails(1).json();
    assert_eq!(
        (found["gone"][0]["id"].as_str(), found["same"].as_u64()),
        (Some(&*first.id.to_string()), Some(0)),
        "{found:#}"
    );
    assert_eq!(
        (found["unknown"].as_array().unwrap().len(), found["changed"].as_array().unwrap().len()),
        (1, 1)
    );
    assert!(
        found["changed"][0]["changes"][0].as_str().unwrap().contains("annotated with commit 1111111111"),
        "{found:#}"
    );
    // No event was written.
    assert!(rig.records().iter().all(|record| record.status == Status::Completed));
    // An unreadable catalogue does not make backups count as missing.
    rig.config("pgbackrestStanza", "typo");
    rig.pggit(&["backup", "reconcile", "--record"]).fails(10);
    rig.config("pgbackrestStanza", "main");
    let moved = rig.dir.join("repo-away");
    std::fs::rename(rig.dir.join("repo"), &moved).unwrap();
    rig.pggit(&["backup", "reconcile", "--record"]).fails(10);
    std::fs::rename(&moved, rig.dir.join("repo")).unwrap();
    assert!(rig.records().iter().all(|record| record.status == Status::Completed));
    let recorded = rig.pggit(&["backup", "reconcile", "--record"]).fails(1);
    assert!(recorded.stdout_text().contains("(recorded as deleted)"), "{}", recorded.snapshot());
    let gone = rig.records().into_iter().find(|record| record.id == first.id).unwrap();
    assert_eq!(gone.status, Status::Deleted);
    let rest = rig.pggit(&["backup", "reconcile", "--json"]).fails(1).json();
    assert_eq!(rest["gone"].as_array().unwrap().len(), 0);
}

#[test]
fn a_backup_whose_maker_died_after_the_tool_was_done_is_completed_by_import() {
    let mut rig = Rig::with_pgbackrest();
    rig.sandbox.set("PGGIT_CRASH_AT", "backup.published");
    assert_ne!(rig.pggit(&["backup", "create"]).status, 0);
    rig.sandbox.set("PGGIT_CRASH_AT", "");
    assert_eq!(rig.records()[0].status, Status::InProgress);
    let seen = rig.pggit(&["backup", "reconcile"]).fails(1);
    assert!(seen.stdout_text().contains("is complete, but not recorded as completed"), "{}", seen.snapshot());
    rig.pggit(&["backup", "import"]).success();
    let records = rig.records();
    assert_eq!((records.len(), records[0].status), (1, Status::Completed));
    rig.pggit(&["backup", "reconcile"]).success();
}

#[test]
fn backups_of_barman_are_imported() {
    let rig = Rig::with_barman(&super::barman::debians());
    rig.barman(&["backup", "--wait", "main"]);
    rig.pggit(&["backup", "import", "--tool", "barman", "--server", "main"]).success();
    rig.pggit(&["backup", "import"]).success();
    let records = rig.records();
    assert_eq!((records.len(), records[0].tool.name.as_str()), (1, "barman"));
    assert_eq!(records[0].metadata.as_map()["commit_source"], "inferred");
    rig.pggit(&["backup", "reconcile"]).success();
    let unknown = rig.pggit(&["backup", "import", "--server", "nope"]).fails(10);
    assert!(unknown.stderr_text().contains("nope"), "{}", unknown.snapshot());
    rig.pggit(&["backup", "import", "--server", "--config=x"]).fails(129);
    rig.pggit(&["backup", "import", "--stanza", "../x", "--tool", "pgbackrest"]).fails(129);
}
