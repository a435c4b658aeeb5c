//! Taking jobs, and taking them away from workers that are gone.

use std::time::Duration;

use super::{Claim, Claimant, Document, Error, Inner, RefsQueue, chance, database_ref, retrying};
use crate::domain::{JobId, JobKind, JobState};
use crate::process::crash_point;

impl RefsQueue {
    pub(super) fn claim_next(&self, claimant: &Claimant) -> Result<Option<Claim>, Error> {
        let mut inner = self.inner();
        if !inner.scan.is_fresh() {
            inner.look(self.clock.as_ref())?;
        }
        self.rescue(&mut inner)?;
        for id in inner.scan.candidates(self.clock.as_ref()) {
            let Some(known) = inner.scan.get(id) else { continue };
            if known.kind == JobKind::Backup && inner.scan.is_busy(&known.database.clone()) {
                continue;
            }
            if let Some(claim) = self.take(&mut inner, id, claimant)? {
                return Ok(Some(claim));
            }
        }
        Ok(None)
    }

    /// Takes jobs away from workers whose lease has expired.
    fn rescue(&self, inner: &mut Inner) -> Result<(), Error> {
        let clock = self.clock.as_ref();
        let expired = inner
            .scan
            .all()
            .filter(|(id, known)| inner.lease_left(*id, known, clock) == Some(Duration::ZERO));
        let expired: Vec<JobId> = expired.map(|(id, _)| id).collect();
        for id in expired {
            let rescued = retrying(|| {
                let known = inner.scan.get(id).map(|known| known.tip);
                let (tip, mut document) = inner.read(id)?;
                // A heartbeat, or somebody who was faster.
                if Some(tip) == known && document.job.state == JobState::InProgress {
                    document.job.lose(self.now(), chance());
                    document.stamp(clock);
                    inner.replace(tip, &document, Vec::new(), "worker lost")?;
                    crash_point("queue.rescued");
                } else {
                    inner.scan.learn(id, tip, &document);
                }
                Ok(())
            });
            match rescued {
                Ok(()) | Err(Error::Busy { .. } | Error::Damaged { .. }) => {}
                Err(Error::NotFound { .. }) => inner.scan.forget(id),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes this job, unless somebody else is faster.
    fn take(&self, inner: &mut Inner, id: JobId, claimant: &Claimant) -> Result<Option<Claim>, Error> {
        let taken = self.try_to_take(inner, id, claimant);
        match taken {
            // It will be looked at again.
            Err(error) if error.retry() => {
                match inner.read(id) {
                    Ok((tip, document)) => inner.scan.learn(id, tip, &document),
                    Err(_) => inner.scan.forget(id),
                }
                Ok(None)
            }
            Err(Error::NotFound { .. } | Error::Damaged { .. }) => {
                inner.scan.forget(id);
                Ok(None)
            }
            taken => taken,
        }
    }

    fn try_to_take(&self, inner: &mut Inner, id: JobId, claimant: &Claimant) -> Result<Option<Claim>, Error> {
        let (tip, mut document) = inner.read(id)?;
        if document.due_in(self.clock.as_ref()) != Some(Duration::ZERO) {
            inner.scan.learn(id, tip, &document);
            return Ok(None);
        }
        let Claimant { worker, owner, lease } = claimant.clone();
        document.job.claim(worker, owner, lease, self.now());
        document.stamp(self.clock.as_ref());
        let mut others = Vec::new();
        if document.job.work.kind() == JobKind::Backup {
            let name = database_ref(document.job.work.database().as_str());
            // First this, then the job that it names: who claims in between
            // moves it, because no two claims are written alike.
            let running = inner.repository.ref_tip(&name)?;
            if let Some(other) = running.map(|running| inner.running(running)).transpose()?.flatten() {
                inner.scan.learn(other.0.job.id, other.1, &other.0);
                return Ok(None);
            }
            others.push((name, running, format!("{id} {}\n", document.job.token).into_bytes()));
        }
        inner.replace(tip, &document, others, "claimed")?;
        crash_point("queue.claimed");
        let token = document.job.token;
        Ok(Some(Claim { job: document.job, token }))
    }
}

impl Inner {
    /// The job that the ref of a database names, if that claim still holds.
    fn running(&self, running: crate::git::Oid) -> Result<Option<(Document, crate::git::Oid)>, Error> {
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
