//! The backup for a restore request, and the way from the backup to the wanted commit.

use super::search::{CandidateQuery, candidates, chosen, one_database, warn_of_passed_over};
use super::{Refusal, records_for};
use crate::config::DatabaseConfig;
use crate::domain::{BackupSelector, DatabaseName, Line, RecoveryTarget, Status, Timestamp};
use crate::git::Oid;
use crate::ledger::{self, Entry, Filter, Row};
use crate::recovery::{Candidate, CommitPlan, CommitPlanner, Error, Expected, MigrationPlan};
use crate::tools::{Migration, Program};
use crate::workspace::Workspace;

/// A query for the wanted backup.
#[derive(Debug, Clone, Copy, Default)]
pub struct TargetQuery<'a> {
    /// A backup or a commit.
    pub what: &'a str,
    /// The database whose backups are considered; `None` for all.
    pub database: Option<&'a DatabaseName>,
    /// The tool whose backups are considered; `None` for all.
    pub tool: Option<&'a Line>,
    /// The commit to migrate to. Only valid with a backup.
    pub commit: Option<&'a str>,
    /// True if the database stays at the commit of the backup. Only valid with a commit.
    pub no_migrate: bool,
    /// True if `what` can only be a commit.
    pub only_commit: bool,
    /// True if only physical backups are considered for a commit.
    pub only_physical: bool,
    /// True if physical backups are considered for a commit to which no dump leads.
    pub or_physical: bool,
    /// True if the schema of the commit need not be known.
    pub allow_unproved: bool,
}

/// A backup, and the way from it to the wanted commit.
#[derive(Debug)]
pub struct Target {
    /// The backup.
    pub entry: Entry,
    /// The wanted commit of the database.
    pub commit: Oid,
    /// The migrations, if the backup is of another commit than the wanted one.
    pub forward: Option<MigrationPlan>,
    /// The expected schema after the migrations.
    pub expected: Expected,
    /// The reason why the schema of the commit is not known, if that is allowed.
    pub unproved: Option<String>,
}

impl Target {
    /// Finds the backup, and plans the migrations. Warns of files that are not run, and of better
    /// backups that cannot be used.
    ///
    /// # Errors
    /// If there is no such backup or commit, if the backup is not trusted, or if no migrations of
    /// this program lead to the commit.
    pub fn find(query: &TargetQuery<'_>, workspace: &Workspace) -> Result<Self, Error> {
        let (entry, commit) = locate(query, workspace)?;
        let CommitPlan { forward, expected, unseen, unproved } =
            plan(&entry, commit, query.allow_unproved, workspace)?;
        if let Some((first, more)) = unseen.split_first() {
            let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
            workspace.reporter().warning(&format!(
                "{first}{more} count as schema, differ between the two commits, and are not run"
            ));
        }
        Ok(Self { entry, commit, forward, expected, unproved })
    }

    /// Finds a physical backup for a point-in-time recovery. The commit at that time is unknown, so
    /// no migration runs and no schema is compared.
    pub(super) fn find_for_point(
        query: &TargetQuery<'_>,
        until: &RecoveryTarget,
        workspace: &Workspace,
    ) -> Result<Self, Error> {
        let (entry, _) = locate_for(query, until, workspace)?;
        let commit = Oid::from(&entry.backup.commit);
        Ok(Self { entry, commit, forward: None, expected: Expected::Unknown, unproved: None })
    }
}

/// Returns the backup and the wanted commit, if the backup leads to that commit.
pub(super) fn locate_for(
    query: &TargetQuery<'_>,
    until: &RecoveryTarget,
    workspace: &Workspace,
) -> Result<(Entry, Oid), Error> {
    if let RecoveryTarget::Time(at) = until
        && query.only_physical
        && query.what == "latest"
    {
        return last_before(*at, query, workspace);
    }
    let (entry, commit) = locate(query, workspace)?;
    plan(&entry, commit, query.allow_unproved, workspace)?;
    Ok((entry, commit))
}

/// Returns the last physical backup that was complete at a time.
fn last_before(at: Timestamp, query: &TargetQuery<'_>, workspace: &Workspace) -> Result<(Entry, Oid), Error> {
    let overview = workspace.snapshot()?;
    let filter = Filter {
        databases: one_database(query.database, overview, workspace)?,
        statuses: vec![Status::Completed],
        tools: query.tool.cloned().into_iter().collect(),
        ..Filter::default()
    };
    let in_time = |row: &Row<'_>| {
        row.tool() != Program::PgDump.name() && row.completed_at().is_some_and(|completed| completed <= at)
    };
    let last = overview.select(&filter).into_iter().filter(in_time).max_by_key(Row::completed_at);
    let row = last.ok_or(Refusal::NoneCompleteAt { at })?;
    let entry = workspace.ledger()?.entry(&row)?;
    trusted(query.what, &entry, workspace)?;
    let commit = Oid::from(&entry.backup.commit);
    Ok((entry, commit))
}

