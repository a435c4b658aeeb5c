//! The environment variables of this process. No other module reads them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;

/// The environment as a value. It is read once from the process and passed to functions. Tests
/// construct it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// Returns the environment that this process was started with.
    pub fn from_process() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the one door to the environment")]
        Self(std::env::vars_os().collect())
    }

    /// Returns the value of `name`. An empty value counts as absent.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// Returns the value of `name` as text. An empty value or one that is not UTF-8 counts as absent.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(OsStr::to_str)
    }

    /// Returns the value of `name`, even if it is empty.
    pub fn get_even_empty(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// Returns all variables in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Prints only the names, because the values may be passwords.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_do_not_reach_debug_and_empty_ones_are_absent() {
        let environment: Environment = [("PGPASSWORD", "s3cret"), ("PAGER", "")].into_iter().collect();
        assert_eq!(format!("{environment:?}"), r#"{"PAGER", "PGPASSWORD"}"#);
        assert_eq!(environment.text("PGPASSWORD"), Some("s3cret"));
        assert_eq!(environment.get("PAGER"), None);
        assert_eq!(environment.get_even_empty("PAGER"), Some(OsStr::new("")));
    }
}
