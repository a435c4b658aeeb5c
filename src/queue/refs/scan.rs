//! What is known about all jobs: little of each, read once per change.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{Document, Error, Filter, Inner, JOBS, may_run};
use crate::clock::Clock;
use crate::domain::{DatabaseName, JobId, JobKind, JobState, Priority, Timestamp};
use crate::git::Oid;
use crate::queue::Stats;

/// A listing that took longer than this is used for a while, so that many
/// thousands of jobs are not listed for each claim.
const CHEAP: Duration = Duration::from_millis(10);
/// How many times as long as the listing took.
const WORTH: u32 = 4;

/// What is known about one job.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) tip: Oid,
    pub(super) state: JobState,
    pub(super) priority: Priority,
    pub(super) database: DatabaseName,
    pub(super) kind: JobKind,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
    updated_at: Timestamp,
    untold: bool,
    /// The whole of it where times have to be compared.
    pub(super) document: Option<Box<Document>>,
}

/// What is known about all jobs.
#[derive(Debug, Default)]
pub(super) struct Scan {
    jobs: HashMap<JobId, Known>,
    damaged: HashMap<String, (Oid, String)>,
    /// When the refs were listed last, and how long that took.
    looked: Option<(Instant, Duration)>,
}

impl Known {
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
            untold: job.untold.is_some(),
            document: timed.then(|| Box::new(document.clone())),
        }
    }

    /// How long until this job may be claimed; `None`: not by itself.
    fn due_in(&self, clock: &dyn Clock) -> Option<Duration> {
        match &self.document {
            Some(document) => document.due_in(clock),
            None => may_run(self.state).then_some(Duration::ZERO),
        }
    }

    /// When it changed last, if it is finished.
    pub(super) fn finished_at(&self) -> Option<Timestamp> {
        self.state.is_finished().then(|| self.finished_at.unwrap_or(self.updated_at))
    }
}

impl Scan {
    /// A job is this now.
    pub(super) fn learn(&mut self, id: JobId, tip: Oid, document: &Document) {
        self.jobs.insert(id, Known::of(tip, document));
    }

    /// A job is not there any more.
    pub(super) fn forget(&mut self, id: JobId) {
        self.jobs.remove(&id);
    }

