//! The typed configuration of `git pggit`: the values, their origins, and the trust in them.
//!
//! The room receives values that were read elsewhere: git's configuration, the committed
//! `.pggitconfig`, and the environment. It returns them with types. It reads no files and writes
//! nothing. An invalid value is an error only when a command reads it, so that one of them does not
//! stop every command. [`Config::problems`] lists all of them.

mod aws;
mod database;
mod dump;
mod environment;
mod error;
mod form;
mod key;
pub mod keys;
mod listing;
mod lookup;
mod nearest;
mod origin;
mod queue;
mod resolve;
mod schedules;
mod url;
mod value;

use std::collections::BTreeSet;
use std::ffi::OsStr;

pub use aws::AwsProfile;
pub use database::{CustomTool, DatabaseConfig};
pub use environment::Environment;
pub use error::{Error, Warning};
pub use form::Secrecy;
pub use key::{AnyKey, Key, KeyInfo, KeyScope, Trust};
pub use keys::{KEYS, find};
pub use listing::{Row, reference};
pub use lookup::Lookup;
pub use nearest::nearest;
pub use origin::{Origin, Setting};
pub use schedules::{Notifications, Timetable};
pub use url::{DatabaseUrl, InvalidUrl};
pub use value::{KnownPlace, Refused, boolean, is_store_name, rate};

use crate::domain::DatabaseName;
pub use crate::domain::{BackupTool as Tool, Occasion, plain_name};
use crate::git::config::Entry;

/// The committed file that may hold policy, at the top of the tree.
pub const COMMITTED_FILE: &str = ".pggitconfig";

/// The configuration from all places.
#[derive(Debug, Clone)]
pub struct Config {
    environment: Environment,
    /// The entries. Those of the committed file come first, so that later ones take precedence.
    entries: Vec<Entry>,
    names: BTreeSet<DatabaseName>,
    warnings: Vec<Warning>,
    misplaced: Vec<Error>,
    /// The errors of renamed keys.
    retired: Vec<Error>,
}

impl Config {
    /// Loads the values of git's configuration and of the committed file. Sections of other programs
    /// are ignored.
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

    /// Fails if the user's own configuration has a renamed key.
    pub fn check_retired(&self) -> Result<(), Error> {
        self.retired.first().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Returns the warnings about ignored settings.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Returns the names of all configured databases, in order.
    pub fn databases(&self) -> Vec<DatabaseName> {
        self.names.iter().cloned().collect()
    }

    /// Returns the entries that configure `name`, as they are written.
    pub fn entries_of<'a>(&'a self, name: &'a DatabaseName) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(|e| e.subsection.as_deref() == Some(name.as_str().as_bytes()))
    }

    /// Returns the name of the database of a command: `explicit`, or else `PGGIT_DATABASE`, or else
    /// `pggit.database`, or else the only configured one. It must be configured unless
    /// `PGGIT_DATABASE_URL` is set.
    ///
    /// # Errors
    /// Fails if the name is not valid, if the database is not configured, or if there is no single one.
    pub fn default_database(&self, explicit: Option<&str>) -> Result<DatabaseName, Error> {
        let chosen = match explicit {
            Some(text) => {
                let origin = Origin::CommandLine;
                let name =
                    text.parse().map_err(|reason| Error::DatabaseName { origin: origin.clone(), reason })?;
                Some(Setting { value: name, origin })
            }
            None => self.general().find(&keys::DATABASE)?,
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

    /// Fails if `value` is not valid for `key`. It is called before a value is written or used.
    pub fn check(&self, key: &dyn AnyKey, database: &str, value: &OsStr) -> Result<(), Error> {
        key.check(Some(value), self.environment.get("HOME")).map_err(|refused| {
            let key_name = key.full_name(database).into();
            let raw = resolve::RawValue { key: key_name, value: Some(value), origin: Origin::CommandLine };
            raw.refused(key, refused)
        })
    }
}

#[cfg(test)]
mod tests;
