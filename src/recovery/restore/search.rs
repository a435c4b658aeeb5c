//! The search for the best usable backup for a commit.

use super::{Refusal, records_for};
use crate::config;
use crate::domain::{BackupId, DatabaseName, Line, Status, Timestamp};
use crate::git::Oid;
use crate::ledger::{Filter, Overview, Row};
use crate::recovery::{Candidate, Error, Search, passed_over, rank};
use crate::store::StoredBackup;
use crate::tools::Program;
use crate::workspace::{Reporter, Workspace, places};

/// The criteria for candidates.
#[derive(Debug, Clone, Default)]
pub struct CandidateQuery<'a> {
    /// The databases to consider; all if empty.
    pub databases: Vec<DatabaseName>,
    /// The tool whose backups are considered; `None` for all.
    pub tool: Option<&'a str>,
    /// True if only physical backups are considered.
    pub no_dumps: bool,
    /// True if only successfully verified backups are considered.
    pub verified_only: bool,
    /// The time at which the backups have to be complete; `None` for any time.
    pub before: Option<Timestamp>,
    /// The maximum number of candidates.
    pub limit: usize,
    /// True if the existence of the bytes is not checked.
    pub unchecked: bool,
    /// True if the nearest backup is sufficient, without a check that migrations lead to the commit.
    pub stays: bool,
    /// True if the schema of the commit need not be known.
    pub allow_unproved: bool,
}

