//! The outbox: pending notifications about the ends of jobs.

use super::{Error, RefsQueue, retry_on_conflict};
use crate::domain::{Job, JobId, Owner, PendingNotification};
use crate::queue::is_claimable;

impl RefsQueue {
    pub(super) fn claim_pending(&self, sender: Option<&Owner>) -> Result<Vec<Job>, Error> {
        let mut inner = self.inner();
        inner.check_exposure(self.clock.as_ref())?;
        inner.refresh(self.clock.as_ref())?;
        let mut taken = Vec::new();
        for id in inner.cache.pending_notifications() {
            let result = retry_on_conflict(|| {
                let (tip, mut document) = inner.read(id)?;
                let now = self.now();
                if !document
                    .job
                    .pending_notification
                    .as_ref()
                    .is_some_and(|pending_notification| is_claimable(pending_notification, now))
                {
                    inner.cache.update(id, tip, &document);
                    return Ok(None);
                }
                document.job.pending_notification = Some(PendingNotification::of(sender.cloned(), now));
                inner.replace(tip, &document, Vec::new(), "notification claimed")?;
                Ok(Some(document.job))
            });
            match result {
                Ok(job) => taken.extend(job),
                Err(Error::Busy { .. } | Error::Damaged { .. }) => {}
                Err(Error::NotFound { .. }) => inner.cache.remove(id),
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }

    pub(super) fn mark_sent(&self, id: JobId, token: u64) -> Result<(), Error> {
        let mut inner = self.inner();
        let told = retry_on_conflict(|| {
            let (tip, mut document) = inner.read(id)?;
            if document.job.token == token && document.job.pending_notification.take().is_some() {
                inner.replace(tip, &document, Vec::new(), "notification sent")?;
            }
            Ok(())
        });
        match told {
            Err(Error::NotFound { .. }) => Ok(()),
            told => told,
        }
    }
}
