//! Which backup for a commit? The facts that the pure ranking needs, from the
//! ledger, the history and the places of the bytes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use crate::cli::commands::backup::select;
use crate::cli::{Code, Context, Failure};
use crate::domain::{BackupId, DatabaseName, InvalidDatabaseName, Line, Status, Timestamp};
use crate::git::{Directory, Graph, Oid, Repository, Walk};
use crate::ledger::{Filter, Overview, Row};
use crate::recovery::{
    self, Candidate, Forward, MEASURED_MAX, Relation, Way, distances, may_run, passed_over, rank,
};
use crate::store::Held;
use crate::tools::Program;
use crate::workspace::places;

use super::way::{Leading, Ways};

/// Which backups are looked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted<'a> {
    /// The databases to search; all if empty.
    pub(crate) databases: Vec<DatabaseName>,
    pub(crate) tool: Option<&'a str>,
    /// Only copies of clusters.
    pub(crate) no_dumps: bool,
    pub(crate) verified_only: bool,
    pub(crate) before: Option<Timestamp>,
    pub(crate) limit: usize,
    /// Not whether their bytes are there.
    pub(crate) unchecked: bool,
    /// Skips the check for a way to the commit: the nearest backup is enough.
    pub(crate) stays: bool,
}

/// The best of the candidates, if any may be restored for `commit`.
pub(crate) fn best(candidates: &[Candidate], commit: Oid) -> Result<&Candidate, Failure> {
    if let Some(best) = candidates.iter().find(|candidate| candidate.is_eligible()) {
        return Ok(best);
    }
    let message = format!("commit {} has no backup that it can be restored from", commit.short());
    let named = candidates.iter().take(NAMED_MAX);
    let failure = named.fold(Failure::new(Code::NotFound, message), |failure, candidate| {
        let commit = candidate.commit.short();
        failure.hint(format!("{} on {commit}: {}", candidate.name, candidate.reason()))
    });
    let failure = match candidates.iter().any(|candidate| candidate.gap.is_some()) {
        true => failure.hint(MIGRATE),
        false => failure,
    };
    Err(failure.hint("'git pggit backup coverage' shows branches and their nearest backups"))
}

/// Like [`best`], but if there is none, the failure begins with the reason that excludes the
/// nearest backup.
pub(crate) fn chosen(candidates: &[Candidate], commit: Oid) -> Result<&Candidate, Failure> {
    let none = match best(candidates, commit) {
        Ok(best) => return Ok(best),
        Err(none) => none,
    };
    let Some((nearest, gap)) = candidates.iter().find_map(|one| Some((one, one.gap.clone()?))) else {
        return Err(none);
    };
    let (name, id, its) = (&nearest.name, nearest.backup, nearest.commit.short());
    Err(Failure::from(recovery::Error::from(gap)).hint(format!(
        "the nearest backup is {name} ({id}) on commit {its}; 'git pggit backup find' shows all"
    )))
}

/// Warns of better backups that cannot be used. If `chosen` is a dump, also names newer physical
/// backups of its commit.
pub(crate) fn warn_of_passed_over(
    chosen: &Candidate,
    candidates: &[Candidate],
    overview: &Overview,
    context: &Context,
) {
    let passed: Vec<&Candidate> = passed_over(candidates, chosen).collect();
    for other in passed.iter().take(NAMED_MAX) {
        let (name, id, its) = (&other.name, other.backup, other.commit.short());
        let reason = other.reason();
        context.ui.warning(&format!("passed over backup {name} ({id}) on commit {its}: {reason}"));
    }
    if passed.len() > NAMED_MAX {
        context.ui.warning(&format!("passed over {} more backups", passed.len() - NAMED_MAX));
    }
    // If the chosen backup is physical, all physical backups were candidates.
    if chosen.tool != Program::PgDump.name() {
        return;
    }
    let Some(row) = overview.get(chosen.backup) else { return };
    let newer = |other: &Row<'_>| {
        other.commit_oid() == row.commit_oid()
            && other.database() == row.database()
            && other.status() == Status::Completed
            && other.completed_at() > row.completed_at()
            && candidates.iter().all(|candidate| candidate.backup != other.id())
    };
    for other in overview.rows().filter(newer) {
        let (name, id, tool) = (other.name(), other.id(), other.tool());
        context
            .ui
            .status(&format!("backup {name} ({id}) by {tool} is newer; it is restored when it is named"));
    }
}

