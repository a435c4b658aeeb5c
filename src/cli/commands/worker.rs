//! `git pggit worker`

use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::backup;
use crate::cli::attendants::{Monitor, Planner, Reminder, Seed, Teller, successes};
use crate::cli::output::queue::WorkerSummary;
use crate::cli::{Code, Context, Failure, logging};
use crate::config::{self, Config};
use crate::domain::{BackupId, Line, Work};
use crate::queue::Queue;
use crate::worker::events::Hub;
use crate::worker::{self, Chore, Deadline, Died, Log, Mode, Processes, Settings, Worker};
use crate::workspace::queue;

/// Do the jobs of the queue: make the backups that others asked for
///
/// Runs until it is told to end by SIGTERM or Ctrl-C. Then it takes no more
/// jobs, gives the running ones some time, ends and hands back the rest; told
/// again, it gives them no time. Any number of workers may run, on several
/// machines when the queue is in PostgreSQL. Whatever happens to one, its jobs
/// are done by another, under the same backup id.
///
/// Settings of databases are read anew for each job. The log is on standard
/// error, with --json one object in a line. Under systemd, use Type=notify.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Do one job, and end
    #[arg(long, conflicts_with = "until_idle")]
    once: bool,

    /// End when no job may run
    #[arg(long)]
    until_idle: bool,

    /// How many jobs to do at once
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,

    /// Answer /healthz, /readyz and /metrics over HTTP at this address
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,

    /// How long running jobs have when the worker is told to end
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = grace)]
    grace: Duration,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit worker
    git pggit worker --concurrency 4 --json
    git pggit worker --listen 127.0.0.1:9187
    git pggit worker --until-idle";

fn grace(text: &str) -> Result<Duration, String> {
    match text {
        "0" => Ok(Duration::ZERO),
        _ => config::duration(text).ok_or_else(|| "expected a duration such as 30s or 5m".to_owned()),
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    logging::begin(context)?;
    let config = context.config()?;
    let worker = config.worker_id()?.map_or_else(name_of_process, |setting| setting.value);
    let mode = match (args.once, args.until_idle) {
        (true, _) => Mode::Once,
        (_, true) => Mode::UntilIdle,
        _ => Mode::Forever,
    };
    let settings = Settings {
        worker,
        concurrency: args.concurrency.into(),
        lease: config.lease()?,
        poll: config.poll_interval()?,
        grace: args.grace,
        mode,
    };
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(Code::Fatal, "cannot find this program").cause(error.to_string()))?;
    let arguments = ["--quiet", "run-job"].map(OsString::from).to_vec();
    let queue: Arc<dyn Queue> = Arc::from(queue::open(context)?);
    let seed = Seed::of(context);
    let teller =
        Teller::start(seed.clone(), Arc::clone(&queue)).map_err(|error| Failure::of(Code::Fatal, &error))?;
    let teller = Arc::new(teller);
    let mut hub = Hub::default();
    hub.add(Arc::new(Log));
    hub.add(Arc::<Teller>::clone(&teller));
    if let Some(address) = args.listen {
        let worker = settings.worker.clone();
        let monitor =
            Arc::new(Monitor::new(seed.clone(), Arc::clone(&queue), worker, settings.poll, settings.lease));
        monitor.listen(address)?;
        hub.add(monitor);
    }
    // Who works only on what is there looks for nothing else.
    let planner = Planner::new(seed.clone(), Arc::clone(&queue), Arc::clone(&teller));
    let chores: Vec<Box<dyn Chore>> = match mode {
        Mode::Forever => vec![Box::new(planner), Box::new(Reminder::of(Arc::clone(&teller)))],
        _ => Vec::new(),
    };
    let summary = worker::run(Worker {
        settings,
        queue,
        runner: Arc::new(Processes { program, arguments }),
        hub,
        chores,
        deadline: deadlines(config.clone()),
        tells: successes(seed),
        died: records(context)?,
    });
    if mode != Mode::Forever
        && let Err(failure) = teller.catch_up()
    {
        context.ui.failure(&failure);
    }
    teller.finish();
    let summary = summary?;
    if context.ui.wants_json() && mode != Mode::Forever {
        context.ui.json(&WorkerSummary { completed: summary.completed, failed: summary.failed })?;
    }
    Ok(())
}

/// `db1-4711`
fn name_of_process() -> Line {
    Line::lossy(&format!("{}-{}", crate::process::host(), std::process::id()))
}

/// How long a job may take: what its database says, and some time to say that
/// it was too long.
fn deadlines(config: Config) -> Deadline {
    const MORE: Duration = Duration::from_secs(60);
    Box::new(move |job| {
        let database = config.database(job.work.database()).ok()?;
        Some(database.timeout?.value + MORE)
    })
}

/// Records that an attempt was interrupted whose process died without a word.
fn records(context: &Context) -> Result<Died, Failure> {
    let (ledger, schema) = (context.ledger_repository()?.for_thread(), context.repository()?.for_thread());
    let repositories = std::sync::Mutex::new((ledger, context.beside()?.is_some().then_some(schema)));
    let clock = context.clock();
    Ok(Box::new(move |job| {
        let Work::Backup(work) = &job.work else { return };
        let repositories = repositories.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let host = crate::process::host();
        let ledger = crate::ledger::Ledger::new(&repositories.0, clock.as_ref(), &host);
        let ledger = match &repositories.1 {
            Some(schema) => ledger.beside(schema),
            None => ledger,
        };
        let id: BackupId = work.backup;
        if let Err(error) = backup::record_interrupted(&ledger, id) {
            tracing::warn!(backup = %id, %error, "that the attempt was interrupted is not recorded");
        }
    }))
}
