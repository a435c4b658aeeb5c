//! From the settings to the queue, and from wishes to jobs: the one way for all
//! commands.

use std::collections::BTreeMap;

use super::{Code, Context, Failure, connect};
use crate::domain::{
    BackupId, BackupName, BackupType, BackupWork, CommitId, DatabaseName, Line, NewJob, Priority, TagKey,
    Work,
};
use crate::pg::ConnInfo;
use crate::queue::{PostgresQueue, Queue, RefsQueue};

/// Opens the queue that is configured.
pub(crate) fn open(context: &Context) -> Result<Box<dyn Queue>, Failure> {
    if let Some(info) = postgres(context)? {
        return Ok(Box::new(PostgresQueue::open(info, context.clock())?));
    }
    let repository = context.ledger_repository()?;
    Ok(Box::new(RefsQueue::new(repository.for_thread(), context.clock())))
}

/// Where the queue is, when it is in PostgreSQL.
pub(crate) fn postgres(context: &Context) -> Result<Option<ConnInfo>, Failure> {
    let configured = context.config()?.queue()?;
    configured.map(|setting| connect::resolve(context, setting.value.as_str())).transpose()
}

/// A backup that somebody wants a worker to make.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    /// The commit it belongs to.
    pub(crate) commit: Option<CommitId>,
    /// The branch it stands for.
    pub(crate) branch: Option<Line>,
    /// The commit recorded in the database does not count.
    pub(crate) force: bool,
    /// It counts more than `commit`.
    pub(crate) yields: bool,
    /// What it contains; else as configured.
    pub(crate) backup_type: Option<BackupType>,
    /// The tool that makes it; else as configured.
    pub(crate) tool: Option<Line>,
    /// Its name.
    pub(crate) name: Option<BackupName>,
    /// Its tags.
    pub(crate) tags: BTreeMap<TagKey, Line>,
    /// Who comes first.
    pub(crate) priority: Priority,
    /// Of the jobs that wait with the same key there is only one.
    pub(crate) key: Option<Line>,
}

/// The job for it.
pub(crate) fn backup_job(context: &Context, database: &DatabaseName, wish: Wish) -> Result<NewJob, Failure> {
    let Wish { commit, branch, force, yields, backup_type, tool, name, tags, priority, key } = wish;
    let work = BackupWork {
        backup: BackupId::new(context.now()),
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
    job(context, Work::Backup(work), priority, key)
}

/// The job for some work, tried again as it is configured.
pub(crate) fn job(
    context: &Context,
    work: Work,
    priority: Priority,
    dedup_key: Option<Line>,
) -> Result<NewJob, Failure> {
    let policy = context.config()?.retry_policy(work.database())?;
    Ok(NewJob { policy, work, priority, dedup_key, created_by: actor(context)? })
}

/// Who acts, by git's rules; a machine without them has at least a name.
fn actor(context: &Context) -> Result<Line, Failure> {
    let identity = context.repository()?.identity();
    Ok(identity.map_or_else(|_| crate::process::host(), |identity| Line::lossy(&identity.to_line())))
}

/// A text of one line that becomes part of a job.
pub(crate) fn line(text: &str, what: &str) -> Result<Line, Failure> {
    text.parse()
        .map_err(|_| Failure::new(Code::Usage, format!("{what} must be one line of text, not {text:?}")))
}
