//! The ledger is consistent after any process was killed at any time.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::backup_cli::crowd::{Chance, killed_after};
use crate::sandbox::Sandbox;

/// Returns the number of processes that are killed; 1,000 with `PGGIT_TEST_LONG`.
fn kills() -> u64 {
    if std::env::var_os("PGGIT_TEST_LONG").is_some() { 1000 } else { 60 }
}

/// Two clones of one hub, in a sandbox each.
struct Pair {
    hub: tempfile::TempDir,
    clones: [Sandbox; 2],
}

impl Pair {
    fn new() -> Self {
        let hub = tempfile::tempdir().unwrap();
        let first = Sandbox::new();
        first.commit("1.sql", "create table a ()", "one");
        first.commit("2.sql", "create table b ()", "two");
        let path = hub.path().to_str().unwrap();
        first.git(["init", "-q", "--bare", "-b", "main", path]);
        first.git(["remote", "add", "origin", path]);
        first.git(["push", "-q", "origin", "main"]);
        let second = Sandbox::new();
        second.git(["remote", "add", "origin", path]);
        second.git(["pull", "-q", "origin", "main"]);
        Self { hub, clones: [first, second] }
    }
}

fn start(sandbox: &Sandbox, args: &[&str]) -> Child {
    let mut command = sandbox.pggit_command();
    command.args(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Returns the first line that `child` printed: the id that it acknowledged.
fn acknowledged(child: &mut Child) -> Option<String> {
    let line = BufReader::new(child.stdout.take()?).lines().next()?.ok()?;
    (line.len() == 36).then_some(line)
}

#[test]
fn sync_writes_and_maintenance_may_be_killed_at_any_moment() {
    let pair = Pair::new();
    let register = ["backup", "register", "-q", "--database", "shop", "--tool", "x", "--size", "1"];
    let born = Instant::now();
    pair.clones[0].pggit(register).success();
    pair.clones[0].pggit(["sync"]).success();
    pair.clones[1].pggit(["sync"]).success();
    let life = born.elapsed().max(Duration::from_millis(20));
    let mut chance = Chance(0x5EED);
    let mut ids: Vec<String> = Vec::new();
    let mut survivors = 0;
    for round in 0..kills() {
        let clone = &pair.clones[chance.below(2) as usize];
        let commit = if chance.below(2) == 0 { "HEAD" } else { "HEAD~1" };
        let mut child = match chance.below(5) {
            0 | 1 => start(clone, &[&register[..], &["--commit", commit]].concat()),
            2 => start(clone, &["backup", "tag", "latest", &format!("t{round}")]),
            3 => start(clone, &["maintenance", "-q"]),
            _ => start(clone, &["sync", "-q"]),
        };
        if killed_after(&mut child, life * chance.below(1000) as u32 / 1000) {
            survivors += 1;
        }
        ids.extend(acknowledged(&mut child));
    }
    assert!(survivors > 0 && survivors < kills(), "{survivors} lived");
    settle(&pair);
    // Two rounds, so that both clones have all records.
    for clone in [0, 1, 0, 1] {
        pair.clones[clone].pggit(["sync"]).success();
    }
    let list =
        |sandbox: &Sandbox| sandbox.pggit(["backup", "list", "--ids", "--reverse"]).success().stdout_text();
    let listed = list(&pair.clones[0]);
    assert_eq!(listed, list(&pair.clones[1]));
    for id in &ids {
        assert!(listed.contains(id.as_str()), "{id} was acknowledged and is gone");
    }
    for sandbox in &pair.clones {
        let fsck = sandbox.pggit(["fsck"]);
        assert_eq!(fsck.status, 0, "{}", fsck.snapshot());
        sandbox.git(["fsck", "--strict", "--no-dangling"]);
    }
    pair.clones[0].git(["-C", pair.hub.path().to_str().unwrap(), "fsck", "--strict", "--no-dangling"]);
}

/// Waits until every git process that survived its writer has finished. A killed `git fetch` outside of our
/// transactions would leave a stale lock: there must be none.
fn settle(pair: &Pair) {
    let deadline = Instant::now() + Duration::from_secs(30);
    let locks = || {
        let files =
            pair.clones.iter().flat_map(|sandbox| walkdir::WalkDir::new(sandbox.repo().join(".git/refs")));
        files
            .filter_map(Result::ok)
            .filter(|file| file.path().extension().is_some_and(|end| end == "lock"))
            .count()
    };
    while locks() > 0 && Instant::now() < deadline {
        crate::cluster::pause();
    }
    assert_eq!(locks(), 0);
}
