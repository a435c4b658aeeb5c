//! `git pggit backup find`

use std::collections::BTreeMap;

use serde_json::json;

use crate::cli::ui::Table;
use crate::cli::{Code, Context, Failure, store};
use crate::domain::{BackupId, DatabaseName, InvalidDatabaseName, Line, ShortIds, Status, Timestamp};
use crate::git::{Oid, Repository, Walk};
use crate::ledger::{Filter, Overview, Row};
use crate::recovery::{Candidate, Relation, is_migration, pending, rank};
use crate::store::Held;

use super::list::short_ids;
use super::{select, view};

/// Find the backups that a commit can be restored from
///
/// Lists the backups of the commit itself and of the nearest commits of its
/// history that have some, the best one first: exact ones, then those with the
/// fewest migrations to run afterwards, then the nearest ones. Backups that are
/// newer than the commit are listed and never chosen, because migrations are not
/// undone. What is listed was looked for: chains are complete, and bytes are
/// where the record says.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The commit that is wanted; any git revision
    #[arg(value_name = "COMMIT", default_value = "HEAD")]
    commit: String,

    /// Only backups of this database
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,

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
    #[arg(long)]
    no_check: bool,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup find
    git pggit backup find v1.9 --verified-only
    git pggit backup find main --at 2026-11-21 --json";

/// Which backups are looked for.
#[derive(Debug, Default)]
pub(super) struct Wanted<'a> {
    pub(super) database: Option<&'a str>,
    pub(super) tool: Option<&'a str>,
    pub(super) verified_only: bool,
    pub(super) before: Option<Timestamp>,
    pub(super) limit: usize,
    /// Not whether their bytes are there.
    pub(super) unchecked: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let commit = context.repository()?.resolve_commit(&args.commit)?;
    let overview = select::overview(context)?;
    let wanted = Wanted {
        database: args.database.as_deref(),
        tool: args.tool.as_deref(),
        verified_only: args.verified_only,
        before: args.at.as_ref().map(|at| select::moment(at, context.now())).transpose()?,
        limit: args.limit,
        unchecked: args.no_check,
    };
    let candidates = search(&wanted, commit, &overview, context)?;
    if context.ui.wants_json() {
        let best = candidates.iter().find(|candidate| candidate.is_eligible()).map(|best| best.backup);
        return Ok(context.ui.json(&json!({
            "commit": commit.to_commit(),
            "best": best,
            "candidates": candidates.iter().map(as_json).collect::<Vec<_>>(),
        }))?);
    }
    best(&candidates, commit)?;
    context.page()?;
    Ok(context.ui.table(&table(&candidates, &short_ids(&overview)))?)
}

/// The best of the candidates, if any may be restored for `commit`.
pub(super) fn best(candidates: &[Candidate], commit: Oid) -> Result<&Candidate, Failure> {
    if let Some(best) = candidates.iter().find(|candidate| candidate.is_eligible()) {
        return Ok(best);
    }
    let message = format!("commit {} has no backup that it can be restored from", commit.short());
    let failure = candidates.iter().fold(Failure::new(Code::NotFound, message), |failure, candidate| {
        let commit = candidate.commit.short();
        failure.hint(format!("{} on {commit}: {}", candidate.name, candidate.reason()))
    });
    Err(failure.hint("'git pggit backup coverage' shows branches and their nearest backups"))
}

/// The backups for `commit`, the best one first.
pub(super) fn search(
    wanted: &Wanted<'_>,
    commit: Oid,
    overview: &Overview,
    context: &Context,
) -> Result<Vec<Candidate>, Failure> {
    let filter = Filter {
        databases: select::databases(wanted.database)?,
        statuses: vec![Status::Completed],
        tools: wanted.tool.iter().map(|tool| Line::lossy(tool)).collect(),
        ..Filter::default()
    };
    let in_time = |row: &Row<'_>| match wanted.before {
        Some(before) => row.completed_at().is_some_and(|at| at <= before),
        None => true,
    };
    let mut rows = overview.select(&filter);
    rows.retain(|row| (!wanted.verified_only || row.is_verified()) && in_time(row));
    let mut candidates = related(&rows, commit, context)?;
    rank(&mut candidates);
    candidates.truncate(wanted.limit);
    judge(&mut candidates, overview, wanted.unchecked, context)?;
    rank(&mut candidates);
    Ok(candidates)
}

