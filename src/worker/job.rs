//! An attempt at a job, in the process that the worker has started for it.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::time::{Duration, Instant};

use super::events::Measured;
use crate::backup::{self, BackupRequest, CommitSpec};
use crate::domain::{BackupWork, Job, VerificationKind, VerificationStatus, VerifyWork, Work};
use crate::process::{Liveness, crash_point, interrupt, is_alive};
use crate::progress::Progress;
use crate::verify::{self, VerificationRun};
use crate::workspace::{self, Workspace};
use crate::{config, ledger};

/// The maximum size of a job, in bytes.
const JOB_BYTES: u64 = 16 << 20;
/// The time that the previous attempt has to exit.
const PATIENCE: Duration = Duration::from_secs(30);

/// The reason why the job cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Standard input failed.
    #[error("cannot read the job")]
    Input(#[source] io::Error),
    /// The text is not a job.
    #[error("the job is invalid")]
    Malformed(#[source] serde_json::Error),
    /// Signals cannot be handled.
    #[error(transparent)]
    Signals(io::Error),
}

/// The reason why an attempt failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The repository, its configuration, a store or the queue cannot be opened.
    #[error(transparent)]
    Workspace(Box<workspace::Error>),
    /// The backup failed.
    #[error(transparent)]
    Backup(Box<backup::Error>),
    /// The verification did not finish.
    #[error(transparent)]
    Verify(Box<verify::Error>),
    /// The job was created by another version of this program.
    #[error("this version has no tool {name:?}")]
    UnknownTool {
        /// The name of the tool.
        name: String,
    },
    /// The previous attempt at the same backup is still running.
    #[error("the previous attempt is still running")]
    EarlierAttempt,
    /// The verification found that the backup is bad.
    #[error("verification failed: {kind}")]
    VerificationFailed {
        /// The kind of verification.
        kind: VerificationKind,
        /// The findings.
        reasons: Vec<String>,
    },
}

impl From<workspace::Error> for Error {
    fn from(error: workspace::Error) -> Self {
        Self::Workspace(Box::new(error))
    }
}

impl From<backup::Error> for Error {
    fn from(error: backup::Error) -> Self {
        Self::Backup(Box::new(error))
    }
}

impl From<verify::Error> for Error {
    fn from(error: verify::Error) -> Self {
        Self::Verify(Box::new(error))
    }
}

impl From<config::Error> for Error {
    fn from(error: config::Error) -> Self {
        workspace::Error::from(error).into()
    }
}

impl From<ledger::Error> for Error {
    fn from(error: ledger::Error) -> Self {
        workspace::Error::from(error).into()
    }
}

impl Error {
    /// Returns true if a retry may succeed. A failed verification would fail again.
    pub fn retry(&self) -> bool {
        match self {
            Self::Workspace(error) => error.retry(),
            Self::Backup(error) => error.retry(),
            Self::Verify(error) => error.retry(),
            Self::EarlierAttempt => true,
            Self::UnknownTool { .. } | Self::VerificationFailed { .. } => false,
        }
    }
}

/// Reads the job, which is one line of standard input. When standard input ends after it, the
/// worker has exited, and this process exits, too. Fails if the line is not a job.
pub fn read() -> Result<Job, ReadError> {
    interrupt::install().map_err(ReadError::Signals)?;
    let mut input = BufReader::new(io::stdin());
    let mut text = String::new();
    input.by_ref().take(JOB_BYTES).read_line(&mut text).map_err(ReadError::Input)?;
    let job = serde_json::from_str(&text).map_err(ReadError::Malformed)?;
    interrupt::terminate_at_end_of(input).map_err(ReadError::Input)?;
    crash_point("job.read");
    Ok(job)
}

/// Runs `job`. `recorded` is called after a change of the ledger. Fails if the backup or
/// verification fails.
pub fn run(
    job: &Job,
    workspace: &Workspace,
    progress: &dyn Progress,
    recorded: &dyn Fn(),
) -> Result<Measured, Error> {
    match &job.work {
        Work::Backup(work) => make(work, workspace, progress, recorded),
        Work::Verify(work) => verify(work, workspace, progress, recorded),
    }
}

fn make(
    work: &BackupWork,
    workspace: &Workspace,
    progress: &dyn Progress,
    recorded: &dyn Fn(),
) -> Result<Measured, Error> {
    wait_for_earlier(work, workspace)?;
    let config = workspace.config()?;
    // Fails with a clear message if the database is not configured any more.
    let mut database = config.selected(Some(work.database.as_str()))?;
    if let Some(tool) = &work.tool {
        let name = tool.as_str();
        database.tool.value = name.parse().map_err(|()| Error::UnknownTool { name: name.to_owned() })?;
    }
    let asked = match (&work.commit, &work.branch) {
        (Some(commit), _) if work.prefer_mark => CommitSpec::Unmarked(commit.to_string()),
        (Some(commit), _) => CommitSpec::Revision(commit.to_string()),
        (None, Some(branch)) => CommitSpec::Branch(branch.to_string()),
        (None, None) => CommitSpec::Nothing,
    };
    let mut request = BackupRequest {
        id: Some(work.backup),
        kind: work.backup_type.unwrap_or(database.backup_type.value),
        database,
        asked,
        force: work.force,
        name: work.name.clone(),
        tags: work.tags.clone(),
    };
    backup::choose_tool(workspace, &mut request)?;
    let created = backup::create_configured(workspace, &request, None, None, progress)?;
    let entry = created.map_err(|unsuccessful| *unsuccessful.error)?;
    recorded();
    Ok(Measured { size_bytes: entry.backup.size_bytes, stored_bytes: entry.backup.stored_bytes })
}

fn verify(
    work: &VerifyWork,
    workspace: &Workspace,
    progress: &dyn Progress,
    recorded: &dyn Fn(),
) -> Result<Measured, Error> {
    let entry = workspace.ledger()?.by_id(work.backup)?;
    let options = verify::Options::default();
    let verdict = verify::verify_configured(workspace, &entry.backup, work.kind, &options, progress)?;
    recorded();
    if verdict.verification.status != VerificationStatus::Failed {
        return Ok(Measured { size_bytes: entry.backup.size_bytes, stored_bytes: None });
    }
    Err(Error::VerificationFailed { kind: work.kind, reasons: reasons(&verdict) })
}

fn reasons(verdict: &VerificationRun) -> Vec<String> {
    verdict.reasons().into_iter().map(str::to_owned).collect()
}

/// Waits for the previous attempt. If its worker was killed, it is about to exit and to record
/// that.
#[expect(
    clippy::disallowed_methods,
    reason = "the exit of a process that is not our child cannot be awaited"
)]
fn wait_for_earlier(work: &BackupWork, workspace: &Workspace) -> Result<(), Error> {
    let ledger = workspace.ledger()?;
    let Ok(entry) = ledger.by_id(work.backup) else { return Ok(()) };
    let Some(owner) = entry.backup.attempt.and_then(|attempt| attempt.owner) else { return Ok(()) };
    let began = Instant::now();
    while is_alive(&owner) == Liveness::Alive && interrupt::requested().is_none() {
        if began.elapsed() > PATIENCE {
            return Err(Error::EarlierAttempt);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
