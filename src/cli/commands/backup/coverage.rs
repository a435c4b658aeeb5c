//! `git pggit backup coverage`

use crate::cli::output::backup::{BranchCoverage, RangeCoverage, RangeTotals};
use crate::cli::ui::Table;
use crate::cli::{Code, Context, Failure};
use crate::domain::{Timestamp, human_bytes};
use crate::git::{Branch as GitBranch, Oid, Repository, Walk};
use crate::ledger::{Overview, Row};
use crate::recovery::restore::records;
use crate::report::{BackupIndex, Branch, Coverage, History, State, Tally, ahead_of_one};
use crate::workspace::places;

use super::view;

/// Show which branches and commits can be restored
///
/// A branch is 'ok' when a backup of its tip is complete together with
/// everything it needs. Otherwise the nearest commit of its history is named
/// that can be restored, with the number of commits since.
///
/// States: no_backup, failed (also when it was interrupted), in_progress,
/// no_full_backup (something that it needs is not there), bytes_missing (the store or
/// directory of the bytes is not there, which also ends the command with 15), verification_failed
/// (the latest verdict on it, or on one that it needs, is 'failed'), ok.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only this branch; may be given several times
    #[arg(short, long, value_name = "BRANCH", conflicts_with = "commits")]
    branch: Vec<String>,

    /// Each commit of a range, such as v1.0..main, instead of branches
    #[arg(long, value_name = "RANGE")]
    commits: Option<String>,

    /// End with 1 if anything that is listed is not ok
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
    let standing = places::standing(context, &overview)?;
    let records = records(&overview, &standing.missing);
    let repository = context.repository()?;
    let all_ok = match &args.commits {
        Some(range) => commits(range, &records, &overview, context)?,
        None => branches(&args.branch, &records, repository, context)?,
    };
    if let Some((count, home)) = &standing.elsewhere {
        let backups = if *count == 1 { "1 backup is" } else { &format!("{count} backups are") };
        context.ui.hint(&format!("{backups} outside of the places of your configuration, such as {home}"));
    }
    if let Some((first, others)) = standing.gone.split_first() {
        let failure = Failure::new(Code::Destination, first.to_string()).hint("mount it, or bring it back");
        return Err(others.iter().fold(failure, |failure, gone| failure.cause(gone.to_string())));
    }
    if args.exit_code && !all_ok {
        return Err(Failure::new(Code::Negative, ""));
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
    let tips: Vec<Oid> = branches.iter().map(|branch| branch.tip).collect();
    let nearest = nearest(&tips, records, repository)?;
    let one = |(branch, nearest): (GitBranch, Option<(Oid, usize)>)| {
        let tip = records.coverage(branch.tip).named(Oid::to_commit);
        let (nearest, commits_since) = nearest.unzip();
        Branch { branch: branch.name, tip, nearest: nearest.map(Oid::to_commit), commits_since }
    };
    let branches: Vec<Branch> = branches.into_iter().zip(nearest).map(one).collect();
    let all_ok = branches.iter().all(|branch| branch.tip.state == State::Ok);
    let tally = records.tally();
    if context.ui.wants_json() {
        context.ui.json(&BranchCoverage { branches, totals: tally })?;
        return Ok(all_ok);
    }
    context.page()?;
    context.ui.table(&branch_table(&branches, repository, context.now()))?;
    if branches.is_empty() {
        context.ui.hint("there are no branches yet");
    }
    context.ui.line(totals(&tally))?;
    Ok(all_ok)
}

