//! The typed configuration: what `git pggit` was told, by whom, and whether it
//! may be believed.
//!
//! The room takes values that were read elsewhere (git's configuration, the
//! committed `.pggitconfig`, the environment) and answers typed questions about
//! them. It reads no files and writes nothing. Wrong values are errors when
//! they are asked for, not before, so that one of them does not stop every
//! command; [`Config::problems`] lists them all.

mod automation;
mod aws;
mod database;
mod dump;
mod environment;
mod error;
mod keys;
mod kind;
mod listing;
mod nearest;
mod origin;
mod resolve;
mod routine;
mod url;
mod value;

use std::collections::BTreeSet;
use std::ffi::OsStr;

pub use aws::AwsProfile;
pub use database::{CustomTool, DatabaseConfig};
pub use environment::Environment;
pub use error::{Error, Warning};
pub use keys::{KEYS, Key, Kind, Reach, Trust, find};
pub use listing::{Row, reference};
pub use nearest::nearest;
pub use origin::{Origin, Setting};
pub use routine::{Notifications, Occasion, Timetable};
pub use url::{DatabaseUrl, InvalidUrl};
pub use value::{KnownPlace, Refused, Tool, boolean, is_store_name, rate, word};

use crate::domain::DatabaseName;
use crate::git::config::Entry;

/// The committed file that may hold policy, at the top of the tree.
pub const COMMITTED_FILE: &str = ".pggitconfig";

/// Everything that is configured.
#[derive(Debug, Clone)]
pub struct Config {
    environment: Environment,
    /// Those of the committed file first, so that later ones count more.
    entries: Vec<Entry>,
    names: BTreeSet<DatabaseName>,
    warnings: Vec<Warning>,
    misplaced: Vec<Error>,
    /// Keys that have another name now.
    retired: Vec<Error>,
}

impl Config {
    /// Takes the values of git's configuration and of the committed file; both
    /// may hold other sections, which are left alone.
    pub fn load<'a>(
        git: impl IntoIterator<Item = &'a Entry>,
        committed: impl IntoIterator<Item = &'a Entry>,
        environment: &Environment,
    ) -> Self {
        let all = committed.into_iter().chain(git);
        let mut config = Self {
            environment: environment.clone(),
            entries: all.filter(|e| e.section == resolve::SECTION).cloned().collect(),
            names: BTreeSet::new(),
            warnings: Vec::new(),
            misplaced: Vec::new(),
            retired: Vec::new(),
        };
        config.classify();
        config
    }

    /// Fails if the user's own configuration has a key that is called otherwise now.
    pub fn check_retired(&self) -> Result<(), Error> {
        self.retired.first().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// What was ignored.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The names of all configured databases, in order.
    pub fn databases(&self) -> Vec<DatabaseName> {
        self.names.iter().cloned().collect()
    }

    /// The entries that configure `name`, as they are written.
    pub fn entries_of<'a>(&'a self, name: &'a DatabaseName) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(|e| e.subsection.as_deref() == Some(name.as_str().as_bytes()))
    }

    /// The database to work on: `explicit`, else `PGGIT_DATABASE`, else
    /// `pggit.database`, else the only one there is. It must be configured,
    /// unless `PGGIT_DATABASE_URL` says where it is.
    pub fn default_database(&self, explicit: Option<&str>) -> Result<DatabaseName, Error> {
        let chosen = match explicit {
            Some(text) => {
                let origin = Origin::CommandLine;
                let name =
                    text.parse().map_err(|reason| Error::DatabaseName { origin: origin.clone(), reason })?;
                Some(Setting { value: name, origin })
            }
            None => self.configured_default()?,
        };
        if let Some(Setting { value: name, origin }) = chosen {
            if self.names.contains(&name) || self.url_of_environment().is_some() {
                return Ok(name);
            }
            let nearest = nearest(name.as_str(), self.names.iter().map(DatabaseName::as_str));
            let nearest = nearest.and_then(|text| text.parse().ok());
            return Err(Error::UnknownDatabase { name, origin, known: self.databases(), nearest });
        }
        let mut known = self.databases();
        match known.len() {
            0 => Err(Error::NoDatabase),
            1 => Ok(known.remove(0)),
            _ => Err(Error::SeveralDatabases { known }),
        }
    }

    fn configured_default(&self) -> Result<Option<Setting<DatabaseName>>, Error> {
        let Some(raw) = self.resolve(None, "database").pop() else { return Ok(None) };
        let name = raw.value.and_then(OsStr::to_str).and_then(|text| text.parse().ok());
        let value = name.ok_or_else(|| raw.refused(Kind::Database, Refused::Form))?;
        Ok(Some(Setting { value, origin: raw.origin }))
    }

    /// Tells whether `value` is good for `key`, before it is written or used.
    pub fn check(&self, key: &Key, database: &str, value: &OsStr) -> Result<(), Error> {
        value::check(key.kind, Some(value), self.environment.get("HOME")).map_err(|refused| {
            let key_name = key.full_name(database).into();
            let raw = resolve::Raw { key: key_name, value: Some(value), origin: Origin::CommandLine };
            raw.refused(key.kind, refused)
        })
    }
}

#[cfg(test)]
mod tests;