/// Returns the database to restore from. It is the database that the user has named, else the default
/// database of commands. If none is configured, all records have to belong to one database.
///
/// # Errors
/// If there are backups of several databases.
pub fn one_database(
    named: Option<&DatabaseName>,
    overview: &Overview,
    workspace: &Workspace,
) -> Result<Vec<DatabaseName>, Error> {
    if let Some(name) = named {
        return Ok(vec![name.clone()]);
    }
    match workspace.config()?.default_database(None) {
        Ok(name) | Err(config::Error::UnknownDatabase { name, .. }) => Ok(vec![name]),
        Err(config::Error::NoDatabase) => {
            let mut names: Vec<String> = overview.rows().map(|row| row.database().to_owned()).collect();
            names.sort_unstable();
            names.dedup();
            match names.len() {
                0 | 1 => Ok(Vec::new()),
                _ => Err(Refusal::SeveralDatabases { names }.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns the best candidate.
///
/// # Errors
/// If no candidate can be restored for `commit`.
pub fn best(candidates: &[Candidate], commit: Oid) -> Result<&Candidate, Error> {
    if let Some(best) = candidates.iter().find(|candidate| candidate.is_eligible()) {
        return Ok(best);
    }
    let reason = |one: &Candidate| format!("{} on {}: {}", one.name, one.commit.short(), one.reason());
    Err(Refusal::NoCandidate {
        commit: commit.to_commit(),
        reasons: candidates.iter().take(NAMED_MAX).map(reason).collect(),
        has_gap: candidates.iter().any(|candidate| candidate.gap.is_some()),
    }
    .into())
}

/// Returns the best candidate, like [`best`]. The error names the migrations that exclude the nearest
/// backup, if they do.
pub(super) fn chosen(candidates: &[Candidate], commit: Oid) -> Result<&Candidate, Error> {
    let none = match best(candidates, commit) {
        Ok(best) => return Ok(best),
        Err(none) => none,
    };
    match candidates.iter().find_map(|one| Some((one, one.gap.clone()?))) {
        None => Err(none),
        Some((nearest, gap)) => Err(Refusal::NoWay {
            gap,
            name: nearest.name.clone(),
            backup: nearest.backup,
            commit: nearest.commit.clone(),
        }
        .into()),
    }
}

/// Warns of better backups that cannot be used. If `chosen` is a dump, the warning also names newer
/// physical backups of its commit.
pub(super) fn warn_of_passed_over(
    chosen: &Candidate,
    candidates: &[Candidate],
    overview: &Overview,
    reporter: &dyn Reporter,
) {
    let passed: Vec<&Candidate> = passed_over(candidates, chosen).collect();
    for other in passed.iter().take(NAMED_MAX) {
        let (name, id, its) = (&other.name, other.backup, other.commit.short());
        let reason = other.reason();
        reporter.warning(&format!("passed over backup {name} ({id}) on commit {its}: {reason}"));
    }
    if passed.len() > NAMED_MAX {
        reporter.warning(&format!("passed over {} more backups", passed.len() - NAMED_MAX));
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
    let newer: Vec<Row<'_>> = overview.rows().filter(newer).collect();
    let Some(newest) = newer.iter().max_by_key(|other| other.completed_at()) else { return };
    let (name, id, tool) = (newest.name(), newest.id(), newest.tool());
    let more = match newer.len() {
        1 => String::new(),
        count => format!(" ({count} of this commit are newer)"),
    };
    reporter.status(&format!("backup {name} ({id}) by {tool} is newer{more}; name it to restore it"));
}

/// The maximum number of passed-over backups that are named.
const NAMED_MAX: usize = 10;

/// The warning that an answer may be incomplete, because a part of the history is missing.
pub const SHALLOW: &str = "this clone is shallow: backups of the commits that it lacks were not considered; \
    'git fetch --unshallow' fetches them";

/// Returns the candidates for `commit`, the best one first.
///
/// # Errors
/// If a record, the history or a store cannot be read.
pub fn candidates(
    query: &CandidateQuery<'_>,
    commit: Oid,
    overview: &Overview,
    workspace: &Workspace,
) -> Result<Vec<Candidate>, Error> {
    let filter = Filter {
        databases: query.databases.clone(),
        statuses: vec![Status::Completed],
        tools: query.tool.iter().map(|tool| Line::lossy(tool)).collect(),
        ..Filter::default()
    };
    let in_time = |row: &Row<'_>| match query.before {
        Some(before) => row.completed_at().is_some_and(|at| at <= before),
        None => true,
    };
    let mut rows = overview.select(&filter);
    let is_dump = |row: &Row<'_>| row.tool() == Program::PgDump.name();
    rows.retain(|row| {
        (!query.verified_only || row.is_verified()) && in_time(row) && !(query.no_dumps && is_dump(row))
    });
    let search = Search {
        allow_unproved: query.allow_unproved,
        commit,
        repository: workspace.repository()?,
        ledger: workspace.ledger()?,
        config: workspace.config()?,
    };
    let mut related = search.related(&rows)?;
    rank(&mut related);
    let mut rest = related.into_iter();
    let mut judged: Vec<Candidate> = Vec::new();
    let mut is_elsewhere = false;
    // Further candidates are checked only while no checked candidate can be used.
    while judged.is_empty() || !judged.iter().any(Candidate::is_eligible) {
        let mut next: Vec<Candidate> = rest.by_ref().take(query.limit.max(1)).collect();
        if next.is_empty() {
            if is_elsewhere {
                break;
            }
            is_elsewhere = true;
            next = search.elsewhere(&rows)?;
        }
        judge(&mut next, overview, query.unchecked, workspace)?;
        if !query.stays {
            search.plan(&mut next)?;
        }
        judged.append(&mut next);
    }
    rank(&mut judged);
    judged.truncate(query.limit);
    if search.repository.is_shallow() && !judged.iter().any(Candidate::is_eligible) {
        workspace.reporter().warning(SHALLOW);
    }
    Ok(judged)
}

/// Checks that the candidates can be used: their dependencies are restorable, and their bytes exist.
fn judge(
    candidates: &mut [Candidate],
    overview: &Overview,
    no_check: bool,
    workspace: &Workspace,
) -> Result<(), Error> {
    let records = records_for(candidates.iter().map(|candidate| candidate.backup), overview);
    for candidate in candidates {
        candidate.unusable = match records.chain(candidate.backup) {
            Err(reason) => Some(reason),
            Ok(_) if no_check => None,
            Ok(chain) => {
                chain.into_iter().find_map(|id| absent(id, overview, workspace).transpose()).transpose()?
            }
        };
    }
    Ok(())
}

/// Returns the reason why the bytes of a backup cannot be read, if opening them fails. The
/// repositories of other tools are not checked.
fn absent(id: BackupId, overview: &Overview, workspace: &Workspace) -> Result<Option<String>, Error> {
    let Some(row) = overview.get(id) else { return Ok(Some(format!("backup {id} is not in the ledger"))) };
    let backup = workspace.ledger()?.entry(&row)?.backup;
    let ours = [Program::PgDump.name(), Program::PgBasebackup.name()];
    let is_ours =
        backup.location.as_ref().is_some_and(|location| StoredBackup::is_location(location.as_str()));
    if !is_ours || !ours.contains(&backup.tool.name.as_str()) {
        return Ok(None);
    }
    match StoredBackup::open(&backup, &places::access_to(workspace, &backup)?) {
        Ok(_) => Ok(None),
        Err(error) if error.is_damage() => Ok(Some(format!("its bytes are unavailable: {error}"))),
        Err(error) => Ok(Some(format!("its bytes cannot be accessed: {error}"))),
    }
}
