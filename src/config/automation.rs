//! What is configured for the queue and its workers.

use std::time::Duration;

use super::url::DatabaseUrl;
use super::{Config, Error, Setting, keys};
use crate::domain::{DatabaseName, Line, RetryPolicy};

impl Config {
    /// The database of the queue; without one the queue is in the repository.
    pub fn queue(&self) -> Result<Option<Setting<DatabaseUrl>>, Error> {
        self.general().find(&keys::QUEUE)
    }

    /// The name of a worker.
    pub fn worker_id(&self) -> Result<Option<Setting<Line>>, Error> {
        self.general().find(&keys::WORKER_ID)
    }

    /// How often a worker looks for jobs when nothing wakes it.
    pub fn poll_interval(&self) -> Result<Duration, Error> {
        Ok(self.general().get(&keys::POLL_INTERVAL)?.value)
    }

    /// How long a worker may be silent.
    pub fn lease(&self) -> Result<Duration, Error> {
        Ok(self.general().get(&keys::LEASE)?.value)
    }

    /// How much a worker logs. A level that does not exist stops no worker: it is as good as none.
    pub fn log_level(&self) -> String {
        let general = self.general();
        general.get(&keys::LOG_LEVEL).unwrap_or_else(|_| general.default(&keys::LOG_LEVEL)).value
    }

    /// How often and when jobs of `database` are tried again.
    pub fn retry_policy(&self, database: &DatabaseName) -> Result<RetryPolicy, Error> {
        let settings = self.of(database);
        Ok(RetryPolicy {
            max_attempts: settings.get(&keys::MAX_ATTEMPTS)?.value.into(),
            base_s: settings.get(&keys::RETRY_DELAY)?.value.as_secs(),
            cap_s: settings.get(&keys::RETRY_DELAY_MAX)?.value.as_secs(),
        })
    }
}
