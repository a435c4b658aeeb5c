//! The port to the wall clock. Everything that writes a time takes a `Clock`,
//! so that tests decide what time it is.

use std::sync::Mutex;

use crate::domain::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The time now, in UTC.
    fn now(&self) -> Timestamp;
}

/// The clock of this machine.
#[derive(Debug, Default, Clone, Copy)]
pub struct System;

impl Clock for System {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the one door to the wall clock")]
        Timestamp::from(chrono::Utc::now())
    }
}

/// A clock that stands still until it is moved by hand.
#[derive(Debug)]
pub struct Manual(Mutex<Timestamp>);

impl Manual {
    /// A clock that shows `at`.
    pub fn at(at: Timestamp) -> Self {
        Self(Mutex::new(at))
    }

    /// Moves the hands to `at`.
    pub fn set(&self, at: Timestamp) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = at;
    }
}

impl Clock for Manual {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
