//! Looks up keys for the repository, a database, a tool or a store.

use std::ffi::OsStr;

use super::key::Key;
use super::origin::{Origin, Setting};
use super::resolve::{RawValue, STORES, TOOLS};
use super::{Config, Error, KeyScope, keys};
use crate::domain::DatabaseName;

/// The settings of the whole repository, of a database, of a tool or of a store.
#[derive(Debug)]
pub struct Lookup<'a> {
    config: &'a Config,
    /// The part of keys between the section and the name.
    subsection: Option<Vec<u8>>,
}

impl Config {
    /// Returns the settings of the whole repository.
    pub fn general(&self) -> Lookup<'_> {
        Lookup { config: self, subsection: None }
    }

    /// Returns the settings of `database`, which need not be configured.
    pub fn of(&self, database: &DatabaseName) -> Lookup<'_> {
        Lookup { config: self, subsection: Some(database.as_str().into()) }
    }

    /// Returns the settings of the custom tool `tool`.
    pub(super) fn of_tool(&self, tool: &str) -> Lookup<'_> {
        Lookup { config: self, subsection: Some([TOOLS, tool.as_bytes()].concat()) }
    }

    /// Returns the settings of the store with the name `store`.
    pub(super) fn of_store(&self, store: &str) -> Lookup<'_> {
        Lookup { config: self, subsection: Some([STORES, store.as_bytes()].concat()) }
    }

    /// Parses `raw` as a value of `key`. Fails if it does not have the expected form.
    pub(super) fn read<T>(&self, key: &Key<T>, raw: &RawValue<'_>) -> Result<Setting<T>, Error> {
        let value = key.read(raw.value, self.environment.get("HOME"));
        let value = value.map_err(|refused| raw.refused(key, refused))?;
        Ok(Setting { value, origin: raw.origin.clone() })
    }
}

impl Lookup<'_> {
    /// Returns every effective value of `key`; none if it is not set. Fails if a value is not valid.
    pub fn all<T>(&self, key: &Key<T>) -> Result<Vec<Setting<T>>, Error> {
        let raw = self.config.resolve(key, self.subsection.as_deref());
        raw.iter().map(|raw| self.config.read(key, raw)).collect()
    }

    /// Returns every effective value of `key`, or its default. Fails if a value is not valid.
    pub fn all_or_default<T>(&self, key: &Key<T>) -> Result<Vec<Setting<T>>, Error> {
        let mut all = self.all(key)?;
        if all.is_empty() {
            all.push(self.default(key));
        }
        Ok(all)
    }

    /// Returns the value of `key`; `None` if it is not set. Fails if the value is not valid.
    pub fn find<T>(&self, key: &Key<T>) -> Result<Option<Setting<T>>, Error> {
        Ok(self.all(key)?.pop())
    }

    /// Returns the value of `key`, which has a default. Fails if the value is not valid.
    pub fn get<T>(&self, key: &Key<T>) -> Result<Setting<T>, Error> {
        Ok(self.find(key)?.unwrap_or_else(|| self.default(key)))
    }

    /// Returns the default of `key`: its own, or else that of the repository's key of the same name.
    pub(super) fn default<T>(&self, key: &Key<T>) -> Setting<T> {
        let text = key.default.or_else(|| keys::find(KeyScope::Global, key.name)?.default);
        let value = text.and_then(|text| key.read(Some(OsStr::new(text)), None).ok());
        Setting { value: value.expect("a key read this way has a valid default"), origin: Origin::Default }
    }
}
