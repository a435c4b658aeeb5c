//! `git pggit backup coverage`

use std::collections::HashSet;

use serde_json::json;

use crate::backup::is_abandoned;
use crate::cli::ui::Table;
use crate::cli::{Code, Context, Failure};
use crate::domain::{CommitId, human_bytes};
use crate::git::{Branch as GitBranch, Oid, Repository, Walk};
use crate::report::{self, Branch, Coverage, History, Known, Records, State, Tally};

use super::{select, view};

/// Show which branches and commits can be restored
///
/// A branch is 'ok' when a backup of its tip is complete together with
/// everything it needs. Otherwise the nearest commit of its history is named
/// that can be restored, with the number of commits since.
///
/// States: no_backup, failed (also when it was interrupted), in_progress,
/// no_full_backup (something that it needs is not there), ok.
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
    let overview = select::overview(context)?;
    let records = Records::new(overview.rows().map(|row| Known {
        id: row.id(),
        commit: row.commit(),
        kind: row.kind(),
        status: row.status(),
        interrupted: is_abandoned(row.status(), row.owner().as_ref()),
        registered_at: row.registered_at(),
        stored_bytes: row.stored_bytes().unwrap_or(0),
        needs: row.needs().next(),
        verified: row.is_verified(),
    }));
    let repository = context.repository()?;
    let all_ok = match &args.commits {
        Some(range) => commits(range, &records, repository, context)?,
        None => branches(&args.branch, &records, repository, context)?,
    };
    if args.exit_code && !all_ok {
        return Err(Failure::new(Code::Negative, ""));
    }
    Ok(())
}

fn branches(
    named: &[String],
    records: &Records,
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
    let rows = branches
        .into_iter()
        .zip(nearest)
        .map(|(branch, nearest)| (branch.name, branch.tip.to_commit(), nearest));
    let branches = report::branches(records, rows);
    let all_ok = branches.iter().all(|branch| branch.tip.state == State::Ok);
    let tally = records.tally();
    if context.ui.wants_json() {
        context.ui.json(&json!({ "branches": branches, "totals": tally }))?;
        return Ok(all_ok);
    }
    context.page()?;
    context.ui.table(&branch_table(&branches, repository))?;
    if branches.is_empty() {
        context.ui.hint("there are no branches yet");
    }
    context.ui.line(totals(&tally))?;
    Ok(all_ok)
}

/// The nearest restorable commit of each tip. Only tips that cannot be restored
/// themselves are walked from, all of them together.
fn nearest(
    tips: &[Oid],
    records: &Records,
    repository: &Repository,
) -> Result<Vec<Option<(CommitId, usize)>>, Failure> {
    let good: HashSet<Oid> = records.restorable_commits().map(Oid::from).collect();
    let mut walked: Vec<Oid> = tips.iter().copied().filter(|tip| !good.contains(tip)).collect();
    walked.sort_unstable();
    walked.dedup();
    let graph = if good.is_empty() { Vec::new() } else { repository.graph(&walked)? };
    let mut found = History::new(&graph).nearest(tips, |commit| good.contains(commit));
    for (tip, found) in tips.iter().zip(&mut found) {
        if good.contains(tip) {
            *found = Some((*tip, 0));
        }
    }
    Ok(found.into_iter().map(|found| found.map(|(commit, behind)| (commit.to_commit(), behind))).collect())
}

fn branch_table(branches: &[Branch], repository: &Repository) -> Table {
    let header = ["BRANCH", "TIP", "STATE", "BACKUPS", "VERIFIED", "NEAREST", "BEHIND"];
    let mut table =
        Table::new(header).right(3).right(6).whole(0).paint(1, view::id_style).paint(2, view::status_style);
    for branch in branches {
        let nearest = branch
            .nearest
            .as_ref()
            .map(|commit| format!("{} {}", commit.short(), subject(commit, repository)));
        table.row([
            branch.branch.clone(),
            branch.tip.commit.short().to_owned(),
            branch.tip.state.as_str().to_owned(),
            branch.tip.backups.to_string(),
            verified(&branch.tip),
            nearest.unwrap_or_else(|| "-".to_owned()),
            branch.commits_since.map_or_else(|| "-".to_owned(), |behind| behind.to_string()),
        ]);
    }
    table
}

fn commits(
    range: &str,
    records: &Records,
    repository: &Repository,
    context: &Context,
) -> Result<bool, Failure> {
    let (tip, hidden) = repository.resolve_range(range)?;
    let walked = repository.walk(&[tip], hidden.as_slice(), Walk::default())?;
    let walked: Vec<CommitId> = walked.into_iter().map(Oid::to_commit).collect();
    let commits = report::commits(records, &walked);
    let ok = commits.iter().filter(|commit| commit.state == State::Ok).count();
    let backups: usize = commits.iter().map(|commit| commit.backups).sum();
    let totals = json!({ "commits": commits.len(), "ok": ok, "backups": backups });
    if context.ui.wants_json() {
        context.ui.json(&json!({ "commits": commits, "totals": totals }))?;
        return Ok(ok == commits.len());
    }
    let header = ["COMMIT", "STATE", "BACKUPS", "VERIFIED", "SUBJECT"];
    let mut table = Table::new(header).right(2).paint(0, view::id_style).paint(1, view::status_style);
    for commit in &commits {
        table.row([
            commit.commit.short().to_owned(),
            commit.state.as_str().to_owned(),
            commit.backups.to_string(),
            verified(commit),
            subject(&commit.commit, repository),
        ]);
    }
    context.page()?;
    context.ui.table(&table)?;
    let n = commits.len();
    context.ui.line(format!("{ok} of {n} commit{} can be restored", if n == 1 { "" } else { "s" }))?;
    Ok(ok == n)
}

fn verified(coverage: &Coverage) -> String {
    if coverage.verified { "yes" } else { "-" }.to_owned()
}

/// Empty when the commit cannot be read, as in a shallow clone.
fn subject(commit: &CommitId, repository: &Repository) -> String {
    repository.summary(Oid::from(commit)).map(|summary| summary.subject).unwrap_or_default()
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
