//! Barman, the version of Debian and the newest: records, restores and failures.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use pggit::domain::{Backup, BackupType, Line, RecoveryTarget};
use pggit::tools::adapter::Target;
use pggit::tools::{Adapter as _, Error, ExternalError};

use super::{Rig, check, execute, subject, succeeds};
use crate::cluster::{fresh_dir, give_to_owner};

/// Returns a copy of the newest Barman that the user of the clusters can run. That user may have no access
/// to the directory in which it was installed.
pub(super) fn newest() -> PathBuf {
    static NEWEST: LazyLock<PathBuf> = LazyLock::new(|| {
        let installed = Path::new("target/barman");
        assert!(installed.exists(), "the newest Barman is missing: run tests/prepare.sh test");
        let site = fresh_dir().join("site");
        succeeds(std::process::Command::new("cp").args(["-a", "--reflink=auto"]).arg(installed).arg(&site));
        succeeds(std::process::Command::new("chmod").args(["-R", "a+rX"]).arg(&site));
        program(&site)
    });
    NEWEST.clone()
}

/// Returns the Barman of Debian without its launcher script: the script doubles the time of a call, and
/// Barman is started hundreds of times.
pub(super) fn debians() -> PathBuf {
    static DEBIANS: LazyLock<PathBuf> = LazyLock::new(|| {
        assert!(Path::new("/usr/bin/barman").exists(), "Barman is missing: run tests/prepare.sh test");
        program(Path::new("/usr/lib/python3/dist-packages"))
    });
    DEBIANS.clone()
}

/// Writes a program that runs the Barman in `site`.
fn program(site: &Path) -> PathBuf {
    let program = fresh_dir().join("barman");
    let site = site.display();
    let text =
        format!("#!/bin/sh\nexport PYTHONPATH={site}\nexec /usr/bin/python3 -S -m barman.cli \"$@\"\n");
    fs::write(&program, text).unwrap();
    succeeds(std::process::Command::new("chmod").arg("755").arg(&program));
    give_to_owner(&program);
    program
}

fn label(backup: &Backup) -> String {
    backup.metadata.as_map()["label"].as_str().expect("a label").to_owned()
}

fn to(path: &Path, until: RecoveryTarget) -> Target {
    Target::DataDirectory { path: path.to_owned(), tablespaces: Vec::new(), until }
}

#[test]
fn a_backup_of_the_old_barman_keeps_its_name_and_never_empties_a_directory() {
    let rig = Rig::with_barman(&debians());
    let (adapter, backup) = (rig.adapter_of_barman(), rig.create(&[]));
    assert_eq!(backup.location.as_ref().unwrap().as_str(), format!("barman:main/{}", label(&backup)));
    assert_eq!(backup.tool.version.as_ref().map(Line::as_str), Some("3.4.0"));
    // With `--wait`, the id would be missing in the catalogue.
    assert_eq!(adapter.catalogue().unwrap().unwrap()[0].id, Some(backup.id));
    rig.cluster.psql("shop", "insert into orders values (101)");
    rig.cluster.psql("postgres", "select pg_create_restore_point('before')");
    rig.cluster.psql("shop", "insert into orders values (102)");
    rig.barman(&["switch-wal", "--force", "--archive", "--archive-timeout", "60", "main"]);
    assert_eq!(rig.restored_orders(&adapter, &backup, RecoveryTarget::Name(Line::lossy("before"))), "101");

    let path = rig.dir.join("precious");
    fs::create_dir(&path).unwrap();
    let steps = adapter.restore(&subject(&backup), &to(&path, RecoveryTarget::Latest)).unwrap();
    fs::write(path.join("file"), "precious").unwrap();
    assert!(matches!(execute(steps).unwrap_err(), Error::Destination { .. }));
    assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "precious");
    // Without our check, Barman removes the files in the directory.
    give_to_owner(&path);
    rig.barman(&["recover", "main", &label(&backup), path.to_str().unwrap()]);
    assert!(!path.join("file").exists());

    rig.barman(&["delete", "main", &label(&backup)]);
    assert!(check(&adapter, &backup).is_fatal());
    let gone =
        adapter.restore(&subject(&backup), &to(&rig.dir.join("x"), RecoveryTarget::Latest)).unwrap_err();
    assert!(matches!(gone, Error::Tool { fault: ExternalError::NoBackup(_), .. }), "{gone}");
    assert!(
        rig.pggit(&["backup", "create", "--type", "incremental"])
            .fails(129)
            .stderr_text()
            .contains("incremental")
    );
}

/// Configures a program instead of Barman, for behaviour that the real one does not show.
fn instead(rig: &Rig, script: &str) {
    let path = rig.write("instead", &format!("#!/bin/sh\n{script}\n"), 0o755);
    rig.config("barmanPath", path.to_str().unwrap());
}

#[test]
fn faults_are_told_apart_and_recorded() {
    let rig = Rig::with_barman("/usr/bin/barman".as_ref());
    let create = |status: i32, said: &str| {
        let out = rig.pggit(&["backup", "create"]).fails(status);
        assert!(out.stderr_text().contains(said), "{said}: {}", out.snapshot());
        assert_eq!(rig.records().pop().unwrap().status.as_str(), "failed", "{said}");
    };
    rig.config("barmanServer", "other");
    create(10, "other");
    rig.config("barmanServer", "main");
    let real = "exec /usr/bin/barman \"$@\"";
    let version = "case \"$*\" in --version) echo '3.4.0 Barman by EnterpriseDB';";
    instead(&rig, "echo '3.0.1 Barman by EnterpriseDB'");
    create(13, "3.0.1 is too old");
    instead(&rig, "echo hello");
    create(13, "unexpected answer to --version: \"hello\"");
    instead(&rig, &format!("{version}; *) echo '<html>';; esac"));
    create(13, "unexpected answer to backup: \"<html>\"");
    instead(&rig, &format!("case \"$*\" in *backup*) kill -9 $$;; *) {real};; esac"));
    create(13, "killed by signal 9");
    instead(&rig, &format!("case \"$*\" in *' backup '*) exec sleep 100;; *) {real};; esac"));
    rig.config("timeout", "1s");
    create(13, "timed out after 1 s");
    // Barman has the backup, and its WAL never arrives.
    let waiting = r#"{"main":{"backup_id":"20261121T1","status":"WAITING_FOR_WALS"}}"#;
    let script = format!(
        "{version}; *' backup '*) echo '{{\"backup_id\":\"20261121T1\"}}';; *show-backup*) echo '{waiting}';; esac"
    );
    instead(&rig, &script);
    create(13, "20261121T1 still waits for WAL");
    rig.config("barmanPath", "/no/such/program");
    create(13, "barman: program not found");
}

#[test]
fn the_newest_barman_makes_lists_and_deletes_what_the_old_one_cannot_name() {
    let rig = Rig::with_barman(&newest());
    let (adapter, backup) = (rig.adapter_of_barman(), rig.create(&[]));
    assert_eq!(backup.kind, BackupType::Full);
    assert!(backup.postgres.as_ref().unwrap().system_identifier.is_some());
    assert_eq!(backup.metadata.as_map()["barman_name"], format!("pggit-{}", backup.id));
    assert_eq!(adapter.catalogue().unwrap().unwrap()[0].known_as(), Some(backup.id));
    // Two ids are found for the backup: its own, which takes precedence, and the derived one.
    rig.pggit(&["backup", "reconcile"]).success();
}
