//! Which backup for a commit? The facts that the pure ranking needs, from the
//! ledger, the history and the places of the bytes.

use std::collections::BTreeMap;

use crate::cli::commands::backup::select;
use crate::cli::{Code, Context, Failure, store};
use crate::domain::{BackupId, DatabaseName, InvalidDatabaseName, Line, Status, Timestamp};
use crate::git::{Oid, Repository, Walk};
use crate::ledger::{Filter, Overview, Row};
use crate::recovery::{Candidate, Relation, is_migration, pending, rank};
use crate::store::Held;
use crate::tools::Program;

/// Which backups are looked for.
#[derive(Debug, Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) database: Option<&'a str>,
    pub(crate) tool: Option<&'a str>,
    /// Only copies of clusters.
    pub(crate) no_dumps: bool,
    pub(crate) verified_only: bool,
    pub(crate) before: Option<Timestamp>,
    pub(crate) limit: usize,
    /// Not whether their bytes are there.
    pub(crate) unchecked: bool,
}

/// The best of the candidates, if any may be restored for `commit`.
pub(crate) fn best(candidates: &[Candidate], commit: Oid) -> Result<&Candidate, Failure> {
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
pub(crate) fn search(
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
    let is_dump = |row: &Row<'_>| row.tool() == Program::PgDump.name();
    rows.retain(|row| {
        (!wanted.verified_only || row.is_verified()) && in_time(row) && !(wanted.no_dumps && is_dump(row))
    });
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
pub(crate) fn migrations_at(
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
