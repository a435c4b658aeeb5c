//! Workers that are killed repeatedly.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Where, Yard, assert_no_tool};
use crate::backup_cli::crowd::Chance;

/// Interval between two kills.
const BEAT: Duration = Duration::from_millis(100);

/// Returns the number of jobs, of workers (and databases), and of kills.
fn size() -> (usize, usize, usize) {
    if std::env::var_os("PGGIT_TEST_LONG").is_some() { (1000, 8, 3000) } else { (12, 3, 24) }
}

/// Each backup ends with exactly one completed record, whichever process is killed.
fn workers_may_be_killed_all_the_time(place: Where) {
    let (jobs, workers, kills) = size();
    let yard = Yard::new(place);
    // Data of a killed process in the page cache is not lost, so fsync is not needed.
    yard.config("core.fsync", "none");
    let database = yard.shop.cluster.create_database("small");
    for n in 0..workers {
        let name = format!("small{n}");
        yard.shop.pggit(&["database", "add", &name, "--url", &yard.shop.cluster.url(&database)]).success();
        yard.config(&format!("pggit.{name}.globals"), "false");
        // A killed worker ends an attempt, because a job may be the reason.
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
        // The thread also stops if this one panics.
        let over = over;
        while !done(yard) {
            assert!(began.elapsed() < Duration::from_secs(60 + 4 * jobs as u64), "{}", stuck(yard));
            beats.recv().expect("the thread that kills workers runs");
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
    /// Receives a message after each interval, if the last one was read.
    beat: SyncSender<()>,
}

impl Fire {
    /// Kills one of the workers every [`BEAT`], `most` in all. Returns the number of kills and their
    /// duration.
    fn keep_up(&self, yard: &Yard, workers: usize, most: usize) -> (usize, Duration) {
        let mut chance = Chance(0xC0FFEE);
        let mut crew: Vec<Child> = (0..workers).map(|_| start(yard)).collect();
        let (began, mut killed, mut fired) = (Instant::now(), 0, Duration::ZERO);
        let mut next = began + BEAT;
        while let Err(RecvTimeoutError::Timeout) =
            self.end.recv_timeout(next.saturating_duration_since(Instant::now()))
        {
            let _ = self.beat.try_send(());
            // Missed intervals on a busy machine are skipped.
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

/// Asserts that each job has one completed record. Returns the numbers of attempts.
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

/// Asserts that no process has its current directory in the repository.
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

/// Asserts that the next run removes partial artifacts of killed workers.
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
