//! The options of the dumps of a database.

use std::num::NonZeroU32;

use super::Error;
use super::database::{Lookup, by_word};
use super::origin::Setting;
use super::value::{self, Refused};
use crate::domain::DumpOptions;

impl Lookup<'_> {
    /// Reads the options of dumps.
    ///
    /// # Errors
    /// Fails if a value is not valid.
    pub(super) fn dump_options(&self) -> Result<DumpOptions, Error> {
        let schema = |text: &str| value::schema(text).ok_or(Refused::Form);
        let table = |text: &str| value::table(text).ok_or(Refused::Form);
        let jobs = |text: &str| value::jobs(text).ok_or(Refused::Form);
        Ok(DumpOptions {
            format: self.or_default("format", by_word)?.value,
            jobs: self.one("jobs", jobs)?.and_then(|jobs| NonZeroU32::new(jobs.value.into())),
            schemas: values(self.all("schema", schema)?),
            exclude_schemas: values(self.all("excludeSchema", schema)?),
            tables: values(self.all("table", table)?),
            exclude_tables: values(self.all("excludeTable", table)?),
            globals: self.or_default("globals", by_word)?.value,
        })
    }
}

fn values<T>(settings: Vec<Setting<T>>) -> Vec<T> {
    settings.into_iter().map(|setting| setting.value).collect()
}
