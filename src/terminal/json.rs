//! Results as JSON: the types that may be printed, and documents that are printed incrementally.

use std::io::{self, Write};
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::Serialize;

use super::text::sanitised_json;
use super::{OutputError, Ui, lock};

/// A result that `--json` prints as one document.
pub trait Output: Serialize + JsonSchema {}

/// A result that consists of one list and is printed while it is read.
pub trait ListOutput: Output {
    /// The name of the list.
    const FIELD: &'static str;
    /// The type of its elements.
    type Element: Serialize + JsonSchema;
}

/// A result that a command prints repeatedly, each time in one line.
pub trait LineOutput: Serialize + JsonSchema {}

/// A line of standard error.
pub trait Message: Serialize + JsonSchema {}

/// A JSON document with one list, printed element by element.
#[must_use = "without its end it is no document"]
pub struct JsonList<'a, L> {
    ui: &'a Ui,
    is_empty: bool,
    of: PhantomData<L>,
}

/// An element of a [`JsonList`], ready to be printed.
pub struct JsonElement<L> {
    text: String,
    of: PhantomData<fn() -> L>,
}

impl<L: ListOutput> JsonElement<L> {
    /// Returns `element` as JSON. Fails if it cannot be serialized.
    pub fn new(element: &L::Element) -> Result<Self, OutputError> {
        Ok(Self { text: json_text(element)?, of: PhantomData })
    }
}

impl<'a, L: ListOutput> JsonList<'a, L> {
    pub(super) fn new(ui: &'a Ui) -> Self {
        Self { ui, is_empty: true, of: PhantomData }
    }

    /// Prints the next element. Fails if standard output cannot be written.
    pub fn element(&mut self, element: &JsonElement<L>) -> Result<(), OutputError> {
        let (mut out, element) = (lock(&self.ui.out), &element.text);
        match std::mem::replace(&mut self.is_empty, false) {
            true => write!(out.writer, "{{\n  \"{}\": [\n    {element}", L::FIELD)?,
            false => write!(out.writer, ",\n    {element}")?,
        }
        Ok(())
    }

    /// Prints the end of the document. Fails if standard output cannot be written.
    pub fn end(self) -> Result<(), OutputError> {
        let mut out = lock(&self.ui.out);
        match self.is_empty {
            true => writeln!(out.writer, "{{\n  \"{}\": []\n}}", L::FIELD)?,
            false => writeln!(out.writer, "\n  ]\n}}")?,
        }
        Ok(())
    }
}

/// Returns an element of a list as JSON, with its fields in alphabetical order. Fails if it cannot be
/// serialized.
pub(super) fn json_text(element: &impl Serialize) -> Result<String, OutputError> {
    let value = serde_json::to_value(element).map_err(io::Error::from)?;
    // JSON has escaped the line breaks in strings already.
    Ok(sanitised_json(format!("{value:#}")).replace('\n', "\n    "))
}
