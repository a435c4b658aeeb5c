//! The configuration of the queue and its workers.

use std::time::Duration;

use super::url::DatabaseUrl;
use super::{Config, Error, Setting, keys};
use crate::domain::{DatabaseName, Line, RetryPolicy};

impl Config {
    /// Returns the database of the queue; `None` if the queue is in the repository. Fails if the value
    /// is not valid.
    pub fn queue(&self) -> Result<Option<Setting<DatabaseUrl>>, Error> {
        self.general().find(&keys::QUEUE)
    }

    /// Returns the name of a worker. Fails if the value is not valid.
    pub fn worker_id(&self) -> Result<Option<Setting<Line>>, Error> {
        self.general().find(&keys::WORKER_ID)
    }

    /// Returns the interval in which an idle worker looks for jobs. Fails if the value is not valid.
    pub fn poll_interval(&self) -> Result<Duration, Error> {
        Ok(self.general().get(&keys::POLL_INTERVAL)?.value)
    }

    /// Returns the duration of a lease without a heartbeat. Fails if the value is not valid.
    pub fn lease(&self) -> Result<Duration, Error> {
        Ok(self.general().get(&keys::LEASE)?.value)
    }

    /// Returns the log level of a worker. An unknown level is replaced by the default, so that it stops
    /// no worker.
    pub fn log_level(&self) -> String {
        let general = self.general();
        general.get(&keys::LOG_LEVEL).unwrap_or_else(|_| general.default(&keys::LOG_LEVEL)).value
    }

    /// Returns the number and the delays of the attempts of jobs of `database`. Fails if a value is not
    /// valid.
    pub fn retry_policy(&self, database: &DatabaseName) -> Result<RetryPolicy, Error> {
        let settings = self.of(database);
        Ok(RetryPolicy {
            max_attempts: settings.get(&keys::MAX_ATTEMPTS)?.value.into(),
            base_s: settings.get(&keys::RETRY_DELAY)?.value.as_secs(),
            cap_s: settings.get(&keys::RETRY_DELAY_MAX)?.value.as_secs(),
        })
    }
}
