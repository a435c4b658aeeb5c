//! Finds the value that is in force.
//!
//! For one key: command line, then environment, then git's configuration
//! (command, worktree, local, global, system), then the committed
//! `.pggitconfig`, then the default. A database's own key goes before the
//! repository's key of the same name, wherever the two stand; only the
//! environment goes before both.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::error::{Error, Warning};
use super::form::Secrecy;
use super::key::{AnyKey, KeyInfo, Reach, Trust};
use super::keys::{self, KEYS};
use super::origin::Origin;
use super::value::Refused;
use super::{Config, nearest};
use crate::domain::DatabaseName;
use crate::git::config::{Entry, Scope};

/// The part of all our keys before the first dot.
pub(super) const SECTION: &str = "pggit";

/// Values longer than this are cut in messages.
const SHOWN_CHARS_MAX: usize = 80;

/// A value as it was found.
#[derive(Debug, Clone)]
pub(super) struct Raw<'a> {
    pub(super) key: Cow<'a, str>,
    pub(super) value: Option<&'a OsStr>,
    pub(super) origin: Origin,
}

impl Raw<'_> {
    /// The error for a value that is not what `key` expects.
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

/// The beginnings of the sub-sections for the user's own tools, and for stores with names.
pub(super) const TOOLS: &[u8] = b"tool.";
pub(super) const STORES: &[u8] = b"store.";

/// What `entry` configures, going by its place.
fn reach_of(entry: &Entry) -> Reach {
    match entry.subsection.as_deref() {
        None => Reach::Global,
        Some(name) if name.starts_with(TOOLS) => Reach::Tool,
        Some(name) if name.starts_with(STORES) => Reach::Store,
        Some(_) => Reach::Database,
    }
}

/// Whether the variable of `key` is not for every database. That of the URL is for the chosen one
/// only, see [`Config::selected`]. That of the queue is not looked at.
fn is_connection(key: &KeyInfo) -> bool {
    key.is(&keys::URL) || key.is(&keys::QUEUE)
}

/// Where `entry` stands.
fn origin_of(entry: &Entry) -> Origin {
    match entry.scope {
        Scope::Blob => Origin::Committed,
        scope => Origin::Git { scope, file: entry.origin.clone() },
    }
}

/// Whether the place `entry` stands in may set `key`.
fn honoured(entry: &Entry, key: &KeyInfo) -> bool {
    key.trust == Trust::Policy || (entry.trusted && entry.scope != Scope::Blob)
}

impl Config {
    /// The values in force for `key`, looked up in `subsection` first if it belongs to one. Several
    /// only for keys that take several; none when nobody sets it.
    pub(super) fn resolve(&self, key: &KeyInfo, subsection: Option<&[u8]>) -> Vec<Raw<'_>> {
        let own = subsection.map(|_| key).filter(|key| key.reach != Reach::Global);
        let general = match key.reach {
            Reach::Global => Some(key),
            Reach::Database => keys::find(Reach::Global, key.name).map(AnyKey::info),
            Reach::Tool | Reach::Store => None,
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

    /// The URL that the environment gives to the chosen database.
    pub(super) fn url_of_environment(&self) -> Option<Raw<'_>> {
        self.given(&keys::URL)
    }

    /// The environment's value for `key`.
    pub(super) fn given(&self, key: &KeyInfo) -> Option<Raw<'_>> {
        let variable = key.environment?;
        let value = self.environment.get(variable)?;
        Some(Raw { key: Cow::Borrowed(variable), value: Some(value), origin: Origin::Environment(variable) })
    }

    /// Returns the values of a key of the whole repository from all configuration scopes.
    pub(super) fn everywhere(&self, key: &KeyInfo) -> Vec<Raw<'_>> {
        let own = |entry: &&Entry| entry.subsection.is_none() && entry.key.eq_ignore_ascii_case(key.name);
        let honoured = self.entries.iter().filter(own).filter(|entry| honoured(entry, key));
        honoured.map(|entry| self.raw(entry)).collect()
    }

    /// The values of `key` in the place that counts most.
    fn written_in(&self, key: &KeyInfo, subsection: Option<&[u8]>) -> Vec<Raw<'_>> {
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

    fn raw<'a>(&self, entry: &'a Entry) -> Raw<'a> {
        let value = entry.value.as_deref().map(OsStr::from_bytes);
        Raw { key: Cow::Owned(entry.name()), value, origin: origin_of(entry) }
    }

    /// Sorts every entry: names of databases, warnings, and errors that belong
    /// to no known key.
    pub(super) fn classify(&mut self) {
        for entry in &self.entries {
            let reach = reach_of(entry);
            let database = entry
                .subsection
                .as_deref()
                .filter(|_| reach == Reach::Database)
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
                        // A committed file must not stop the commands of everybody.
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

    /// Everything that is wrong, whether or not it is in the way right now.
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

fn unknown(entry: &Entry, reach: Reach) -> Warning {
    let key = entry.name();
    let subsection = entry.subsection.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let names = KEYS.iter().filter(|k| k.reach == reach).map(|k| k.name);
    let nearest = nearest::nearest(&entry.key, names)
        .and_then(|name| keys::find(reach, name))
        .map(|k| k.full_name(&subsection));
    Warning::Unknown { key, origin: origin_of(entry), nearest }
}
