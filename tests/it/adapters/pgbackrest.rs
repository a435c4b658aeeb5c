//! pgBackRest: records, restores and failures.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use pggit::domain::{Backup, BackupType, Line, RecoveryTarget};
use pggit::tools::adapter::Target;
use pggit::tools::{Adapter as _, Error, ExternalError};

use super::{Rig, check, execute, subject, succeeds};
use crate::cluster::owner;

fn label(backup: &Backup) -> String {
    let metadata = &backup.metadata.as_map()["label"];
    metadata.as_str().expect("a label").to_owned()
}

#[test]
fn a_chain_is_recorded_as_it_is_restored_to_any_point_and_clones_do_not_archive() {
    let rig = Rig::with_pgbackrest();
    let adapter = rig.adapter_of_pgbackrest();
    // Without a base backup, pgBackRest makes a full one, and the record says so.
    let full = rig.create(&["--type", "differential"]);
    assert_eq!((full.kind, &full.depends_on[..]), (BackupType::Full, &[][..]));
    assert!(format!("{:?}", full.metadata).contains("no prior backup exists"), "{:?}", full.metadata);
    rig.cluster.psql("shop", "insert into orders values (101)");
    let diff = rig.create(&["--type", "differential", "--commit", "HEAD~1"]);
    rig.cluster.psql("shop", "insert into orders values (102)");
    rig.cluster.psql("shop", "select pg_create_restore_point('before')");
    rig.cluster.psql("shop", "insert into orders values (103)");
    let incr = rig.create(&["--type", "incremental"]);
    assert_eq!((diff.kind, diff.depends_on[0].id), (BackupType::Differential, full.id));
    assert_eq!((incr.kind, incr.depends_on[0].id), (BackupType::Incremental, diff.id));
    assert!(incr.stored_bytes < full.stored_bytes && incr.postgres.as_ref().unwrap().stop_lsn.is_some());
    assert_eq!(incr.location.as_ref().unwrap().as_str(), format!("pgbackrest:main/{}", label(&incr)));
    assert_eq!(incr.metadata.as_map()["reference"][0], label(&full));
    // The repository itself contains the ids and the commit.
    let info = String::from_utf8(rig.pgbackrest(&["info", "--output=json"]).stdout).unwrap();
    for known in [full.id.to_string(), diff.commit.to_string(), incr.id.to_string()] {
        assert!(info.contains(&known), "{known}: {info}");
    }
    assert_eq!(rig.restored_orders(&adapter, &diff, RecoveryTarget::Immediate), "101");
    let before = RecoveryTarget::Name(Line::lossy("before"));
    assert_eq!(rig.restored_orders(&adapter, &diff, before), "102");
    assert_eq!(rig.restored_orders(&adapter, &incr, RecoveryTarget::Latest), "103");
    let clone = fs::read_dir(&rig.dir)
        .unwrap()
        .flatten()
        .find(|it| it.file_name().to_string_lossy().starts_with("restored"));
    let settings = fs::read_to_string(clone.unwrap().path().join("postgresql.auto.conf")).unwrap();
    assert!(settings.contains("archive_mode = 'off'"), "{settings}");
    // A backup that others depend on is not deleted.
    let refused = adapter.delete(&subject(&full)).unwrap_err();
    assert!(
        matches!(&refused, Error::Tool { fault: ExternalError::Refused(why), .. } if why.contains(&label(&incr))),
        "{refused}"
    );
    let wrong = Backup { id: diff.id, ..incr.clone() };
    assert!(adapter.delete(&subject(&wrong)).is_err(), "the annotation names another backup");
    rig.pggit(&["fsck"]).success();
}

#[test]
fn a_directory_that_is_not_empty_is_never_restored_into() {
    let rig = Rig::with_pgbackrest();
    let (adapter, backup) = (rig.adapter_of_pgbackrest(), rig.create(&[]));
    let path = rig.dir.join("precious");
    fs::create_dir(&path).unwrap();
    let target =
        Target::DataDirectory { path: path.clone(), tablespaces: Vec::new(), until: RecoveryTarget::Latest };
    let steps = adapter.restore(&subject(&backup), &target).unwrap();
    // The directory is filled between the plan and its execution.
    fs::write(path.join("file"), "precious").unwrap();
    let refused = execute(steps).unwrap_err();
    assert!(matches!(refused, Error::Destination { .. }), "{refused}");
    assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "precious");
    fs::remove_file(path.join("file")).unwrap();
    fs::remove_dir(&path).unwrap();
    let elsewhere = rig.dir.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    let steps = adapter.restore(&subject(&backup), &target).unwrap();
    assert!(execute(steps).is_err() && fs::read_dir(&elsewhere).unwrap().next().is_none());
}

