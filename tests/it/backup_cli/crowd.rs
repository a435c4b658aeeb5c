//! Many concurrent processes on one schema commit, during maintenance by git and under SIGKILL.

use std::io::Read;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{history, register};
use crate::sandbox::Sandbox;

const WRITERS: usize = 8;

/// Returns the number of registrations of each writer; 200 with `PGGIT_TEST_LONG`.
fn each() -> usize {
    if std::env::var_os("PGGIT_TEST_LONG").is_some() { 200 } else { 12 }
}

#[test]
fn of_two_processes_that_complete_a_backup_one_wins() {
    let sandbox = history();
    for round in 0..3 {
        let id = register(&sandbox, &["--in-progress"]);
        let children: Vec<Child> = (0..4)
            .map(|n| {
                let mut command = sandbox.pggit_command();
                command.args(["backup", "complete", &id, "--size", &n.to_string()]);
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let ends: Vec<_> = children.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
        let (won, lost): (Vec<_>, Vec<_>) = ends.iter().partition(|end| end.status.success());
        assert_eq!((won.len(), lost.len()), (1, 3), "round {round}: {ends:?}");
        for end in lost {
            let said = String::from_utf8_lossy(&end.stderr);
            let expected = format!("error: backup {id} cannot be completed: the backup is completed\n");
            assert_eq!((end.status.code(), &*said), (Some(12), &*expected));
        }
        let events = sandbox.pggit(["backup", "cat", &id, "events"]).success().json();
        let kinds: Vec<_> = events.as_array().unwrap().iter().map(|event| event["kind"].clone()).collect();
        assert_eq!(kinds, ["registered", "completed"]);
    }
}

/// Starts a process that registers a completed backup.
fn writer(sandbox: &Sandbox) -> Child {
    let mut command = sandbox.pggit_command();
    command.args(["backup", "register", "-d=shop", "--tool=zfs", "--size=1"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

/// Returns the id that a writer printed before it exited: the registration that it acknowledged.
fn acknowledged(child: &mut Child) -> Option<String> {
    let mut said = String::new();
    child.stdout.take()?.read_to_string(&mut said).ok()?;
    said.strip_suffix('\n').map(str::to_owned)
}

/// Runs `git gc` and `git pack-refs` repeatedly while `work` runs.
fn beside_maintenance<T>(sandbox: &Sandbox, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for args in [&["gc", "--quiet", "--prune=now"][..], &["pack-refs", "--all", "--prune"]] {
            let done = &done;
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    // They may fail on each other's locks, but must not damage anything.
                    let _ = sandbox.output(sandbox.command("git").args(args));
                }
            });
        }
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Asserts that every acknowledged record exists once and is completed, and that git finds no error.
/// Returns the number of records.
fn check(sandbox: &Sandbox, acknowledged: &[String]) -> usize {
    let list = sandbox.pggit(["backup", "list", "--json"]).success();
    assert!(list.stderr.is_empty(), "{}", list.stderr_text());
    let list = list.json();
    let records: Vec<&Value> = list["backups"].as_array().into_iter().flatten().collect();
    for id in acknowledged {
        let found: Vec<_> = records.iter().filter(|record| record["id"] == **id).collect();
        assert!(found.len() == 1 && found[0]["status"] == "completed", "{id}: {found:?}");
    }
    sandbox.git(["fsck", "--strict", "--no-dangling"]);
    let note = sandbox.git(["notes", "--ref=backups", "show", "HEAD"]);
    assert_eq!(note.lines().count(), records.len());
    records.len()
}

fn locks(sandbox: &Sandbox) -> Vec<String> {
    let git = sandbox.repo().join(".git");
    let files = walkdir::WalkDir::new(&git).into_iter().filter_map(Result::ok);
    let names = files.map(|file| file.path().strip_prefix(&git).expect("it is below").display().to_string());
    names
        .filter(|name| name.ends_with(".lock") && (name.starts_with("refs") || name == "packed-refs.lock"))
        .collect()
}

#[test]
fn writers_beside_gc_and_pack_refs_lose_nothing() {
    let sandbox = history();
    let ids = beside_maintenance(&sandbox, || {
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|_| {
                    scope.spawn(|| {
                        let one = || {
                            let mut child = writer(&sandbox);
                            let id = acknowledged(&mut child);
                            let end = child.wait_with_output().unwrap();
                            assert!(end.status.success(), "{}", String::from_utf8_lossy(&end.stderr));
                            id.expect("a registration that succeeds prints the id")
                        };
                        (0..each()).map(|_| one()).collect::<Vec<_>>()
                    })
                })
                .collect();
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect::<Vec<_>>()
        })
    });
    assert_eq!(ids.len(), WRITERS * each());
    assert_eq!(check(&sandbox, &ids), WRITERS * each());
    assert_eq!(locks(&sandbox), [""; 0]);
}

/// Pseudo-random numbers that are the same in every run (xorshift).
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

/// Kills `child` after `life`. Returns true if it had exited before.
pub fn killed_after(child: &mut Child, life: Duration) -> bool {
    let (_never, silence) = std::sync::mpsc::channel::<()>();
    let _ = silence.recv_timeout(life);
    child.kill().expect("it has not been waited for");
    child.wait().expect("it is a child of this process").success()
}

#[test]
fn writers_that_are_killed_leave_no_lock_and_lose_nothing_they_acknowledged() {
    let sandbox = history();
    // The duration of one registration on this machine; the writers are killed at any point of it.
    let born = Instant::now();
    register(&sandbox, &["--size=1"]);
    let life = born.elapsed().max(Duration::from_millis(5)) * 3;
    let (mut ids, mut survivors, mut killed) = (Vec::new(), 0, 0);
    beside_maintenance(&sandbox, || {
        let ends: Vec<(Vec<String>, usize, usize)> = std::thread::scope(|scope| {
            let sandbox = &sandbox;
            let one = |seed: u64| {
                move || {
                    let (mut ids, mut survivors, mut killed) = (Vec::new(), 0, 0);
                    let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1);
                    for _ in 0..each() {
                        let mut child = writer(sandbox);
                        let lived = killed_after(&mut child, life * chance.below(1000) as u32 / 1000);
                        *(if lived { &mut survivors } else { &mut killed }) += 1;
                        ids.extend(acknowledged(&mut child));
                    }
                    (ids, survivors, killed)
                }
            };
            let writers: Vec<_> = (0..WRITERS as u64).map(|seed| scope.spawn(one(seed))).collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        for (some, lived, died) in ends {
            ids.extend(some);
            survivors += lived;
            killed += died;
        }
    });
    assert!(
        killed > 0 && ids.len() >= survivors,
        "{killed} killed, {survivors} lived, {} acknowledged",
        ids.len()
    );
    // A git process that survived its writer finishes its work.
    let deadline = Instant::now() + Duration::from_secs(30);
    while !locks(&sandbox).is_empty() && Instant::now() < deadline {
        crate::cluster::pause();
    }
    assert_eq!(locks(&sandbox), [""; 0]);
    let records = check(&sandbox, &ids);
    assert!(records > ids.len() && records <= 1 + survivors + killed, "{records} records");
    // The ledger still accepts records.
    ids.push(register(&sandbox, &["--size=1"]));
    assert_eq!(check(&sandbox, &ids), records + 1);
}
