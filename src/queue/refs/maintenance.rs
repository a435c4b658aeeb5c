//! Removes finished jobs.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{DATABASES, Error, Inner, JOBS, KEYS, RefsQueue, retry_on_conflict};
use crate::domain::JobId;
use crate::git::{Oid, RefDeletion, Transaction};

/// Maximum number of refs per transaction.
const AT_ONCE: usize = 1000;

impl RefsQueue {
    pub(super) fn remove_finished(&self, age: Duration) -> Result<u64, Error> {
        let mut inner = self.inner();
        // Read these refs first, then the jobs: a ref that names a newer job has moved since and is
        // not deleted.
        let names = inner.names()?;
        let removed = retry_on_conflict(|| {
            inner.refresh(self.clock.as_ref())?;
            let now = self.now();
            let old = inner
                .cache
                .all()
                .filter(|(_, known)| known.finished_at().is_some_and(|at| at.plus(age) <= now));
            let old: Vec<(JobId, Oid)> = old.map(|(id, known)| (id, known.tip)).collect();
            for batch in old.chunks(AT_ONCE) {
                let delete =
                    |(id, old): &(JobId, Oid)| RefDeletion { name: format!("{JOBS}{id}"), old: *old };
                inner.delete(batch.iter().map(delete).collect())?;
                batch.iter().for_each(|(id, _)| inner.cache.remove(*id));
            }
            Ok(old.len() as u64)
        })?;
        inner.remove_stale(names)?;
        Ok(removed)
    }
}

impl Inner {
    fn delete(&self, deletions: Vec<RefDeletion>) -> Result<(), Error> {
        let reason = "job: cleaned".to_owned();
        Ok(self.repository.update_refs(&Transaction { deletions, reason, ..Transaction::default() })?)
    }

    /// Returns the refs of keys and databases, with the jobs that they name.
    fn names(&self) -> Result<Vec<(RefDeletion, Option<JobId>)>, Error> {
        let mut names = Vec::new();
        for prefix in [KEYS, DATABASES] {
            for (name, old) in self.repository.tips_under(prefix, |_| ())?.iter() {
                let named = self.repository.blob(old).unwrap_or_default();
                let text = String::from_utf8_lossy(&named);
                let id = text.split_ascii_whitespace().next().and_then(|id| id.parse().ok());
                names.push((RefDeletion { name: format!("{prefix}{name}"), old }, id));
            }
        }
        Ok(names)
    }

    /// Removes the refs that name missing jobs.
    fn remove_stale(&self, names: Vec<(RefDeletion, Option<JobId>)>) -> Result<(), Error> {
        let there: BTreeSet<JobId> = self.cache.all().map(|(id, _)| id).collect();
        let stale = names.into_iter().filter(|(_, id)| id.is_none_or(|id| !there.contains(&id)));
        let stale: Vec<RefDeletion> = stale.map(|(deletion, _)| deletion).collect();
        for batch in stale.chunks(AT_ONCE) {
            match self.delete(batch.to_vec()) {
                Err(error) if !error.retry() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}
