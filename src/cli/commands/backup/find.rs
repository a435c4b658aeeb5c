//! `git pggit backup find`

use crate::cli::Context;
use crate::cli::from_option::FromOption;
use crate::domain::{DatabaseName, time_or_span_before};
use crate::failure::Failure;
use crate::output::backup::{FoundBackups, candidate_table};
use crate::recovery::restore::{CandidateQuery, best, candidates, one_database};

use super::select;

/// Find the backups that a commit can be restored from
///
/// Lists the backups of the commit itself and of the nearest commits of its history
/// with backups, the best one first: backups of the commit, then those with the fewest
/// pending migrations, then the nearest ones, then the newest ones. Backups of newer
/// commits are listed and never chosen, because migrations are not undone. The same
/// applies to backups whose pending migrations a restore cannot run. The command checks
/// that backup chains are complete and that the data exists at the recorded locations.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The commit to restore; any git revision
    #[arg(value_name = "COMMIT", default_value = "HEAD")]
    commit: String,

    /// Only backups of this database
    #[arg(short, long, value_name = "NAME")]
    database: Option<DatabaseName>,

    /// Only backups made by this tool
    #[arg(long, value_name = "TOOL")]
    tool: Option<String>,

    /// Only backups whose verification passed
    #[arg(long)]
    verified_only: bool,

    /// Only backups completed before this time: RFC 3339, a date, or a span before now
    #[arg(long, value_name = "TIME")]
    at: Option<String>,

    /// The maximum number of backups
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,

    /// Do not check that the data exists
    #[arg(long, conflicts_with = "from")]
    no_check: bool,

    #[command(flatten)]
    from: FromOption,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup find
    git pggit backup find v1.9 --verified-only
    git pggit backup find main --at 2026-11-21 --json";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    args.from.apply(context)?;
    let commit = context.repository()?.resolve_commit(&args.commit)?;
    let overview = context.overview()?;
    let query = CandidateQuery {
        databases: one_database(args.database.as_ref(), &overview, context)?,
        tool: args.tool.as_deref(),
        no_dumps: false,
        verified_only: args.verified_only,
        before: args.at.as_ref().map(|at| time_or_span_before(at, context.now())).transpose()?,
        limit: args.limit,
        unchecked: args.no_check,
        stays: false,
        allow_unproved: false,
    };
    let candidates = candidates(&query, commit, &overview, context)?;
    if context.ui.wants_json() {
        let best = candidates.iter().find(|candidate| candidate.is_eligible()).map(|best| best.backup);
        return Ok(context.ui.json(&FoundBackups {
            commit: commit.to_commit(),
            best,
            candidates: candidates.iter().map(Into::into).collect(),
        })?);
    }
    best(&candidates, commit)?;
    context.table(&candidate_table(&candidates, &select::short_ids(&overview)))
}
