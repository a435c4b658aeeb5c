//! Starts a worker on the queue of a workspace, with the scheduler, the notifications and the HTTP
//! endpoint.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::events::Hub;
use super::health::Health;
use super::notifier::{NotificationSender, OutboxTask, notify_on_success};
use super::scheduler::Scheduler;
use super::{
    Deadline, Error, EventLogger, Mode, OnCrash, PeriodicTask, Processes, Settings, Summary, Worker, run,
};
use crate::backup;
use crate::config::Config;
use crate::domain::{Line, Work};
use crate::ledger::Ledger;
use crate::queue::{self, Queue};
use crate::workspace::{self, Factory, Workspace};

/// The options of a worker that are not configured.
#[derive(Debug)]
pub struct Options {
    /// The condition on which it exits by itself.
    pub mode: Mode,
    /// The maximum number of concurrent jobs.
    pub concurrency: usize,
    /// The time that running jobs have to finish on shutdown.
    pub grace: Duration,
    /// The address of the HTTP endpoint.
    pub listen: Option<SocketAddr>,
    /// The program that runs an attempt.
    pub processes: Processes,
}

/// The result of a worker.
#[derive(Debug)]
pub struct WorkerResult {
    /// The numbers of its attempts.
    pub summary: Result<Summary, Error>,
    /// An error if the pending notifications of other workers could not be read.
    pub notifications: Result<(), queue::Error>,
}

/// Runs a worker on the queue of `workspace` until a signal or until its mode ends it. Fails if the
/// queue, the configuration or the address cannot be used.
pub fn start(workspace: &Workspace, options: Options) -> Result<WorkerResult, Error> {
    let Options { mode, concurrency, grace, listen, processes } = options;
    let config = workspace.config()?;
    let configured = config.worker_id().map_err(workspace::Error::from)?;
    let settings = Settings {
        worker: configured.map_or_else(name_of_process, |setting| setting.value),
        concurrency,
        lease: config.lease().map_err(workspace::Error::from)?,
        poll: config.poll_interval().map_err(workspace::Error::from)?,
        grace,
        mode,
    };
    let queue: Arc<dyn Queue> = Arc::from(workspace::queue::open(workspace)?);
    let workspaces = Factory::like(workspace);
    let notifier = Arc::new(NotificationSender::start(workspaces.clone(), Arc::clone(&queue))?);
    let mut hub = Hub::default();
    hub.add(Arc::new(EventLogger));
    hub.add(Arc::<NotificationSender>::clone(&notifier));
    if let Some(address) = listen {
        let health = Health::new(workspaces.clone(), Arc::clone(&queue), &settings);
        let health = Arc::new(health);
        health.listen(address)?;
        hub.add(health);
    }
    // `--once` and `--until-idle` only work on queued jobs, and do not run the scheduler.
    let periodic_tasks: Vec<Box<dyn PeriodicTask>> = match mode {
        Mode::Forever => vec![
            Box::new(Scheduler::new(workspaces.clone(), Arc::clone(&queue), Arc::clone(&notifier))),
            Box::new(OutboxTask::of(Arc::clone(&notifier))),
        ],
        _ => Vec::new(),
    };
    let summary = run(Worker {
        settings,
        queue,
        runner: Arc::new(processes),
        hub,
        periodic_tasks,
        deadline: time_limits(config.clone()),
        notify_on_success: notify_on_success(workspaces),
        on_crash: record_interrupted(workspace)?,
    });
    let notifications = if mode == Mode::Forever { Ok(()) } else { notifier.send_pending() };
    notifier.finish();
    Ok(WorkerResult { summary, notifications })
}

/// `db1-4711`
fn name_of_process() -> Line {
    Line::lossy(&format!("{}-{}", crate::process::host(), std::process::id()))
}

/// Returns the time limit of a job: the configured timeout of the database, and a minute in which
/// the process can report the timeout itself.
fn time_limits(config: Config) -> Deadline {
    const MORE: Duration = Duration::from_secs(60);
    Box::new(move |job| {
        let database = config.database(job.work.database()).ok()?;
        Some(database.timeout?.value + MORE)
    })
}

/// Returns a function that records an attempt that crashed as interrupted.
fn record_interrupted(workspace: &Workspace) -> Result<OnCrash, workspace::Error> {
    let ledger = workspace.ledger_repository()?.for_thread();
    let schema = workspace.repository()?.for_thread();
    let repositories = Mutex::new((ledger, workspace.beside()?.is_some().then_some(schema)));
    let clock = workspace.clock();
    Ok(Box::new(move |job| {
        let Work::Backup(work) = &job.work else { return };
        let repositories = repositories.lock().unwrap_or_else(PoisonError::into_inner);
        let host = crate::process::host();
        let ledger = Ledger::new(&repositories.0, clock.as_ref(), &host);
        let ledger = match &repositories.1 {
            Some(schema) => ledger.beside(schema),
            None => ledger,
        };
        let id = work.backup;
        if let Err(error) = backup::record_interrupted(&ledger, id) {
            tracing::warn!(backup = %id, %error, "could not record the interrupted attempt");
        }
    }))
}
