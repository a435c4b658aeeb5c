//! The cache of all jobs: a few fields of each job, read once per version.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{Document, Error, Filter, Inner, JOBS, may_run};
use crate::clock::Clock;
use crate::domain::{DatabaseName, JobId, JobKind, JobState, Priority, Timestamp};
use crate::git::Oid;
use crate::queue::Stats;

/// A listing that took longer than this is reused for a while, so that many thousands of jobs are not
/// listed for each claim.
const REUSE_FROM: Duration = Duration::from_millis(10);
/// The time for which a listing is reused, as a multiple of the time that it took.
const REUSE_FACTOR: u32 = 4;

/// The cached fields of one job.
#[derive(Debug, Clone)]
pub(super) struct JobSummary {
    pub(super) tip: Oid,
    pub(super) state: JobState,
    pub(super) priority: Priority,
    pub(super) database: DatabaseName,
    pub(super) kind: JobKind,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
    updated_at: Timestamp,
    pending_notification: bool,
    /// The whole document of a job that has a lease or a delay.
    pub(super) document: Option<Box<Document>>,
}

/// The cache of all jobs.
#[derive(Debug, Default)]
pub(super) struct JobCache {
    jobs: HashMap<JobId, JobSummary>,
    damaged: HashMap<String, (Oid, String)>,
    /// The end and the duration of the last listing of the refs.
    refreshed: Option<(Instant, Duration)>,
}

impl JobSummary {
    fn of(tip: Oid, document: &Document) -> Self {
        let job = &document.job;
        let timed = matches!(job.state, JobState::InProgress | JobState::WillRetry);
        Self {
            tip,
            state: job.state,
            priority: job.priority,
            database: job.work.database().clone(),
            kind: job.work.kind(),
            created_at: job.created_at,
            finished_at: job.finished_at,
            updated_at: job.updated_at,
            pending_notification: job.pending_notification.is_some(),
            document: timed.then(|| Box::new(document.clone())),
        }
    }

    /// Returns the time until this job may be claimed; `None` if its state does not allow that.
    fn due_in(&self, clock: &dyn Clock) -> Option<Duration> {
        match &self.document {
            Some(document) => document.due_in(clock),
            None => may_run(self.state).then_some(Duration::ZERO),
        }
    }

    /// Returns the time of the last change, if the job is finished.
    pub(super) fn finished_at(&self) -> Option<Timestamp> {
        self.state.is_finished().then(|| self.finished_at.unwrap_or(self.updated_at))
    }
}

impl JobCache {
    /// Updates a job in the cache.
    pub(super) fn update(&mut self, id: JobId, tip: Oid, document: &Document) {
        self.jobs.insert(id, JobSummary::of(tip, document));
    }

    /// Removes a job from the cache.
    pub(super) fn remove(&mut self, id: JobId) {
        self.jobs.remove(&id);
    }

    pub(super) fn get(&self, id: JobId) -> Option<&JobSummary> {
        self.jobs.get(&id)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (JobId, &JobSummary)> {
        self.jobs.iter().map(|(id, known)| (*id, known))
    }

    /// Returns the jobs that match `filter`, oldest first.
    pub(super) fn ids(&self, filter: &Filter) -> Vec<(JobId, Oid)> {
        let passes = |known: &JobSummary| {
            (filter.states.is_empty() || filter.states.contains(&known.state))
                && filter.database.as_ref().is_none_or(|database| *database == known.database)
                && filter.kind.is_none_or(|kind| kind == known.kind)
        };
        let found = self.jobs.iter().filter(|(_, known)| passes(known));
        let mut found: Vec<(&JobId, &JobSummary)> = found.collect();
        found.sort_unstable_by_key(|(id, known)| (known.created_at, **id));
        found.into_iter().map(|(id, known)| (*id, known.tip)).collect()
    }

    /// Returns the jobs with a pending notification, oldest first.
    pub(super) fn pending_notifications(&self) -> Vec<JobId> {
        let mut pending_notification: Vec<_> =
            self.jobs.iter().filter(|(_, known)| known.pending_notification).collect();
        pending_notification.sort_unstable_by_key(|(id, known)| (known.finished_at, **id));
        pending_notification.into_iter().map(|(id, _)| *id).collect()
    }

    /// Returns the number of jobs that are not finished or have a pending notification.
    pub(super) fn unsettled(&self) -> usize {
        self.jobs.values().filter(|known| !known.state.is_finished() || known.pending_notification).count()
    }

    pub(super) fn damaged(&self) -> Vec<(String, String)> {
        let mut damaged: Vec<_> =
            self.damaged.iter().map(|(name, (_, reason))| (name.clone(), reason.clone())).collect();
        damaged.sort_unstable();
        damaged
    }

    /// Returns true if the last listing is recent enough to find the next job.
    pub(super) fn is_fresh(&self) -> bool {
        self.refreshed.is_some_and(|(at, took)| took > REUSE_FROM && at.elapsed() < took * REUSE_FACTOR)
    }

    /// Returns the jobs that may be claimed now, by priority and age.
    pub(super) fn candidates(&self, clock: &dyn Clock) -> Vec<JobId> {
        let due = |known: &JobSummary| known.due_in(clock) == Some(Duration::ZERO);
        let mut due: Vec<_> = self.jobs.iter().filter(|(_, known)| due(known)).collect();
        due.sort_unstable_by_key(|(id, known)| (-i32::from(known.priority), known.created_at, **id));
        due.into_iter().map(|(id, _)| *id).collect()
    }

    /// Returns true if a backup of this database is running, except for the job `but`.
    pub(super) fn is_busy(&self, database: &DatabaseName, but: Option<JobId>) -> bool {
        self.all().any(|(id, known)| {
            Some(id) != but
                && known.state == JobState::InProgress
                && known.kind == JobKind::Backup
                && known.database == *database
        })
    }
}

impl Inner {
    /// Lists the refs and reads the changed jobs.
    pub(super) fn refresh(&mut self, clock: &dyn Clock) -> Result<(), Error> {
        let began = Instant::now();
        let tips = self.repository.tips_under(JOBS, |_| ())?;
        let mut before = std::mem::take(&mut self.cache.jobs);
        let mut damaged = std::mem::take(&mut self.cache.damaged);
        for (name, tip) in tips.iter() {
            let Ok(id) = name.parse::<JobId>() else { continue };
            match before.remove(&id).filter(|known| known.tip == tip) {
                Some(known) => drop(self.cache.jobs.insert(id, known)),
                None => {
                    if let Some((name, known)) = damaged.remove_entry(name).filter(|(_, it)| it.0 == tip) {
                        self.cache.damaged.insert(name, known);
                        continue;
                    }
                    self.read_changed(id, name, tip);
                }
            }
        }
        self.observe(clock);
        self.cache.refreshed = Some((Instant::now(), began.elapsed()));
        Ok(())
    }

