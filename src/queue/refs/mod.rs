//! The queue in the git repository: one ref per job, for the workers of one host.
//!
//! `refs/pggit/jobs/<job id>` points to a blob with the job. Each change writes a new blob and moves refs
//! in one transaction from the values that were read. Two further kinds of refs protect rules about
//! several jobs: the claim of a backup moves `refs/pggit/job-databases/<hash>` to the claim, and the
//! creation of a job with a key moves `refs/pggit/job-keys/<hash>` to its id, in the same transaction. A
//! process that has read an older value fails. The target of such a ref counts only if the job that it
//! names agrees, so the refs need not be reset when a job ends.
//!
//! Anyone with push access to the repository could push these refs like any other. Therefore they
//! are hidden from pushes ([`guard`]), and jobs are neither created nor run in a repository where
//! they are not hidden.

mod cache;
mod claim;
mod document;
mod guard;
mod maintenance;
mod outbox;
mod watch;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{
    Claim, Claimant, EnqueueResult, Error, Filter, HeartbeatReply, Listing, Queue, Stats, Watch,
    random_fraction,
};
use crate::clock::Clock;
use crate::domain::{AttemptEnd, BootTime, Digest, Job, JobId, JobState, NewJob, Owner, Refusal, Timestamp};
use crate::git::{self, Oid, RefUpdate, Repository, Transaction, Writer};
use cache::JobCache;
use document::Document;

/// The prefixes of the refs of jobs, deduplication keys, and databases with a running backup.
const JOBS: &str = "refs/pggit/jobs/";
const KEYS: &str = "refs/pggit/job-keys/";
const DATABASES: &str = "refs/pggit/job-databases/";

/// The queue of one repository.
pub struct RefsQueue {
    inner: Mutex<Inner>,
    clock: Arc<dyn Clock>,
}

struct Inner {
    repository: Repository,
    cache: JobCache,
    /// For running jobs whose lease time is unknown here: their version, and the uptime at which it was
    /// first seen.
    seen: HashMap<JobId, (Oid, BootTime)>,
    /// The time of the last check that pushes and fetches cannot bring jobs.
    checked_exposure: Option<Instant>,
}

impl RefsQueue {
    /// Returns the queue in `repository`.
    pub fn new(repository: Repository, clock: Arc<dyn Clock>) -> Self {
        let inner =
            Inner { repository, cache: JobCache::default(), seen: HashMap::new(), checked_exposure: None };
        Self { inner: Mutex::new(inner), clock }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Applies `change` to the current version of a job.
    fn change(
        &self,
        id: JobId,
        what: &str,
        mut change: impl FnMut(&mut Job, Timestamp) -> Result<(), Error>,
    ) -> Result<Job, Error> {
        let mut inner = self.inner();
        retry_on_conflict(|| {
            let (tip, mut document) = inner.read(id)?;
            change(&mut document.job, self.now())?;
            document.stamp(self.clock.as_ref());
            inner.replace(tip, &document, Vec::new(), what)?;
            Ok(document.job)
        })
    }

    fn command(
        &self,
        id: JobId,
        verb: &'static str,
        mut command: impl FnMut(&mut Job, Timestamp) -> Result<(), Refusal>,
    ) -> Result<Job, Error> {
        self.change(id, verb, |job, at| {
            let refused = |Refusal(reason)| Error::Refused { job: id, verb, reason: reason.to_owned() };
            command(job, at).map_err(refused)
        })
    }
}

impl Inner {
    /// Reads the current version of a job, with the id of its blob.
    fn read(&self, id: JobId) -> Result<(Oid, Document), Error> {
        let tip = self.repository.ref_tip(&job_ref(id))?;
        let tip = tip.ok_or_else(|| Error::NotFound { selector: id.to_string() })?;
        Ok((tip, self.parse(&id.to_string(), tip)?))
    }

    fn parse(&self, name: &str, tip: Oid) -> Result<Document, Error> {
        let bytes = self.repository.blob(tip)?;
        Document::parse(&bytes).map_err(|reason| Error::Damaged { job: name.to_owned(), reason })
    }

    /// Replaces the version `old` of a job by `document`, and writes other refs, in one transaction.
    fn replace(
        &mut self,
        old: Oid,
        document: &Document,
        others: Vec<(String, Option<Oid>, Vec<u8>)>,
        what: &str,
    ) -> Result<(), Error> {
        self.write(Some(old), document, others, what)
    }