/// The number of passed-over backups that are named.
const NAMED_MAX: usize = 10;

/// Hint for migrations that this program does not run.
const MIGRATE: &str =
    "a program of yours can run the migrations: git config pggit.<database>.migrate <command>";

/// The backups for `commit`, the best one first.
pub(crate) fn search(
    wanted: &Wanted<'_>,
    commit: Oid,
    overview: &Overview,
    context: &Context,
) -> Result<Vec<Candidate>, Failure> {
    let filter = Filter {
        databases: wanted.databases.clone(),
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
    if !wanted.stays {
        lead(&mut candidates, commit, context)?;
    }
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
    let (mut candidates, mut nearness) = (Vec::new(), Nearness::to(commit, context));
    for (oid, seen) in behind.iter().zip(distances(&seen, &behind)) {
        let commits = seen.map_or_else(|| distance(*oid, commit, repository), Ok)?;
        for row in by_commit.remove(oid).into_iter().flatten() {
            let relation = match commits {
                0 => Relation::Exact,
                commits => Relation::Ancestor { commits, migrations: nearness.migrations(row)? },
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

/// An estimate of the number of migrations between each commit and the wanted one, from the
/// migrations directory alone. It is used only to rank the candidates.
struct Nearness<'a> {
    wanted: Oid,
    context: &'a Context,
    /// The entries of the migrations directory by commit.
    entries: HashMap<(Oid, String), Rc<Directory>>,
}

impl<'a> Nearness<'a> {
    fn to(wanted: Oid, context: &'a Context) -> Self {
        Self { wanted, context, entries: HashMap::new() }
    }

    fn entries(&mut self, commit: Oid, directory: &str) -> Result<Rc<Directory>, Failure> {
        let key = (commit, directory.to_owned());
        if let Some(known) = self.entries.get(&key) {
            return Ok(Rc::clone(known));
        }
        let entries = self.context.repository()?.directory_at(commit, directory)?;
        let entries = Rc::new(entries.unwrap_or_default());
        self.entries.insert(key, Rc::clone(&entries));
        Ok(entries)
    }

    /// Returns the number of entries of the migrations directory that differ between the commit of
    /// a backup and the wanted one, without those that are never run.
    fn migrations(&mut self, row: &Row<'_>) -> Result<usize, Failure> {
        let name = |error: InvalidDatabaseName| Failure::new(Code::Damaged, error.to_string());
        let database: DatabaseName = row.database().parse().map_err(name)?;
        let directory = self.context.config()?.database(&database)?.migrations.value;
        let (old, new) =
            (self.entries(row.commit_oid(), &directory)?, self.entries(self.wanted, &directory)?);
        let all: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let differs = |name: &&&String| old.get(**name) != new.get(**name) && may_run(name);
        Ok(all.iter().filter(differs).count())
    }
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
        gap: None,
        command: None,
    }
}

/// Determines for each candidate how it leads to the commit, or why it does not.
fn lead(candidates: &mut [Candidate], commit: Oid, context: &Context) -> Result<(), Failure> {
    let mut ways = Ways::to(commit, context);
    for candidate in candidates.iter_mut().filter(|candidate| candidate.is_eligible()) {
        let Relation::Ancestor { migrations, .. } = &mut candidate.relation else { continue };
        match ways.from(&context.ledger()?.by_id(candidate.backup)?)? {
            Ok(Leading { forward: Some(Forward { way: Way::Files(run), .. }), .. }) => {
                *migrations = run.len();
            }
            Ok(Leading { forward: Some(Forward { way: Way::Command(command), .. }), .. }) => {
                candidate.command = Some(command.shown());
            }
            Ok(_) => {}
            Err(gap) => {
                candidate.unusable = Some(gap.to_string());
                candidate.gap = Some(gap);
            }
        }
    }
    Ok(())
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
