//! A job as it is written into git, and what its times mean.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::domain::{Job, JobState, Uptime, to_canonical_json};
use crate::process::{self, Liveness};

/// The format of the document.
const FORMAT: u32 = 1;

/// The content of a job's ref. Beside the times that people read, which are
/// those of a clock that can be set back, it has those of a clock that cannot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Document {
    format: u32,
    pub(super) job: Job,
    /// When the lease was given or renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    renewed: Option<Uptime>,
    /// From when the wait for the next attempt counts, and how long it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    waits: Option<Wait>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Wait {
    from: Uptime,
    millis: u64,
}

impl Document {
    pub(super) fn new(job: Job) -> Self {
        Self { format: FORMAT, job, renewed: None, waits: None }
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let head: Head = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if head.format > FORMAT {
            return Err("it was written by a newer version of git-pggit".to_owned());
        }
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        to_canonical_json(&serde_json::to_value(self).expect("a job has string keys"))
    }

    /// Brings the times into line with the state of the job, which has just
    /// changed.
    pub(super) fn stamp(&mut self, clock: &dyn Clock) {
        let uptime = clock.uptime();
        self.renewed = self.job.lease.as_ref().map(|_| uptime.clone());
        self.waits = self.job.next_retry_at.map(|at| {
            let wait = at.as_datetime() - self.job.updated_at.as_datetime();
            Wait { from: uptime, millis: wait.num_milliseconds().try_into().unwrap_or(0) }
        });
    }

    /// How long until this job may be claimed; `None`: not by itself.
    pub(super) fn due_in(&self, clock: &dyn Clock) -> Option<Duration> {
        match (self.job.state, self.job.next_retry_at) {
            (JobState::Ready, _) | (JobState::WillRetry, None) => Some(Duration::ZERO),
            (JobState::WillRetry, Some(at)) => {
                let waits = self.waits.as_ref();
                let waited = waits.and_then(|wait| Some((clock.uptime().since(&wait.from)?, wait.millis)));
                if let Some((waited, millis)) = waited {
                    return Some(Duration::from_millis(millis).saturating_sub(waited));
                }
                // The machine has been started since. Nobody waits longer than
                // the wait was, whatever happened to the clock.
                let left = (at.as_datetime() - clock.now().as_datetime()).to_std().unwrap_or_default();
                let whole = Duration::from_millis(waits.map_or(0, |wait| wait.millis));
                Some(if left > whole { Duration::ZERO } else { left })
            }
            _ => None,
        }
    }

    /// How long the lease lasts without a heartbeat; `None` without a lease,
    /// and when that cannot be told from here. A worker that is known to be
    /// dead has none left.
    pub(super) fn lease_left(&self, clock: &dyn Clock) -> Option<Duration> {
        let lease = self.job.lease.as_ref().filter(|_| self.job.state == JobState::InProgress)?;
        if lease.owner.as_ref().is_some_and(|owner| process::is_alive(owner) == Liveness::Dead) {
            return Some(Duration::ZERO);
        }
        let elsewhere = || lease.owner.as_ref().is_some_and(|owner| owner.host != process::host());
        match self.renewed.as_ref().map(|renewed| clock.uptime().since(renewed)) {
            Some(Some(silent)) => Some(Duration::from_secs(lease.lease_s).saturating_sub(silent)),
            // Another boot of this machine, or another machine.
            Some(None) if !elsewhere() => Some(Duration::ZERO),
            _ => None,
        }
    }
}
