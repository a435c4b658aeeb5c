//! Verifies one backup and records the verdict.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::restore_test::RestoreTest;
use super::verdict::Findings;
use super::{Error, scratch};
use crate::artifacts::StoreSource;
use crate::clock::Clock;
use crate::domain::{
    Backup, BackupId, BackupType, ChainError, DumpFormat, Event, EventId, Status, Timestamp, Verification,
    VerificationKind, dependency_chain,
};
use crate::ledger::{self, Entry, Ledger};
use crate::process::{crash_point, interrupt};
use crate::progress::Progress;
use crate::store::{Access, StoredBackup};
use crate::tools::adapter::{BackupRef, Depth, Source};
use crate::tools::{Adapter, Programs};

/// The backup to verify and the options of the verification.
#[derive(Debug, Clone)]
pub struct VerifyRequest {
    /// The backup.
    pub backup: BackupId,
    /// The kind of the verification.
    pub kind: VerificationKind,
    /// The maximum age of an earlier verdict that is reused.
    pub window: Option<Duration>,
    /// The database to query in a restored physical backup if the record does not name it.
    pub dbname: Option<String>,
    /// Queries that return true in a correctly restored database.
    pub assertions: Vec<String>,
    /// True if each row of each table is looked up in its indexes.
    pub heapallindexed: bool,
    /// The time limit.
    pub timeout: Duration,
}

/// The environment of a verification.
pub struct VerifyContext<'a> {
    /// The ledger that records the verdict.
    pub ledger: Ledger<'a>,
    /// The clock.
    pub clock: &'a dyn Clock,
    /// The client and server programs of PostgreSQL.
    pub programs: Programs,
    /// The tool that made the backup.
    pub adapter: &'a dyn Adapter,
    /// The credentials and keys of the stores.
    pub access: Access,
    /// The directory and the user of scratch clusters.
    pub scratch: scratch::Settings,
    /// The receiver of progress reports.
    pub progress: &'a dyn Progress,
}

/// A verdict that is recorded in the ledger.
#[derive(Debug, Clone)]
pub struct VerificationRun {
    /// The record, including the verdict.
    pub entry: Entry,
    /// The verdict and its evidence.
    pub verification: Verification,
    /// True if the verdict was recorded by an earlier verification.
    pub reused: bool,
}

impl VerificationRun {
    /// Returns the findings behind a verdict `failed`.
    pub fn reasons(&self) -> Vec<&str> {
        let reasons = self.verification.details.as_map().get("reasons").and_then(Value::as_array);
        reasons.into_iter().flatten().filter_map(Value::as_str).collect()
    }
}

/// Verifies the backup and records the verdict. Returns a recorded verdict instead if it is recent
/// enough.
///
/// # Errors
/// Fails if the backup is not completed, if the verification reaches no verdict, or if the ledger
/// cannot record it.
pub fn run(context: &VerifyContext<'_>, request: &VerifyRequest) -> Result<VerificationRun, Error> {
    let entry = context.ledger.by_id(request.backup)?;
    let backup = &entry.backup;
    if !matches!(backup.status, Status::Completed | Status::Expired) {
        let reason = format!("it is {}", backup.status.as_str().replace('_', " "));
        return Err(Error::NotVerifiable { backup: backup.id, reason });
    }
    if let Some(known) = reusable(backup, request, context.clock.now()) {
        let verification = known.clone();
        return Ok(VerificationRun { entry, verification, reused: true });
    }
    let (begun, begun_at) = (Instant::now(), context.clock.now());
    let mut findings = Findings::default();
    match chain(&context.ledger, backup)? {
        Ok(chain) => verify(context, request, &entry, &chain, &mut findings)?,
        Err(missing) if request.kind == VerificationKind::Checksum => {
            verify(context, request, &entry, &[], &mut findings)?;
            findings.warning(missing);
        }
        Err(missing) => findings.fatal(missing),
    }
    if let Some(signal) = interrupt::requested() {
        return Err(Error::Interrupted { signal });
    }
    findings.note("started_at", begun_at.to_string());
    findings.note("duration_s", seconds(begun.elapsed()));
    findings.note("pggit_version", env!("CARGO_PKG_VERSION"));
    crash_point("verify.judged");
    let event = context.ledger.next_event(&entry.record, findings.event(request.kind).into())?;
    let entry = append(&context.ledger, &event)?;
    let verification = recorded(&entry, event.id)?;
    Ok(VerificationRun { entry, verification, reused: false })
}

/// Appends the event. The ledger retries if another process updated the record at the same time.
fn append(ledger: &Ledger<'_>, event: &Event) -> Result<Entry, ledger::Error> {
    ledger.append_event(event)
}

fn recorded(entry: &Entry, id: EventId) -> Result<Verification, Error> {
    let found = entry.backup.verifications.iter().find(|it| it.id == id).cloned();
    found.ok_or_else(|| Error::NotVerifiable {
        backup: entry.backup.id,
        reason: format!("it is {} now", entry.backup.status),
    })
}