/// Plans the way from the backup to the commit.
fn plan(
    entry: &Entry,
    commit: Oid,
    allow_unproved: bool,
    workspace: &Workspace,
) -> Result<CommitPlan, Error> {
    let (repository, ledger, config) = (workspace.repository()?, workspace.ledger()?, workspace.config()?);
    let planner = CommitPlanner::to(commit, repository, ledger, config);
    Ok(planner.allow_unproved(allow_unproved).to_execute().from(entry)??)
}

/// Returns the script of the commit that masks confidential data, if one is configured.
///
/// # Errors
/// If the script is missing in the commit, because the data would not be masked.
pub(super) fn mask(
    database: &DatabaseConfig,
    commit: Oid,
    workspace: &Workspace,
) -> Result<Option<Migration>, Error> {
    let Some(path) = &database.mask else { return Ok(None) };
    let name = path.value.clone();
    match workspace.repository()?.blob_at(commit, &name)? {
        Some(sql) => Ok(Some(Migration::of_file(name, sql))),
        None => Err(Refusal::NoMask {
            commit: commit.to_commit(),
            script: name,
            database: database.name.clone(),
            origin: path.origin.clone(),
        }
        .into()),
    }
}

/// Returns the backup with that id or name.
fn named(query: &TargetQuery<'_>, workspace: &Workspace) -> Result<Entry, Error> {
    let (overview, selector) = (workspace.snapshot()?, query.what.parse()?);
    let databases = match selector {
        BackupSelector::Latest | BackupSelector::Oldest => one_database(query.database, overview, workspace)?,
        BackupSelector::Id(_) | BackupSelector::Text(_) => query.database.into_iter().cloned().collect(),
    };
    let tools = query.tool.cloned().into_iter().collect();
    let row = overview.find_completed(&selector, &Filter { databases, tools, ..Filter::default() })?;
    Ok(workspace.ledger()?.entry(&row)?)
}

fn locate(query: &TargetQuery<'_>, workspace: &Workspace) -> Result<(Entry, Oid), Error> {
    let repository = workspace.repository()?;
    if query.only_commit {
        return of_commit(repository.resolve_commit(query.what)?, query, workspace);
    }
    let result = match named(query, workspace) {
        Ok(entry) => {
            trusted(query.what, &entry, workspace)?;
            let commit = match query.commit {
                Some(commit) => repository.resolve_commit(commit)?,
                None => Oid::from(&entry.backup.commit),
            };
            return Ok((entry, commit));
        }
        Err(Error::Ledger(
            result @ (ledger::Error::NotFound { .. } | ledger::Error::NoneCompleted { .. }),
        )) => result,
        Err(error) => return Err(error),
    };
    match repository.resolve_commit(query.what) {
        Ok(commit) if query.commit.is_none() => of_commit(commit, query, workspace),
        _ => Err(Refusal::NoSuchBackup { result, has_commit: query.commit.is_some() }.into()),
    }
}

/// Returns the best backup for a commit, and the commit of the database after the restore.
fn of_commit(commit: Oid, query: &TargetQuery<'_>, workspace: &Workspace) -> Result<(Entry, Oid), Error> {
    let overview = workspace.snapshot()?;
    let wanted = CandidateQuery {
        databases: one_database(query.database, overview, workspace)?,
        stays: query.no_migrate,
        tool: query.tool.map(Line::as_str).or((!query.only_physical).then(|| Program::PgDump.name())),
        no_dumps: query.only_physical,
        allow_unproved: query.allow_unproved,
        limit: 10,
        ..CandidateQuery::default()
    };
    let mut found = candidates(&wanted, commit, overview, workspace)?;
    if query.or_physical
        && !query.only_physical
        && query.tool.is_none()
        && !found.iter().any(Candidate::is_eligible)
    {
        let wanted = CandidateQuery { tool: None, no_dumps: true, ..wanted };
        let others = candidates(&wanted, commit, overview, workspace)?;
        if others.iter().any(Candidate::is_eligible) {
            found = others;
        }
    }
    let chosen = chosen(&found, commit)?;
    warn_of_passed_over(chosen, &found, overview, workspace.reporter());
    let entry = workspace.ledger()?.by_id(chosen.backup)?;
    let commit = if query.no_migrate { Oid::from(&entry.backup.commit) } else { commit };
    Ok((entry, commit))
}

/// Fails if the backup has failed its latest verification, or needs a backup that has. A restore by
/// id is exempt, because the id shows that the user means this backup. A commit, a name or `latest`
/// does not show that.
fn trusted(what: &str, entry: &Entry, workspace: &Workspace) -> Result<(), Error> {
    let backup = &entry.backup;
    let id = backup.id.to_string();
    if BackupSelector::is_prefix(what) && id.starts_with(what) && backup.name.as_str() != what {
        return Ok(());
    }
    let overview = workspace.snapshot()?;
    match records_for([backup.id], overview).failed_verification(backup.id) {
        None => Ok(()),
        Some(failed) => Err(Refusal::FailedVerification {
            name: backup.name.to_string(),
            backup: backup.id,
            failed,
            commit: backup.commit.clone(),
        }
        .into()),
    }
}