#[test]
fn what_is_damaged_or_gone_is_said_although_the_exit_status_is_0() {
    let rig = Rig::with_pgbackrest();
    let adapter = rig.adapter_of_pgbackrest();
    let (full, incr) = (rig.create(&[]), rig.create(&["--type", "incremental"]));
    assert_eq!(check(&adapter, &incr).findings, []);
    super::damage(&rig.dir.join("repo/backup"), &format!("{}/pg_data", label(&full)));
    // pgBackRest itself reports success.
    rig.pgbackrest(&["verify"]);
    for backup in [&full, &incr] {
        let report = check(&adapter, backup);
        assert!(
            report.is_fatal() && report.findings[0].message.contains("checksum invalid: 1"),
            "{report:?}"
        );
    }
    rig.create(&[]);
    rig.pgbackrest(&["expire", &format!("--set={}", label(&full))]);
    let report = check(&adapter, &incr);
    assert!(report.is_fatal() && report.findings[0].message.contains("not in the repository"), "{report:?}");
    let target = Target::DataDirectory {
        path: rig.dir.join("x"),
        tablespaces: Vec::new(),
        until: RecoveryTarget::Latest,
    };
    let gone = adapter.restore(&subject(&full), &target).unwrap_err();
    assert!(matches!(gone, Error::Tool { fault: ExternalError::NoBackup(_), .. }), "{gone}");
}

/// Configures a program instead of pgBackRest, for behaviour that the real one does not show.
fn instead(rig: &Rig, script: &str) {
    let path = rig.write("instead", &format!("#!/bin/sh\n{script}\n"), 0o755);
    rig.config("pgbackrestPath", path.to_str().unwrap());
}

#[test]
fn faults_are_told_apart_and_recorded() {
    let rig = Rig::with_pgbackrest();
    let create = |status: i32, said: &str| {
        let out = rig.pggit(&["backup", "create"]).fails(status);
        assert!(out.stderr_text().contains(said), "{said}: {}", out.snapshot());
        let last = rig.records().pop().unwrap();
        assert_eq!(last.status.as_str(), "failed", "{said}");
        assert_eq!((last.location, last.depends_on), (None, Vec::new()), "{said}");
    };
    rig.config("pgbackrestStanza", "other");
    create(10, "stanza `other`");
    rig.config("pgbackrestStanza", "main");
    let version = |version: &str| format!("case \"$*\" in version) echo 'pgBackRest {version}'; exit;; esac");
    let real = "exec /usr/bin/pgbackrest \"$@\"";
    instead(&rig, &version("2.30"));
    create(13, "2.30 is too old");
    instead(&rig, "echo 'hello'");
    create(13, "unexpected answer to version: \"hello\"");
    instead(&rig, &format!("{}; case \"$*\" in *info*) echo '<html>';; *) {real};; esac", version("2.45")));
    create(13, "unexpected answer to 'info --output=json': \"<html>\"");
    // The program exits successfully and makes no backup.
    instead(&rig, &format!("case \"$*\" in *backup*) exit 0;; *) {real};; esac"));
    create(13, "has no new backup with pggit.backup=");
    instead(&rig, &format!("case \"$*\" in *backup*) kill -9 $$;; *) {real};; esac"));
    create(13, "killed by signal 9");
    instead(&rig, &format!("case \"$*\" in *backup*) exec sleep 100;; *) {real};; esac"));
    rig.config("timeout", "1s");
    create(13, "timed out after 1 s");
    rig.sandbox.git(["config", "--unset", "pggit.shop.timeout"]);
    rig.config("pgbackrestPath", "/no/such/program");
    create(13, "pgbackrest: program not found");
    rig.config("toolUser", "nosuchuser");
    rig.sandbox.git(["config", "--unset", "pggit.shop.pgbackrestPath"]);
    create(19, "there is no user `nosuchuser`");
    if owner().is_some() {
        rig.sandbox.git(["config", "--unset", "pggit.shop.toolUser"]);
        instead(&rig, &format!("{}; {real}", version("2.59.1")));
        create(19, "does not run as root");
    }
}