/// Returns the latest verification of the requested kind if it is not older than `window`.
fn reusable<'b>(backup: &'b Backup, request: &VerifyRequest, now: Timestamp) -> Option<&'b Verification> {
    let window_s = i64::try_from(request.window?.as_secs()).unwrap_or(i64::MAX);
    let last = backup.last_verification(request.kind)?;
    (0..=window_s).contains(&now.seconds_since(last.at)).then_some(last)
}

/// Returns the duration in seconds, rounded to milliseconds.
pub(super) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

/// The reason why a backup that another needs cannot be used.
enum Unusable {
    /// Its record cannot be read.
    Ledger(ledger::Error),
    /// The backup and its status.
    Status(BackupId, Status),
}

/// Returns the backups that the restore of this one needs, the full backup first. The inner error is
/// the reason why the backup chain is incomplete.
fn chain(ledger: &Ledger<'_>, backup: &Backup) -> Result<Result<Vec<Backup>, String>, Error> {
    let needed = |id| {
        let entry = match ledger.by_id(id) {
            Ok(entry) => entry,
            Err(ledger::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(Unusable::Ledger(error)),
        };
        if !matches!(entry.backup.status, Status::Completed | Status::Expired) {
            return Err(Unusable::Status(id, entry.backup.status));
        }
        let parent = entry.backup.parent();
        Ok(Some((entry.backup, parent)))
    };
    let mut chain = match dependency_chain(backup.id, backup.parent(), needed) {
        Ok(chain) => chain,
        Err(ChainError::Missing(id)) => {
            return Ok(Err(format!("it needs backup {id}, which has no record")));
        }
        Err(ChainError::Cycle(id)) => {
            return Ok(Err(format!("it needs backup {id}, which in turn needs it")));
        }
        Err(ChainError::Lookup(Unusable::Status(id, status))) => {
            return Ok(Err(format!("it needs backup {id}, which is {status}")));
        }
        Err(ChainError::Lookup(Unusable::Ledger(error))) => return Err(error.into()),
    };
    let first = chain.last().unwrap_or(backup);
    if !matches!(first.kind, BackupType::Full | BackupType::Snapshot) {
        return Ok(Err(format!(
            "backup {} is {}, and its record names no backup that it needs",
            first.id, first.kind
        )));
    }
    chain.reverse();
    Ok(Ok(chain))
}

fn verify(
    context: &VerifyContext<'_>,
    request: &VerifyRequest,
    entry: &Entry,
    chain: &[Backup],
    findings: &mut Findings,
) -> Result<(), Error> {
    let mut sources = Vec::new();
    for backup in chain.iter().chain([&entry.backup]) {
        match source(context, backup) {
            Ok(source) => sources.push(source),
            Err(Error::Store(error)) if error.is_damage() => {
                findings.fatal(format!("the bytes of backup {}: {error}", backup.id));
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
    let of = |at: usize| sources[at].as_ref().map(|source| source as &dyn Source);
    let members: Vec<BackupRef<'_>> = chain
        .iter()
        .enumerate()
        .map(|(at, backup)| BackupRef { backup, chain: &[], source: of(at) })
        .collect();
    let subject = BackupRef { backup: &entry.backup, chain: &members, source: of(chain.len()) };
    let check = |subject: &BackupRef<'_>, depth| {
        context.adapter.check(subject, depth, context.progress).map_err(Error::of_tool)
    };
    match request.kind {
        VerificationKind::Checksum => findings.take(check(&subject, Depth::Checksum)?, None),
        VerificationKind::IntegrityCheck => {
            for (at, member) in members.iter().enumerate() {
                let whose = format!("backup {}, which it needs", member.backup.id);
                let member = BackupRef { chain: &members[..at], ..*member };
                findings.take(check(&member, Depth::Integrity)?, Some(&whose));
            }
            findings.note("chain", chain.len());
            findings.take(check(&subject, Depth::Integrity)?, None);
        }
        VerificationKind::RestoreTest => {
            // Bytes from a store are verified while they are read. Plain files are verified before any
            // statement of them runs. So are dumps that could have been written without a key.
            let is_dump = entry.backup.artifacts.first().map(|artifact| artifact.name.as_str());
            let is_dump = is_dump.and_then(DumpFormat::of_artifact).is_some();
            let is_proved =
                |held: &StoredBackup| held.is_authentic() || (held.verifies_on_read() && !is_dump);
            for subject in members.iter().chain([&subject]) {
                if sources.iter().flatten().any(|source| !is_proved(&source.0)) && subject.source.is_some() {
                    findings.take(check(subject, Depth::Checksum)?, None);
                }
            }
            if !findings.is_fatal() {
                let test = RestoreTest { context, request, entry, subject: &subject };
                test.run(findings).map_err(|error| error.in_time(request.timeout))?;
            }
        }
    }
    Ok(())
}

/// Returns the bytes of the backup, or `None` if the tool keeps them in a repository of its own.
fn source(context: &VerifyContext<'_>, backup: &Backup) -> Result<Option<StoreSource>, Error> {
    if context.adapter.has_repository() {
        return Ok(None);
    }
    if backup.location.is_none() {
        let reason = "its record has no location".to_owned();
        return Err(Error::NotVerifiable { backup: backup.id, reason });
    }
    Ok(Some(StoreSource(StoredBackup::open(backup, &context.access)?)))
}
