//! Which backup for a commit? The facts that the pure ranking needs, from the
//! ledger, the history and the places of the bytes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use crate::cli::commands::backup::select;
use crate::cli::{Code, Context, Failure, places};
use crate::domain::{BackupId, DatabaseName, InvalidDatabaseName, Line, Status, Timestamp};
use crate::git::{Graph, Oid, Repository, Walk};
use crate::ledger::{Filter, Overview, Row};
use crate::recovery::{Candidate, MEASURED_MAX, Relation, distances, is_migration, pending, rank};
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
    let repository = context.repository()?;
    let (behind, seen) = ancestors(commit, rows, repository)?;
    let mut by_commit: HashMap<Oid, Vec<&Row<'_>>> = behind.iter().map(|oid| (*oid, Vec::new())).collect();
    for row in rows {
        if let Some(its) = by_commit.get_mut(&row.commit_oid()) {
            its.push(row);
        }
    }
    let (mut candidates, mut between) = (Vec::new(), Between::to(commit, context));
    for (oid, seen) in behind.iter().zip(distances(&seen, &behind)) {
        let commits = seen.map_or_else(|| distance(*oid, commit, repository), Ok)?;
        for row in by_commit.remove(oid).into_iter().flatten() {
            let relation = match commits {
                0 => Relation::Exact,
                commits => Relation::Ancestor { commits, migrations: between.migrations(row)? },
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
/// backup, and what was seen of the history.
fn ancestors(commit: Oid, rows: &[Row<'_>], repository: &Repository) -> Result<(Vec<Oid>, Graph), Failure> {
    /// Where nobody makes backups for so long, the whole history is walked.
    const NEAR: [usize; 2] = [128, 4096];
    let mut graph = Graph::new();
    for near in NEAR {
        graph = repository.recent(commit, near)?;
        let mut with_backup: HashMap<Oid, bool> = graph.iter().map(|(oid, _)| (*oid, false)).collect();
        for row in rows {
            with_backup.entry(row.commit_oid()).and_modify(|has| *has = true);
        }
        let found = graph.iter().map(|(oid, _)| *oid).filter(|oid| with_backup.get(oid) == Some(&true));
        let found: Vec<Oid> = found.take(MEASURED_MAX).collect();
        let is_all = graph.len() < near;
        if is_all || found.len() == MEASURED_MAX || (near == NEAR[1] && !found.is_empty()) {
            return Ok((found, graph));
        }
    }
    let known: HashSet<Oid> = rows.iter().map(Row::commit_oid).collect();
    let all = repository.walk(&[commit], &[], Walk::default())?;
    Ok((all.into_iter().filter(|oid| known.contains(oid)).take(MEASURED_MAX).collect(), graph))
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

/// What lies between commits and the one that is wanted.
struct Between<'a> {
    wanted: Oid,
    context: &'a Context,
    /// The files of migrations of a database at a commit.
    files: HashMap<(Oid, String), Rc<BTreeMap<String, Oid>>>,
}

impl<'a> Between<'a> {
    fn to(wanted: Oid, context: &'a Context) -> Self {
        Self { wanted, context, files: HashMap::new() }
    }

    fn files(&mut self, commit: Oid, database: &str) -> Result<Rc<BTreeMap<String, Oid>>, Failure> {
        let key = (commit, database.to_owned());
        if let Some(known) = self.files.get(&key) {
            return Ok(Rc::clone(known));
        }
        let files = Rc::new(migrations_at(commit, database, self.context)?);
        self.files.insert(key, Rc::clone(&files));
        Ok(files)
    }

    /// How many migrations lie between the commit of a backup and the one that is
    /// wanted; where some were changed meanwhile, how many files differ.
    fn migrations(&mut self, row: &Row<'_>) -> Result<usize, Failure> {
        let (old, new) =
            (self.files(row.commit_oid(), row.database())?, self.files(self.wanted, row.database())?);
        Ok(match pending(&old, &new) {
            Ok(names) => names.len(),
            Err(_) => {
                let differs = |(name, id): &(&String, &Oid)| old.get(*name) != Some(*id);
                let gone = old.keys().filter(|name| !new.contains_key(*name)).count();
                new.iter().filter(differs).count() + gone
            }
        })
    }
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
    let records = select::records_for(candidates.iter().map(|candidate| candidate.backup), overview);
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
    let ours = [Program::PgDump.name(), Program::PgBasebackup.name()];
    let is_ours = backup.location.as_ref().is_some_and(|location| Held::is_ours(location.as_str()));
    if !is_ours || !ours.contains(&backup.tool.name.as_str()) {
        return Ok(None);
    }
    match Held::open(&backup, &places::access_to(context, &backup)?) {
        Ok(_) => Ok(None),
        Err(error) if error.is_damage() => Ok(Some(format!("its bytes are not there: {error}"))),
        Err(error) => Ok(Some(format!("its bytes cannot be looked at: {error}"))),
    }
}
