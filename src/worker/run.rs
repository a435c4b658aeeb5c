//! The main loop of the worker: claim, start, wait.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use super::attempt::attempt;
use super::events::{Event, Hub};
use super::periodic::{PeriodicTask, run_forever};
use super::runner::Runner;
use super::systemd;
use crate::domain::{Job, Line, Owner};
use crate::process::crash_point;
use crate::queue::{self, Claim, Claimant, Queue, Watch};
use crate::workspace;

/// The longest wait while the queue is unreachable.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The condition on which a worker exits by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The worker does not exit by itself.
    Forever,
    /// The worker exits when no job is due.
    UntilIdle,
    /// The worker exits after one job.
    Once,
}

/// The settings of a worker.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of the worker.
    pub worker: Line,
    /// The maximum number of concurrent jobs.
    pub concurrency: usize,
    /// The time without a heartbeat after which other workers may claim the jobs of this worker.
    pub lease: Duration,
    /// The interval of polling the queue when no notification arrives.
    pub poll: Duration,
    /// The time that running jobs have to finish on shutdown.
    pub grace: Duration,
    /// The condition on which the worker exits by itself.
    pub mode: Mode,
}

/// Returns the time limit of a job.
pub type Deadline = Box<dyn Fn(&Job) -> Option<Duration> + Send + Sync>;
/// Returns true if a receiver wants a notification about a completed job.
pub type NotifyOnSuccess = Box<dyn Fn(&Job) -> bool + Send + Sync>;
/// Records that the backup of an attempt that crashed was interrupted.
pub type OnCrash = Box<dyn Fn(&Job) + Send + Sync>;

/// A worker and its dependencies.
pub struct Worker {
    /// The settings.
    pub settings: Settings,
    /// The queue.
    pub queue: Arc<dyn Queue>,
    /// Runs the jobs.
    pub runner: Arc<dyn Runner>,
    /// The listeners of the events of the worker.
    pub hub: Hub,
    /// The periodic tasks.
    pub periodic_tasks: Vec<Box<dyn PeriodicTask>>,
    /// Returns the time limit of a job.
    pub deadline: Deadline,
    /// Returns true if a receiver wants a notification about a completed job.
    pub notify_on_success: NotifyOnSuccess,
    /// Records that the backup of an attempt that crashed was interrupted.
    pub on_crash: OnCrash,
}

/// The numbers of the attempts of a worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// The number of completed jobs.
    pub completed: u64,
    /// The number of attempts that did not complete their job.
    pub failed: u64,
}

/// The reason why a worker cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused a thread, runtime or signal handler.
    #[error("cannot start the worker")]
    Io(#[from] io::Error),
    /// The queue cannot be used.
    #[error(transparent)]
    Queue(#[from] queue::Error),
    /// The configuration or the repository cannot be read.
    #[error(transparent)]
    Workspace(#[from] workspace::Error),
    /// The address of the HTTP endpoint cannot be used.
    #[error("cannot listen at {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// Returns an error and its causes in one line, for the server log.
pub(super) fn one_line(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source()).map(ToString::to_string);
    // Some errors repeat the text of their cause.
    let mut all: Vec<String> = std::iter::once(error.to_string()).chain(causes).collect();
    all.dedup();
    all.join(": ")
}

/// The state that all attempts share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) runner: Arc<dyn Runner>,
    pub(super) hub: Hub,
    /// Incremented when the queue may have changed.
    pub(super) woken: watch::Sender<u64>,
    /// True when running attempts must stop.
    pub(super) shutdown: watch::Sender<bool>,
    queue: Arc<dyn Queue>,
    deadline: Deadline,
    notify_on_success: NotifyOnSuccess,
    on_crash: OnCrash,
}

impl Shared {
    /// Runs a request to the queue about a claim, on a thread that may block.
    pub(super) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        claim: &Claim,
        question: impl FnOnce(&dyn Queue, &Claim) -> Result<T, queue::Error> + Send + 'static,
    ) -> Result<T, queue::Error> {
        let (queue, claim) = (Arc::clone(&self.queue), claim.clone());
        blocking(move || question(queue.as_ref(), &claim)).await
    }

    pub(super) fn deadline(&self, job: &Job) -> Option<Duration> {
        (self.deadline)(job)
    }

    pub(super) fn notifies_success(&self, job: &Job) -> bool {
        (self.notify_on_success)(job)
    }

    pub(super) fn attempt_crashed(&self, job: &Job) {
        (self.on_crash)(job);
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, queue::Error> + Send + 'static,
) -> Result<T, queue::Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(queue::Error::Watch { detail: format!("a thread panicked: {error}") }),
    }
}