/// The nearest restorable commit of each tip, and how many commits of the tip
/// it lacks. Where a few commits do not tell, the whole history is walked, once
/// for all such tips.
fn nearest(
    tips: &[Oid],
    records: &BackupIndex<Oid>,
    repository: &Repository,
) -> Result<Vec<Option<(Oid, usize)>>, Failure> {
    /// More commits than these are walked for all tips together.
    const FEW: usize = 1000;
    let good = |commit: &Oid| records.restorable(commit);
    let (mut found, mut far) = (Vec::with_capacity(tips.len()), Vec::new());
    for tip in tips {
        let mut near = good(tip).then_some((*tip, 0));
        // Where one is far from everything, others mostly are too.
        if near.is_none() && far.is_empty() {
            let ahead = repository.ahead(*tip, FEW, |commit| good(&commit)).unwrap_or_default();
            near = ahead.and_then(|ahead| ahead_of_one(&ahead, good));
        }
        if near.is_none() {
            far.push(*tip);
        }
        found.push(near);
    }
    if far.is_empty() || !records.any_restorable() {
        return Ok(found);
    }
    let graph = repository.graph(&far)?;
    let mut walked = History::new(&graph).nearest(&far, good).into_iter();
    for near in found.iter_mut().filter(|near| near.is_none()) {
        *near = walked.next().flatten();
    }
    Ok(found)
}

fn branch_table(branches: &[Branch], repository: &Repository, now: Timestamp) -> Table {
    let header = ["BRANCH", "TIP", "STATE", "BACKUPS", "VERIFIED", "NEAREST", "BEHIND"];
    let mut table =
        Table::new(header).right(3).right(6).whole(0).paint(1, view::id_style).paint(2, view::status_style);
    for branch in branches {
        let nearest = branch
            .nearest
            .as_ref()
            .map(|commit| format!("{} {}", commit.short(), view::subject_of(commit.into(), repository)));
        table.row([
            branch.branch.clone(),
            branch.tip.commit.short().to_owned(),
            branch.tip.state.as_str().to_owned(),
            branch.tip.backups.to_string(),
            view::verified(branch.tip.verification, now),
            nearest.unwrap_or_else(|| "-".to_owned()),
            branch.commits_since.map_or_else(|| "-".to_owned(), |behind| behind.to_string()),
        ]);
    }
    table
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
    let commits: Vec<Coverage<Oid>> = walked.into_iter().map(|commit| records.coverage(commit)).collect();
    let n = commits.len();
    let ok = commits.iter().filter(|commit| commit.state == State::Ok).count();
    if context.ui.wants_json() {
        let backups: usize = commits.iter().map(|commit| commit.backups).sum();
        let commits: Vec<Coverage> = commits.into_iter().map(|it| it.named(Oid::to_commit)).collect();
        context.ui.json(&RangeCoverage { commits, totals: RangeTotals { commits: n, ok, backups } })?;
        return Ok(ok == n);
    }
    let rows: Vec<Row<'_>> = overview.rows().collect();
    let header = ["COMMIT", "STATE", "BACKUPS", "VERIFIED", "SUBJECT"];
    let mut table = Table::new(header).right(2).paint(0, view::id_style).paint(1, view::status_style);
    for it in &commits {
        table.shown(it.commit.short());
        table.cell(it.state.as_str());
        table.shown(it.backups);
        table.cell(&view::verified(it.verification, context.now()));
        match records.of(&it.commit).find_map(|at| rows[at].subject()) {
            Some(subject) => table.cell(subject),
            None => table.cell(&view::subject_of(it.commit, repository)),
        }
    }
    context.page()?;
    context.ui.table(&table)?;
    context.ui.line(format!("{ok} of {n} commit{} can be restored", if n == 1 { "" } else { "s" }))?;
    Ok(ok == n)
}

/// `12 backups: 10 completed, 2 failed; 1.2 GiB stored`
fn totals(tally: &Tally) -> String {
    let plural = if tally.backups == 1 { "" } else { "s" };
    let by_status: Vec<String> = tally
        .by_status
        .iter()
        .map(|(status, count)| format!("{count} {}", status.replace('_', " ")))
        .collect();
    let all = format!("{} backup{plural}", tally.backups);
    if by_status.is_empty() {
        return all;
    }
    format!("{all}: {}; {} stored", by_status.join(", "), human_bytes(tally.stored_bytes))
}
