//! The guarantees of every queue, for all implementations.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use pggit::clock::{Clock as _, System};
use pggit::domain::{
    AttemptEnd, AttemptOutcome, BackupId, BackupWork, Failure, Job, JobId, JobState, Line, NewJob, Owner,
    PendingNotification, RetryPolicy, VerificationKind, VerifyWork, Work,
};
use pggit::queue::{Claim, Claimant, Error, Filter, HeartbeatReply, Queue};

/// One queue with several handles, and its clock.
pub trait Stage: Sync {
    /// Opens one more handle, as another process would.
    fn open(&self) -> Box<dyn Queue>;
    /// Opens a handle on a machine whose clock is an hour ahead.
    fn open_ahead(&self) -> Box<dyn Queue>;
    /// Advances the clock.
    fn pass(&self, time: Duration);
    /// Returns the number of jobs for tests with many jobs.
    fn many(&self) -> usize;
}

pub const LEASE: Duration = Duration::from_secs(60);

pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn worker(name: &str) -> Claimant {
    Claimant { worker: Line::lossy(name), owner: None, lease: LEASE }
}

pub fn backup(database: &str) -> NewJob {
    let work = BackupWork {
        backup: BackupId::new(System.now()),
        database: database.parse().unwrap(),
        commit: None,
        branch: None,
        force: false,
        prefer_mark: false,
        backup_type: None,
        tool: None,
        name: None,
        tags: BTreeMap::new(),
    };
    let policy = RetryPolicy { max_attempts: 3, base_s: 100, cap_s: 150 };
    let created_by = Line::lossy("Ada 'the' \\ tester");
    NewJob { work: Work::Backup(work), priority: 0, dedup_key: None, policy, created_by }
}

/// Returns a job without a limit of concurrency.
pub fn free() -> NewJob {
    let work = VerifyWork {
        backup: BackupId::new(System.now()),
        database: "shop".parse().unwrap(),
        kind: VerificationKind::Checksum,
    };
    NewJob { work: Work::Verify(work), ..backup("shop") }
}

fn with_key(key: &str, job: NewJob) -> NewJob {
    NewJob { dedup_key: Some(Line::lossy(key)), ..job }
}

pub fn completed() -> AttemptEnd {
    AttemptEnd::Completed { output: "all 'is' \\ well\n".to_owned(), tell: false }
}

pub fn failed(retry: bool) -> AttemptEnd {
    let error = Failure { code: Line::lossy("tool-failed"), message: "no 'such' table".to_owned() };
    AttemptEnd::Failed { error, retry, output: "x".repeat(3 * Job::OUTPUT_BYTES) }
}

fn take(queue: &dyn Queue, name: &str) -> Claim {
    queue.claim(&worker(name)).unwrap().expect("there is a job")
}

#[track_caller]
fn assert_nothing(queue: &dyn Queue) {
    let claim = queue.claim(&worker("nobody")).unwrap();
    assert!(claim.is_none(), "{claim:?}");
}

#[track_caller]
fn assert_lost<T: std::fmt::Debug>(result: &Result<T, Error>) {
    assert!(matches!(result, Err(Error::Lost { .. })), "{result:?}");
}

pub fn each_job_has_one_owner(stage: &dyn Stage) {
    let queue = stage.open();
    let jobs = stage.many();
    let ids: BTreeSet<JobId> = (0..jobs).map(|_| queue.enqueue(free()).unwrap().job.id).collect();
    assert_eq!(ids.len(), jobs);
    let claimed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for n in 0..8 {
            let claimed = &claimed;
            scope.spawn(move || {
                let (queue, me) = (stage.open(), worker(&format!("w{n}")));
                let mut next = queue.claim(&me).unwrap();
                // A worker without a job tries again: a concurrent claim may have locked it.
                while claimed.lock().unwrap().len() < jobs {
                    next = match next {
                        Some(claim) => {
                            claimed.lock().unwrap().push(claim.job.id);
                            let (job, next) = queue.end_and_claim(&claim, &completed(), &me).unwrap();
                            assert_eq!(job.state, JobState::Completed);
                            next
                        }
                        None => queue.claim(&me).unwrap(),
                    };
                }
                assert!(next.is_none(), "no job is left to claim");
            });
        }
    });
    let claimed = claimed.into_inner().unwrap();
    assert_eq!(claimed.len(), jobs, "none was claimed twice");
    assert_eq!(claimed.into_iter().collect::<BTreeSet<_>>(), ids);
    assert_eq!(queue.stats().unwrap().count(JobState::Completed), jobs as u64);
}

