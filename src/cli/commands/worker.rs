//! `git pggit worker`

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use crate::cli::{Context, logging};
use crate::domain::parse_duration;
use crate::failure::{Code, Failure};
use crate::output::queue::WorkerSummary;
use crate::worker::{self, Mode, Options, Processes, WorkerResult};

/// Run the jobs of the queue
///
/// Runs until SIGTERM or Ctrl-C. Then the worker claims no more jobs, waits for
/// running jobs, and stops them and returns them to the queue after --grace. A
/// second signal stops the jobs at once. Any number of workers may run, on several
/// machines if the queue is in PostgreSQL. If a worker crashes, another worker runs
/// its jobs, under the same backup ids.
///
/// The settings of a database are read again for each job. Log lines go to standard
/// error, with --json as one JSON object in each line. Under systemd, use
/// Type=notify.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Run one job, then exit
    #[arg(long, conflicts_with = "until_idle")]
    once: bool,

    /// Exit when no job is due
    #[arg(long)]
    until_idle: bool,

    /// The maximum number of concurrent jobs
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,

    /// Serve /healthz, /readyz and /metrics over HTTP on this address
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,

    /// The time for running jobs to end after SIGTERM or Ctrl-C
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    grace: Duration,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit worker
    git pggit worker --concurrency 4 --json
    git pggit worker --listen 127.0.0.1:9187
    git pggit worker --until-idle";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    logging::begin(context)?;
    let mode = match (args.once, args.until_idle) {
        (true, _) => Mode::Once,
        (_, true) => Mode::UntilIdle,
        _ => Mode::Forever,
    };
    let program = std::env::current_exe().map_err(|error| {
        Failure::new(Code::Fatal, "cannot determine the path of this program").cause(error.to_string())
    })?;
    let arguments = ["--quiet", "run-job"].map(OsString::from).to_vec();
    let options = Options {
        mode,
        concurrency: args.concurrency.into(),
        grace: args.grace,
        listen: args.listen,
        processes: Processes { program, arguments },
    };
    let WorkerResult { summary, notifications } = worker::start(context, options)?;
    if let Err(error) = notifications {
        context.ui.failure(&Failure::from(error).output());
    }
    let summary = summary?;
    if context.ui.wants_json() && mode != Mode::Forever {
        context.ui.json(&WorkerSummary { completed: summary.completed, failed: summary.failed })?;
    }
    Ok(())
}
