//! Results whose typed value contains everything that their text needs.

use super::{Output, OutputError, Ui};

/// A result that is printed as text from the value that `--json` prints.
pub trait Render: Output {
    /// Prints the result as text. Fails if standard output cannot be written.
    fn render(&self, ui: &Ui) -> Result<(), OutputError>;
}

impl Ui {
    /// Prints a result: with `--json` as JSON, otherwise as text. Fails if standard output cannot be
    /// written.
    pub fn result(&self, result: &impl Render) -> Result<(), OutputError> {
        match self.wants_json() {
            true => self.json(result),
            false => result.render(self),
        }
    }
}