pub fn late_answers_of_lost_workers_change_nothing(stage: &dyn Stage) {
    let (one, two) = (stage.open(), stage.open());
    one.enqueue(backup("shop")).unwrap();
    let lost = take(one.as_ref(), "same name");
    stage.pass(LEASE - secs(1));
    assert_nothing(two.as_ref());
    stage.pass(secs(2));
    assert_eq!(two.stats().unwrap().expired, 1);
    let held = take(two.as_ref(), "same name");
    assert_eq!(
        (held.job.id, held.fencing_token, held.job.attempts),
        (lost.job.id, lost.fencing_token + 1, 2)
    );
    let before = two.get(held.job.id).unwrap();
    assert_lost(&one.heartbeat(&lost));
    assert_lost(&one.end(&lost, &completed()));
    assert_lost(&one.end(&lost, &failed(true)));
    assert_lost(&one.end_and_claim(&lost, &AttemptEnd::HandedBack, &worker("w")).map(|(job, _)| job));
    assert_eq!(two.get(held.job.id).unwrap(), before);
    let job = two.end(&held, &completed()).unwrap();
    assert_eq!((job.state, job.lease.is_none(), job.last_error), (JobState::Completed, true, None));
    let outcomes: Vec<AttemptOutcome> = job.history.iter().map(|report| report.outcome).collect();
    assert_eq!(outcomes, [AttemptOutcome::Lost, AttemptOutcome::Completed]);
    assert_lost(&two.end(&Claim { fencing_token: held.fencing_token + 1, ..held.clone() }, &completed()));
    assert_lost(&two.heartbeat(&held));
}

pub fn heartbeats_keep_a_job(stage: &dyn Stage) {
    let queue = stage.open();
    queue.enqueue(backup("shop")).unwrap();
    let claim = take(queue.as_ref(), "w");
    for _ in 0..5 {
        stage.pass(LEASE - secs(5));
        assert_eq!(queue.heartbeat(&claim).unwrap(), HeartbeatReply::Continue);
        assert_nothing(stage.open().as_ref());
    }
    assert_eq!(queue.end(&claim, &completed()).unwrap().attempts, 1);
}

pub fn a_silent_worker_that_nobody_replaced_may_go_on(stage: &dyn Stage) {
    let queue = stage.open();
    queue.enqueue(backup("shop")).unwrap();
    let claim = take(queue.as_ref(), "w");
    stage.pass(LEASE * 2);
    assert_eq!(queue.heartbeat(&claim).unwrap(), HeartbeatReply::Continue);
    assert_nothing(stage.open().as_ref());
    queue.end(&claim, &completed()).unwrap();
}

pub fn failures_are_tried_again_later_and_later(stage: &dyn Stage) {
    let queue = stage.open();
    let id = queue.enqueue(backup("shop")).unwrap().job.id;
    for (attempt, base) in [(1, 100), (2, 150)] {
        let claim = take(queue.as_ref(), "w");
        let job = queue.end(&claim, &failed(true)).unwrap();
        assert_eq!((job.state, job.attempts), (JobState::WillRetry, attempt));
        let wait = job.next_retry_at.unwrap().seconds_since(job.updated_at);
        assert!((base * 3 / 4 - 1..=base).contains(&wait), "attempt {attempt} waits for {wait} s");
        assert_nothing(queue.as_ref());
        let due = queue.next_due().unwrap().unwrap().as_secs() as i64;
        assert!((wait - 30..=wait + 1).contains(&due), "{due} s, {wait} s");
        stage.pass(secs(base as u64 * 3 / 4 - 10));
        assert_nothing(queue.as_ref());
        stage.pass(secs(base as u64 / 4 + 11));
    }
    let claim = take(queue.as_ref(), "w");
    let job = queue.end(&claim, &failed(true)).unwrap();
    assert_eq!((job.state, job.attempts), (JobState::PermanentlyFailed, 3));
    assert_eq!(job.last_error.as_ref().unwrap().message, "no 'such' table");
    assert_eq!(job.history.len(), 3);
    assert!(job.history.iter().all(|report| report.output.len() == Job::OUTPUT_BYTES));
    assert_nothing(queue.as_ref());
    let job = queue.retry(id).unwrap();
    assert_eq!((job.state, job.attempts, job.finished_at), (JobState::Ready, 0, None));
    let claim = take(queue.as_ref(), "w");
    assert_eq!(queue.end(&claim, &failed(false)).unwrap().state, JobState::PermanentlyFailed);
    queue.retry(id).unwrap();
    queue.end(&take(queue.as_ref(), "w"), &failed(true)).unwrap();
    assert_eq!(queue.retry(id).unwrap().state, JobState::Ready, "it need not wait");
    let claim = take(queue.as_ref(), "w");
    assert_eq!(queue.end(&claim, &completed()).unwrap().state, JobState::Completed);
}

