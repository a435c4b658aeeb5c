//! From the settings to the queue, and from wishes to jobs: the one way for all
//! commands.

use std::collections::BTreeMap;

use super::{Error, Workspace, connect};
use crate::domain::{
    BackupId, BackupName, BackupType, BackupWork, CommitId, DatabaseName, Line, NewJob, Priority, TagKey,
    Work,
};
use crate::pg::ConnInfo;
use crate::queue::{PostgresQueue, Queue, RefsQueue};

/// Opens the queue that is configured.
pub fn open(workspace: &Workspace) -> Result<Box<dyn Queue>, Error> {
    if let Some(info) = postgres(workspace)? {
        return Ok(Box::new(PostgresQueue::open(info, workspace.clock())?));
    }
    let repository = workspace.ledger_repository()?;
    Ok(Box::new(RefsQueue::new(repository.for_thread(), workspace.clock())))
}

/// Where the queue is, when it is in PostgreSQL.
pub fn postgres(workspace: &Workspace) -> Result<Option<ConnInfo>, Error> {
    let configured = workspace.config()?.queue()?;
    configured.map(|setting| connect::resolve(workspace, setting.value.as_str())).transpose()
}

/// A backup that somebody wants a worker to make.
#[derive(Debug, Default)]
pub struct Wish {
    /// The commit it belongs to.
    pub commit: Option<CommitId>,
    /// The branch it stands for.
    pub branch: Option<Line>,
    /// The commit recorded in the database does not count.
    pub force: bool,
    /// It counts more than `commit`.
    pub yields: bool,
    /// What it contains; else as configured.
    pub backup_type: Option<BackupType>,
    /// The tool that makes it; else as configured.
    pub tool: Option<Line>,
    /// Its name.
    pub name: Option<BackupName>,
    /// Its tags.
    pub tags: BTreeMap<TagKey, Line>,
    /// Who comes first.
    pub priority: Priority,
    /// Of the jobs that wait with the same key there is only one.
    pub key: Option<Line>,
}

/// The job for it.
pub fn backup_job(workspace: &Workspace, database: &DatabaseName, wish: Wish) -> Result<NewJob, Error> {
    let Wish { commit, branch, force, yields, backup_type, tool, name, tags, priority, key } = wish;
    let work = BackupWork {
        backup: BackupId::new(workspace.now()),
        database: database.clone(),
        commit,
        branch,
        force,
        yields,
        backup_type,
        tool,
        name,
        tags,
    };
    job(workspace, Work::Backup(work), priority, key)
}

/// The job for some work, tried again as it is configured.
pub fn job(
    workspace: &Workspace,
    work: Work,
    priority: Priority,
    dedup_key: Option<Line>,
) -> Result<NewJob, Error> {
    let policy = workspace.config()?.retry_policy(work.database())?;
    Ok(NewJob { policy, work, priority, dedup_key, created_by: actor(workspace)? })
}

/// Who acts, by git's rules; a machine without them has at least a name.
fn actor(workspace: &Workspace) -> Result<Line, Error> {
    let identity = workspace.repository()?.identity();
    Ok(identity.map_or_else(|_| crate::process::host(), |identity| Line::lossy(&identity.to_line())))
}

/// A text of one line that becomes part of a job.
pub fn line(text: &str, what: &str) -> Result<Line, Error> {
    text.parse().map_err(|_| Error::NotOneLine { what: what.to_owned(), text: text.to_owned() })
}
