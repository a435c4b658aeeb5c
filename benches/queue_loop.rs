//! Runs empty jobs through a queue as fast as possible, for `benches/queue.sh`.
//! `queue-loop refs|postgres <directory|url> <jobs> <workers>` prints a line of JSON.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pggit::clock::{Clock as _, System};
use pggit::domain::{AttemptEnd, BackupId, Line, NewJob, RetryPolicy, VerificationKind, VerifyWork, Work};
use pggit::git::Repository;
use pggit::pg::{Client, ConnInfo, Environment};
use pggit::queue::{Claimant, PostgresQueue, Queue, RefsQueue};

fn open(kind: &str, place: &str) -> Box<dyn Queue> {
    match kind {
        "refs" => Box::new(RefsQueue::new(Repository::open(Path::new(place)).unwrap(), Arc::new(System))),
        _ => {
            let info = ConnInfo::parse(place, &Environment::default()).unwrap();
            Box::new(PostgresQueue::open(info, Arc::new(System)).unwrap())
        }
    }
}

fn job() -> NewJob {
    let work = VerifyWork {
        backup: BackupId::new(System.now()),
        database: "shop".parse().unwrap(),
        kind: VerificationKind::Checksum,
    };
    NewJob {
        work: Work::Verify(work),
        priority: 0,
        dedup_key: None,
        policy: RetryPolicy::default(),
        created_by: Line::lossy("bench"),
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (kind, place) = (arguments[1].as_str(), arguments[2].as_str());
    let (jobs, workers): (usize, usize) = (arguments[3].parse().unwrap(), arguments[4].parse().unwrap());
    if kind == "postgres" {
        let info = ConnInfo::parse(place, &Environment::default()).unwrap();
        pggit::sql::install(&Client::connect(&info, "bench").unwrap()).unwrap();
    }
    let queue = open(kind, place);
    let mut enqueued: Vec<Duration> = (0..jobs)
        .map(|_| {
            let began = Instant::now();
            queue.enqueue(job()).unwrap();
            began.elapsed()
        })
        .collect();
    enqueued.sort_unstable();
    let done = AtomicUsize::new(0);
    let handles: Vec<Box<dyn Queue>> = (0..workers).map(|_| open(kind, place)).collect();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for (n, queue) in handles.iter().enumerate() {
            let done = &done;
            scope.spawn(move || {
                let me = Claimant {
                    worker: Line::lossy(&format!("w{n}")),
                    owner: None,
                    lease: Duration::from_secs(60),
                };
                let mut next = queue.claim(&me).unwrap();
                while done.load(Ordering::Relaxed) < jobs {
                    let Some(claim) = next else {
                        next = queue.claim(&me).unwrap();
                        continue;
                    };
                    let completed = AttemptEnd::Completed { output: String::new(), tell: false };
                    next = queue.end_and_claim(&claim, &completed, &me).unwrap().1;
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let took = began.elapsed().as_secs_f64();
    let ms = |at: usize| enqueued[at.min(jobs - 1)].as_secs_f64() * 1e3;
    println!(
        "{{\"queue\":\"{kind}\",\"jobs\":{jobs},\"workers\":{workers},\"enqueue_ms\":{:.2},\"enqueue_p99_ms\":{:.2},\
         \"jobs_per_s\":{:.0}}}",
        ms(jobs / 2),
        ms(jobs * 99 / 100),
        jobs as f64 / took
    );
}
