//! What a key is: its name, who may set it, and how its values are read.

use std::ffi::OsStr;
use std::ops::Deref;

use serde::Serialize;

use super::form::{Secrecy, ValueForm};
use super::value::Refused;

/// What a key belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// The whole repository: `pggit.<name>`.
    Global,
    /// One database: `pggit.<database>.<name>`.
    Database,
    /// A tool of one's own: `pggit.tool.<tool>.<name>`.
    Tool,
    /// A store with a name: `pggit.store.<store>.<name>`.
    Store,
}

/// Who may set a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// Also the committed `.pggitconfig`.
    Policy,
    /// Only the user: git configuration, environment, command line. A clone
    /// must not choose which programs run and which hosts are called.
    Trusted,
}

/// Everything about a key that does not depend on the type of its values.
#[derive(Debug, Clone, Copy)]
pub struct KeyInfo {
    /// The last part of its name, as documents write it.
    pub name: &'static str,
    /// What it belongs to.
    pub reach: Reach,
    /// Whether every value counts, not only the last one.
    pub several: bool,
    /// The value that is in force when nobody sets one.
    pub default: Option<&'static str>,
    /// The environment variable that overrides it.
    pub environment: Option<&'static str>,
    /// Who may set it.
    pub trust: Trust,
    /// The name that it had before.
    pub retired: Option<&'static str>,
    /// What it is for, in one paragraph.
    pub doc: &'static str,
}

impl KeyInfo {
    /// The name as documents write it: `pggit.<database>.url`.
    pub fn pattern(&self) -> String {
        match self.reach {
            Reach::Global => format!("pggit.{}", self.name),
            Reach::Database => format!("pggit.<database>.{}", self.name),
            Reach::Tool => format!("pggit.tool.<tool>.{}", self.name),
            Reach::Store => format!("pggit.store.<store>.{}", self.name),
        }
    }

    /// The name for one database, or for one `tool.<tool>` or `store.<store>`; the global ones do
    /// not care which.
    pub fn full_name(&self, database: &str) -> String {
        match self.reach {
            Reach::Global => format!("pggit.{}", self.name),
            Reach::Database | Reach::Tool | Reach::Store => format!("pggit.{database}.{}", self.name),
        }
    }

    /// Whether both are the same key.
    pub(super) fn is(&self, other: &Self) -> bool {
        (self.reach, self.name) == (other.reach, other.name)
    }
}

/// A key whose values are of the type `T`.
pub struct Key<T> {
    info: KeyInfo,
    form: ValueForm<T>,
}

impl<T> Key<T> {
    const fn new(reach: Reach, trust: Trust, name: &'static str, form: ValueForm<T>) -> Self {
        let info = KeyInfo {
            name,
            reach,
            several: false,
            default: None,
            environment: None,
            trust,
            retired: None,
            doc: "",
        };
        Self { info, form }
    }

    /// A key of the whole repository that also the committed file may set.
    pub(super) const fn global(name: &'static str, form: ValueForm<T>) -> Self {
        Self::new(Reach::Global, Trust::Policy, name, form)
    }

    /// A key of one database that also the committed file may set.
    pub(super) const fn database(name: &'static str, form: ValueForm<T>) -> Self {
        Self::new(Reach::Database, Trust::Policy, name, form)
    }

    /// A key of a tool of one's own. Only the user may set it.
    pub(super) const fn tool(name: &'static str, form: ValueForm<T>) -> Self {
        Self::new(Reach::Tool, Trust::Trusted, name, form)
    }

    /// A key of a store with a name. Only the user may set it.
    pub(super) const fn store(name: &'static str, form: ValueForm<T>) -> Self {
        Self::new(Reach::Store, Trust::Trusted, name, form)
    }

    /// Only the user may set it.
    pub(super) const fn trusted(mut self) -> Self {
        self.info.trust = Trust::Trusted;
        self
    }

    /// Every value counts, not only the last one.
    pub(super) const fn several(mut self) -> Self {
        self.info.several = true;
        self
    }

    /// The value that is in force when nobody sets one.
    pub(super) const fn default(mut self, value: &'static str) -> Self {
        self.info.default = Some(value);
        self
    }

    /// The environment variable that overrides it.
    pub(super) const fn environment(mut self, variable: &'static str) -> Self {
        self.info.environment = Some(variable);
        self
    }

    /// The name that it had before.
    pub(super) const fn retired(mut self, name: &'static str) -> Self {
        self.info.retired = Some(name);
        self
    }

    /// What it is for: the text of a comment, which begins with a space.
    pub(super) const fn documented(mut self, comment: &'static str) -> Self {
        self.info.doc = comment.split_at(1).1;
        self
    }

    /// Reads a value; `None` is a key without `=`.
    pub(super) fn read(&self, value: Option<&OsStr>, home: Option<&OsStr>) -> Result<T, Refused> {
        self.form.read(value, home)
    }
}

impl<T> Deref for Key<T> {
    type Target = KeyInfo;

    fn deref(&self) -> &KeyInfo {
        &self.info
    }
}

/// A key, whatever the type of its values is.
pub trait AnyKey: Sync {
    /// Everything about it that does not depend on the type.
    fn info(&self) -> &KeyInfo;

    /// What a good value looks like, for messages and documents.
    fn expected(&self) -> &'static str;

    /// Whether its values may be shown.
    fn secrecy(&self) -> Secrecy;

    /// Tells whether `value` (`None` for a key without `=`) is good for it.
    fn check(&self, value: Option<&OsStr>, home: Option<&OsStr>) -> Result<(), Refused>;
}

impl<T> AnyKey for Key<T> {
    fn info(&self) -> &KeyInfo {
        &self.info
    }

    fn expected(&self) -> &'static str {
        self.form.expected()
    }

    fn secrecy(&self) -> Secrecy {
        self.form.secrecy()
    }

    fn check(&self, value: Option<&OsStr>, home: Option<&OsStr>) -> Result<(), Refused> {
        self.read(value, home).map(drop)
    }
}

impl Deref for dyn AnyKey + '_ {
    type Target = KeyInfo;

    fn deref(&self) -> &KeyInfo {
        self.info()
    }
}
