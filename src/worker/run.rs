//! The loop: claim, start, wait.

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
use super::chores::{Chore, keep_doing};
use super::events::{Event, Hub};
use super::runner::Runner;
use super::systemd;
use crate::domain::{Job, Line, Owner};
use crate::process::crash_point;
use crate::queue::{self, Claim, Claimant, Queue, Watch};
use crate::workspace;

/// The longest wait after the queue could not be reached.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// When a worker ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It does not.
    Forever,
    /// When no job may run.
    UntilIdle,
    /// After one job.
    Once,
}

/// How a worker works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its name.
    pub worker: Line,
    /// How many jobs it runs at once.
    pub concurrency: usize,
    /// How long it may be silent before others take its jobs.
    pub lease: Duration,
    /// How often it looks for jobs when nothing wakes it.
    pub poll: Duration,
    /// How long running jobs have when it is told to end.
    pub grace: Duration,
    /// When it ends by itself.
    pub mode: Mode,
}

/// Says how long a job may take.
pub type Deadline = Box<dyn Fn(&Job) -> Option<Duration> + Send + Sync>;
/// Says whether somebody wants to hear that a job was completed.
pub type Tells = Box<dyn Fn(&Job) -> bool + Send + Sync>;
/// Does something about the backup of an attempt that died without a word.
pub type Died = Box<dyn Fn(&Job) + Send + Sync>;

/// A worker and what it works with.
pub struct Worker {
    /// How it works.
    pub settings: Settings,
    /// Where the jobs are.
    pub queue: Arc<dyn Queue>,
    /// Who does the work.
    pub runner: Arc<dyn Runner>,
    /// Who is told.
    pub hub: Hub,
    /// What else is to be done.
    pub chores: Vec<Box<dyn Chore>>,
    /// How long a job may take.
    pub deadline: Deadline,
    /// Whether somebody wants to hear that a job was completed.
    pub tells: Tells,
    /// What to do about the backup of an attempt that died without a word.
    pub died: Died,
}

/// What a worker has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many jobs were completed.
    pub completed: u64,
    /// How many attempts ended otherwise.
    pub failed: u64,
}

/// Why a worker cannot work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refuses something that it cannot do without.
    #[error("cannot start the worker")]
    Io(#[from] io::Error),
    /// There is no queue that could be worked on.
    #[error(transparent)]
    Queue(#[from] queue::Error),
    /// The configuration or the repository cannot be read.
    #[error(transparent)]
    Workspace(#[from] workspace::Error),
    /// The address for questions about the worker cannot be used.
    #[error("cannot listen at {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// An error and what is behind it in one line, for the log.
pub(super) fn in_a_line(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source()).map(ToString::to_string);
    // Some errors say what the error behind them says.
    let mut all: Vec<String> = std::iter::once(error.to_string()).chain(causes).collect();
    all.dedup();
    all.join(": ")
}

/// What all attempts share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) runner: Arc<dyn Runner>,
    pub(super) hub: Hub,
    /// Changes whenever something may have changed in the queue.
    pub(super) woken: watch::Sender<u64>,
    /// Running attempts have to end.
    pub(super) ends: watch::Sender<bool>,
    queue: Arc<dyn Queue>,
    deadline: Deadline,
    tells: Tells,
    died: Died,
}

impl Shared {
    /// Asks the queue about a claim, on a thread that may wait.
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

    pub(super) fn tells_success(&self, job: &Job) -> bool {
        (self.tells)(job)
    }

    pub(super) fn runner_died(&self, job: &Job) {
        (self.died)(job);
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, queue::Error> + Send + 'static,
) -> Result<T, queue::Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(queue::Error::Watch { detail: format!("a thread died: {error}") }),
    }
}

/// Works until it is told to end, or as its mode says.
pub fn run(worker: Worker) -> Result<Summary, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let summary = runtime.block_on(Loop::new(worker)?.run());
    // A question that the queue does not answer must not hold us.
    runtime.shutdown_background();
    summary
}

struct Loop {
    shared: Arc<Shared>,
    claimant: Claimant,
    chores: Vec<Box<dyn Chore>>,
    running: JoinSet<bool>,
    summary: Summary,
    /// How long to wait after the queue could not be reached; zero when it can.
    wait: Duration,
    /// Nothing was left to be taken when it looked last.
    idle: bool,
    claimed: u64,
}

