//! The format of a job in git, and the evaluation of its times.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::domain::{BootTime, Job, JobState, to_canonical_json};
use crate::process::{self, Liveness};

/// The format of the document.
const FORMAT: u32 = 1;

/// The content of a job's ref. The job has wall-clock times for people, which can be set back. Leases
/// and delays are measured by the uptime of the host, which cannot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Document {
    format: u32,
    pub(super) job: Job,
    /// The uptime at which the lease was granted or renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    renewed: Option<BootTime>,
    /// The delay before the next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    waits: Option<Wait>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Wait {
    from: BootTime,
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
            return Err("written by a newer version of git-pggit".to_owned());
        }
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        to_canonical_json(&serde_json::to_value(self).expect("a job has string keys"))
    }

    /// Updates the uptimes after a change of the job.
    pub(super) fn stamp(&mut self, clock: &dyn Clock) {
        let uptime = clock.uptime();
        self.renewed = self.job.lease.as_ref().map(|_| uptime.clone());
        self.waits = self.job.next_retry_at.map(|at| {
            let wait = at.as_datetime() - self.job.updated_at.as_datetime();
            Wait { from: uptime, millis: wait.num_milliseconds().try_into().unwrap_or(0) }
        });
    }

    /// Returns the time until this job may be claimed; `None` if its state does not allow that.
    pub(super) fn due_in(&self, clock: &dyn Clock) -> Option<Duration> {
        match (self.job.state, self.job.next_retry_at) {
            (JobState::Ready, _) | (JobState::WillRetry, None) => Some(Duration::ZERO),
            (JobState::WillRetry, Some(at)) => {
                let waits = self.waits.as_ref();
                let waited = waits.and_then(|wait| Some((clock.uptime().since(&wait.from)?, wait.millis)));
                if let Some((waited, millis)) = waited {
                    return Some(Duration::from_millis(millis).saturating_sub(waited));
                }
                // The host has rebooted since. The rest of the delay is measured by the wall clock. A
                // rest that exceeds the whole delay means that the clock was set back.
                let left = (at.as_datetime() - clock.now().as_datetime()).to_std().unwrap_or_default();
                let whole = Duration::from_millis(waits.map_or(0, |wait| wait.millis));
                Some(if left > whole { Duration::ZERO } else { left })
            }
            _ => None,
        }
    }

    /// Returns the time until the lease expires without a heartbeat; `None` without a lease, or if it is
    /// unknown on this host. The lease of a dead worker has expired.
    pub(super) fn lease_left(&self, clock: &dyn Clock) -> Option<Duration> {
        let lease = self.job.lease.as_ref().filter(|_| self.job.state == JobState::InProgress)?;
        if lease.owner.as_ref().is_some_and(|owner| process::is_alive(owner) == Liveness::Dead) {
            return Some(Duration::ZERO);
        }
        let elsewhere = || lease.owner.as_ref().is_some_and(|owner| owner.host != process::host());
        match self.renewed.as_ref().map(|renewed| clock.uptime().since(renewed)) {
            Some(Some(silent)) => Some(Duration::from_secs(lease.lease_s).saturating_sub(silent)),
            // The uptime belongs to an earlier boot of this host. (On another host it is not comparable.)
            Some(None) if !elsewhere() => Some(Duration::ZERO),
            _ => None,
        }
    }
}
