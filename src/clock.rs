//! The port to the wall clock. Everything that writes a time takes a `Clock`,
//! so that tests decide what time it is.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::domain::{BootTime, Line, Timestamp};

/// A source of the current time.
pub trait Clock: Send + Sync {
    /// Returns the current time, in UTC.
    fn now(&self) -> Timestamp;

    /// Returns the time since the boot of the machine. It never goes back and is the same for all processes.
    fn uptime(&self) -> BootTime;
}

/// The clock of the machine.
#[derive(Debug, Default, Clone, Copy)]
pub struct System;

impl Clock for System {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the one door to the wall clock")]
        Timestamp::from(chrono::Utc::now())
    }

    fn uptime(&self) -> BootTime {
        static BOOT: OnceLock<Line> = OnceLock::new();
        let read = || std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot_id = BOOT.get_or_init(|| Line::lossy(&read())).clone();
        let since = clock_gettime(ClockId::Boottime);
        let millis = since.tv_sec.unsigned_abs() * 1000 + since.tv_nsec.unsigned_abs() / 1_000_000;
        BootTime { boot_id, millis }
    }
}

/// A clock for tests. Its time changes only by [`Self::set`] and [`Self::advance`].
#[derive(Debug)]
pub struct Manual(Mutex<(Timestamp, u64)>);

impl Manual {
    /// Creates a clock with the time `at`.
    pub fn at(at: Timestamp) -> Self {
        Self(Mutex::new((at, 0)))
    }

    /// Sets the wall clock to `at`.
    pub fn set(&self, at: Timestamp) {
        self.hands().0 = at;
    }

    /// Moves the wall clock and the time since boot forward.
    pub fn advance(&self, by: Duration) {
        let mut hands = self.hands();
        *hands = (hands.0.plus(by), hands.1 + u64::try_from(by.as_millis()).unwrap_or(u64::MAX));
    }

    fn hands(&self) -> MutexGuard<'_, (Timestamp, u64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for Manual {
    fn now(&self) -> Timestamp {
        self.hands().0
    }

    fn uptime(&self) -> BootTime {
        BootTime { boot_id: Line::lossy("manual"), millis: self.hands().1 }
    }
}
