//! Standard output and standard error: a single [`Ui`] prints everything.
//!
//! Results go to standard output, messages about the work to standard error. Callers pass plain text.
//! The `Ui` decides about the terminal, colours, the pager, JSON and `--quiet`. It escapes control
//! characters in text from other sources, so that the text is safe for a terminal. A closed output is
//! an [`OutputError`], so that the command can exit quietly.

pub mod bar;
pub mod json;
pub mod message;
pub mod style;
pub mod table;
pub mod text;

mod pager;
mod render;

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use json::{JsonElement, JsonList, LineOutput, ListOutput, Message, Output};
pub use render::Render;
pub use style::{ColorChoice, Style};
pub use table::Table;

use crate::config::Environment;
use json::json_text;
use message::{ErrorMessage, WarningFields, WarningMessage};
use pager::Pager;
use text::{sanitised, sanitised_json, sanitised_line};

/// The error of a write to standard output.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}")]
pub struct OutputError(#[from] pub io::Error);

/// The properties of the two outputs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terminal {
    /// Standard output is a terminal.
    pub stdout: bool,
    /// Standard error is a terminal.
    pub stderr: bool,
    /// The width of the terminal in columns; `None` if it is unknown.
    pub width: Option<u16>,
}

impl Terminal {
    /// Returns the properties of this process's outputs.
    fn of_process(environment: &Environment) -> Self {
        let width = environment.text("COLUMNS").and_then(|columns| columns.parse().ok());
        let stdout = io::stdout().is_terminal();
        let asked = || stdout.then(|| rustix::termios::tcgetwinsize(io::stdout()).ok()).flatten();
        let width = width.or_else(|| asked().map(|size| size.ws_col));
        Self { stdout, stderr: io::stderr().is_terminal(), width: width.filter(|columns| *columns > 0) }
    }
}

/// The output options of the command line.
#[derive(Debug, Clone, Copy, Default)]
pub struct OutputOptions {
    /// `--json`.
    pub json: bool,
    /// `--quiet`.
    pub quiet: bool,
    /// `--color`.
    pub color: Option<ColorChoice>,
    /// `--no-pager`.
    pub no_pager: bool,
}

/// The printer of results and messages.
pub struct Ui {
    out: Mutex<Out>,
    err: Mutex<Box<dyn Write + Send>>,
    bar: Mutex<Option<indicatif::ProgressBar>>,
    terminal: Terminal,
    wishes: OutputOptions,
    environment: Environment,
    color: Mutex<ColorChoice>,
}

struct Out {
    writer: Box<dyn Write + Send>,
    pager: Option<Pager>,
}

