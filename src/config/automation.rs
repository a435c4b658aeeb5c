//! What is configured for the queue and its workers.

use std::time::Duration;

use super::database::Lookup;
use super::url::DatabaseUrl;
use super::value::{self, Refused};
use super::{Config, Error, Setting};
use crate::domain::{DatabaseName, Line, RetryPolicy};

impl Config {
    /// The database of the queue; without one the queue is in the repository.
    pub fn queue(&self) -> Result<Option<Setting<DatabaseUrl>>, Error> {
        let lookup = Lookup { config: self, database: None };
        lookup.one("queue", |text| DatabaseUrl::parse(text).map_err(Refused::Url))
    }

    /// The name of a worker.
    pub fn worker_id(&self) -> Result<Option<Setting<Line>>, Error> {
        let lookup = Lookup { config: self, database: None };
        lookup.one("workerId", |text| text.parse().map_err(|_| Refused::Form))
    }

    /// How often a worker looks for jobs when nothing wakes it.
    pub fn poll_interval(&self) -> Result<Duration, Error> {
        self.duration("pollInterval")
    }

    /// How long a worker may be silent.
    pub fn lease(&self) -> Result<Duration, Error> {
        self.duration("lease")
    }

    /// How much a worker logs.
    pub fn log_level(&self) -> Result<String, Error> {
        let lookup = Lookup { config: self, database: None };
        Ok(lookup.or_default("logLevel", |text| Ok(text.to_owned()))?.value)
    }

    fn duration(&self, name: &str) -> Result<Duration, Error> {
        let lookup = Lookup { config: self, database: None };
        Ok(lookup.or_default(name, value::duration)?.value)
    }

    /// How often and when jobs of `database` are tried again.
    pub fn retry_policy(&self, database: &DatabaseName) -> Result<RetryPolicy, Error> {
        let lookup = Lookup { config: self, database: Some(database) };
        let seconds = |name| lookup.or_default(name, value::duration);
        let max_attempts = lookup.or_default("maxAttempts", |text| value::jobs(text).ok_or(Refused::Form))?;
        Ok(RetryPolicy {
            max_attempts: max_attempts.value.into(),
            base_s: seconds("retryDelay")?.value.as_secs(),
            cap_s: seconds("retryDelayMax")?.value.as_secs(),
        })
    }
}
