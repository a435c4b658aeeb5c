//! The behaviour that is expected of every adapter, tested with the real programs.

use std::fs;

use pggit::artifacts::StoreSource;
use pggit::domain::{
    Backup, BackupType, Checkpoint, DumpOptions, Location, RecoveryTarget, Status, WalMethod,
};
use pggit::progress::Quiet;
use pggit::store::{Access, Root, Store, StoredBackup};
use pggit::tools::adapter::{BackupRef, Depth, Report, Source, Target};
use pggit::tools::pg_basebackup::DIRECTORY;
use pggit::tools::{Adapter, Connection, Custom, Error, Format, PgBasebackup, PgDump, Programs};

use super::Rig;
use crate::cluster::{bin_dir, owner};

/// A tool and its rig.
struct Tool<'a> {
    rig: &'a Rig,
    adapter: &'a dyn Adapter,
    /// Corrupts the bytes of a backup, as a failing disk would.
    damage: &'a dyn Fn(&Backup),
}

/// Returns the bytes of the backup if we have them, and not the tool.
fn source(tool: &Tool<'_>, backup: &Backup) -> Option<StoreSource> {
    let location = backup.location.as_ref().expect("a completed backup has a location");
    (!tool.adapter.has_repository()).then(|| {
        let root = match Store::url_of(location.as_str()) {
            Some(url) => Root::Store(url.parse().unwrap()),
            None => Root::of_directory(&tool.rig.sandbox.path().join("backups")).unwrap(),
        };
        let access = Access { roots: vec![root], ..Access::default() };
        StoreSource(StoredBackup::open(backup, &access).expect("the backup opens"))
    })
}

fn check(tool: &Tool<'_>, backup: &Backup) -> Result<Report, Error> {
    let source = source(tool, backup);
    let source = source.as_ref().map(|source| source as &dyn Source);
    tool.adapter.check(&BackupRef { backup, chain: &[], source }, Depth::Integrity, &Quiet)
}

/// Restores the backup to the usual destination of its kind, and counts the orders.
fn restored(tool: &Tool<'_>, backup: &Backup) -> String {
    if tool.adapter.has_repository() {
        let (path, id) = (tool.rig.dir.join("restored"), backup.id.to_string());
        let to = ["backup", "restore", id.as_str(), "--to", path.to_str().unwrap()];
        let plan = tool.rig.pggit(&[&to[..], &["--dry-run"]].concat()).success();
        assert!(plan.stdout_text().contains("is empty") && !path.exists(), "{}", plan.snapshot());
        tool.rig.pggit(&to).success();
        let again = tool.rig.pggit(&to).fails(12);
        assert!(again.stderr_text().contains("is not empty"), "{}", again.snapshot());
        return tool.rig.orders_in(&path);
    }
    if tool.adapter.name() == "pg_basebackup" {
        let path = tool.rig.dir.join("restored");
        let to = ["backup", "restore", &backup.id.to_string(), "--to", path.to_str().unwrap()];
        tool.rig.pggit(&to).success();
        return tool.rig.orders_in(&path);
    }
    tool.rig.pggit(&["backup", "restore", &backup.id.to_string(), "--into", "shop_restored"]).success();
    tool.rig.cluster.psql("shop_restored", "select count(*) from orders")
}

fn conforms(tool: &Tool<'_>) {
    let name = tool.adapter.name();
    let major = bin_dir().components().rev().nth(1).and_then(|part| part.as_os_str().to_str()?.parse().ok());
    let probe = tool.adapter.probe(major.unwrap_or(15)).expect("it is installed");
    assert!(probe.path.is_absolute() && !probe.version.is_empty(), "{name}: {probe:?}");
    assert!(probe.types.contains(&BackupType::Full), "{name}");

    let (first, second) = (tool.rig.create(&[]), tool.rig.create(&["--commit", "HEAD~1"]));
    for backup in [&first, &second] {
        assert_eq!((backup.status, backup.tool.name.as_str()), (Status::Completed, name));
        assert!(backup.location.is_some() && backup.size_bytes > Some(0), "{name}: {backup:?}");
        assert!(backup.stored_bytes > Some(0) && backup.tool.version.is_some(), "{name}: {backup:?}");
        assert!(backup.postgres.as_ref().is_some_and(|it| it.version.is_some() && it.start_lsn.is_some()));
        assert_eq!(backup.depends_on, [], "{name}");
        assert!(tool.adapter.holds(backup.location.as_ref().unwrap()), "{name}");
    }
    assert!(first.location != second.location && first.commit != second.commit, "{name}");
    assert_eq!(first.artifacts.is_empty(), tool.adapter.has_repository(), "{name}");

    if let Some(catalogue) = tool.adapter.catalogue().expect("it can be read") {
        assert_eq!(catalogue.len(), 2, "{name}: {catalogue:?}");
        for item in &catalogue {
            assert_eq!(item.usable, Ok(()), "{name}");
            let backup =
                [&first, &second].into_iter().find(|it| it.location.as_ref() == Some(&item.location));
            let backup = backup.unwrap_or_else(|| panic!("{name}: {item:?}"));
            // If the tool keeps the id, the backup is found without the ledger.
            assert!(item.id.is_none_or(|id| id == backup.id), "{name}");
        }
    }
    assert_eq!(check(tool, &first).unwrap().findings, [], "{name}");
    assert_eq!(restored(tool, &first), "100", "{name}");
    tool.rig.restore_test(&first).passed();

    (tool.damage)(&second);
    let report = check(tool, &second).unwrap();
    assert!(
        report.is_fatal() && report.findings.iter().all(|it| !it.message.is_empty()),
        "{name}: {report:?}"
    );
    tool.rig.restore_test(&second).failed("");
    assert!(
        !check(tool, &first).unwrap().is_fatal(),
        "{name}: damage of one backup must not affect the check of another"
    );

    // A record cannot make the tool delete the backup of another repository.
    if tool.adapter.has_repository() && name != "snap" {
        let elsewhere = format!("{name}:other/{}", "x".repeat(5)).parse::<Location>().unwrap();
        let stranger = Backup { location: Some(elsewhere), ..first.clone() };
        assert!(tool.adapter.delete(&super::subject(&stranger)).is_err(), "{name}");
        assert!(tool.adapter.check(&super::subject(&stranger), Depth::Checksum, &Quiet).is_err(), "{name}");
    }
    tool.adapter.delete(&super::subject(&second)).expect("it can be deleted");
    tool.adapter.delete(&super::subject(&second)).expect("a second deletion succeeds");
    if let Some(catalogue) = tool.adapter.catalogue().unwrap() {
        assert!(catalogue.iter().all(|item| Some(&item.location) != second.location.as_ref()), "{name}");
    }
    let target = Target::DataDirectory {
        path: tool.rig.dir.join("never"),
        tablespaces: vec![("/nowhere".into(), "/elsewhere".into())],
        until: RecoveryTarget::Latest,
    };
    assert!(tool.adapter.restore(&super::subject(&first), &target).is_err(), "{name}");
    assert!(!tool.rig.dir.join("never").exists(), "{name}");
}

