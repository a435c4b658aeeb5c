//! The outbox: pending notifications about the ends of jobs.

use super::{Error, RefsQueue, retrying};
use crate::domain::{Job, JobId, Owner, Untold};
use crate::queue::is_unattended;

impl RefsQueue {
    pub(super) fn take_untold(&self, teller: Option<&Owner>) -> Result<Vec<Job>, Error> {
        let mut inner = self.inner();
        inner.guard(self.clock.as_ref())?;
        inner.look(self.clock.as_ref())?;
        let mut taken = Vec::new();
        for id in inner.scan.untold() {
            let result = retrying(|| {
                let (tip, mut document) = inner.read(id)?;
                let now = self.now();
                if !document.job.untold.as_ref().is_some_and(|untold| is_unattended(untold, now)) {
                    inner.scan.learn(id, tip, &document);
                    return Ok(None);
                }
                document.job.untold = Some(Untold::of(teller.cloned(), now));
                inner.replace(tip, &document, Vec::new(), "to be told")?;
                Ok(Some(document.job))
            });
            match result {
                Ok(job) => taken.extend(job),
                Err(Error::Busy { .. } | Error::Damaged { .. }) => {}
                Err(Error::NotFound { .. }) => inner.scan.forget(id),
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }

    pub(super) fn was_told(&self, id: JobId, token: u64) -> Result<(), Error> {
        let mut inner = self.inner();
        let told = retrying(|| {
            let (tip, mut document) = inner.read(id)?;
            if document.job.token == token && document.job.untold.take().is_some() {
                inner.replace(tip, &document, Vec::new(), "told")?;
            }
            Ok(())
        });
        match told {
            Err(Error::NotFound { .. }) => Ok(()),
            told => told,
        }
    }
}
