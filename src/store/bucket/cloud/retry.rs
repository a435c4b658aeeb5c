//! Retries: how long a request may fail, the pauses between its attempts, and the message that it waits.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::error_response::ErrorResponse;

/// The pause before the first retry. Each further pause is twice as long.
const FIRST: Duration = Duration::from_millis(100);
/// The longest pause: a storage that works again is noticed within this time.
const LONGEST: Duration = Duration::from_secs(5);
/// The shortest time that an attempt has, also just before the limit.
const ATTEMPT_MIN: Duration = Duration::from_secs(1);
/// An outage is reported when a request has failed for this time. Most failures are over before.
const SILENT_TIME: Duration = Duration::from_secs(1);
/// The shortest time between two reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(30);

/// The limits of the retries of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct RetryLimits {
    /// The time after which a request is not retried any more.
    pub(super) time: Duration,
    /// The maximum number of retries; `None` if only the time counts.
    pub(super) count: Option<usize>,
    /// The time without a byte from the server after which an attempt fails.
    pub(super) patience: Duration,
}

/// The retries of one request.
#[derive(Debug)]
pub(super) struct Retries {
    limits: RetryLimits,
    made: usize,
}

impl Retries {
    pub(super) fn new(limits: RetryLimits) -> Self {
        Self { limits, made: 0 }
    }

    /// Returns the pause before the next attempt of a request that has failed for `elapsed`; `None` if
    /// a limit is reached. `wanted` is the `Retry-After` of the server. `jitter` is from 0 to 1: it
    /// spreads the clients of a storage, which all lost their connections at the same moment.
    pub(super) fn pause(
        &mut self,
        elapsed: Duration,
        wanted: Option<Duration>,
        jitter: f64,
    ) -> Option<Duration> {
        let left = self.limits.time.checked_sub(elapsed).filter(|left| !left.is_zero())?;
        if self.limits.count.is_some_and(|count| self.made >= count) {
            return None;
        }
        let doubled = u32::try_from(self.made).ok().and_then(|made| 2_u32.checked_pow(made));
        let whole = doubled.map_or(LONGEST, |factor| FIRST.saturating_mul(factor)).min(LONGEST);
        self.made += 1;
        let pause = whole.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0));
        // The last attempt is made when the time is over.
        Some(pause.max(wanted.unwrap_or_default()).min(left))
    }

    /// Returns the time without a byte from the server after which the next attempt fails, and whether
    /// the limit of the retries has shortened it.
    pub(super) fn patience(&self, elapsed: Duration) -> (Duration, bool) {
        let left = self.limits.time.saturating_sub(elapsed).max(ATTEMPT_MIN);
        (self.limits.patience.min(left), left < self.limits.patience)
    }
}

/// Returns a random number from 0 to 1.
pub(super) fn jitter() -> f64 {
    f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX)
}

/// Receives the message that requests wait for a storage that fails.
pub(super) type OutageReporter = Arc<dyn Fn(&str) + Send + Sync>;

/// An outage of a storage. All requests share it: it is reported once, and no request waits longer than
/// the first one.
pub(super) struct Outage {
    storage: String,
    limit: Duration,
    report: Option<OutageReporter>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The time since which no request succeeded; `None` if there is no outage.
    since: Option<Instant>,
    is_reported: bool,
    /// The time of the last report, of this outage or of an earlier one.
    reported: Option<Instant>,
}

impl fmt::Debug for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outage").field("storage", &self.storage).field("state", &self.state).finish()
    }
}

