//! The origin of a value.

use std::fmt;

use crate::git::config::Scope;

/// The place that sets a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An option of the command line.
    CommandLine,
    /// This environment variable.
    Environment(&'static str),
    /// git's configuration.
    Git {
        /// The scope.
        scope: Scope,
        /// The file, or `command line` for `git -c`.
        file: String,
    },
    /// The `.pggitconfig` in the tree of HEAD.
    Committed,
    /// The built-in default.
    Default,
}

impl Origin {
    /// Returns a stable word for machine-readable output.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::CommandLine => "command-line",
            Self::Environment(_) => "environment",
            Self::Git { scope, .. } => scope.as_str(),
            Self::Committed => "committed",
            Self::Default => "default",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Git { scope: Scope::Command, file } => f.write_str(file),
            Self::Git { scope, file } => write!(f, "{file} ({})", scope.as_str()),
            Self::Committed => f.write_str(super::COMMITTED_FILE),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// The origin.
    pub origin: Origin,
}

impl<T> Setting<T> {
    /// Returns true if the setting also holds for the next command, that is, if it is not from the
    /// command line, from the environment or from `git -c`.
    pub fn is_lasting(&self) -> bool {
        match &self.origin {
            Origin::Git { scope, .. } => *scope != Scope::Command,
            Origin::CommandLine | Origin::Environment(_) => false,
            Origin::Committed | Origin::Default => true,
        }
    }
}
