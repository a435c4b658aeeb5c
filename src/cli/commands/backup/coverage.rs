//! `git pggit backup coverage`

use std::collections::BTreeSet;

use crate::cli::Context;
use crate::domain::{BackupId, DatabaseName};
use crate::failure::{Code, Failure};
use crate::git::{Branch as GitBranch, Oid};
use crate::ledger::Overview;
use crate::output::backup::{BranchCoverage, CommitWarningOutput, RangeCoverage};
use crate::recovery::restore::{CoverageQuery, SHALLOW, records};
use crate::report::BackupIndex;
use crate::workspace::places;

/// Show which branches and commits can be restored
///
/// A branch is 'ok' if a backup of its tip is complete together with its backup chain, or
/// a backup of an older commit that has the same migrations. It is 'reachable' if a
/// restore runs migrations after a backup of an older commit and then compares the schema,
/// and 'unproven' if the schema of the tip is not known. For other branches the output
/// names the nearest restorable commit of their history, with the number of commits
/// since. With several configured databases the one counts that is covered worst.
///
/// States: no_backup, failed (or interrupted), in_progress, no_full_backup (the backup
/// chain is incomplete), bytes_missing (the store or directory of the data is missing;
/// the command then exits with 15), verification_failed (the latest verdict on the
/// backup, or on one of its chain, is 'failed'), unproven, reachable, ok.
///
/// With --commits a commit is 'ok', too, if it changes no file of the schema and its
/// parent is 'ok'. No migrations are planned for the other commits.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only this branch; may be given several times
    #[arg(short, long, value_name = "BRANCH", conflicts_with = "commits")]
    branch: Vec<String>,

    /// Each commit of a range, such as v1.0..main, instead of branches
    #[arg(long, value_name = "RANGE")]
    commits: Option<String>,

    /// Only the backups of this database
    #[arg(short, long, value_name = "NAME")]
    database: Option<DatabaseName>,

    /// Exit with 1 if a listed branch or commit is not ok
    #[arg(long)]
    exit_code: bool,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup coverage
    git pggit backup coverage --database shop --branch main --exit-code
    git pggit backup coverage --commits v1.0..main";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let overview = context.overview()?;
    let standing = places::data_availability(context, &overview)?;
    let query = CoverageQuery::new(context, args.database.as_ref(), &overview, &standing.missing)?;
    let records = records(&overview, &standing.missing);
    let all_ok = match &args.commits {
        Some(range) => commits(range, &query, &records, &overview, context)?,
        None => branches(&args.branch, &query, &records, context)?,
    };
    if !all_ok && context.repository()?.is_shallow() {
        context.ui.warning(SHALLOW);
    }
    if let Some((count, home)) = &standing.elsewhere {
        let backups = if *count == 1 { "1 backup is" } else { &format!("{count} backups are") };
        context
            .ui
            .hint(&format!("{backups} outside of the configured stores and directories, such as {home}"));
    }
    if let Some((first, others)) = standing.gone.split_first() {
        let failure = Failure::new(Code::Storage, first.to_string()).hint("mount it, or restore it");
        return Err(others.iter().fold(failure, |failure, gone| failure.cause(gone.to_string())));
    }
    if args.exit_code && !all_ok {
        return Err(Failure::new(Code::CheckFailed, ""));
    }
    Ok(())
}

fn branches(
    named: &[String],
    query: &CoverageQuery<'_>,
    records: &BackupIndex<Oid>,
    context: &Context,
) -> Result<bool, Failure> {
    let repository = context.repository()?;
    let branches = if named.is_empty() {
        repository.branches()?
    } else {
        let tip = |name: &String| Ok(GitBranch { name: name.clone(), tip: repository.branch_tip(name)? });
        named.iter().map(tip).collect::<Result<_, Failure>>()?
    };
    let branches = query.branches(&branches)?;
    let ledger = context.ledger()?;
    let mut warnings = Vec::new();
    let sources: BTreeSet<BackupId> =
        branches.iter().filter_map(|branch| branch.tip.restorable_from).collect();
    for backup in sources {
        let of_backup = ledger.commit_warnings(&ledger.by_id(backup)?)?;
        warnings.extend(CommitWarningOutput::of(backup, of_backup));
    }
    let coverage = BranchCoverage { branches, totals: records.tally(), warnings };
    if context.ui.wants_json() {
        context.ui.json(&coverage)?;
    } else {
        context.page()?;
        coverage.print(repository, context.now(), &context.ui)?;
    }
    Ok(coverage.is_ok())
}

fn commits(
    range: &str,
    query: &CoverageQuery<'_>,
    records: &BackupIndex<Oid>,
    overview: &Overview,
    context: &Context,
) -> Result<bool, Failure> {
    let repository = context.repository()?;
    let (tip, hidden) = repository.resolve_range(range)?;
    let commits = query.commits(tip, hidden)?;
    let coverage = RangeCoverage::from(commits);
    if context.ui.wants_json() {
        context.ui.json(&coverage)?;
    } else {
        context.page()?;
        coverage.print(records, overview, repository, context.now(), &context.ui)?;
    }
    Ok(coverage.is_ok())
}
