//! Which backup for a commit? The facts that the pure ranking needs, from the
//! ledger, the history and the places of the bytes.

use crate::cli::commands::backup::select;
use crate::cli::{Code, Context, Failure};
use crate::domain::{BackupId, DatabaseName, Line, Status, Timestamp};
use crate::git::Oid;
use crate::ledger::{Filter, Overview, Row};
use crate::recovery::{self, Candidate, Search, passed_over, rank};
use crate::store::Held;
use crate::tools::Program;
use crate::workspace::places;

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
    let newer: Vec<Row<'_>> = overview.rows().filter(newer).collect();
    let Some(newest) = newer.iter().max_by_key(|other| other.completed_at()) else { return };
    let (name, id, tool) = (newest.name(), newest.id(), newest.tool());
    let more = match newer.len() {
        1 => String::new(),
        count => format!(" ({count} of this commit are newer)"),
    };
    context
        .ui
        .status(&format!("backup {name} ({id}) by {tool} is newer{more}; it is restored when it is named"));
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
    let search = Search {
        commit,
        repository: context.repository()?,
        ledger: context.ledger()?,
        config: context.config()?,
    };
    let mut related = search.related(&rows)?;
    rank(&mut related);
    let mut rest = related.into_iter();
    let mut judged: Vec<Candidate> = Vec::new();
    // Those behind the first ones are judged while none of these can be used.
    while judged.is_empty() || !judged.iter().any(Candidate::is_eligible) {
        let mut next: Vec<Candidate> = rest.by_ref().take(wanted.limit.max(1)).collect();
        if next.is_empty() {
            break;
        }
        judge(&mut next, overview, wanted.unchecked, context)?;
        if !wanted.stays {
            search.plan(&mut next)?;
        }
        judged.append(&mut next);
    }
    rank(&mut judged);
    judged.truncate(wanted.limit);
    Ok(judged)
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
