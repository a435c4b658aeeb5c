//! The ledger on real repositories.

use std::path::Path;
use std::process::Command;

use pggit::clock::{Clock as _, System};
use pggit::domain::{BackupId, BackupType, Line, Tool};
use pggit::git::Repository;
use pggit::ledger::{Ledger, NewBackup};

fn git(dir: &Path, args: &[&str]) -> String {
    let out = Command::new("git").current_dir(dir).args(args).output().expect("git starts");
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("utf8").trim_end().to_owned()
}

fn new_backup(repository: &Repository, name: &str) -> NewBackup {
    NewBackup {
        id: BackupId::new(System.now()),
        name: name.parse().unwrap(),
        database: "shop".parse().unwrap(),
        commit: repository.head().unwrap().to_commit(),
        branch: None,
        kind: BackupType::Full,
        tool: Tool { name: Line::lossy("pg_dump"), version: None },
        depends_on: vec![],
        expires_at: None,
        tags: Default::default(),
        metadata: Default::default(),
    }
}

#[test]
fn register_and_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    git(dir, &["init", "-q"]);
    std::fs::write(dir.join("a.sql"), "create table a();").unwrap();
    git(dir, &["add", "."]);
    git(dir, &["commit", "-qm", "one"]);
    let repository = Repository::discover(dir).unwrap();
    let host = Line::lossy("h");
    let ledger = Ledger::new(&repository, &System, &host);
    let t = std::time::Instant::now();
    for n in 0..20 {
        ledger.register(&new_backup(&repository, &format!("n{n}")), &[]).unwrap();
    }
    println!("{:?} each", t.elapsed() / 20);
    assert_eq!(ledger.catalog().unwrap().entries.len(), 20);
    println!("{}", git(dir, &["log", "--notes=backups", "-1"]));
    println!("{}", git(dir, &["log", "-1", "--stat", &format!("refs/backups/{}", repository.head().unwrap())]));
    git(dir, &["fsck", "--strict"]);
}