    fn write(
        &mut self,
        old: Option<Oid>,
        document: &Document,
        others: Vec<(String, Option<Oid>, Vec<u8>)>,
        what: &str,
    ) -> Result<(), Error> {
        self.write_all(&[(old, document)], others, what)
    }

    /// Replaces several jobs, and writes other refs, in one transaction.
    fn write_all(
        &mut self,
        documents: &[(Option<Oid>, &Document)],
        others: Vec<(String, Option<Oid>, Vec<u8>)>,
        what: &str,
    ) -> Result<(), Error> {
        let mut writer: Writer<'_> = self.repository.writer();
        let mut updates = Vec::new();
        for (old, document) in documents {
            let new = writer.blob(&document.to_bytes())?;
            updates.push(RefUpdate { name: job_ref(document.job.id), old: *old, new });
        }
        for (name, old, content) in others {
            updates.push(RefUpdate { name, old, new: writer.blob(&content)? });
        }
        writer.sync()?;
        let tips: Vec<Oid> = updates.iter().map(|update| update.new).collect();
        let reason = format!("job: {what}");
        writer.move_refs(&Transaction { updates, reason, ..Transaction::default() })?;
        writer.finish()?;
        for ((_, document), tip) in documents.iter().zip(tips) {
            self.cache.update(document.job.id, tip, document);
        }
        Ok(())
    }
}

fn job_ref(id: JobId) -> String {
    format!("{JOBS}{id}")
}

fn key_ref(key: &str) -> String {
    format!("{KEYS}{}", Digest::of(key.as_bytes()).hex())
}

fn database_ref(database: &str) -> String {
    format!("{DATABASES}{}", Digest::of(database.as_bytes()).hex())
}

/// Calls `attempt` again while it fails because refs have moved.
fn retry_on_conflict<T>(attempt: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    git::retry_on_conflict(attempt, Error::retry, |attempts, last| Error::Busy { attempts, last })
}

impl Queue for RefsQueue {
    fn enqueue(&self, new: NewJob) -> Result<EnqueueResult, Error> {
        let mut inner = self.inner();
        inner.check_exposure(self.clock.as_ref())?;
        let at = self.now();
        let job = Job::new(JobId::new(at), new, at);
        retry_on_conflict(|| {
            let mut others = Vec::new();
            if let Some(key) = &job.dedup_key {
                let name = key_ref(key.as_str());
                let held = inner.repository.ref_tip(&name)?;
                if let Some(waiting) = inner.waiting_with(held, key.as_str())? {
                    return Ok(EnqueueResult { job: waiting, is_new: false });
                }
                others.push((name, held, format!("{}\n", job.id).into_bytes()));
            }
            inner.write(None, &Document::new(job.clone()), others, "enqueued")?;
            Ok(EnqueueResult { job: job.clone(), is_new: true })
        })
    }

    fn claim(&self, claimant: &Claimant) -> Result<Option<Claim>, Error> {
        self.claim_next(claimant)
    }

    fn heartbeat(&self, claim: &Claim) -> Result<HeartbeatReply, Error> {
        let job = self.change(claim.job.id, "heartbeat", |job, at| {
            check_held(job, claim)?;
            job.beat(at);
            Ok(())
        });
        Ok(match missing_is_lost(job, claim)?.cancel_requested {
            true => HeartbeatReply::CancelRequested,
            false => HeartbeatReply::Continue,
        })
    }

    fn end(&self, claim: &Claim, ending: &AttemptEnd) -> Result<Job, Error> {
        let chance = random_fraction();
        let job = self.change(claim.job.id, "ended", |job, at| {
            check_held(job, claim)?;
            job.end(ending, at, chance);
            Ok(())
        });
        missing_is_lost(job, claim)
    }

    fn end_and_claim(
        &self,
        claim: &Claim,
        ending: &AttemptEnd,
        claimant: &Claimant,
    ) -> Result<(Job, Option<Claim>), Error> {
        if let Some((ended, next)) = self.end_with_next(claim, ending, claimant)? {
            return Ok((ended, Some(next)));
        }
        Ok((self.end(claim, ending)?, self.claim(claimant)?))
    }

