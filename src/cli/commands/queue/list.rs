//! `git pggit queue list`

use crate::cli::Context;
use crate::domain::{DatabaseName, JobKind, JobState, ShortIds};
use crate::failure::Failure;
use crate::output::queue::{JobList, job_table};
use crate::queue::{Filter, Listing};
use crate::terminal::JsonElement;
use crate::workspace::queue;

/// List jobs, newest first
///
/// Without options, jobs in all states are listed. 'git pggit queue clean' removes
/// finished jobs.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only jobs in this state; may be given several times
    #[arg(short, long, value_name = "STATE")]
    state: Vec<JobState>,

    /// Only jobs of this database
    #[arg(short, long, value_name = "NAME")]
    database: Option<DatabaseName>,

    /// Only jobs of this kind: backup or verify
    #[arg(long, value_name = "KIND")]
    kind: Option<JobKind>,

    /// The maximum number of jobs
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
        context.ui.hint("no job matches the filters; 'git pggit queue enqueue' adds one");
        return Ok(());
    }
    context.table(&job_table(&jobs, &ids, context.now()))
}