    pub(super) fn get(&self, id: JobId) -> Option<&Known> {
        self.jobs.get(&id)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (JobId, &Known)> {
        self.jobs.iter().map(|(id, known)| (*id, known))
    }

    /// Those that are worth reading for `filter`, the oldest first.
    pub(super) fn ids(&self, filter: &Filter) -> Vec<(JobId, Oid)> {
        let passes = |known: &Known| {
            (filter.states.is_empty() || filter.states.contains(&known.state))
                && filter.database.as_ref().is_none_or(|database| *database == known.database)
                && filter.kind.is_none_or(|kind| kind == known.kind)
        };
        let found = self.jobs.iter().filter(|(_, known)| passes(known));
        let mut found: Vec<(&JobId, &Known)> = found.collect();
        found.sort_unstable_by_key(|(id, known)| (known.created_at, **id));
        found.into_iter().map(|(id, known)| (*id, known.tip)).collect()
    }

    /// Those of whose end nobody has been told, the oldest first.
    pub(super) fn untold(&self) -> Vec<JobId> {
        let mut untold: Vec<_> = self.jobs.iter().filter(|(_, known)| known.untold).collect();
        untold.sort_unstable_by_key(|(id, known)| (known.finished_at, **id));
        untold.into_iter().map(|(id, _)| *id).collect()
    }

    /// Returns the number of jobs that are not finished or whose end has not been reported yet.
    pub(super) fn unsettled(&self) -> usize {
        self.jobs.values().filter(|known| !known.state.is_finished() || known.untold).count()
    }

    pub(super) fn damaged(&self) -> Vec<(String, String)> {
        let mut damaged: Vec<_> =
            self.damaged.iter().map(|(name, (_, reason))| (name.clone(), reason.clone())).collect();
        damaged.sort_unstable();
        damaged
    }

    /// Is what was listed last good enough to look for the next job?
    pub(super) fn is_fresh(&self) -> bool {
        self.looked.is_some_and(|(at, took)| took > CHEAP && at.elapsed() < took * WORTH)
    }

    /// The jobs that may be claimed now, in their order.
    pub(super) fn candidates(&self, clock: &dyn Clock) -> Vec<JobId> {
        let due = |known: &Known| known.due_in(clock) == Some(Duration::ZERO);
        let mut due: Vec<_> = self.jobs.iter().filter(|(_, known)| due(known)).collect();
        due.sort_unstable_by_key(|(id, known)| (-i32::from(known.priority), known.created_at, **id));
        due.into_iter().map(|(id, _)| *id).collect()
    }

    /// Is a backup of this database known to run, other than the job `but`?
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
    /// Lists the refs and reads what has changed.
    pub(super) fn look(&mut self, clock: &dyn Clock) -> Result<(), Error> {
        let began = Instant::now();
        let tips = self.repository.tips_under(JOBS, |_| ())?;
        let mut before = std::mem::take(&mut self.scan.jobs);
        let mut damaged = std::mem::take(&mut self.scan.damaged);
        for (name, tip) in tips.iter() {
            let Ok(id) = name.parse::<JobId>() else { continue };
            match before.remove(&id).filter(|known| known.tip == tip) {
                Some(known) => drop(self.scan.jobs.insert(id, known)),
                None => {
                    if let Some((name, known)) = damaged.remove_entry(name).filter(|(_, it)| it.0 == tip) {
                        self.scan.damaged.insert(name, known);
                        continue;
                    }
                    self.learn_of(id, name, tip);
                }
            }
        }
        self.observe(clock);
        self.scan.looked = Some((Instant::now(), began.elapsed()));
        Ok(())
    }

    fn learn_of(&mut self, id: JobId, name: &str, tip: Oid) {
        match self.parse(name, tip) {
            Ok(document) => self.scan.learn(id, tip, &document),
            // It has changed since, or gone.
            Err(error) if error.retry() => {
                if let Ok((tip, document)) = self.read(id) {
                    self.scan.learn(id, tip, &document);
                }
            }
            Err(error) => {
                let reason = match error {
                    Error::Damaged { reason, .. } => reason,
                    other => other.to_string(),
                };
                self.scan.damaged.insert(name.to_owned(), (tip, reason));
            }
        }
    }

    /// Remembers since when leases that say nothing here have looked the same.
    fn observe(&mut self, clock: &dyn Clock) {
        let before = std::mem::take(&mut self.seen);
        for (id, known) in self.scan.all() {
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

    /// How long the lease of a running job lasts; `None` when there is none.
    pub(super) fn lease_left(&self, id: JobId, known: &Known, clock: &dyn Clock) -> Option<Duration> {
        let document = known.document.as_ref().filter(|_| known.state == JobState::InProgress)?;
        document.lease_left(clock).or_else(|| {
            let lease = Duration::from_secs(document.job.lease.as_ref()?.lease_s);
            let silent = self.seen.get(&id).and_then(|(_, since)| clock.uptime().since(since));
            Some(lease.saturating_sub(silent.unwrap_or_default()))
        })
    }

    /// In how long something becomes due.
    pub(super) fn next_due(&self, clock: &dyn Clock) -> Option<Duration> {
        let waits = self
            .scan
            .all()
            .filter_map(|(id, known)| known.due_in(clock).or_else(|| self.lease_left(id, known, clock)));
        waits.min()
    }

    pub(super) fn stats(&self, clock: &dyn Clock) -> Stats {
        let mut stats = Stats::default();
        let mut counts = [0; JobState::ALL.len()];
        let mut oldest = None;
        for (id, known) in self.scan.all() {
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