/// The backups whose commits have to do with `commit`: itself, the nearest ones
/// of its history, and the nearest ones that have it in theirs.
fn related(rows: &[Row<'_>], commit: Oid, context: &Context) -> Result<Vec<Candidate>, Failure> {
    /// So many commits of backups are compared with the wanted one.
    const COMPARED: usize = 64;
    let repository = context.repository()?;
    let mut known: Vec<Oid> = rows.iter().map(Row::commit_oid).collect();
    known.sort_unstable();
    known.dedup();
    let has_backup = |oid: &Oid| known.binary_search(oid).is_ok();
    let behind: Vec<Oid> = ancestors(commit, &has_backup, COMPARED, repository)?;
    let mut candidates = Vec::new();
    for oid in behind {
        let commits = distance(oid, commit, repository)?;
        for row in rows.iter().filter(|row| row.commit_oid() == oid) {
            let relation = match commits {
                0 => Relation::Exact,
                commits => Relation::Ancestor { commits, migrations: migrations(row, commit, context)? },
            };
            candidates.push(candidate(row, relation));
        }
    }
    if candidates.is_empty() {
        candidates = newer(rows, commit, repository)?;
    }
    Ok(candidates)
}

/// The nearest commits of the history of `commit`, itself included, that have a
/// backup; `most` of them.
fn ancestors(
    commit: Oid,
    has_backup: &dyn Fn(&Oid) -> bool,
    most: usize,
    repository: &Repository,
) -> Result<Vec<Oid>, Failure> {
    /// Where nobody makes backups for so long, the whole history is walked.
    const NEAR: usize = 2000;
    let pick = |commits: Vec<Oid>| commits.into_iter().filter(|oid| has_backup(oid)).take(most).collect();
    let near: Vec<Oid> =
        pick(repository.walk(&[commit], &[], Walk { limit: Some(NEAR), ..Walk::default() })?);
    match near.is_empty() {
        true => Ok(pick(repository.walk(&[commit], &[], Walk::default())?)),
        false => Ok(near),
    }
}

/// How many commits `newer` has that `older` lacks.
fn distance(older: Oid, newer: Oid, repository: &Repository) -> Result<usize, Failure> {
    match older == newer {
        true => Ok(0),
        false => Ok(repository.walk(&[newer], &[older], Walk::default())?.len()),
    }
}

/// Backups of commits that have `commit` in their history.
fn newer(rows: &[Row<'_>], commit: Oid, repository: &Repository) -> Result<Vec<Candidate>, Failure> {
    /// The newest ones; more would tell nobody anything.
    const SHOWN: usize = 3;
    let mut candidates = Vec::new();
    for row in rows.iter().rev().filter(|row| repository.has_commit(row.commit_oid())) {
        if candidates.len() == SHOWN {
            break;
        }
        let its = row.commit_oid();
        if repository.walk(&[commit], &[its], Walk { limit: Some(1), ..Walk::default() })?.is_empty() {
            let commits = distance(commit, its, repository)?;
            candidates.push(candidate(row, Relation::Newer { commits }));
        }
    }
    Ok(candidates)
}

/// How many migrations lie between the commit of a backup and the one that is
/// wanted; where some were changed meanwhile, how many files differ.
fn migrations(row: &Row<'_>, wanted: Oid, context: &Context) -> Result<usize, Failure> {
    let (old, new) = (
        migrations_at(row.commit_oid(), row.database(), context)?,
        migrations_at(wanted, row.database(), context)?,
    );
    Ok(match pending(&old, &new) {
        Ok(names) => names.len(),
        Err(_) => {
            let differs = |(name, id): &(&String, &Oid)| old.get(*name) != Some(*id);
            let gone = old.keys().filter(|name| !new.contains_key(*name)).count();
            new.iter().filter(differs).count() + gone
        }
    })
}

/// The files of migrations at a commit, each with the id of its content.
pub(super) fn migrations_at(
    commit: Oid,
    database: &str,
    context: &Context,
) -> Result<BTreeMap<String, Oid>, Failure> {
    let name = |error: InvalidDatabaseName| Failure::new(Code::Damaged, error.to_string());
    let database: DatabaseName = database.parse().map_err(name)?;
    let directory = context.config()?.database(&database)?.migrations.value;
    let files = context.repository()?.files_at(commit, &directory)?;
    Ok(files.into_iter().filter(|(name, _)| is_migration(name)).collect())
}

fn candidate(row: &Row<'_>, relation: Relation) -> Candidate {
    Candidate {
        backup: row.id(),
        name: row.name().to_owned(),
        commit: row.commit(),
        kind: row.kind(),
        tool: row.tool().to_owned(),
        completed_at: row.completed_at(),
        size_bytes: row.size_bytes(),
        verified: row.is_verified(),
        relation,
        unusable: None,
    }
}

/// Looks whether the candidates can be used: their chains, their bytes.
fn judge(
    candidates: &mut [Candidate],
    overview: &Overview,
    no_check: bool,
    context: &Context,
) -> Result<(), Failure> {
    let records = select::records(overview);
    for candidate in candidates {
        candidate.unusable = match records.chain(candidate.backup) {
            Err(reason) => Some(reason),
            Ok(_) if no_check => None,
            Ok(chain) => {
                chain.into_iter().find_map(|id| absent(id, overview, context).transpose()).transpose()?
            }
        };
    }
    Ok(())
}

/// Why the bytes of a backup cannot be had, as far as a look at their place
/// tells. What other tools keep is theirs to look for.
fn absent(id: BackupId, overview: &Overview, context: &Context) -> Result<Option<String>, Failure> {
    let Some(row) = overview.get(id) else { return Ok(Some(format!("backup {id} is not in the ledger"))) };
    let backup = context.ledger()?.entry(&row)?.backup;
    let Some(location) = &backup.location else { return Ok(None) };
    if !Held::is_ours(location.as_str()) {
        return Ok(None);
    }
    let access = store::access_to(context, Some(location))?;
    match Held::open(location.as_str(), &access) {
        Ok(_) => Ok(None),
        Err(error) if error.is_damage() => Ok(Some(format!("its bytes are not there: {error}"))),
        Err(error) => Ok(Some(format!("its bytes cannot be looked at: {error}"))),
    }
}

fn as_json(candidate: &Candidate) -> serde_json::Value {
    let mut value = json!(candidate);
    value["eligible"] = candidate.is_eligible().into();
    value["reason"] = candidate.reason().into();
    value
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
