//! Opens the configured queue and builds jobs, for all commands.

use std::collections::BTreeMap;

use super::{Error, Workspace, connect};
use crate::domain::{
    BackupId, BackupName, BackupType, BackupWork, CommitId, DatabaseName, Line, NewJob, Priority, TagKey,
    Work,
};
use crate::pg::ConnInfo;
use crate::queue::{PostgresQueue, Queue, RefsQueue};

/// Opens the configured queue. Fails if a setting is invalid or the queue cannot be opened.
pub fn open(workspace: &Workspace) -> Result<Box<dyn Queue>, Error> {
    if let Some(info) = postgres(workspace)? {
        return Ok(Box::new(PostgresQueue::open(info, workspace.clock())?));
    }
    let repository = workspace.ledger_repository()?;
    Ok(Box::new(RefsQueue::new(repository.for_thread(), workspace.clock())))
}

/// Returns the connection to a queue in PostgreSQL, or `None` for a local queue. Fails if the setting
/// is invalid.
pub fn postgres(workspace: &Workspace) -> Result<Option<ConnInfo>, Error> {
    let configured = workspace.config()?.queue()?;
    configured.map(|setting| connect::resolve(workspace, setting.value.as_str())).transpose()
}

/// A backup that a worker shall make.
#[derive(Debug, Default)]
pub struct JobOptions {
    /// The schema commit, if the request names one.
    pub commit: Option<CommitId>,
    /// The branch that requested the backup.
    pub branch: Option<Line>,
    /// True if the commit recorded in the database is ignored.
    pub force: bool,
    /// True if the commit recorded in the database takes precedence over `commit`.
    pub prefer_mark: bool,
    /// The type of the backup; `None` for the configured one.
    pub backup_type: Option<BackupType>,
    /// The tool; `None` for the configured one.
    pub tool: Option<Line>,
    /// The name of the backup.
    pub name: Option<BackupName>,
    /// The tags of the backup.
    pub tags: BTreeMap<TagKey, Line>,
    /// The priority of the job.
    pub priority: Priority,
    /// The deduplication key: at most one waiting job has it.
    pub key: Option<Line>,
}

/// Returns the job of a backup. Fails if the configuration or the repository cannot be read.
pub fn backup_job(workspace: &Workspace, database: &DatabaseName, wish: JobOptions) -> Result<NewJob, Error> {
    let JobOptions { commit, branch, force, prefer_mark, backup_type, tool, name, tags, priority, key } =
        wish;
    let work = BackupWork {
        backup: BackupId::new(workspace.now()),
        database: database.clone(),
        commit,
        branch,
        force,
        prefer_mark,
        backup_type,
        tool,
        name,
        tags,
    };
    job(workspace, Work::Backup(work), priority, key)
}

/// Returns a job with the configured retry policy. Fails if the configuration or the repository cannot
/// be read.
pub fn job(
    workspace: &Workspace,
    work: Work,
    priority: Priority,
    dedup_key: Option<Line>,
) -> Result<NewJob, Error> {
    let policy = workspace.config()?.retry_policy(work.database())?;
    Ok(NewJob { policy, work, priority, dedup_key, created_by: actor(workspace)? })
}

/// Returns the author by git's rules, or the host name if git has no identity.
fn actor(workspace: &Workspace) -> Result<Line, Error> {
    let identity = workspace.repository()?.identity();
    Ok(identity.map_or_else(|_| crate::process::host(), |identity| Line::lossy(&identity.to_line())))
}

/// Parses a text of a job. Fails if it is not a single line; `what` names it in the error.
pub fn line(text: &str, what: &str) -> Result<Line, Error> {
    text.parse().map_err(|_| Error::NotOneLine { what: what.to_owned(), text: text.to_owned() })
}