/// Runs a worker until a signal or until its mode ends it. Fails if the queue cannot be used or the
/// operating system refuses a thread.
pub fn run(worker: Worker) -> Result<Summary, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let summary = runtime.block_on(Loop::new(worker)?.run());
    // A hanging request to the queue must not delay the exit.
    runtime.shutdown_background();
    summary
}

struct Loop {
    shared: Arc<Shared>,
    claimant: Claimant,
    periodic_tasks: Vec<Box<dyn PeriodicTask>>,
    running: JoinSet<bool>,
    summary: Summary,
    /// The wait while the queue is unreachable; zero while it is reachable.
    wait: Duration,
    /// True if the last poll found no job.
    idle: bool,
    claimed: u64,
}

impl Loop {
    fn new(worker: Worker) -> Result<Self, Error> {
        let Worker { settings, queue, runner, hub, periodic_tasks, deadline, notify_on_success, on_crash } =
            worker;
        let claimant =
            Claimant { worker: settings.worker.clone(), owner: Owner::current().ok(), lease: settings.lease };
        let (woken, shutdown) = (watch::Sender::new(0), watch::Sender::new(false));
        let shared = Arc::new(Shared {
            settings,
            runner,
            hub,
            woken,
            shutdown,
            queue,
            deadline,
            notify_on_success,
            on_crash,
        });
        Ok(Self {
            shared,
            claimant,
            periodic_tasks,
            running: JoinSet::new(),
            summary: Summary::default(),
            wait: Duration::ZERO,
            idle: false,
            claimed: 0,
        })
    }

    async fn run(mut self) -> Result<Summary, Error> {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let settings = self.shared.settings.clone();
        self.start_watching()?;
        self.periodic_tasks.drain(..).for_each(|task| drop(tokio::spawn(run_forever(task))));
        systemd::ready();
        let started = Event::Started { worker: settings.worker.clone(), concurrency: settings.concurrency };
        self.shared.hub.publish(&started);
        let mut woken = self.shared.woken.subscribe();
        // The longest interval between two signs of progress.
        let progress_interval = systemd::watchdog().unwrap_or(Duration::MAX).min(settings.lease);
        loop {
            woken.mark_unchanged();
            self.claim_jobs().await?;
            if self.is_done() {
                break;
            }
            let pause = self.pause().await;
            tokio::select! {
                _ = woken.changed() => {}
                Some(ended) = self.running.join_next() => self.count(ended.unwrap_or(false)),
                () = sleep(pause) => {}
                () = sleep(progress_interval) => {}
                _ = terminate.recv() => return Ok(self.finish(&mut terminate, &mut interrupt).await),
                _ = interrupt.recv() => return Ok(self.finish(&mut terminate, &mut interrupt).await),
            }
            systemd::alive();
            self.shared.hub.publish(&Event::Alive);
        }
        systemd::stopping();
        self.shared.hub.publish(&Event::Stopping);
        Ok(self.summary)
    }

    fn count(&mut self, completed: bool) {
        match completed {
            true => self.summary.completed += 1,
            false => self.summary.failed += 1,
        }
    }

    fn is_done(&self) -> bool {
        match self.shared.settings.mode {
            Mode::Forever => false,
            Mode::UntilIdle => self.idle && self.running.is_empty(),
            Mode::Once => self.running.is_empty() && (self.claimed > 0 || self.idle),
        }
    }

