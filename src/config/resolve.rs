//! Finds the effective value.
//!
//! For one key the order is: command line, then environment, then git's configuration (command,
//! worktree, local, global, system), then the committed `.pggitconfig`, then the default. The key of a
//! database takes precedence over the repository's key of the same name, in whatever places they are
//! set. Only the environment takes precedence over both.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::error::{Error, Warning};
use super::form::Secrecy;
use super::key::{AnyKey, KeyInfo, KeyScope, Trust};
use super::keys::{self, KEYS};
use super::origin::Origin;
use super::value::Refused;
use super::{Config, nearest};
use crate::domain::DatabaseName;
use crate::git::config::{Entry, Scope};

/// The first part of all keys of this program, before the first dot.
pub(super) const SECTION: &str = "pggit";

/// Longer values are cut in messages, to this number of characters.
const SHOWN_CHARS_MAX: usize = 80;

/// A value before parsing.
#[derive(Debug, Clone)]
pub(super) struct RawValue<'a> {
    pub(super) key: Cow<'a, str>,
    pub(super) value: Option<&'a OsStr>,
    pub(super) origin: Origin,
}

impl RawValue<'_> {
    /// Returns the error for a value that `key` refuses.
    pub(super) fn refused(&self, key: &dyn AnyKey, refused: Refused) -> Error {
        let (name, origin) = (self.key.to_string(), self.origin.clone());
        match refused {
            Refused::Url(reason) => Error::Url { key: name, origin, reason },
            Refused::Because(reason) => {
                Error::Reason { key: name, origin, value: self.value.map(cut), reason }
            }
            Refused::Form => {
                let value = self.value.filter(|_| key.secrecy() == Secrecy::Public).map(cut);
                Error::Value { key: name, origin, value, expected: key.expected() }
            }
        }
    }
}

fn cut(value: &OsStr) -> String {
    let text = value.to_string_lossy();
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.into_owned(),
    }
}

/// The prefixes of the sub-sections of custom tools and of named stores.
pub(super) const TOOLS: &[u8] = b"tool.";
pub(super) const STORES: &[u8] = b"store.";

/// Returns the object that `entry` configures, according to its sub-section.
fn reach_of(entry: &Entry) -> KeyScope {
    match entry.subsection.as_deref() {
        None => KeyScope::Global,
        Some(name) if name.starts_with(TOOLS) => KeyScope::Tool,
        Some(name) if name.starts_with(STORES) => KeyScope::Store,
        Some(_) => KeyScope::Database,
    }
}

/// Returns true if the variable of `key` does not hold for every database. The variable of the URL
/// holds only for the chosen database, see [`Config::selected`]. The variable of the queue is ignored.
fn is_connection(key: &KeyInfo) -> bool {
    key.is(&keys::URL) || key.is(&keys::QUEUE)
}

/// Returns the origin of `entry`.
fn origin_of(entry: &Entry) -> Origin {
    match entry.scope {
        Scope::Blob => Origin::Committed,
        scope => Origin::Git { scope, file: entry.origin.clone() },
    }
}

/// Returns true if the place of `entry` may set `key`.
fn honoured(entry: &Entry, key: &KeyInfo) -> bool {
    key.trust == Trust::Policy || (entry.trusted && entry.scope != Scope::Blob)
}