#[test]
fn pg_dump_conforms() {
    let rig = Rig::new();
    let store = rig.sandbox.path().join("backups");
    fs::create_dir(&store).unwrap();
    rig.config("plainDir", store.to_str().unwrap());
    let adapter = PgDump {
        programs: Programs::new(Some(bin_dir().to_owned())),
        connection: Connection { conninfo: rig.cluster.conninfo("shop"), ..Connection::default() },
        options: DumpOptions::whole(Format::Custom),
    };
    let damage = |backup: &Backup| {
        let name = backup.artifacts[0].name.as_str().to_owned();
        super::damage(&store, &format!("{}/{name}", backup.id));
    };
    conforms(&Tool { rig: &rig, adapter: &adapter, damage: &damage });
}

#[test]
fn pg_basebackup_conforms() {
    let rig = Rig::new();
    let store = rig.sandbox.path().join("backups");
    fs::create_dir(&store).unwrap();
    rig.config("plainDir", store.to_str().unwrap());
    rig.config("tool", "pg_basebackup");
    let adapter = PgBasebackup {
        programs: Programs::new(Some(bin_dir().to_owned())),
        connection: Connection { conninfo: rig.cluster.conninfo("shop"), ..Connection::default() },
        server: None,
        checkpoint: Checkpoint::Fast,
        max_rate: None,
        wal: WalMethod::Fetch,
    };
    let damage = |backup: &Backup| {
        super::damage(&store, &format!("{}/{DIRECTORY}", backup.id));
    };
    conforms(&Tool { rig: &rig, adapter: &adapter, damage: &damage });
}

#[test]
fn pgbackrest_conforms() {
    let rig = Rig::with_pgbackrest();
    let adapter = rig.adapter_of_pgbackrest();
    let damage = |backup: &Backup| {
        let label = backup.location.as_ref().unwrap().as_str().rsplit('/').next().unwrap().to_owned();
        super::damage(&rig.dir.join("repo/backup"), &format!("{label}/pg_data"));
    };
    conforms(&Tool { rig: &rig, adapter: &adapter, damage: &damage });
}

fn barman_conforms(rig: &Rig) {
    let adapter = rig.adapter_of_barman();
    let damage = |backup: &Backup| {
        let id = backup.location.as_ref().unwrap().as_str().rsplit('/').next().unwrap().to_owned();
        super::damage(&rig.dir.join("home/main/base"), &format!("{id}/data/base"));
    };
    conforms(&Tool { rig, adapter: &adapter, damage: &damage });
}

#[test]
fn barman_of_debian_conforms() {
    barman_conforms(&Rig::with_barman(&super::barman::debians()));
}

#[test]
fn the_newest_barman_conforms() {
    barman_conforms(&Rig::with_barman(&super::barman::newest()));
}

#[test]
fn a_tool_of_one_s_own_conforms() {
    let rig = Rig::new();
    let commands = super::custom::snapshots(&rig);
    let adapter = Custom {
        name: "snap".to_owned(),
        commands,
        user: owner().map(|_| "postgres".to_owned()),
        database: "shop".to_owned(),
        connection: Connection { conninfo: rig.cluster.conninfo("postgres"), ..Connection::default() },
    };
    let damage = |backup: &Backup| {
        super::damage(&rig.dir.join("snapshots"), &backup.id.to_string());
    };
    conforms(&Tool { rig: &rig, adapter: &adapter, damage: &damage });
}
