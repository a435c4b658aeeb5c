//! The backups to verify, and the recorded verifications.

use super::{Due, Error, due};
use crate::domain::{Backup, DatabaseName, Status, VerificationKind, VerifyPolicy};
use crate::ledger::{Entry, Filter};
use crate::report::Tested;
use crate::workspace::Workspace;

/// A backup to verify and the kind of the verification.
#[derive(Debug, Clone)]
pub struct WantedVerification {
    /// The record of the backup.
    pub entry: Entry,
    /// The kind of the verification.
    pub kind: VerificationKind,
    /// The reason why the verification is due; `None` if a user requested it.
    pub reason: Option<String>,
}

/// Returns the completed backups of `databases` or of all, the newest first, or with `latest` only the
/// newest. Fails if a record cannot be read.
pub fn completed_backups(
    databases: Vec<DatabaseName>,
    latest: bool,
    workspace: &Workspace,
) -> Result<Vec<Entry>, Error> {
    let (ledger, overview) = (workspace.ledger()?, workspace.overview()?);
    let filter = Filter { databases, statuses: vec![Status::Completed], ..Filter::default() };
    let mut rows = overview.select(&filter);
    rows.sort_by_key(|row| std::cmp::Reverse((row.completed_at(), row.id())));
    if latest {
        rows.truncate(1);
    }
    let mut entries = Vec::new();
    for row in &rows {
        entries.push(ledger.entry(row)?);
    }
    Ok(entries)
}

/// Returns the verifications of these backups that are due now by policy, in the order of the backups.
/// Fails if a policy cannot be read.
pub fn due_verifications(
    entries: Vec<Entry>,
    workspace: &Workspace,
) -> Result<Vec<WantedVerification>, Error> {
    let config = workspace.config()?;
    let mut databases: Vec<DatabaseName> =
        entries.iter().map(|entry| entry.backup.database.clone()).collect();
    databases.sort();
    databases.dedup();
    let mut all: Vec<Due> = Vec::new();
    for database in &databases {
        let policies: Vec<VerifyPolicy> =
            config.database(database)?.verify.into_iter().map(|policy| policy.value).collect();
        let backups: Vec<&Backup> =
            entries.iter().map(|entry| &entry.backup).filter(|backup| backup.database == *database).collect();
        all.extend(due(&policies, &backups, workspace.now()));
    }
    let mut wanted = Vec::new();
    for entry in entries {
        let here = |due: &&Due| due.backup == entry.backup.id;
        wanted.extend(all.iter().filter(here).map(|due| WantedVerification {
            entry: entry.clone(),
            kind: due.kind,
            reason: Some(due.reason.clone()),
        }));
    }
    Ok(wanted)
}

/// Returns the recorded verifications of the backups of `databases` or of all, only those of `kind` if
/// it is given. Fails if a record or its history cannot be read.
pub fn recorded_verifications(
    databases: Vec<DatabaseName>,
    kind: Option<VerificationKind>,
    workspace: &Workspace,
) -> Result<Vec<Tested>, Error> {
    let (ledger, overview) = (workspace.ledger()?, workspace.overview()?);
    let mut all = Vec::new();
    for row in overview.select(&Filter { databases, ..Filter::default() }) {
        let commit = row.commit();
        let Entry { backup, .. } = ledger.entry(&row)?;
        let here = backup.verifications.iter().filter(|it| kind.is_none_or(|kind| it.kind == kind));
        let here: Vec<_> = here.cloned().collect();
        if here.is_empty() {
            continue;
        }
        let commits = ledger.commits_of_events(&commit)?;
        all.extend(here.into_iter().map(|verification| Tested {
            backup: row.id(),
            name: backup.name.clone(),
            database: backup.database.clone(),
            schema_commit: backup.commit.clone(),
            tool: backup.tool.name.clone(),
            completed_at: backup.completed_at,
            evidence_commit: commits.get(&verification.id.to_string()).map(ToString::to_string),
            verification,
        }));
    }
    Ok(all)
}