impl Config {
    /// Returns the effective values for `key`, those in `subsection` first if the key belongs to one.
    /// The list has several values only for keys that accept several. It is empty if the key is not
    /// set.
    pub(super) fn resolve(&self, key: &KeyInfo, subsection: Option<&[u8]>) -> Vec<RawValue<'_>> {
        let own = subsection.map(|_| key).filter(|key| key.reach != KeyScope::Global);
        let general = match key.reach {
            KeyScope::Global => Some(key),
            KeyScope::Database => keys::find(KeyScope::Global, key.name).map(AnyKey::info),
            KeyScope::Tool | KeyScope::Store => None,
        };
        for key in [own, general].into_iter().flatten().filter(|key| !is_connection(key)) {
            if let Some(raw) = self.given(key) {
                return vec![raw];
            }
        }
        let own = own.map(|key| self.written_in(key, subsection)).unwrap_or_default();
        if !own.is_empty() {
            return own;
        }
        general.map(|key| self.written_in(key, None)).unwrap_or_default()
    }

    /// Returns the URL of the environment, which is for the chosen database.
    pub(super) fn url_of_environment(&self) -> Option<RawValue<'_>> {
        self.given(&keys::URL)
    }

    /// Returns the value of the environment for `key`.
    pub(super) fn given(&self, key: &KeyInfo) -> Option<RawValue<'_>> {
        let variable = key.environment?;
        let value = self.environment.get(variable)?;
        Some(RawValue {
            key: Cow::Borrowed(variable),
            value: Some(value),
            origin: Origin::Environment(variable),
        })
    }

    /// Returns the values of a key of the whole repository from all configuration scopes.
    pub(super) fn everywhere(&self, key: &KeyInfo) -> Vec<RawValue<'_>> {
        let own = |entry: &&Entry| entry.subsection.is_none() && entry.key.eq_ignore_ascii_case(key.name);
        let honoured = self.entries.iter().filter(own).filter(|entry| honoured(entry, key));
        honoured.map(|entry| self.raw(entry)).collect()
    }

    /// Returns the values of `key` in the place with the highest precedence.
    fn written_in(&self, key: &KeyInfo, subsection: Option<&[u8]>) -> Vec<RawValue<'_>> {
        let mut found: Vec<&Entry> = self
            .entries
            .iter()
            .filter(|e| e.subsection.as_deref() == subsection && e.key.eq_ignore_ascii_case(key.name))
            .filter(|e| honoured(e, key))
            .collect();
        let Some(last) = found.last().copied() else { return Vec::new() };
        found.retain(|e| if key.several { e.scope == last.scope } else { std::ptr::eq(*e, last) });
        found.into_iter().map(|e| self.raw(e)).collect()
    }

    fn raw<'a>(&self, entry: &'a Entry) -> RawValue<'a> {
        let value = entry.value.as_deref().map(OsStr::from_bytes);
        RawValue { key: Cow::Owned(entry.name()), value, origin: origin_of(entry) }
    }

    /// Collects from the entries the names of databases, the warnings, and the errors that belong to no
    /// known key.
    pub(super) fn classify(&mut self) {
        for entry in &self.entries {
            let reach = reach_of(entry);
            let database = entry
                .subsection
                .as_deref()
                .filter(|_| reach == KeyScope::Database)
                .map(|s| String::from_utf8_lossy(s).parse::<DatabaseName>())
                .map(|name| name.and_then(|name| name.check_scope().map(|()| name)));
            let key = keys::find(reach, &entry.key);
            match (key, database) {
                (_, Some(Err(reason))) => {
                    let error = Error::DatabaseName { origin: origin_of(entry), reason };
                    if !self.misplaced.contains(&error) {
                        self.misplaced.push(error);
                    }
                }
                (None, _) => match keys::renamed(reach, &entry.key) {
                    None => self.warnings.push(unknown(entry, reach)),
                    Some(new) => {
                        let subsection =
                            entry.subsection.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
                        let (key, new) = (entry.name(), new.full_name(&subsection));
                        let origin = origin_of(entry);
                        // A committed file must not stop the commands of every user.
                        match origin {
                            Origin::Committed => self.warnings.push(Warning::Retired { key, origin, new }),
                            _ => self.retired.push(Error::Retired { key, origin, new }),
                        }
                    }
                },
                (Some(key), _) if !honoured(entry, key) => {
                    self.warnings.push(Warning::Untrusted { key: entry.name(), origin: origin_of(entry) });
                }
                (Some(_), Some(Ok(name))) => {
                    self.names.insert(name);
                }
                (Some(_), None) => {}
            }
        }
    }

    /// Returns all errors of the configuration, including those that do not affect the current command.
    pub fn problems(&self) -> Vec<Error> {
        let home = self.environment.get("HOME");
        let mut problems: Vec<Error> = self.misplaced.iter().chain(&self.retired).cloned().collect();
        let written = self.entries.iter().filter_map(|entry| {
            let key = keys::find(reach_of(entry), &entry.key)?;
            honoured(entry, key).then(|| (key, self.raw(entry)))
        });
        let given = KEYS.iter().copied().filter_map(|key| self.given(key).map(|raw| (key, raw)));
        for (key, raw) in written.chain(given) {
            if let Err(refused) = key.check(raw.value, home) {
                problems.push(raw.refused(key, refused));
            }
        }
        if let Err(error @ Error::UnknownDatabase { .. }) = self.default_database(None) {
            problems.push(error);
        }
        problems
    }
}

fn unknown(entry: &Entry, reach: KeyScope) -> Warning {
    let key = entry.name();
    let subsection = entry.subsection.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let names = KEYS.iter().filter(|k| k.reach == reach).map(|k| k.name);
    let nearest = nearest::nearest(&entry.key, names)
        .and_then(|name| keys::find(reach, name))
        .map(|k| k.full_name(&subsection));
    Warning::Unknown { key, origin: origin_of(entry), nearest }
}
