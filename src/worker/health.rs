//! Health, readiness and metrics of the worker.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tracing::info;

use super::events::{Event, Listener};
use super::http::{StatusSource, serve};
use super::run::{Settings, one_line};
use crate::automation;
use crate::domain::{Job, Line};
use crate::queue::{Filter, Queue};
use crate::report::metrics::{CONTENT_TYPE, Counters, Reading, metrics};
use crate::workspace::{self, Factory};

/// The health of the worker.
pub(super) struct Health {
    workspaces: Factory,
    queue: Arc<dyn Queue>,
    worker: Line,
    counters: Counters,
    /// The reason why the worker does not claim jobs.
    obstacle: Mutex<Option<String>>,
    /// The time of the last progress; `None` while none is required.
    moved: Mutex<Option<Instant>>,
    /// The time without progress after which the worker counts as stuck.
    patience: Duration,
}

impl Health {
    /// Creates the health of a worker with these settings. The queue may respond slowly: the worker
    /// counts as stuck only after twice the lease.
    pub(super) fn new(workspaces: Factory, queue: Arc<dyn Queue>, settings: &Settings) -> Self {
        let obstacle = Mutex::new(Some("the worker is starting".to_owned()));
        let patience = settings.poll * 3 + settings.lease * 2;
        let (worker, counters) = (settings.worker.clone(), Counters::default());
        Self { workspaces, queue, worker, counters, obstacle, moved: Mutex::new(None), patience }
    }

    /// Listens at `address` until this process exits. Returns the actual address, because the port
    /// may be 0. Fails if the address cannot be used.
    pub(super) fn listen(self: &Arc<Self>, address: SocketAddr) -> Result<SocketAddr, super::Error> {
        let refused = |source| super::Error::Listen { address, source };
        let listener = std::net::TcpListener::bind(address).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(refused)?;
        let source: Arc<dyn StatusSource> = Arc::<Self>::clone(self);
        let answering = std::thread::Builder::new().name("http".to_owned()).spawn(move || {
            runtime.block_on(async {
                match TcpListener::from_std(listener) {
                    Ok(listener) => drop(serve(listener, source).await),
                    Err(error) => tracing::error!(%error, "the HTTP endpoint failed"),
                }
            });
        });
        answering.map_err(refused)?;
        info!(%address, "listening on http://{address}");
        Ok(address)
    }

    fn moves(&self, at: Option<Instant>) {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    fn set(&self, obstacle: Option<String>) {
        *self.obstacle.lock().unwrap_or_else(PoisonError::into_inner) = obstacle;
    }

    fn count(&self, job: &Job, outcome: &str, took: Duration) {
        self.counters.count(job.work.kind(), job.work.database(), outcome, took);
    }

    fn read(&self) -> Result<String, workspace::Error> {
        let workspace = self.workspaces.open();
        let stats = self.queue.stats()?;
        let config = workspace.config()?;
        let overview = workspace.ledger()?.overview()?;
        let jobs = self.queue.list(&Filter::default())?.jobs;
        let tables = automation::timetables(config, &overview, &jobs, workspace.now());
        let missed: BTreeSet<_> = tables
            .rules
            .into_iter()
            .filter(|planned| planned.state.missed.is_some())
            .map(|planned| planned.database)
            .collect();
        let reading = Reading {
            worker: self.worker.as_str(),
            queue: &stats,
            backups: &overview,
            databases: &config.databases(),
            missed: &missed,
            now: workspace.now(),
        };
        Ok(metrics(&reading, &self.counters))
    }
}

impl Listener for Health {
    fn on(&self, event: &Event) {
        match event {
            Event::Alive => self.moves(Some(Instant::now())),
            Event::Started { .. } => {
                self.moves(Some(Instant::now()));
                self.set(None);
            }
            Event::Queue { reachable: true, .. } => self.set(None),
            Event::Queue { reachable: false, detail } => {
                let detail = detail.as_deref().unwrap_or("no response");
                self.set(Some(format!("the queue is unreachable: {detail}")));
            }
            Event::Stopping => {
                self.moves(None);
                self.set(Some("the worker is stopping".to_owned()));
            }
            Event::Succeeded { job, took, .. } => self.count(job, "completed", *took),
            Event::WillRetry { job, took, .. } => self.count(job, "will_retry", *took),
            Event::FailedForGood { job, took, .. } => self.count(job, "permanently_failed", *took),
            _ => {}
        }
    }
}

impl StatusSource for Health {
    fn health(&self) -> Result<(), String> {
        let moved = *self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        match moved.map(|at| at.elapsed()).filter(|still| *still > self.patience) {
            Some(still) => Err(format!("the worker has made no progress for {} s", still.as_secs())),
            None => Ok(()),
        }
    }

    fn readiness(&self) -> Result<(), String> {
        match self.obstacle.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            Some(obstacle) => Err(obstacle),
            None => Ok(()),
        }
    }

    fn metrics(&self) -> Result<(String, &'static str), String> {
        self.read().map(|text| (text, CONTENT_TYPE)).map_err(|error| one_line(&error))
    }
}
