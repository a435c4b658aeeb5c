//! The options of the dumps of a database.

use std::num::NonZeroU32;

use super::lookup::Lookup;
use super::origin::Setting;
use super::{Error, keys};
use crate::domain::DumpOptions;

impl Lookup<'_> {
    /// Reads the options of dumps.
    ///
    /// # Errors
    /// Fails if a value is not valid.
    pub(super) fn dump_options(&self) -> Result<DumpOptions, Error> {
        Ok(DumpOptions {
            format: self.get(&keys::FORMAT)?.value,
            jobs: self.find(&keys::JOBS)?.and_then(|jobs| NonZeroU32::new(jobs.value.into())),
            schemas: values(self.all(&keys::SCHEMA)?),
            exclude_schemas: values(self.all(&keys::EXCLUDE_SCHEMA)?),
            tables: values(self.all(&keys::TABLE)?),
            exclude_tables: values(self.all(&keys::EXCLUDE_TABLE)?),
            globals: self.get(&keys::GLOBALS)?.value,
        })
    }
}

fn values<T>(settings: Vec<Setting<T>>) -> Vec<T> {
    settings.into_iter().map(|setting| setting.value).collect()
}