    /// Claims jobs up to the configured concurrency.
    async fn claim_jobs(&mut self) -> Result<(), Error> {
        let once = self.shared.settings.mode == Mode::Once;
        self.idle = false;
        while self.running.len() < self.shared.settings.concurrency && !(once && self.claimed > 0) {
            let (queue, claimant) = (Arc::clone(&self.shared.queue), self.claimant.clone());
            match blocking(move || queue.claim(&claimant)).await {
                Ok(Some(claim)) => {
                    crash_point("worker.claimed");
                    self.queue_reachable();
                    self.claimed += 1;
                    let waited = waited(&claim.job);
                    self.shared.hub.publish(&Event::Claimed { job: Box::new(claim.job.clone()), waited });
                    self.running.spawn(attempt(Arc::clone(&self.shared), claim));
                }
                Ok(None) => {
                    self.queue_reachable();
                    self.idle = true;
                    break;
                }
                Err(error) if self.shared.settings.mode != Mode::Forever && !error.retry() => {
                    return Err(error.into());
                }
                Err(error) => {
                    if self.wait.is_zero() {
                        let detail = Some(error.to_string());
                        self.shared.hub.publish(&Event::Queue { reachable: false, detail });
                    }
                    debug!(%error, "no job could be claimed");
                    self.wait = (self.wait * 2).clamp(Duration::from_millis(250), LONGEST_WAIT);
                    break;
                }
            }
        }
        Ok(())
    }

    fn queue_reachable(&mut self) {
        if !std::mem::take(&mut self.wait).is_zero() {
            self.shared.hub.publish(&Event::Queue { reachable: true, detail: None });
        }
    }

    /// Returns the wait before the next poll.
    async fn pause(&self) -> Duration {
        if !self.wait.is_zero() {
            return self.wait;
        }
        let poll = self.shared.settings.poll;
        if self.running.len() >= self.shared.settings.concurrency {
            return poll;
        }
        let queue = Arc::clone(&self.shared.queue);
        let due = blocking(move || queue.next_due()).await.ok().flatten();
        match due {
            // The job could not be claimed, because its database is busy or another worker was
            // faster. The queue notifies us when that changes.
            Some(due) if due.is_zero() => Duration::from_secs(1).min(poll),
            Some(due) => due.max(Duration::from_millis(10)).min(poll),
            None => poll,
        }
    }

    /// Starts the thread that wakes the loop when the queue changes.
    fn start_watching(&self) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        std::thread::Builder::new().name("watch".to_owned()).spawn(move || keep_watching(&shared))?;
        Ok(())
    }

    /// Shuts down: claims no more jobs, gives running ones the grace period, and returns the others
    /// to the queue. A second signal ends the grace period.
    async fn finish(
        mut self,
        terminate: &mut tokio::signal::unix::Signal,
        interrupt: &mut tokio::signal::unix::Signal,
    ) -> Summary {
        systemd::stopping();
        self.shared.hub.publish(&Event::Stopping);
        let end = Instant::now() + self.shared.settings.grace;
        while !self.running.is_empty() {
            let asked = *self.shared.shutdown.borrow();
            tokio::select! {
                Some(ended) = self.running.join_next() => self.count(ended.unwrap_or(false)),
                () = tokio::time::sleep_until(end), if !asked => drop(self.shared.shutdown.send_replace(true)),
                _ = terminate.recv() => drop(self.shared.shutdown.send_replace(true)),
                _ = interrupt.recv() => drop(self.shared.shutdown.send_replace(true)),
            }
        }
        self.summary
    }
}

/// Returns the time since the job became due when it was claimed.
fn waited(job: &Job) -> Duration {
    let since = job.history.last().map_or(job.created_at, |report| report.ended_at);
    let began = job.started_at.unwrap_or(since);
    (began.as_datetime() - since.as_datetime()).to_std().unwrap_or_default()
}

/// Watches the queue forever, and reopens the watch after an error.
#[expect(clippy::disallowed_methods, reason = "this thread has nothing else to do")]
fn keep_watching(shared: &Shared) {
    let mut wait = Duration::from_millis(250);
    let mut watch: Option<Box<dyn Watch>> = None;
    loop {
        let result = match &mut watch {
            Some(watch) => watch.wait(LONGEST_WAIT),
            None => shared.queue.watch().map(|new| {
                watch = Some(new);
                // Changes before the watch was opened are not reported, so poll once.
                true
            }),
        };
        match result {
            Ok(changed) => {
                wait = Duration::from_millis(250);
                if changed {
                    shared.woken.send_modify(|count| *count += 1);
                }
            }
            Err(error) => {
                warn!(%error, "could not watch the queue; retrying");
                watch = None;
                std::thread::sleep(wait);
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
}
