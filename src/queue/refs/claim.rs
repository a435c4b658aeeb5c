//! Claims jobs, and releases expired leases.

use std::time::Duration;

use super::{
    Claim, Claimant, Document, Error, Inner, RefsQueue, check_held, database_ref, missing_is_lost,
    random_fraction, retry_on_conflict,
};
use crate::domain::{AttemptEnd, Job, JobId, JobKind, JobState};
use crate::git::Oid;
use crate::process::crash_point;

impl RefsQueue {
    pub(super) fn claim_next(&self, claimant: &Claimant) -> Result<Option<Claim>, Error> {
        let mut inner = self.inner();
        inner.check_exposure(self.clock.as_ref())?;
        if !inner.cache.is_fresh() {
            inner.refresh(self.clock.as_ref())?;
        }
        self.release_expired(&mut inner)?;
        for id in inner.cache.candidates(self.clock.as_ref()) {
            let Some(known) = inner.cache.get(id) else { continue };
            if known.kind == JobKind::Backup && inner.cache.is_busy(&known.database, None) {
                continue;
            }
            if let Some(claim) = self.try_claim(&mut inner, id, claimant)? {
                return Ok(Some(claim));
            }
        }
        Ok(None)
    }

    /// Releases the jobs whose lease has expired.
    fn release_expired(&self, inner: &mut Inner) -> Result<(), Error> {
        let clock = self.clock.as_ref();
        let expired = inner
            .cache
            .all()
            .filter(|(id, known)| inner.lease_left(*id, known, clock) == Some(Duration::ZERO));
        let expired: Vec<JobId> = expired.map(|(id, _)| id).collect();
        for id in expired {
            let rescued = retry_on_conflict(|| {
                let known = inner.cache.get(id).map(|known| known.tip);
                let (tip, mut document) = inner.read(id)?;
                // Otherwise a heartbeat has renewed the lease, or another process has released it.
                if Some(tip) == known && document.job.state == JobState::InProgress {
                    document.job.lose(self.now(), random_fraction());
                    document.stamp(clock);
                    inner.replace(tip, &document, Vec::new(), "worker lost")?;
                    crash_point("queue.rescued");
                } else {
                    inner.cache.update(id, tip, &document);
                }
                Ok(())
            });
            match rescued {
                Ok(()) | Err(Error::Busy { .. } | Error::Damaged { .. }) => {}
                Err(Error::NotFound { .. }) => inner.cache.remove(id),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Claims a job. Returns none if the job was changed or removed meanwhile.
    fn try_claim(&self, inner: &mut Inner, id: JobId, claimant: &Claimant) -> Result<Option<Claim>, Error> {
        let taken = self.attempt_claim(inner, id, claimant);
        match taken {
            // The next claim considers the new version.
            Err(error) if error.retry() => {
                inner.reread(id);
                Ok(None)
            }
            Err(Error::NotFound { .. } | Error::Damaged { .. }) => {
                inner.cache.remove(id);
                Ok(None)
            }
            taken => taken,
        }
    }

    fn attempt_claim(
        &self,
        inner: &mut Inner,
        id: JobId,
        claimant: &Claimant,
    ) -> Result<Option<Claim>, Error> {
        let Some(attempt) = self.prepare(inner, id, claimant, None)? else { return Ok(None) };
        let ClaimAttempt { tip, document, others } = attempt;
        inner.replace(tip, &document, others, "claimed")?;
        crash_point("queue.claimed");
        Ok(Some(claim_of(document)))
    }

    /// Returns the changes that claim a job; `None` if it cannot be claimed now. The job `ending` is about
    /// to end, so its backup does not block this one.
    fn prepare(
        &self,
        inner: &mut Inner,
        id: JobId,
        claimant: &Claimant,
        ending: Option<JobId>,
    ) -> Result<Option<ClaimAttempt>, Error> {
        let (tip, mut document) = inner.read(id)?;
        if document.due_in(self.clock.as_ref()) != Some(Duration::ZERO) {
            inner.cache.update(id, tip, &document);
            return Ok(None);
        }
        let Claimant { worker, owner, lease } = claimant.clone();
        document.job.claim(worker, owner, lease, self.now());
        document.stamp(self.clock.as_ref());
        let mut others = Vec::new();
        if document.job.work.kind() == JobKind::Backup {
            let name = database_ref(document.job.work.database().as_str());
            // Read this ref first, then the job that it names: a concurrent claim moves the ref,
            // because no two claims have the same content.
            let running = inner.repository.ref_tip(&name)?;
            let other = running.map(|running| inner.running(running)).transpose()?.flatten();
            if let Some(other) = other.filter(|other| Some(other.0.job.id) != ending) {
                inner.cache.update(other.0.job.id, other.1, &other.0);
                return Ok(None);
            }
            others.push((name, running, format!("{id} {}\n", document.job.token).into_bytes()));
        }
        Ok(Some(ClaimAttempt { tip, document, others }))
    }

    /// Ends an attempt and claims the next job in one transaction, at half the cost of two. Returns none,
    /// without a change, if there is no next job or the job was changed meanwhile.
    pub(super) fn end_with_next(
        &self,
        claim: &Claim,
        ending: &AttemptEnd,
        claimant: &Claimant,
    ) -> Result<Option<(Job, Claim)>, Error> {
        let mut inner = self.inner();
        inner.check_exposure(self.clock.as_ref())?;
        if !inner.cache.is_fresh() {
            inner.refresh(self.clock.as_ref())?;
        }
        self.release_expired(&mut inner)?;
        let id = claim.job.id;
        let (tip, mut ended) = missing_is_lost(inner.read(id), claim)?;
        check_held(&ended.job, claim)?;
        ended.job.end(ending, self.now(), random_fraction());
        ended.stamp(self.clock.as_ref());
        for next in inner.cache.candidates(self.clock.as_ref()) {
            let Some(known) = inner.cache.get(next) else { continue };
            if known.kind == JobKind::Backup && inner.cache.is_busy(&known.database, Some(id)) {
                continue;
            }
            let attempt = match self.prepare(&mut inner, next, claimant, Some(id)) {
                Ok(Some(attempt)) => attempt,
                Ok(None) => continue,
                // The separate claim handles the error.
                Err(_) => return Ok(None),
            };
            let changes = [(Some(tip), &ended), (Some(attempt.tip), &attempt.document)];
            return match inner.write_all(&changes, attempt.others, "ended, and the next claimed") {
                Ok(()) => {
                    crash_point("queue.claimed");
                    Ok(Some((ended.job, claim_of(attempt.document))))
                }
                Err(error) if error.retry() => {
                    inner.reread(next);
                    Ok(None)
                }
                Err(error) => Err(error),
            };
        }
        Ok(None)
    }
}

/// The changes of a claim: the old version of the job, the new one, and the other refs to write.
struct ClaimAttempt {
    tip: Oid,
    document: Document,
    others: Vec<(String, Option<Oid>, Vec<u8>)>,
}

fn claim_of(document: Document) -> Claim {
    let token = document.job.token;
    Claim { job: document.job, fencing_token: token, key: 0 }
}

impl Inner {
    /// Reads the new version of a job after a lost race.
    fn reread(&mut self, id: JobId) {
        match self.read(id) {
            Ok((tip, document)) => self.cache.update(id, tip, &document),
            Err(_) => self.cache.remove(id),
        }
    }

    /// Returns the job that the ref of a database names, if that claim is still valid.
    fn running(&self, running: Oid) -> Result<Option<(Document, Oid)>, Error> {
        let named = self.repository.blob(running)?;
        let text = String::from_utf8_lossy(&named);
        let mut words = text.split_ascii_whitespace();
        let id = words.next().and_then(|id| id.parse::<JobId>().ok());
        let token = words.next().and_then(|token| token.parse::<u64>().ok());
        let (Some(id), Some(token)) = (id, token) else { return Ok(None) };
        match self.read(id) {
            Ok((tip, document)) => Ok(document.job.is_held_with(token).then_some((document, tip))),
            Err(Error::NotFound { .. } | Error::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