    fn claim_notifications(&self, sender: Option<&Owner>) -> Result<Vec<Job>, Error> {
        self.claim_pending(sender)
    }

    fn mark_notified(&self, id: JobId, token: u64) -> Result<(), Error> {
        self.mark_sent(id, token)
    }

    fn cancel(&self, id: JobId) -> Result<Job, Error> {
        self.command(id, "cancelled", Job::cancel)
    }

    fn retry(&self, id: JobId) -> Result<Job, Error> {
        self.command(id, "retried", Job::retry)
    }

    fn pause(&self, id: JobId) -> Result<Job, Error> {
        self.command(id, "paused", Job::pause)
    }

    fn resume(&self, id: JobId) -> Result<Job, Error> {
        self.command(id, "resumed", Job::resume)
    }

    fn get(&self, id: JobId) -> Result<Job, Error> {
        retry_on_conflict(|| Ok(self.inner().read(id)?.1.job))
    }

    fn find(&self, prefix: &str) -> Result<Vec<JobId>, Error> {
        let inner = self.inner();
        let tips = inner.repository.tips_under(JOBS, |_| ())?;
        let found = tips.iter().filter(|(name, _)| name.starts_with(prefix));
        Ok(found.filter_map(|(name, _)| name.parse().ok()).collect())
    }

    fn list(&self, filter: &Filter) -> Result<Listing, Error> {
        let mut inner = self.inner();
        inner.refresh(self.clock.as_ref())?;
        let mut listing = Listing { jobs: Vec::new(), damaged: inner.cache.damaged() };
        for (id, tip) in inner.cache.ids(filter) {
            match inner.parse(&id.to_string(), tip) {
                Ok(document) if filter.passes(&document.job) => listing.jobs.push(document.job),
                Ok(_) => {}
                // The job was changed or removed meanwhile.
                Err(error) if error.retry() => {
                    if let Ok((_, document)) = inner.read(id) {
                        listing.jobs.extend(Some(document.job).filter(|job| filter.passes(job)));
                    }
                }
                Err(error) => listing.damaged.push((id.to_string(), error.to_string())),
            }
        }
        Ok(listing)
    }

    fn stats(&self) -> Result<Stats, Error> {
        let mut inner = self.inner();
        inner.refresh(self.clock.as_ref())?;
        Ok(inner.stats(self.clock.as_ref()))
    }

    fn clean(&self, age: Duration) -> Result<u64, Error> {
        self.remove_finished(age)
    }

    fn next_due(&self) -> Result<Option<Duration>, Error> {
        let mut inner = self.inner();
        inner.refresh(self.clock.as_ref())?;
        Ok(inner.next_due(self.clock.as_ref()))
    }

    fn watch(&self) -> Result<Box<dyn Watch>, Error> {
        Ok(Box::new(watch::RefsWatch::new(&self.inner().repository)?))
    }
}

/// Fails if the worker has lost the job.
fn check_held(job: &Job, claim: &Claim) -> Result<(), Error> {
    match job.is_held_with(claim.fencing_token) {
        true => Ok(()),
        false => Err(Error::Lost { job: job.id }),
    }
}

/// Turns a missing job into a lost one.
fn missing_is_lost<T>(result: Result<T, Error>, claim: &Claim) -> Result<T, Error> {
    result.map_err(|error| match error {
        Error::NotFound { .. } => Error::Lost { job: claim.job.id },
        error => error,
    })
}

impl Inner {
    /// Returns the job that the ref of a key names, if it is waiting with that key.
    fn waiting_with(&self, held: Option<Oid>, key: &str) -> Result<Option<Job>, Error> {
        let Some(held) = held else { return Ok(None) };
        let named = self.repository.blob(held)?;
        let Some(id) = std::str::from_utf8(&named).ok().and_then(|text| text.trim().parse().ok()) else {
            return Ok(None);
        };
        match self.read(id) {
            Ok((_, document)) => {
                let job = document.job;
                let same = job.dedup_key.as_ref().is_some_and(|known| known.as_str() == key);
                Ok(Some(job).filter(|job| same && job.state.is_waiting()))
            }
            Err(Error::NotFound { .. } | Error::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Returns true if a job in this state may be claimed, now or after its delay.
fn may_run(state: JobState) -> bool {
    matches!(state, JobState::Ready | JobState::WillRetry)
}
