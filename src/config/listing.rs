//! Lists every key with its effective value, for users and for documents.

use std::fmt::Write as _;

use super::Config;
use super::form::Secrecy;
use super::key::{AnyKey, KeyScope, Trust};
use super::keys::{self, KEYS};
use super::origin::{Origin, Setting};
use super::resolve::RawValue;
use crate::domain::DatabaseName;

/// One line of the listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The full name of the key.
    pub key: String,
    /// The database of the key, if it belongs to one.
    pub database: Option<DatabaseName>,
    /// The effective values; empty if none is set and there is no default. A value that must not be
    /// shown is `None`.
    pub values: Vec<Setting<Option<String>>>,
    /// The value if none is set.
    pub default: Option<&'static str>,
    /// True if the values are valid.
    pub valid: bool,
}

impl Config {
    /// Returns every key: those of the repository, then those of each database.
    pub fn rows(&self) -> Vec<Row> {
        let globals = KEYS.iter().filter(|key| key.reach == KeyScope::Global).map(|key| self.row(*key, None));
        globals.chain(self.databases().iter().flat_map(|name| self.rows_of(name))).collect()
    }

    /// Returns the keys of one database.
    pub fn rows_of(&self, database: &DatabaseName) -> Vec<Row> {
        KEYS.iter()
            .filter(|key| key.reach == KeyScope::Database)
            .map(|key| self.row(*key, Some(database)))
            .collect()
    }

    fn row(&self, key: &dyn AnyKey, database: Option<&DatabaseName>) -> Row {
        let home = self.environment.get("HOME");
        let mut raw = self.resolve(key, database.map(|name| name.as_str().as_bytes()));
        if key.is(&keys::URL) && self.default_database(None).ok().as_ref() == database {
            raw = self.url_of_environment().map_or(raw, |given| vec![given]);
        }
        let valid = raw.iter().all(|raw| key.check(raw.value, home).is_ok());
        let general = keys::find(KeyScope::Global, key.name).and_then(|key| key.default);
        let default = key.default.or(general);
        let mut values: Vec<_> = raw.iter().map(|raw| shown(key, raw)).collect();
        if let (true, Some(default)) = (values.is_empty(), default) {
            values.push(Setting { value: Some(default.to_owned()), origin: Origin::Default });
        }
        let name = database.map_or("", DatabaseName::as_str);
        Row { key: key.full_name(name), database: database.cloned(), values, default, valid }
    }
}

/// Returns the value as text, or `None` if it may contain a password.
fn shown(key: &dyn AnyKey, raw: &RawValue<'_>) -> Setting<Option<String>> {
    let safe = match key.secrecy() {
        Secrecy::Public => true,
        Secrecy::WhenRefused => key.check(raw.value, None).is_ok(),
        Secrecy::Secret => false,
    };
    let text = raw.value.map_or_else(|| "true".to_owned(), |value| value.to_string_lossy().into_owned());
    Setting { value: safe.then_some(text), origin: raw.origin.clone() }
}

/// Returns the reference of all keys in Markdown: `docs/config.md`.
pub fn reference() -> String {
    let mut text = String::from(INTRODUCTION);
    for (reach, title) in [
        (KeyScope::Global, "For the whole repository"),
        (KeyScope::Database, "For one database"),
        (KeyScope::Tool, "For a custom tool"),
        (KeyScope::Store, "For a named store"),
    ] {
        let _ = writeln!(text, "\n## {title}");
        for key in KEYS.iter().filter(|key| key.reach == reach) {
            let _ = write!(text, "\n### `{}`\n\n{}\n\n", key.pattern(), key.doc);
            let _ =
                writeln!(text, "- value: {}{}", key.expected(), if key.several { "; several" } else { "" });
            let _ =
                writeln!(text, "- default: {}", key.default.map_or("not set".into(), |d| format!("`{d}`")));
            if let Some(variable) = key.environment {
                let _ = writeln!(text, "- environment: `{variable}`");
            }
            let who = match key.trust {
                Trust::Policy => "also the committed `.pggitconfig`",
                Trust::Trusted => "only your own git configuration, the environment or the command line",
            };
            let _ = writeln!(text, "- set by: {who}");
        }
    }
    text
}

const INTRODUCTION: &str = "\
<!-- Generated from `src/config/keys.rs`; `make doc` regenerates it. -->

# Configuration

`git pggit` is configured with `git config`, in the section `pggit`. `git pggit config` shows every key with its
value in effect and the origin of the value.

The value of a key is the first one that is set in this order:

1. the option on the command line,
2. the environment variable,
3. git's configuration: `git -c`, then the file of the worktree, the repository, the user and the machine,
4. `.pggitconfig`, a file in git's configuration format that is committed at the top of the repository (the version
   of `HEAD` is used),
5. the default.

A database's own key takes precedence over the repository's key of the same name, in whatever files the two are set.
Only the environment takes precedence over both.

`.pggitconfig` is for settings that a team shares. Anybody who can push can change it, so it cannot name programs,
directories and hosts: such keys are ignored there, with a warning. Passwords are refused everywhere: they belong
in `~/.pgpass`, a service file or `PGPASSWORD`.

The name of a database has at most 63 letters, digits, `.`, `_` and `-`, and does not begin with `-` or `.`.
";
