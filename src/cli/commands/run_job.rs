//! `git pggit run-job`, which workers start: one attempt at one job.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::time::{Duration, Instant};

use crate::backup::{self, Asked, Request};
use crate::cli::{Code, Context, Failure};
use crate::domain::{BackupWork, Failure as Why, Job, Line, VerificationStatus, VerifyWork, Work};
use crate::ledger;
use crate::process::{Liveness, crash_point, interrupt, is_alive};
use crate::worker::Answer;
use crate::worker::events::Measured;

/// Make one attempt at the job on standard input
///
/// Workers start this. The job is one line; when standard input ends after it,
/// the worker has ended, and this ends, too. Says on standard output, as JSON,
/// how it went.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// How large a job may be.
const JOB_BYTES: u64 = 16 << 20;
/// How long the attempt before this one may take to end.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn run(_: &Args, context: &Context) -> Result<(), Failure> {
    interrupt::install().map_err(|error| Failure::of(Code::Fatal, &error))?;
    let unreadable =
        |error: io::Error| Failure::new(Code::Fatal, "cannot read the job").cause(error.to_string());
    let mut input = BufReader::new(io::stdin());
    let mut text = String::new();
    input.by_ref().take(JOB_BYTES).read_line(&mut text).map_err(unreadable)?;
    let job: Job = serde_json::from_str(&text)
        .map_err(|error| Failure::new(Code::Usage, "the job makes no sense").cause(error.to_string()))?;
    interrupt::terminate_at_end_of(input).map_err(unreadable)?;
    crash_point("job.read");
    let done = match &job.work {
        Work::Backup(work) => make(work, context),
        Work::Verify(work) => verify(work, context),
    };
    let answer = match done {
        Ok(measured) => Answer::Completed { measured },
        Err(failure) => {
            context.ui.failure(&failure);
            let retry = may_be_tried_again(failure.code());
            let message =
                std::iter::once(failure.message()).chain(failure.causes().iter().map(String::as_str));
            let message = message.collect::<Vec<_>>().join(": ");
            Answer::Failed { error: Why { code: Line::lossy(failure.code().name()), message }, retry }
        }
    };
    crash_point("job.done");
    let answer = serde_json::to_string(&answer).expect("an answer has string keys");
    Ok(context.ui.raw(answer.as_bytes())?)
}

/// What somebody has to correct is not tried again.
fn may_be_tried_again(code: Code) -> bool {
    !matches!(
        code,
        Code::NotFound
            | Code::Ambiguous
            | Code::Conflict
            | Code::NotARepository
            | Code::Configuration
            | Code::Usage
            | Code::Negative
    )
}

fn make(work: &BackupWork, context: &Context) -> Result<Measured, Failure> {
    wait_for_earlier(work, context)?;
    let config = context.config()?;
    // A name that nobody configures any more is said clearly.
    let mut database = config.selected(Some(work.database.as_str()))?;
    if let Some(tool) = &work.tool {
        database.tool.value = tool.as_str().parse().map_err(|_| {
            Failure::new(Code::Configuration, format!("this version has no tool {:?}", tool.as_str()))
        })?;
    }
    if database.format.value != crate::domain::DumpFormat::Directory {
        database.jobs = None;
    }
    let asked = match (&work.commit, &work.branch) {
        (Some(commit), _) if work.yields => Asked::Unmarked(commit.to_string()),
        (Some(commit), _) => Asked::Revision(commit.to_string()),
        (None, Some(branch)) => Asked::Branch(branch.to_string()),
        (None, None) => Asked::Nothing,
    };
    let mut request = Request {
        id: Some(work.backup),
        kind: work.backup_type.unwrap_or(database.backup_type.value),
        database,
        asked,
        force: work.force,
        name: work.name.clone(),
        tags: work.tags.clone(),
    };
    super::backup::create::decide(&mut request, context)?;
    let created = super::backup::create::make(&request, None, None, context)?;
    let entry = created.map_err(|unsuccessful| failure(*unsuccessful.error))?;
    super::sync::on_write(context);
    super::maintenance::by_the_way(context);
    Ok(Measured { size_bytes: entry.backup.size_bytes, stored_bytes: entry.backup.stored_bytes })
}

/// An attempt whose worker was killed may have come in between: what the record
/// refuses now it may take from the next attempt.
fn failure(error: backup::Error) -> Failure {
    let in_between = match &error {
        backup::Error::Ledger(ledger::Error::Refused { .. }) => true,
        backup::Error::NotAgain { reason, .. } => reason.contains("another process"),
        _ => false,
    };
    let failure = Failure::from(error);
    if in_between { failure.with_code(Code::Busy) } else { failure }
}

/// A verdict that the backup is bad is a job that failed, and stays one however
/// often it is asked for.
fn verify(work: &VerifyWork, context: &Context) -> Result<Measured, Failure> {
    use super::backup::verify;
    let entry = context.ledger()?.by_id(work.backup)?;
    let verdict = verify::of(&entry.backup, work.kind, &verify::Manner::default(), context)?;
    super::sync::on_write(context);
    super::maintenance::by_the_way(context);
    if verdict.verification.status != VerificationStatus::Failed {
        return Ok(Measured { size_bytes: entry.backup.size_bytes, stored_bytes: None });
    }
    let failure = Failure::new(Code::Negative, format!("verification failed: {}", work.kind));
    Err(verify::reasons(&verdict).into_iter().fold(failure, Failure::cause))
}

/// An attempt whose worker was killed is about to end, and says so in the
/// record when it does.
#[expect(clippy::disallowed_methods, reason = "of a process that is not ours nothing is told")]
fn wait_for_earlier(work: &BackupWork, context: &Context) -> Result<(), Failure> {
    let ledger = context.ledger()?;
    let Ok(entry) = ledger.by_id(work.backup) else { return Ok(()) };
    let Some(owner) = entry.backup.attempt.and_then(|attempt| attempt.owner) else { return Ok(()) };
    let began = Instant::now();
    while is_alive(&owner) == Liveness::Alive && interrupt::requested().is_none() {
        if began.elapsed() > PATIENCE {
            return Err(Failure::new(Code::Busy, "the attempt before this one has not ended"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
