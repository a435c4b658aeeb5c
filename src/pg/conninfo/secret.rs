//! Secret texts.

use std::fmt;

/// A value that may be a password. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::pg) struct Secret(String);

impl Secret {
    pub(in crate::pg) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(in crate::pg) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
