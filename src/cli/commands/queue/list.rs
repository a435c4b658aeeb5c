//! `git pggit queue list`

use crate::cli::Context;
use crate::domain::{DatabaseName, Job, JobKind, JobState, ShortIds, Timestamp};
use crate::failure::Failure;
use crate::output::queue::JobList;
use crate::queue::{Filter, Listing};
use crate::terminal::text::relative_time;
use crate::terminal::{JsonElement, Table};
use crate::workspace::queue;

use super::view;

/// List jobs, the newest first
///
/// Without options, jobs in every state are listed, finished ones until
/// 'git pggit queue clean' removes them.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only those in this state; may be given several times
    #[arg(short, long, value_name = "STATE")]
    state: Vec<JobState>,

    /// Only those of this database
    #[arg(short, long, value_name = "NAME")]
    database: Option<DatabaseName>,

    /// Only those of this kind: backup or verify
    #[arg(long, value_name = "KIND")]
    kind: Option<JobKind>,

    /// At most this many
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<usize>,

    /// Print only the full ids, one per line
    #[arg(long, conflicts_with = "json")]
    ids: bool,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit queue list
    git pggit queue list --state will_retry --state permanently_failed
    git pggit queue list --state permanently_failed --ids | xargs git pggit queue retry";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let filter = Filter { states: args.state.clone(), database: args.database.clone(), kind: args.kind };
    let Listing { mut jobs, damaged } = queue::open(context)?.list(&filter)?;
    for (name, reason) in &damaged {
        context.ui.warning(&format!("job {name} cannot be read: {reason}"));
    }
    let ids = ShortIds::among(jobs.iter().map(|job| job.id));
    jobs.reverse();
    jobs.truncate(args.limit.unwrap_or(usize::MAX));
    if context.ui.wants_json() {
        let mut list = context.ui.json_list::<JobList>();
        for job in &jobs {
            list.element(&JsonElement::new(&job.into())?)?;
        }
        return Ok(list.end()?);
    }
    if args.ids {
        let lines: String = jobs.iter().map(|job| format!("{}\n", job.id)).collect();
        return Ok(context.ui.raw(lines.as_bytes())?);
    }
    if jobs.is_empty() {
        context.ui.hint("no job passes the filters; 'git pggit queue enqueue' makes one");
        return Ok(());
    }
    let table = table(&jobs, &ids, context.now());
    context.page()?;
    Ok(context.ui.table(&table)?)
}

fn table(jobs: &[Job], ids: &ShortIds, now: Timestamp) -> Table {
    let header = ["ID", "KIND", "DATABASE", "STATE", "PRIORITY", "ATTEMPTS", "AGE", "DETAILS"];
    let mut table = Table::new(header).right(4).right(5).paint(0, view::id_style).paint(3, view::state_style);
    for job in jobs {
        table.row([
            ids.of(job.id),
            job.work.kind().to_string(),
            job.work.database().to_string(),
            job.state.to_string(),
            job.priority.to_string(),
            format!("{}/{}", job.attempts, job.policy.max_attempts),
            relative_time(job.created_at, now),
            details(job),
        ]);
    }
    table
}

/// What else there is to say about a job in one line.
fn details(job: &Job) -> String {
    match (job.state, &job.lease, &job.last_error) {
        (JobState::InProgress, Some(lease), _) if job.cancel_requested => {
            format!("on {}, to be cancelled", lease.worker)
        }
        (JobState::InProgress, Some(lease), _) => format!("on {}", lease.worker),
        (JobState::WillRetry, _, error) => {
            let at = job.next_retry_at.map(|at| format!("at {}", view::time(at))).unwrap_or_default();
            let why = error.as_ref().map(|error| format!(": {}", error.message)).unwrap_or_default();
            format!("{at}{why}")
        }
        (JobState::PermanentlyFailed, _, Some(error)) => error.message.clone(),
        _ => String::new(),
    }
}
