//! Colours, and the decision whether to use them.

use crate::config::{Environment, boolean};

/// The condition under which colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColorChoice {
    /// On a terminal.
    Auto,
    /// Even into a file.
    Always,
    /// Not even on a terminal.
    Never,
}

impl ColorChoice {
    /// Parses the value of `color.ui`; git takes `true` for `auto`.
    fn from_config(text: &str) -> Option<Self> {
        match text {
            "always" => Some(Self::Always),
            "never" => Some(Self::Never),
            "auto" => Some(Self::Auto),
            other => boolean(other).map(|on| if on { Self::Auto } else { Self::Never }),
        }
    }

    /// Returns the effective choice. The order is the option, a value that the user's `color.ui`
    /// forces, `NO_COLOR` and a dumb terminal, `auto`.
    pub(super) fn resolve(option: Option<Self>, color_ui: Option<&str>, environment: &Environment) -> Self {
        let plain = environment.get("NO_COLOR").is_some() || environment.text("TERM") == Some("dumb");
        let configured = color_ui.and_then(Self::from_config);
        match option.or(configured.filter(|choice| *choice != Self::Auto)) {
            Some(choice) => choice,
            None if plain => Self::Never,
            None => Self::Auto,
        }
    }

    /// Returns true if an output has colours; `terminal` is true for a terminal.
    pub(super) fn applies(self, terminal: bool) -> bool {
        match self {
            Self::Auto => terminal,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// The meaning of a piece of text, which decides its appearance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Ordinary text.
    Plain,
    /// A title.
    Bold,
    /// An id, in git's colour of commits.
    Id,
    /// A success.
    Good,
    /// A state that needs attention.
    Attention,
    /// An error or another bad state.
    Bad,
    /// A text of less importance.
    Dim,
}

impl Style {
    /// Returns the style of the cells of a column of ids or commits.
    pub fn of_id(_: &str) -> Self {
        Self::Id
    }

    /// Returns the escape sequence that starts the style.
    fn start(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "\x1b[1m",
            Self::Id | Self::Attention => "\x1b[33m",
            Self::Good => "\x1b[32m",
            Self::Bad => "\x1b[1;31m",
            Self::Dim => "\x1b[2m",
        }
    }

    /// Returns `text` in this style, or unchanged without `color`.
    pub(super) fn paint(self, text: &str, color: bool) -> String {
        match self.start() {
            start if color && !start.is_empty() => format!("{start}{text}\x1b[m"),
            _ => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_wish_wins() {
        use ColorChoice::{Always, Auto, Never};
        let resolve = |option, ui, variables: &[(&str, &str)]| {
            ColorChoice::resolve(option, ui, &variables.iter().copied().collect())
        };
        assert_eq!(resolve(None, None, &[]), Auto);
        assert_eq!(resolve(None, None, &[("NO_COLOR", "1")]), Never);
        assert_eq!(resolve(None, None, &[("NO_COLOR", "")]), Auto);
        assert_eq!(resolve(None, Some("true"), &[("TERM", "dumb")]), Never);
        assert_eq!(resolve(None, Some("always"), &[("NO_COLOR", "1")]), Always);
        assert_eq!(resolve(None, Some("false"), &[]), Never);
        assert_eq!(resolve(Some(Auto), Some("never"), &[("NO_COLOR", "1")]), Auto);
        assert_eq!(resolve(Some(Never), Some("always"), &[]), Never);
    }
}
