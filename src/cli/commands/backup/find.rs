//! `git pggit backup find`

use crate::cli::Context;
use crate::cli::from_option::FromOption;
use crate::domain::{DatabaseName, ShortIds};
use crate::failure::Failure;
use crate::output::backup::FoundBackups;
use crate::recovery::Candidate;
use crate::recovery::restore::{CandidateQuery, best, candidates, one_database};
use crate::terminal::Table;

use super::list::short_ids;
use super::{select, view};

/// Find the backups that a commit can be restored from
///
/// Lists the backups of the commit itself and of the nearest commits of its
/// history that have some, the best one first: exact ones, then those with the
/// fewest migrations to run afterwards, then the nearest ones, then the newest ones.
/// Backups that are newer than the commit are listed and never chosen, because
/// migrations are not undone, and so are those whose migrations are not of the kind
/// that a restore runs. What is listed was looked for: chains are complete, and bytes
/// are where the record says.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The commit that is wanted; any git revision
    #[arg(value_name = "COMMIT", default_value = "HEAD")]
    commit: String,

    /// Only backups of this database
    #[arg(short, long, value_name = "NAME")]
    database: Option<DatabaseName>,

    /// Only backups that this tool has made
    #[arg(long, value_name = "TOOL")]
    tool: Option<String>,

    /// Only backups that were verified, with success
    #[arg(long)]
    verified_only: bool,

    /// Only backups that were complete before this time: RFC 3339, a date, or a span before now
    #[arg(long, value_name = "TIME")]
    at: Option<String>,

    /// How many backups to list at most
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,

    /// Do not look whether the bytes are there
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
        before: args.at.as_ref().map(|at| select::moment(at, context.now())).transpose()?,
        limit: args.limit,
        unchecked: args.no_check,
        stays: false,
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
    context.page()?;
    Ok(context.ui.table(&table(&candidates, &short_ids(&overview)))?)
}

fn table(candidates: &[Candidate], ids: &ShortIds) -> Table {
    let header = ["ID", "NAME", "COMMIT", "TYPE", "TOOL", "COMPLETED", "VERIFIED", "WHY"];
    let mut table = Table::new(header).paint(0, view::id_style).paint(2, view::id_style);
    for candidate in candidates {
        table.cell(&ids.of(candidate.backup));
        table.cell(&candidate.name);
        table.cell(candidate.commit.short());
        table.cell(candidate.kind.as_str());
        table.cell(&candidate.tool);
        table.cell(&candidate.completed_at.map(view::time).unwrap_or_default());
        table.cell(if candidate.verified { "yes" } else { "-" });
        table.cell(&candidate.reason());
    }
    table
}