impl Outage {
    /// `storage` is the URL of the store.
    pub(super) fn new(storage: String, limit: Duration, report: Option<OutageReporter>) -> Self {
        Self { storage, limit, report, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how long the outage lasts; zero if there is none.
    pub(super) fn elapsed(&self) -> Duration {
        self.state().since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Call it when a request has failed. The outage has lasted since `since`, or longer.
    pub(super) fn goes_on(&self, since: Instant) {
        self.state().since.get_or_insert(since);
    }

    /// Call it before the pause of a request that has failed for `elapsed`, the pause included. Reports
    /// the first such request of an outage that is not short.
    pub(super) fn waits(&self, elapsed: Duration, failure: &ErrorResponse) {
        let Some(report) = &self.report else { return };
        if elapsed < SILENT_TIME {
            return;
        }
        {
            let mut state = self.state();
            if state.is_reported || state.reported.is_some_and(|at| at.elapsed() < REPORT_INTERVAL) {
                return;
            }
            state.is_reported = true;
            state.reported = Some(Instant::now());
        }
        let Self { storage, limit, .. } = self;
        let what = if failure.has_response {
            format!("{storage} fails: {}", failure.detail)
        } else {
            format!("{storage} is unreachable")
        };
        report(&format!("{what}; requests are retried for up to {} s", limit.as_secs()));
    }

    /// Call it when the server has answered a request.
    pub(super) fn is_over(&self) {
        let mut state = self.state();
        state.since = None;
        state.is_reported = false;
    }
}

#[cfg(test)]
mod tests {
    use super::super::error_response::ErrorKind;
    use super::*;

    const LIMITS: RetryLimits =
        RetryLimits { time: Duration::from_secs(180), count: None, patience: Duration::from_secs(60) };

    /// Returns the pauses of a request whose attempts fail at once.
    fn pauses(limits: RetryLimits, jitter: f64) -> Vec<Duration> {
        let mut retries = Retries::new(limits);
        let (mut elapsed, mut pauses) = (Duration::ZERO, Vec::new());
        while let Some(pause) = retries.pause(elapsed, None, jitter) {
            elapsed += pause;
            pauses.push(pause);
        }
        pauses
    }

    #[test]
    fn pauses_double_up_to_a_maximum_and_end_at_the_limit() {
        let full: Vec<f64> = pauses(LIMITS, 1.0).iter().map(Duration::as_secs_f64).collect();
        assert_eq!(full[..9], [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]);
        for jitter in [0.0, 0.3, 1.0] {
            let pauses = pauses(LIMITS, jitter);
            assert_eq!(pauses.iter().sum::<Duration>(), LIMITS.time, "jitter {jitter}");
            assert!(pauses.iter().all(|pause| *pause <= LONGEST), "{pauses:?}");
            assert!(pauses.len() < 80, "{pauses:?}");
        }
    }

    #[test]
    fn an_outage_of_ten_seconds_is_noticed_to_be_over_soon() {
        for jitter in [0.0, 0.5, 1.0] {
            let mut at = Duration::ZERO;
            let attempts = pauses(LIMITS, jitter).into_iter().map(|pause| {
                at += pause;
                at
            });
            let success = attempts.into_iter().find(|at| *at >= Duration::from_secs(10)).unwrap();
            assert!(success <= Duration::from_secs(15), "jitter {jitter}: {success:?}");
        }
    }

    #[test]
    fn the_number_of_retries_can_be_limited() {
        assert_eq!(pauses(RetryLimits { count: Some(4), ..LIMITS }, 0.5).len(), 4);
        assert_eq!(pauses(RetryLimits { count: Some(0), ..LIMITS }, 0.5), []);
        assert_eq!(pauses(RetryLimits { time: Duration::ZERO, ..LIMITS }, 0.5), []);
    }

    #[test]
    fn the_server_may_ask_for_a_longer_pause_within_the_limit() {
        let mut retries = Retries::new(LIMITS);
        let second = Duration::from_secs(1);
        assert_eq!(retries.pause(second, Some(30 * second), 0.0), Some(30 * second));
        assert_eq!(retries.pause(second, Some(Duration::ZERO), 1.0), Some(2 * FIRST));
        assert_eq!(retries.pause(178 * second, Some(30 * second), 0.0), Some(2 * second));
        assert_eq!(retries.pause(180 * second, Some(30 * second), 0.0), None);
    }

    #[test]
    fn attempts_end_with_the_limit() {
        let retries = Retries::new(LIMITS);
        let second = Duration::from_secs(1);
        assert_eq!(retries.patience(Duration::ZERO), (60 * second, false));
        assert_eq!(retries.patience(150 * second), (30 * second, true));
        assert_eq!(retries.patience(180 * second), (ATTEMPT_MIN, true));
    }

    #[test]
    fn an_outage_is_reported_once() {
        let said = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&said);
        let report: OutageReporter = Arc::new(move |text| log.lock().unwrap().push(text.to_owned()));
        let outage = Outage::new("s3://b/x".to_owned(), LIMITS.time, Some(report));
        let unreachable = ErrorResponse::new(ErrorKind::Temporary, "Connection refused");
        outage.waits(Duration::from_millis(900), &unreachable);
        assert_eq!(*said.lock().unwrap(), [] as [&str; 0]);
        for _ in 0..3 {
            outage.waits(Duration::from_secs(2), &unreachable);
        }
        // A storage that works every now and then is not reported all the time.
        outage.is_over();
        outage.waits(Duration::from_secs(2), &unreachable);
        let message = "s3://b/x is unreachable; requests are retried for up to 180 s";
        assert_eq!(*said.lock().unwrap(), [message]);
    }

    #[test]
    fn an_outage_has_one_clock_for_all_requests() {
        let outage = Outage::new("s3://b/x".to_owned(), LIMITS.time, None);
        assert_eq!(outage.elapsed(), Duration::ZERO);
        let before = Instant::now().checked_sub(Duration::from_secs(200)).unwrap();
        outage.goes_on(before);
        outage.goes_on(Instant::now());
        assert!(outage.elapsed() >= Duration::from_secs(200));
        // A request that begins now gets one attempt.
        assert_eq!(Retries::new(LIMITS).pause(outage.elapsed(), None, 0.5), None);
        outage.is_over();
        assert_eq!(outage.elapsed(), Duration::ZERO);
    }
}
