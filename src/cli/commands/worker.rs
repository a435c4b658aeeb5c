//! `git pggit worker`

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use crate::cli::{Context, logging};
use crate::domain::parse_duration;
use crate::failure::{Code, Failure};
use crate::output::queue::WorkerSummary;
use crate::worker::{self, Mode, Options, Processes, WorkerResult};

/// Do the jobs of the queue: make the backups that others asked for
///
/// Runs until it is told to end by SIGTERM or Ctrl-C. Then it takes no more
/// jobs, gives the running ones some time, ends and hands back the rest; told
/// again, it gives them no time. Any number of workers may run, on several
/// machines when the queue is in PostgreSQL. Whatever happens to one, its jobs
/// are done by another, under the same backup id.
///
/// Settings of databases are read again for each job. The log is on standard
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
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(Code::Fatal, "cannot find this program").cause(error.to_string()))?;
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