    fn read_changed(&mut self, id: JobId, name: &str, tip: Oid) {
        match self.parse(name, tip) {
            Ok(document) => self.cache.update(id, tip, &document),
            // The job was changed or removed meanwhile.
            Err(error) if error.retry() => {
                if let Ok((tip, document)) = self.read(id) {
                    self.cache.update(id, tip, &document);
                }
            }
            Err(error) => {
                let reason = match error {
                    Error::Damaged { reason, .. } => reason,
                    other => other.to_string(),
                };
                self.cache.damaged.insert(name.to_owned(), (tip, reason));
            }
        }
    }

    /// Notes the uptime at which each lease with an unknown time was first seen in its version.
    fn observe(&mut self, clock: &dyn Clock) {
        let before = std::mem::take(&mut self.seen);
        for (id, known) in self.cache.all() {
            let Some(document) = known.document.as_ref().filter(|it| it.job.lease.is_some()) else {
                continue;
            };
            if document.lease_left(clock).is_some() {
                continue;
            }
            let since = before.get(&id).filter(|(tip, _)| *tip == known.tip).cloned();
            self.seen.insert(id, since.unwrap_or_else(|| (known.tip, clock.uptime())));
        }
    }

    /// Returns the time until the lease of a job expires; `None` if the job is not running. A lease whose
    /// time is unknown here counts from when it was first seen.
    pub(super) fn lease_left(&self, id: JobId, known: &JobSummary, clock: &dyn Clock) -> Option<Duration> {
        let document = known.document.as_ref().filter(|_| known.state == JobState::InProgress)?;
        document.lease_left(clock).or_else(|| {
            let lease = Duration::from_secs(document.job.lease.as_ref()?.lease_s);
            let silent = self.seen.get(&id).and_then(|(_, since)| clock.uptime().since(since));
            Some(lease.saturating_sub(silent.unwrap_or_default()))
        })
    }

    /// Returns the time until the next job becomes due or a lease expires.
    pub(super) fn next_due(&self, clock: &dyn Clock) -> Option<Duration> {
        let waits = self
            .cache
            .all()
            .filter_map(|(id, known)| known.due_in(clock).or_else(|| self.lease_left(id, known, clock)));
        waits.min()
    }

    pub(super) fn stats(&self, clock: &dyn Clock) -> Stats {
        let mut stats = Stats::default();
        let mut counts = [0; JobState::ALL.len()];
        let mut oldest = None;
        for (id, known) in self.cache.all() {
            if let Some(at) = JobState::ALL.iter().position(|state| *state == known.state) {
                counts[at] += 1;
            }
            if known.due_in(clock) == Some(Duration::ZERO) {
                stats.due += 1;
                oldest = oldest.min(Some(known.created_at)).or(Some(known.created_at));
            }
            stats.expired += u64::from(self.lease_left(id, known, clock) == Some(Duration::ZERO));
            if known.state == JobState::Completed {
                stats.last_completed_at = stats.last_completed_at.max(known.finished_at);
            }
        }
        stats.by_state = JobState::ALL.iter().copied().zip(counts).collect();
        stats.oldest_due_s =
            oldest.map_or(0, |oldest| clock.now().seconds_since(oldest).try_into().unwrap_or(0));
        stats
    }
}