impl Loop {
    fn new(worker: Worker) -> Result<Self, Error> {
        let Worker { settings, queue, runner, hub, chores, deadline, tells, died } = worker;
        let claimant =
            Claimant { worker: settings.worker.clone(), owner: Owner::current().ok(), lease: settings.lease };
        let (woken, ends) = (watch::Sender::new(0), watch::Sender::new(false));
        let shared = Arc::new(Shared { settings, runner, hub, woken, ends, queue, deadline, tells, died });
        Ok(Self {
            shared,
            claimant,
            chores,
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
        self.chores.drain(..).for_each(|chore| drop(tokio::spawn(keep_doing(chore))));
        systemd::ready();
        let started = Event::Started { worker: settings.worker.clone(), concurrency: settings.concurrency };
        self.shared.hub.tell(&started);
        let mut woken = self.shared.woken.subscribe();
        // How often it says at least that it is not stuck.
        let sign = systemd::watchdog().unwrap_or(Duration::MAX).min(settings.lease);
        loop {
            woken.mark_unchanged();
            self.fill().await?;
            if self.is_done() {
                break;
            }
            let pause = self.pause().await;
            tokio::select! {
                _ = woken.changed() => {}
                Some(ended) = self.running.join_next() => self.count(ended.unwrap_or(false)),
                () = sleep(pause) => {}
                () = sleep(sign) => {}
                _ = terminate.recv() => return Ok(self.finish(&mut terminate, &mut interrupt).await),
                _ = interrupt.recv() => return Ok(self.finish(&mut terminate, &mut interrupt).await),
            }
            systemd::alive();
            self.shared.hub.tell(&Event::Alive);
        }
        systemd::stopping();
        self.shared.hub.tell(&Event::Stopping);
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

    /// Takes jobs while there is room for them.
    async fn fill(&mut self) -> Result<(), Error> {
        let once = self.shared.settings.mode == Mode::Once;
        self.idle = false;
        while self.running.len() < self.shared.settings.concurrency && !(once && self.claimed > 0) {
            let (queue, claimant) = (Arc::clone(&self.shared.queue), self.claimant.clone());
            match blocking(move || queue.claim(&claimant)).await {
                Ok(Some(claim)) => {
                    crash_point("worker.claimed");
                    self.reached();
                    self.claimed += 1;
                    let waited = waited(&claim.job);
                    self.shared.hub.tell(&Event::Claimed { job: Box::new(claim.job.clone()), waited });
                    self.running.spawn(attempt(Arc::clone(&self.shared), claim));
                }
                Ok(None) => {
                    self.reached();
                    self.idle = true;
                    break;
                }
                Err(error) if self.shared.settings.mode != Mode::Forever && !error.retry() => {
                    return Err(error.into());
                }
                Err(error) => {
                    if self.wait.is_zero() {
                        let detail = Some(error.to_string());
                        self.shared.hub.tell(&Event::Queue { reachable: false, detail });
                    }
                    debug!(%error, "no job could be claimed");
                    self.wait = (self.wait * 2).clamp(Duration::from_millis(250), LONGEST_WAIT);
                    break;
                }
            }
        }
        Ok(())
    }

    fn reached(&mut self) {
        if !std::mem::take(&mut self.wait).is_zero() {
            self.shared.hub.tell(&Event::Queue { reachable: true, detail: None });
        }
    }

    /// How long to wait for something to happen before looking again.
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
            // It could not be taken: its database is busy, or somebody else was faster. When
            // that changes, it wakes us.
            Some(due) if due.is_zero() => Duration::from_secs(1).min(poll),
            Some(due) => due.max(Duration::from_millis(10)).min(poll),
            None => poll,
        }
    }

    /// Wakes the loop whenever the queue changes.
    fn start_watching(&self) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        std::thread::Builder::new().name("watch".to_owned()).spawn(move || keep_watching(&shared))?;
        Ok(())
    }

    /// Takes no more jobs, gives the running ones some time, and hands back the
    /// rest. Whoever asks again gets no time.
    async fn finish(
        mut self,
        terminate: &mut tokio::signal::unix::Signal,
        interrupt: &mut tokio::signal::unix::Signal,
    ) -> Summary {
        systemd::stopping();
        self.shared.hub.tell(&Event::Stopping);
        let end = Instant::now() + self.shared.settings.grace;
        while !self.running.is_empty() {
            let asked = *self.shared.ends.borrow();
            tokio::select! {
                Some(ended) = self.running.join_next() => self.count(ended.unwrap_or(false)),
                () = tokio::time::sleep_until(end), if !asked => drop(self.shared.ends.send_replace(true)),
                _ = terminate.recv() => drop(self.shared.ends.send_replace(true)),
                _ = interrupt.recv() => drop(self.shared.ends.send_replace(true)),
            }
        }
        self.summary
    }
}

/// How long a job had been waiting when it was claimed.
fn waited(job: &Job) -> Duration {
    let since = job.history.last().map_or(job.created_at, |report| report.ended_at);
    let began = job.started_at.unwrap_or(since);
    (began.as_datetime() - since.as_datetime()).to_std().unwrap_or_default()
}

/// Watches the queue for ever; anew when that fails.
#[expect(clippy::disallowed_methods, reason = "this thread has nothing else to do")]
fn keep_watching(shared: &Shared) {
    let mut wait = Duration::from_millis(250);
    let mut watch: Option<Box<dyn Watch>> = None;
    loop {
        let result = match &mut watch {
            Some(watch) => watch.wait(LONGEST_WAIT),
            None => shared.queue.watch().map(|new| {
                watch = Some(new);
                // What happened before is not told.
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
                warn!(%error, "the queue cannot be watched");
                watch = None;
                std::thread::sleep(wait);
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
}
