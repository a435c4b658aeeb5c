//! Keys: the name, the scope, the permission to set them, and the form of the values.

use std::ffi::OsStr;
use std::ops::Deref;

use serde::Serialize;

use super::form::{Secrecy, ValueForm};
use super::value::Refused;

/// The scope of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeyScope {
    /// The whole repository: `pggit.<name>`.
    Global,
    /// One database: `pggit.<database>.<name>`.
    Database,
    /// A tool of one's own: `pggit.tool.<tool>.<name>`.
    Tool,
    /// A store with a name: `pggit.store.<store>.<name>`.
    Store,
}

/// The sources that may set a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// Also the committed `.pggitconfig`.
    Policy,
    /// Only the user: git configuration, environment, command line. A clone
    /// must not choose which programs run and which hosts are called.
    Trusted,
}

/// The properties of a key that do not depend on the type of its values.
#[derive(Debug, Clone, Copy)]
pub struct KeyInfo {
    /// The last part of the name, as documents write it.
    pub name: &'static str,
    /// The object that the key belongs to.
    pub reach: KeyScope,
    /// True if every value is used and not only the last one.
    pub several: bool,
    /// The value if none is set.
    pub default: Option<&'static str>,
    /// The environment variable that overrides the key.
    pub environment: Option<&'static str>,
    /// The places that may set the key.
    pub trust: Trust,
    /// The former name of the key.
    pub retired: Option<&'static str>,
    /// The purpose of the key, in one paragraph.
    pub doc: &'static str,
}

impl KeyInfo {
    /// Returns the name as documents write it: `pggit.<database>.url`.
    pub fn pattern(&self) -> String {
        match self.reach {
            KeyScope::Global => format!("pggit.{}", self.name),
            KeyScope::Database => format!("pggit.<database>.{}", self.name),
            KeyScope::Tool => format!("pggit.tool.<tool>.{}", self.name),
            KeyScope::Store => format!("pggit.store.<store>.{}", self.name),
        }
    }

    /// Returns the name for one database, or for one `tool.<tool>` or `store.<store>`. Global keys
    /// ignore the argument.
    pub fn full_name(&self, database: &str) -> String {
        match self.reach {
            KeyScope::Global => format!("pggit.{}", self.name),
            KeyScope::Database | KeyScope::Tool | KeyScope::Store => {
                format!("pggit.{database}.{}", self.name)
            }
        }
    }

    /// Returns true if both are the same key.
    pub(super) fn is(&self, other: &Self) -> bool {
        (self.reach, self.name) == (other.reach, other.name)
    }
}

/// A key with values of the type `T`.
pub struct Key<T> {
    info: KeyInfo,
    form: ValueForm<T>,
}

impl<T> Key<T> {
    const fn new(reach: KeyScope, trust: Trust, name: &'static str, form: ValueForm<T>) -> Self {
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

    /// Creates a key of the whole repository. The committed file may set it, too.
    pub(super) const fn global(name: &'static str, form: ValueForm<T>) -> Self {
        Self::new(KeyScope::Global, Trust::Policy, name, form)
    }

    /// Creates a key of one database. The committed file may set it, too.
    pub(super) const fn database(name: &'static str, form: ValueForm<T>) -> Self {
        Self::new(KeyScope::Database, Trust::Policy, name, form)
    }

    /// Creates a key of a custom tool. Only the user may set it.
    pub(super) const fn tool(name: &'static str, form: ValueForm<T>) -> Self {
        Self::new(KeyScope::Tool, Trust::Trusted, name, form)
    }

    /// Creates a key of a named store. Only the user may set it.
    pub(super) const fn store(name: &'static str, form: ValueForm<T>) -> Self {
        Self::new(KeyScope::Store, Trust::Trusted, name, form)
    }

    /// Returns the key for which only the user may set values.
    pub(super) const fn trusted(mut self) -> Self {
        self.info.trust = Trust::Trusted;
        self
    }

    /// Returns the key with every value used and not only the last one.
    pub(super) const fn several(mut self) -> Self {
        self.info.several = true;
        self
    }

    /// Returns the key with a default value.
    pub(super) const fn default(mut self, value: &'static str) -> Self {
        self.info.default = Some(value);
        self
    }

    /// Returns the key with an environment variable that overrides it.
    pub(super) const fn environment(mut self, variable: &'static str) -> Self {
        self.info.environment = Some(variable);
        self
    }

    /// Returns the key with its former name.
    pub(super) const fn retired(mut self, name: &'static str) -> Self {
        self.info.retired = Some(name);
        self
    }

    /// Returns the key with its purpose: the text of a comment, which begins with a space.
    pub(super) const fn documented(mut self, comment: &'static str) -> Self {
        self.info.doc = comment.split_at(1).1;
        self
    }

    /// Parses a value; `None` is a key without `=`. Fails if the value does not have the expected form.
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

/// A key with values of any type.
pub trait AnyKey: Sync {
    /// Returns the properties that do not depend on the type.
    fn info(&self) -> &KeyInfo;

    /// Returns the description of a valid value, for messages and documents.
    fn expected(&self) -> &'static str;

    /// Returns the permission to show values.
    fn secrecy(&self) -> Secrecy;

    /// Fails if `value` is not valid for the key. `None` is a key without `=`.
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
