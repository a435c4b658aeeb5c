//! What is configured for the queue and its workers.

use super::database::Lookup;
use super::url::DatabaseUrl;
use super::value::{self, Refused};
use super::{Config, Error, Setting};
use crate::domain::{DatabaseName, RetryPolicy};

impl Config {
    /// The database of the queue; without one the queue is in the repository.
    pub fn queue(&self) -> Result<Option<Setting<DatabaseUrl>>, Error> {
        let lookup = Lookup { config: self, database: None };
        lookup.one("queue", |text| DatabaseUrl::parse(text).map_err(Refused::Url))
    }

    /// How often and when jobs of `database` are tried again.
    pub fn retry_policy(&self, database: &DatabaseName) -> Result<RetryPolicy, Error> {
        let lookup = Lookup { config: self, database: Some(database) };
        let seconds = |name| lookup.or_default(name, |text| value::duration(text).ok_or(Refused::Form));
        let max_attempts = lookup.or_default("maxAttempts", |text| value::jobs(text).ok_or(Refused::Form))?;
        Ok(RetryPolicy {
            max_attempts: max_attempts.value.into(),
            base_s: seconds("retryDelay")?.value.as_secs(),
            cap_s: seconds("retryDelayMax")?.value.as_secs(),
        })
    }
}