pub fn higher_priority_goes_first_then_age(stage: &dyn Stage) {
    let queue = stage.open();
    let add = |priority| queue.enqueue(NewJob { priority, ..free() }).unwrap().job.id;
    let (a, b, c, d) = (add(0), add(5), add(-5), add(0));
    let urgent = stage.open().enqueue(NewJob { priority: i16::MAX, ..free() }).unwrap().job.id;
    let order: Vec<JobId> = (0..5).map(|_| take(queue.as_ref(), "w").job.id).collect();
    assert_eq!(order, [urgent, b, a, d, c]);
}

pub fn of_waiting_jobs_with_one_key_there_is_one(stage: &dyn Stage) {
    let queue = stage.open();
    let new = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            let new = &new;
            scope.spawn(move || {
                for _ in 0..4 {
                    let enqueued = stage.open().enqueue(with_key("it's \\ k", backup("shop"))).unwrap();
                    new.fetch_add(usize::from(enqueued.is_new), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(new.into_inner(), 1);
    assert!(queue.enqueue(with_key("other", backup("shop"))).unwrap().is_new);
    assert_eq!(queue.list(&Filter::default()).unwrap().jobs.len(), 2);
    let claim = take(queue.as_ref(), "w");
    // A running job may have missed changes that the new one is for.
    let second = queue.enqueue(with_key("it's \\ k", backup("shop"))).unwrap();
    assert!(second.is_new);
    queue.pause(second.job.id).unwrap();
    let third = queue.enqueue(with_key("it's \\ k", backup("shop"))).unwrap();
    assert_eq!((third.is_new, third.job.id), (false, second.job.id));
    queue.end(&claim, &failed(true)).unwrap();
    queue.resume(second.job.id).unwrap();
    queue.cancel(second.job.id).unwrap();
    assert!(queue.retry(second.job.id).is_ok(), "whatever waits with its key by now");
}

pub fn one_backup_of_a_database_runs_at_a_time(stage: &dyn Stage) {
    let queue = stage.open();
    let (databases, each) = (["shop", "stats", "a..b"], 6);
    for _ in 0..each {
        databases.iter().for_each(|name| drop(queue.enqueue(backup(name)).unwrap()));
    }
    let running: Vec<AtomicBool> = databases.iter().map(|_| AtomicBool::new(false)).collect();
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for n in 0..8 {
            let (running, done) = (&running, &done);
            scope.spawn(move || {
                let queue = stage.open();
                while done.load(Ordering::SeqCst) < databases.len() * each {
                    let Some(claim) = queue.claim(&worker(&format!("w{n}"))).unwrap() else { continue };
                    let at = databases.iter().position(|name| *name == claim.job.work.database().as_str());
                    let running = &running[at.unwrap()];
                    assert!(!running.swap(true, Ordering::SeqCst), "two backups of one database");
                    queue.heartbeat(&claim).unwrap();
                    running.store(false, Ordering::SeqCst);
                    // A failed job does not block others either.
                    queue.end(&claim, &if n % 2 == 0 { completed() } else { failed(false) }).unwrap();
                    done.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    queue.enqueue(backup("shop")).unwrap();
    queue.enqueue(backup("shop")).unwrap();
    let lost = take(queue.as_ref(), "w");
    assert_nothing(queue.as_ref());
    assert!(queue.enqueue(free()).unwrap().is_new && queue.claim(&worker("w")).unwrap().is_some());
    stage.pass(LEASE + secs(1));
    let again = take(queue.as_ref(), "w");
    assert_eq!(again.job.id, lost.job.id, "the lost job is the older one");
    assert_eq!(again.job.attempts, 2);
}

pub fn cancelled_jobs_do_not_run_and_running_ones_are_asked_to_end(stage: &dyn Stage) {
    let queue = stage.open();
    let id = queue.enqueue(backup("shop")).unwrap().job.id;
    assert_eq!(queue.cancel(id).unwrap().state, JobState::Cancelled);
    assert_nothing(queue.as_ref());
    queue.retry(id).unwrap();
    let claim = take(queue.as_ref(), "w");
    let job = stage.open().cancel(id).unwrap();
    assert_eq!((job.state, job.cancel_requested), (JobState::InProgress, true));
    assert_eq!(queue.heartbeat(&claim).unwrap(), HeartbeatReply::CancelRequested);
    let job = queue.end(&claim, &AttemptEnd::Cancelled { output: String::new() }).unwrap();
    assert_eq!((job.state, job.cancel_requested), (JobState::Cancelled, false));
    // The same if the worker is killed before it receives the request.
    queue.retry(id).unwrap();
    let _lost = take(queue.as_ref(), "w");
    queue.cancel(id).unwrap();
    stage.pass(LEASE + secs(1));
    assert_nothing(queue.as_ref());
    assert_eq!(queue.get(id).unwrap().state, JobState::Cancelled);
    // The job may be completed before the worker receives the request.
    queue.retry(id).unwrap();
    let claim = take(queue.as_ref(), "w");
    queue.cancel(id).unwrap();
    assert_eq!(queue.end(&claim, &completed()).unwrap().state, JobState::Completed);
    assert!(matches!(queue.cancel(id), Err(Error::Refused { .. })));
}

pub fn paused_jobs_wait_and_refusals_say_why(stage: &dyn Stage) {
    let queue = stage.open();
    let id = queue.enqueue(backup("shop")).unwrap().job.id;
    assert_eq!(queue.pause(id).unwrap().state, JobState::Paused);
    assert_nothing(queue.as_ref());
    let refused = queue.retry(id).unwrap_err();
    assert!(refused.to_string().ends_with("cannot be retried: it is paused; resume it instead"), "{refused}");
    assert_eq!(queue.resume(id).unwrap().state, JobState::Ready);
    let claim = take(queue.as_ref(), "w");
    assert!(matches!(queue.pause(id), Err(Error::Refused { .. })));
    assert!(matches!(queue.resume(id), Err(Error::Refused { .. })));
    assert!(matches!(queue.retry(id), Err(Error::Refused { .. })));
    queue.end(&claim, &completed()).unwrap();
    assert!(matches!(queue.retry(id), Err(Error::Refused { .. })));
    let nobody = JobId::new(System.now());
    assert!(matches!(queue.cancel(nobody), Err(Error::NotFound { .. })));
    assert!(matches!(queue.get(nobody), Err(Error::NotFound { .. })));
    assert_eq!(queue.find(&id.to_string()[..20]).unwrap(), [id]);
    assert_eq!(queue.find("zz").unwrap(), []);
}

pub fn what_is_handed_back_runs_at_once_and_does_not_count(stage: &dyn Stage) {
    let queue = stage.open();
    queue.enqueue(backup("shop")).unwrap();
    for _ in 0..4 {
        let claim = take(queue.as_ref(), "w");
        let job = queue.end(&claim, &AttemptEnd::HandedBack).unwrap();
        assert_eq!((job.state, job.attempts), (JobState::Ready, 0));
    }
}

pub fn a_job_that_kills_its_workers_ends(stage: &dyn Stage) {
    let queue = stage.open();
    let id = queue.enqueue(backup("shop")).unwrap().job.id;
    take(queue.as_ref(), "w");
    stage.pass(LEASE + secs(1));
    // The first lost attempt causes no delay.
    take(queue.as_ref(), "w");
    stage.pass(LEASE + secs(1));
    assert_nothing(queue.as_ref());
    stage.pass(secs(101));
    take(queue.as_ref(), "w");
    stage.pass(LEASE + secs(1));
    assert_nothing(queue.as_ref());
    let job = queue.get(id).unwrap();
    assert_eq!(job.state, JobState::PermanentlyFailed);
    assert_eq!(job.last_error.unwrap().message, "worker w was not heard of any more");
}

pub fn an_hour_between_clocks_changes_nothing(stage: &dyn Stage) {
    let (right, ahead) = (stage.open(), stage.open_ahead());
    right.enqueue(backup("shop")).unwrap();
    let claim = take(right.as_ref(), "right");
    assert_nothing(ahead.as_ref());
    assert_eq!(right.heartbeat(&claim).unwrap(), HeartbeatReply::Continue);
    assert_nothing(ahead.as_ref());
    right.end(&claim, &failed(true)).unwrap();
    assert_nothing(ahead.as_ref());
    stage.pass(secs(101));
    let claim = take(ahead.as_ref(), "ahead");
    assert_nothing(right.as_ref());
    stage.pass(LEASE + secs(1));
    let again = take(right.as_ref(), "right");
    assert_eq!(again.job.attempts, 3);
    assert_lost(&ahead.end(&claim, &completed()));
    right.end(&again, &completed()).unwrap();
}

pub fn finished_jobs_go_by_age(stage: &dyn Stage) {
    let queue = stage.open();
    let many = stage.many();
    for _ in 0..many {
        let id = queue.enqueue(with_key("k", backup("shop"))).unwrap().job.id;
        queue.cancel(id).unwrap();
    }
    let (waiting, running) = (queue.enqueue(free()).unwrap().job.id, queue.enqueue(free()).unwrap().job.id);
    queue.pause(waiting).unwrap();
    assert_eq!(take(queue.as_ref(), "w").job.id, running);
    stage.pass(secs(86_400));
    let young = queue.enqueue(backup("shop")).unwrap().job.id;
    queue.cancel(young).unwrap();
    assert_eq!(queue.clean(secs(86_400 * 2)).unwrap(), 0);
    assert_eq!(queue.clean(secs(80_000)).unwrap(), many as u64);
    let left: BTreeSet<JobId> =
        stage.open().list(&Filter::default()).unwrap().jobs.iter().map(|job| job.id).collect();
    assert_eq!(left, [waiting, running, young].into());
    assert!(queue.enqueue(with_key("k", backup("shop"))).unwrap().is_new);
    assert_eq!(queue.clean(Duration::ZERO).unwrap(), 1);
}

pub fn listings_can_be_filtered(stage: &dyn Stage) {
    let queue = stage.open();
    let shop = queue.enqueue(backup("shop")).unwrap().job;
    let stats = queue.enqueue(backup("stats")).unwrap().job;
    let check = queue.enqueue(free()).unwrap().job;
    queue.pause(stats.id).unwrap();
    let ids = |filter: Filter| -> Vec<JobId> {
        let listing = stage.open().list(&filter).unwrap();
        assert_eq!(listing.damaged, []);
        listing.jobs.iter().map(|job| job.id).collect()
    };
    assert_eq!(ids(Filter::default()), [shop.id, stats.id, check.id]);
    assert_eq!(ids(Filter { states: vec![JobState::Paused], ..Filter::default() }), [stats.id]);
    assert_eq!(
        ids(Filter { database: Some("shop".parse().unwrap()), ..Filter::default() }),
        [shop.id, check.id]
    );
    let backups = Filter { kind: Some(pggit::domain::JobKind::Backup), ..Filter::default() };
    assert_eq!(ids(backups), [shop.id, stats.id]);
    assert_eq!(queue.get(shop.id).unwrap().work, shop.work);
    let counts = queue.stats().unwrap();
    assert_eq!((counts.count(JobState::Ready), counts.count(JobState::Paused), counts.due), (2, 1, 2));
}

pub fn who_watches_is_woken(stage: &dyn Stage) {
    let queue = stage.open();
    let mut watch = queue.watch().unwrap();
    while watch.wait(Duration::from_millis(50)).unwrap() {}
    let job = stage.open().enqueue(backup("shop")).unwrap().job;
    assert!(watch.wait(secs(20)).unwrap());
    let claim = take(queue.as_ref(), "w");
    while watch.wait(Duration::from_millis(50)).unwrap() {}
    queue.end(&claim, &AttemptEnd::HandedBack).unwrap();
    assert!(watch.wait(secs(20)).unwrap());
    while watch.wait(Duration::from_millis(50)).unwrap() {}
    queue.cancel(job.id).unwrap();
    assert!(watch.wait(secs(20)).unwrap());
}

pub fn the_job_of_a_dead_process_is_free_at_once(stage: &dyn Stage) {
    let queue = stage.open();
    queue.enqueue(backup("shop")).unwrap();
    let me = Owner::current().unwrap();
    let dead = Owner { started_ticks: me.started_ticks + 1, ..me.clone() };
    let claimant = |owner: Owner| Claimant { worker: Line::lossy("w"), owner: Some(owner), lease: LEASE };
    queue.claim(&claimant(dead)).unwrap().unwrap();
    let held = queue.claim(&claimant(me)).unwrap().unwrap();
    assert_eq!(held.job.attempts, 2);
    assert_eq!(held.job.history[0].outcome, AttemptOutcome::Lost);
    assert_nothing(stage.open().as_ref());
}

/// Returns the ids of the jobs whose notifications `sender` claims now.
fn pending_notifications(queue: &dyn Queue, sender: Option<&Owner>) -> Vec<JobId> {
    queue.claim_notifications(sender).unwrap().iter().map(|job| job.id).collect()
}

pub fn what_is_to_be_told_is_remembered_until_it_was(stage: &dyn Stage) {
    let queue = stage.open();
    let tell = |tell| AttemptEnd::Completed { output: String::new(), tell };
    let endings = [tell(false), tell(true), failed(false), failed(true), AttemptEnd::HandedBack];
    let mut ended = Vec::new();
    for ending in endings {
        queue.enqueue(free()).unwrap();
        let claim = take(queue.as_ref(), "w");
        ended.push(queue.end(&claim, &ending).unwrap());
        if ending == AttemptEnd::HandedBack {
            queue.cancel(claim.job.id).unwrap();
        }
    }
    assert_eq!(
        ended.iter().map(|job| job.pending_notification.is_some()).collect::<Vec<_>>(),
        [false, true, true, false, false]
    );
    let wanted = [ended[1].id, ended[2].id];
    // At first only the handle that ended the job may claim its notification, later others may.
    let other = stage.open();
    assert!(pending_notifications(other.as_ref(), None).is_empty());
    stage.pass(PendingNotification::PATIENCE + secs(1));
    assert_eq!(pending_notifications(other.as_ref(), None), wanted);
    assert!(pending_notifications(queue.as_ref(), None).is_empty());
    // The process that claimed the notifications may crash, too.
    stage.pass(PendingNotification::PATIENCE + secs(1));
    assert_eq!(pending_notifications(queue.as_ref(), None), wanted);
    queue.mark_notified(ended[1].id, ended[1].token).unwrap();
    // A mark for another attempt is ignored.
    queue.mark_notified(ended[2].id, ended[2].token + 1).unwrap();
    stage.pass(PendingNotification::PATIENCE + secs(1));
    assert_eq!(pending_notifications(other.as_ref(), None), wanted[1..]);
    queue.mark_notified(ended[2].id, ended[2].token).unwrap();
    stage.pass(PendingNotification::PATIENCE + secs(1));
    assert!(pending_notifications(other.as_ref(), None).is_empty());
    assert_eq!(queue.get(ended[2].id).unwrap().pending_notification, None);
}

pub fn what_a_dead_process_should_have_told_another_tells(stage: &dyn Stage) {
    let queue = stage.open();
    let me = Owner::current().unwrap();
    let dead = Owner { started_ticks: me.started_ticks + 1, ..me.clone() };
    let by = |owner: &Owner| Claimant { owner: Some(owner.clone()), ..worker("w") };
    let mut jobs = Vec::new();
    for owner in [&me, &dead] {
        queue.enqueue(free()).unwrap();
        let claim = queue.claim(&by(owner)).unwrap().unwrap();
        jobs.push(queue.end(&claim, &failed(false)).unwrap().id);
    }
    // Nobody ends a job whose workers crash, so any worker may claim its notification.
    let id = queue.enqueue(free()).unwrap().job.id;
    for wait in [0, 0, 101] {
        if wait > 0 {
            assert_nothing(queue.as_ref());
            stage.pass(secs(wait));
        }
        queue.claim(&by(&dead)).unwrap().unwrap();
    }
    assert_nothing(queue.as_ref());
    assert_eq!(queue.get(id).unwrap().state, JobState::PermanentlyFailed);
    assert_eq!(pending_notifications(queue.as_ref(), Some(&dead)), [jobs[1], id]);
    assert_eq!(pending_notifications(queue.as_ref(), Some(&me)), [jobs[1], id]);
    assert!(pending_notifications(stage.open().as_ref(), Some(&me)).is_empty());
}

pub fn what_is_tried_again_is_not_told_any_more(stage: &dyn Stage) {
    let queue = stage.open();
    queue.enqueue(free()).unwrap();
    let claim = take(queue.as_ref(), "w");
    queue.end(&claim, &failed(false)).unwrap();
    assert_eq!(queue.retry(claim.job.id).unwrap().pending_notification, None);
    stage.pass(PendingNotification::PATIENCE + secs(1));
    assert!(pending_notifications(queue.as_ref(), None).is_empty());
}

pub fn who_ends_a_backup_may_take_the_next_of_its_database(stage: &dyn Stage) {
    let queue = stage.open();
    let ids: Vec<JobId> = (0..2).map(|_| queue.enqueue(backup("shop")).unwrap().job.id).collect();
    let first = take(queue.as_ref(), "w");
    let (ended, second) = queue.end_and_claim(&first, &completed(), &worker("w")).unwrap();
    assert_eq!((ended.id, ended.state), (ids[0], JobState::Completed));
    let second = second.unwrap();
    assert_eq!(second.job.id, ids[1]);
    queue.enqueue(backup("shop")).unwrap();
    assert_nothing(stage.open().as_ref());
    // A finished claim takes no further job. The call may be repeated after a lost response.
    let again = queue.end_and_claim(&first, &completed(), &worker("w"));
    assert!(!matches!(again, Ok((_, Some(_)))), "{again:?}");
    let (ended, third) = queue.end_and_claim(&second, &failed(true), &worker("w")).unwrap();
    assert_eq!((ended.state, third.is_some()), (JobState::WillRetry, true));
    let (_, none) = queue.end_and_claim(&third.unwrap(), &completed(), &worker("w")).unwrap();
    assert!(none.is_none());
    assert_eq!(queue.stats().unwrap().count(JobState::Completed), 2);
}

macro_rules! conformance {
    ($stage:expr) => {
        crate::queue::suite::conformance! { $stage;
            each_job_has_one_owner late_answers_of_lost_workers_change_nothing heartbeats_keep_a_job
            a_silent_worker_that_nobody_replaced_may_go_on failures_are_tried_again_later_and_later
            higher_priority_goes_first_then_age of_waiting_jobs_with_one_key_there_is_one
            one_backup_of_a_database_runs_at_a_time cancelled_jobs_do_not_run_and_running_ones_are_asked_to_end
            paused_jobs_wait_and_refusals_say_why what_is_handed_back_runs_at_once_and_does_not_count
            a_job_that_kills_its_workers_ends an_hour_between_clocks_changes_nothing finished_jobs_go_by_age
            listings_can_be_filtered who_watches_is_woken the_job_of_a_dead_process_is_free_at_once
            what_is_to_be_told_is_remembered_until_it_was what_a_dead_process_should_have_told_another_tells
            what_is_tried_again_is_not_told_any_more who_ends_a_backup_may_take_the_next_of_its_database
        }
    };
    ($stage:expr; $($name:ident)+) => {
        $(#[test] fn $name() { crate::queue::suite::$name(&$stage); })+
    };
}
pub(crate) use conformance;
