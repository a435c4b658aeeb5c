//! `git pggit backup coverage`

use std::collections::BTreeSet;

use crate::cli::Context;
use crate::domain::BackupId;
use crate::failure::{Code, Failure};
use crate::git::{Branch as GitBranch, Oid, Repository, Walk};
use crate::ledger::Overview;
use crate::output::backup::{BranchCoverage, CommitWarningOutput, RangeCoverage};
use crate::recovery::restore::{branch_coverage, records};
use crate::report::BackupIndex;
use crate::workspace::places;

/// Show which branches and commits can be restored
///
/// A branch is 'ok' if its tip has a backup with a complete backup chain. Otherwise
/// the output names the nearest restorable commit of its history, with the number of
/// commits since.
///
/// States: no_backup, failed (or interrupted), in_progress, no_full_backup (the backup
/// chain is incomplete), bytes_missing (the store or directory of the data is missing;
/// the command then exits with 15), verification_failed (the latest verdict on the
/// backup, or on one of its chain, is 'failed'), ok.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only this branch; may be given several times
    #[arg(short, long, value_name = "BRANCH", conflicts_with = "commits")]
    branch: Vec<String>,

    /// Each commit of a range, such as v1.0..main, instead of branches
    #[arg(long, value_name = "RANGE")]
    commits: Option<String>,

    /// Exit with 1 if a listed branch or commit is not ok
    #[arg(long)]
    exit_code: bool,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup coverage
    git pggit backup coverage --branch main --exit-code
    git pggit backup coverage --commits v1.0..main";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let overview = context.overview()?;
    let standing = places::data_availability(context, &overview)?;
    let records = records(&overview, &standing.missing);
    let repository = context.repository()?;
    let all_ok = match &args.commits {
        Some(range) => commits(range, &records, &overview, context)?,
        None => branches(&args.branch, &records, repository, context)?,
    };
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
    records: &BackupIndex<Oid>,
    repository: &Repository,
    context: &Context,
) -> Result<bool, Failure> {
    let branches = if named.is_empty() {
        repository.branches()?
    } else {
        let tip = |name: &String| Ok(GitBranch { name: name.clone(), tip: repository.branch_tip(name)? });
        named.iter().map(tip).collect::<Result<_, Failure>>()?
    };
    let branches = branch_coverage(branches, records, repository)?;
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
    records: &BackupIndex<Oid>,
    overview: &Overview,
    context: &Context,
) -> Result<bool, Failure> {
    let repository = context.repository()?;
    let (tip, hidden) = repository.resolve_range(range)?;
    let walked = repository.walk(&[tip], hidden.as_slice(), Walk::default())?;
    let commits: Vec<_> = walked.into_iter().map(|commit| records.coverage(commit)).collect();
    let coverage = RangeCoverage::from(commits);
    if context.ui.wants_json() {
        context.ui.json(&coverage)?;
    } else {
        context.page()?;
        coverage.print(records, overview, repository, context.now(), &context.ui)?;
    }
    Ok(coverage.is_ok())
}
