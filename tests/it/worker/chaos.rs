//! Workers that are killed all the time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Where, Yard, assert_no_tool};
use crate::backup_cli::crowd::Chance;

/// How many jobs, how many workers, and how many databases there are.
fn size() -> (usize, usize) {
    if std::env::var_os("PGGIT_TEST_LONG").is_some() { (1000, 8) } else { (12, 3) }
}

/// Whatever is killed, each backup ends with exactly one completed record.
fn workers_may_be_killed_all_the_time(place: Where) {
    let (jobs, workers) = size();
    let yard = Yard::new(place);
    let database = yard.shop.cluster.create_database("small");
    for n in 0..workers {
        let name = format!("small{n}");
        yard.shop.pggit(&["database", "add", &name, "--url", &yard.shop.cluster.url(&database)]).success();
        yard.config(&format!("pggit.{name}.globals"), "false");
        yard.config(&format!("pggit.{name}.maxAttempts"), "256");
        yard.config(&format!("pggit.{name}.retryDelay"), "1s");
        yard.config(&format!("pggit.{name}.retryDelayMax"), "1s");
    }
    let ids: Vec<String> =
        (0..jobs).map(|n| yard.enqueue(&["--database", &format!("small{}", n % workers)])).collect();
    let mut chance = Chance(0xC0FFEE);
    let mut crew: Vec<std::process::Child> = (0..workers).map(|_| start(&yard)).collect();
    let began = Instant::now();
    let kills = jobs * 2;
    for _ in 0..kills {
        let at = chance.below(workers as u64) as usize;
        std::thread::sleep(Duration::from_millis(100));
        let _ = crew[at].kill();
        let _ = crew[at].wait();
        crew[at] = start(&yard);
        if done(&yard) {
            break;
        }
    }
    while !done(&yard) {
        assert!(began.elapsed() < Duration::from_secs(60 + 4 * jobs as u64), "{}", stuck(&yard));
        std::thread::sleep(Duration::from_millis(100));
    }
    for worker in &mut crew {
        let _ = worker.kill();
        let _ = worker.wait();
    }
    for record in yard.shop.records() {
        assert_eq!(record["status"], "completed", "{record:#}");
    }
    let mut by_id = BTreeMap::new();
    yard.shop.records().iter().for_each(|record| *by_id.entry(record["id"].to_string()).or_insert(0) += 1);
    assert_eq!((by_id.len(), by_id.values().sum::<i32>()), (jobs, jobs as i32));
    for id in &ids {
        assert!(by_id.contains_key(&yard.job(id)["backup_id"].to_string()));
    }
    assert_no_tool(&yard);
    assert_no_process(&yard);
    assert_no_partial_artifact(&yard, jobs);
    yard.shop.sandbox.git(["fsck", "--strict", "--no-dangling"]);
    yard.shop.pggit(&["fsck"]).success();
}

fn start(yard: &Yard) -> std::process::Child {
    let mut command = yard.shop.sandbox.pggit_command();
    command.args(["worker", "-q"]).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    command.spawn().unwrap()
}

fn done(yard: &Yard) -> bool {
    let stats = yard.shop.pggit(&["queue", "stats", "--json"]).success().json();
    assert_eq!(stats["jobs"]["permanently_failed"], 0, "{}", stuck(yard));
    ["ready", "in_progress", "will_retry"].iter().all(|state| stats["jobs"][*state] == 0)
}

fn stuck(yard: &Yard) -> String {
    yard.shop.pggit(&["queue", "list"]).stdout_text()
}

/// Nothing runs any more that knows this sandbox.
fn assert_no_process(yard: &Yard) {
    let began = Instant::now();
    let here = yard.shop.sandbox.repo();
    let left = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let inside = processes.filter(|process| {
            std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&here))
        });
        inside.count()
    };
    while left() > 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "a process is left");
    }
}

/// The next run removes what dead ones have left behind.
fn assert_no_partial_artifact(yard: &Yard, jobs: usize) {
    let last = yard.enqueue(&["--database", "small0"]);
    yard.work();
    assert_eq!(yard.job(&last)["state"], "completed");
    let mut whole = 0;
    for entry in walkdir::WalkDir::new(yard.shop.backups_dir()).into_iter().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(!name.contains("partial"), "{}", entry.path().display());
        whole += usize::from(name == "record.json");
    }
    assert_eq!(whole, jobs + 1);
}

#[test]
fn workers_on_refs_may_be_killed_all_the_time() {
    workers_may_be_killed_all_the_time(Where::Refs);
}

#[test]
fn workers_on_postgres_may_be_killed_all_the_time() {
    workers_may_be_killed_all_the_time(Where::Postgres);
}