#[test]
fn another_one_at_work_is_busy() {
    let rig = Rig::with_pgbackrest();
    // A process holds the lock of pgBackRest, as a running backup does.
    rig.create(&[]);
    rig.write("hold.conf", &fs::read_to_string(rig.dir.join("pgbackrest.conf")).unwrap(), 0o644);
    let mut holder = rig.as_owner("/usr/bin/flock".as_ref());
    let lock = rig.dir.join("lock/main-backup.lock");
    holder.args(["--exclusive", "--no-fork"]).arg(&lock).args(["cat"]);
    let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // The echo shows that the process has the lock.
    use std::io::{Read as _, Write as _};
    holder.stdin.as_mut().unwrap().write_all(b"x").unwrap();
    holder.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let out = rig.pggit(&["backup", "create"]).fails(17);
    assert!(out.stderr_text().contains("lock"), "{}", out.snapshot());
    drop(holder.stdin.take());
    holder.wait().unwrap();
    rig.create(&[]);
}

#[test]
fn two_repositories_are_told_apart() {
    let rig = Rig::with_pgbackrest();
    let config = rig.dir.join("pgbackrest.conf");
    let second = rig.dir.join("repo2");
    fs::create_dir(&second).unwrap();
    crate::cluster::give_to_owner(&second);
    let text = fs::read_to_string(&config).unwrap();
    // The passphrase of the cipher is a secret that must not appear anywhere.
    let more = format!(
        "[global]\nrepo2-path={}\nrepo2-cipher-type=aes-256-cbc\nrepo2-cipher-pass=hunter2\n",
        second.display()
    );
    fs::write(&config, text.replacen("[global]\n", &more, 1)).unwrap();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
    rig.pgbackrest(&["stanza-create"]);
    let first = rig.create(&[]);
    rig.config("pgbackrestRepo", "2");
    let second = rig.create(&[]);
    assert!(!first.location.as_ref().unwrap().as_str().contains('?') && first.encryption.is_none());
    assert!(second.location.as_ref().unwrap().as_str().ends_with("?repo=2"));
    assert_eq!(second.encryption.as_ref().unwrap().key_id.as_str(), "repo2:aes-256-cbc");
    let adapter = rig.adapter_of_pgbackrest();
    assert_eq!(check(&adapter, &second).findings, []);
    assert_eq!(rig.restored_orders(&adapter, &second, RecoveryTarget::Immediate), "100");
    let everything = succeeds(rig.sandbox.command("git").args(["log", "-p", "--all"]));
    assert!(!String::from_utf8_lossy(&everything.stdout).contains("hunter2"));
    // If one repository is configured, backups in the other one are neither missing nor unknown.
    rig.pggit(&["backup", "reconcile"]).success();
}

#[test]
fn a_cluster_is_restored_in_its_own_place_and_put_back() {
    let rig = Rig::with_pgbackrest();
    let backup = rig.create(&[]);
    rig.cluster.psql("shop", "delete from orders");
    rig.cluster.psql("postgres", "checkpoint");
    rig.cluster.stop();
    let (data, id) = (rig.cluster.dir().join("data"), backup.id.to_string());
    let to = ["backup", "restore", id.as_str(), "--to", data.to_str().unwrap(), "--in-place"];
    let plan = rig.pggit(&[&to[..], &["--dry-run"]].concat()).success();
    assert!(plan.stdout_text().contains("give its name to the restored one"), "{}", plan.snapshot());
    rig.pggit(&[&to[..], &["--force"]].concat()).success();
    // restore_command names the final data directory, not the temporary one of the restore.
    let settings = fs::read_to_string(data.join("postgresql.auto.conf")).unwrap();
    assert!(settings.contains("archive-get") && !settings.contains("pggit-"), "{settings}");
    assert_eq!(rig.orders_in(&data), "100");
    rig.pggit(&["backup", "restore", "abort"]).success();
    assert_eq!(rig.orders_in(&data), "0");
    let left: Vec<_> =
        fs::read_dir(rig.cluster.dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("pggit")), "{left:?}");
}
