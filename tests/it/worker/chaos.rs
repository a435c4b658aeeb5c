//! Workers that are killed all the time.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Where, Yard, assert_no_tool};
use crate::backup_cli::crowd::Chance;

/// How often a worker is killed.
const BEAT: Duration = Duration::from_millis(100);

/// How many jobs, how many workers (and databases), and after how many kills
/// they are left alone.
fn size() -> (usize, usize, usize) {
    if std::env::var_os("PGGIT_TEST_LONG").is_some() { (1000, 8, 3000) } else { (12, 3, 24) }
}

/// Whatever is killed, each backup ends with exactly one completed record.
fn workers_may_be_killed_all_the_time(place: Where) {
    let (jobs, workers, kills) = size();
    let yard = Yard::new(place);
    // A process that is killed takes nothing along that the system has.
    yard.config("core.fsync", "none");
    let database = yard.shop.cluster.create_database("small");
    for n in 0..workers {
        let name = format!("small{n}");
        yard.shop.pggit(&["database", "add", &name, "--url", &yard.shop.cluster.url(&database)]).success();
        yard.config(&format!("pggit.{name}.globals"), "false");
        // An attempt whose worker is killed is one: a job may kill its workers.
        yard.config(&format!("pggit.{name}.maxAttempts"), "256");
        yard.config(&format!("pggit.{name}.retryDelay"), "1s");
        yard.config(&format!("pggit.{name}.retryDelayMax"), "1s");
    }
    let ids: Vec<String> =
        (0..jobs).map(|n| yard.enqueue(&["--database", &format!("small{}", n % workers)])).collect();
    let began = Instant::now();
    let ((over, end), (beat, beats)) = (channel::<()>(), sync_channel(1));
    let (killed, fired) = thread::scope(|scope| {
        let fire = Fire { end, beat };
        let yard = &yard;
        let marksman = scope.spawn(move || fire.keep_up(yard, workers, kills));
        // It ends also when this fails.
        let over = over;
        while !done(yard) {
            assert!(began.elapsed() < Duration::from_secs(60 + 4 * jobs as u64), "{}", stuck(yard));
            beats.recv().expect("the workers are killed until it is over");
        }
        drop(over);
        marksman.join().unwrap()
    });
    let took = began.elapsed();
    let attempts = each_job_has_exactly_one_record(&yard, &ids);
    println!(
        "{place:?}: {jobs} jobs, {workers} workers, {killed} killed in {:.0} s, all done after {:.0} s; {} attempts, at \
         most {} of one job",
        fired.as_secs_f64(),
        took.as_secs_f64(),
        attempts.iter().sum::<u64>(),
        attempts.iter().max().unwrap()
    );
    assert!(killed > 0);
    assert_no_tool(&yard);
    assert_no_process(&yard);
    assert_no_partial_artifact(&yard, jobs);
    yard.shop.sandbox.git(["fsck", "--strict", "--no-dangling"]);
    yard.shop.pggit(&["fsck"]).success();
}

/// Kills workers, and starts new ones, until the other side of `end` is dropped.
struct Fire {
    end: Receiver<()>,
    /// Gets a message at each beat, if the last one was taken.
    beat: SyncSender<()>,
}

impl Fire {
    /// Kills one of the workers every [`BEAT`], `most` in all. Says how many were
    /// killed, and how long that took.
    fn keep_up(&self, yard: &Yard, workers: usize, most: usize) -> (usize, Duration) {
        let mut chance = Chance(0xC0FFEE);
        let mut crew: Vec<Child> = (0..workers).map(|_| start(yard)).collect();
        let (began, mut killed, mut fired) = (Instant::now(), 0, Duration::ZERO);
        let mut next = began + BEAT;
        while let Err(RecvTimeoutError::Timeout) =
            self.end.recv_timeout(next.saturating_duration_since(Instant::now()))
        {
            let _ = self.beat.try_send(());
            // What a busy machine was too slow for is not made up for.
            next = (next + BEAT).max(Instant::now());
            if killed == most {
                continue;
            }
            let at = chance.below(workers as u64) as usize;
            let _ = crew[at].kill();
            let _ = crew[at].wait();
            crew[at] = start(yard);
            killed += 1;
            fired = began.elapsed();
        }
        for worker in &mut crew {
            let _ = worker.kill();
            let _ = worker.wait();
        }
        (killed, fired)
    }
}

fn start(yard: &Yard) -> Child {
    let mut command = yard.shop.sandbox.pggit_command();
    command.args(["worker", "-q"]).stdout(Stdio::null()).stderr(Stdio::null());
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

/// How many attempts each of the jobs took.
fn each_job_has_exactly_one_record(yard: &Yard, ids: &[String]) -> Vec<u64> {
    let records = yard.shop.records();
    let mut by_id = BTreeMap::new();
    for record in &records {
        assert_eq!(record["status"], "completed", "{record:#}");
        let completed = record["events"].as_array().unwrap().iter().filter(|it| it["kind"] == "completed");
        assert_eq!(completed.count(), 1, "{record:#}");
        *by_id.entry(record["id"].to_string()).or_insert(0) += 1;
    }
    assert_eq!((by_id.len(), records.len()), (ids.len(), ids.len()));
    let listing = yard.shop.pggit(&["queue", "list", "--json"]).success().json();
    let jobs: BTreeMap<&str, &Value> =
        listing["jobs"].as_array().unwrap().iter().map(|job| (job["id"].as_str().unwrap(), job)).collect();
    let attempts = ids.iter().map(|id| {
        let job = jobs[id.as_str()];
        assert_eq!(job["state"], "completed", "{job:#}");
        assert!(by_id.contains_key(&job["backup_id"].to_string()), "{job:#}");
        job["attempts"].as_u64().unwrap()
    });
    attempts.collect()
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
        crate::cluster::pause();
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