/// The text that a captured [`Ui`] has written.
#[derive(Debug, Clone, Default)]
pub struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    /// Returns the text so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.0)).into_owned()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Ui {
    /// Returns a printer to this process's outputs.
    pub fn of_process(wishes: OutputOptions, environment: &Environment) -> Self {
        let out = BufWriter::with_capacity(1 << 16, io::stdout());
        let terminal = Terminal::of_process(environment);
        Self::new(Box::new(out), Box::new(io::stderr()), terminal, wishes, environment)
    }

    /// Returns a printer to memory that behaves as if the outputs were `terminal`, with the captured
    /// standard output and standard error.
    pub fn captured(
        terminal: Terminal,
        wishes: OutputOptions,
        environment: &Environment,
    ) -> (Self, Captured, Captured) {
        let (out, err) = (Captured::default(), Captured::default());
        let ui = Self::new(Box::new(out.clone()), Box::new(err.clone()), terminal, wishes, environment);
        (ui, out, err)
    }

    fn new(
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
        terminal: Terminal,
        wishes: OutputOptions,
        environment: &Environment,
    ) -> Self {
        Self {
            out: Mutex::new(Out { writer: out, pager: None }),
            err: Mutex::new(err),
            bar: Mutex::new(None),
            terminal,
            wishes,
            environment: environment.clone(),
            color: Mutex::new(ColorChoice::resolve(wishes.color, None, environment)),
        }
    }

    /// Applies the user's `color.ui`. It is known only after git's configuration has been read.
    pub fn configure_color(&self, color_ui: Option<&str>) {
        *lock(&self.color) = ColorChoice::resolve(self.wishes.color, color_ui, &self.environment);
    }

    /// Returns true with `--json`.
    pub fn wants_json(&self) -> bool {
        self.wishes.json
    }

    /// Returns true if only results and errors are printed.
    pub fn is_quiet(&self) -> bool {
        self.wishes.quiet
    }

    /// Returns true if a progress bar is shown.
    fn wants_progress(&self) -> bool {
        self.terminal.stderr && !self.wishes.quiet && !self.wishes.json
    }

    /// Sets the current progress bar, so that messages are printed above it.
    fn set_bar(&self, bar: Option<indicatif::ProgressBar>) {
        *lock(&self.bar) = bar;
    }

    /// Starts the pager for the following results if standard output is a terminal and neither
    /// `--no-pager` nor `--json` is given. `core_pager` is git's setting.
    pub fn page(&self, core_pager: Option<&str>) {
        if !self.terminal.stdout || self.wishes.no_pager || self.wishes.json {
            return;
        }
        let Some(command) = pager::command(&self.environment, core_pager) else { return };
        match Pager::start(&command, &self.environment) {
            Ok((pager, pipe)) => {
                let mut out = lock(&self.out);
                out.writer = Box::new(BufWriter::new(pipe));
                out.pager = Some(pager);
            }
            Err(e) => self.warning(&format!("cannot run the pager '{}': {e}", command.display())),
        }
    }

    /// Asks `question` and returns the typed line, or `None` if there is no terminal. Fails if standard
    /// error cannot be written or standard input cannot be read.
    pub fn typed(&self, question: &str) -> Result<Option<String>, OutputError> {
        if !self.terminal.stderr || !io::stdin().is_terminal() {
            return Ok(None);
        }
        let mut err = lock(&self.err);
        write!(err, "{}", sanitised(question))?;
        err.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok(Some(answer.trim_end_matches(['\r', '\n']).to_owned()))
    }

    /// Prints one line of a result. Fails if standard output cannot be written.
    pub fn line(&self, text: impl Display) -> Result<(), OutputError> {
        self.spans(&[(Style::Plain, &text.to_string())])
    }

    /// Prints one line of a result in pieces of different style. Fails if standard output cannot be
    /// written.
    pub fn spans(&self, spans: &[(Style, &str)]) -> Result<(), OutputError> {
        let color = self.color_on_stdout();
        let text: String = spans
            .iter()
            .map(|(style, text)| {
                // A file or a pipe receives the bytes unchanged.
                let text = if self.terminal.stdout { sanitised(text) } else { (*text).into() };
                style.paint(&text, color)
            })
            .collect();
        Ok(writeln!(lock(&self.out).writer, "{text}")?)
    }

    /// Prints a result byte for byte. Fails if standard output cannot be written.
    pub fn raw(&self, bytes: &[u8]) -> Result<(), OutputError> {
        Ok(lock(&self.out).writer.write_all(bytes)?)
    }

    /// Prints a result as JSON. Fails if standard output cannot be written.
    pub fn json(&self, output: &impl Output) -> Result<(), OutputError> {
        // Converting to a value puts the fields of every type into alphabetical order.
        let value = serde_json::to_value(output).map_err(io::Error::from)?;
        let json = serde_json::to_string_pretty(&value).map_err(io::Error::from)?;
        Ok(writeln!(lock(&self.out).writer, "{}", sanitised_json(json))?)
    }

    /// Prints one of several results as JSON in one line. Fails if standard output cannot be written.
    pub fn json_line(&self, output: &impl LineOutput) -> Result<(), OutputError> {
        let json = json_text(output)?.replace('\n', " ");
        Ok(writeln!(lock(&self.out).writer, "{json}")?)
    }

    /// Begins a JSON document that consists of one list. The list may be too large for memory.
    pub fn json_list<L: ListOutput>(&self) -> JsonList<'_, L> {
        JsonList::new(self)
    }

    /// Prints a table: cut to the terminal's width, or at full width without a terminal. Fails if
    /// standard output cannot be written.
    pub fn table(&self, table: &Table) -> Result<(), OutputError> {
        let width = self.terminal.width.filter(|_| self.terminal.stdout);
        let color = self.color_on_stdout();
        Ok(table.print(width, color, &mut lock(&self.out).writer)?)
    }

    /// Prints a message about current or completed work.
    pub fn status(&self, text: &str) {
        if !self.wishes.quiet && !self.wishes.json {
            self.say(Style::Plain, "", text);
        }
    }

    /// Prints a warning about a problem that does not stop the work.
    pub fn warning(&self, text: &str) {
        if self.wishes.json {
            self.say_json(&WarningMessage { warning: WarningFields { message: text.to_owned() } });
        } else {
            self.say(Style::Attention, "warning: ", text);
        }
    }

    /// Prints a remedy for the user.
    pub fn hint(&self, text: &str) {
        if !self.wishes.quiet && !self.wishes.json {
            self.say(Style::Attention, "hint: ", text);
        }
    }

    /// Prints the error of the command.
    pub fn failure(&self, failure: &ErrorMessage) {
        if self.wishes.json {
            return self.say_json(failure);
        }
        let error = &failure.error;
        self.say(Style::Bad, "error: ", &error.message);
        for cause in &error.causes {
            self.say(Style::Dim, "  because: ", cause);
        }
        for hint in &error.hints {
            // A usage line is not advice. It is printed as git prints it.
            match hint.strip_prefix("usage: ") {
                Some(_) => self.say(Style::Plain, "", hint),
                None => self.hint(hint),
            }
        }
    }

    /// Prints the syntax of the command line.
    pub(crate) fn usage(&self, text: &str) {
        self.to_stderr(text);
    }

    /// Flushes all output and waits for the pager. Fails if standard output cannot be written.
    pub fn finish(&self) -> Result<(), OutputError> {
        let mut out = lock(&self.out);
        let flushed = out.writer.flush();
        if let Some(pager) = out.pager.take() {
            // Dropping the pipe ends the input of the pager.
            out.writer = Box::new(io::sink());
            pager.wait();
        }
        Ok(flushed?)
    }

    /// Returns true if results are printed in colours.
    pub fn color_on_stdout(&self) -> bool {
        lock(&self.color).applies(self.terminal.stdout)
    }

    /// Returns true if messages are printed in colours.
    pub fn color_on_stderr(&self) -> bool {
        lock(&self.color).applies(self.terminal.stderr)
    }

    /// Prints a message with a prefix on each line, as git does.
    fn say(&self, style: Style, prefix: &str, text: &str) {
        let color = lock(&self.color).applies(self.terminal.stderr);
        let prefix = style.paint(prefix, color);
        let lines: String =
            text.split('\n').map(|line| format!("{prefix}{}\n", sanitised_line(line))).collect();
        self.to_stderr(&lines);
    }

    fn say_json(&self, message: &impl Message) {
        // Converting to a value puts the fields into alphabetical order.
        if let Ok(value) = serde_json::to_value(message) {
            self.to_stderr(&format!("{}\n", sanitised_json(value.to_string())));
        }
    }

    fn to_stderr(&self, text: &str) {
        // Earlier results must appear before this message.
        let _ = lock(&self.out).writer.flush();
        // A failure of standard error cannot be reported anywhere.
        let print = || drop(lock(&self.err).write_all(text.as_bytes()));
        match lock(&self.bar).as_ref() {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

/// Locks the mutex, also after a panic: a panic while printing must not stop the printing of that
/// panic.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
