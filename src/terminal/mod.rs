//! Standard output and standard error: everything that is printed goes through one [`Ui`].
//!
//! Results go to standard output, everything said about the work to standard
//! error. Whoever prints hands over plain text; the `Ui` knows whether there is
//! a terminal, colours, a pager, JSON or silence, and makes text that came from
//! elsewhere safe for a terminal. An output whose reader went away is reported
//! as [`OutputError`], so that the command can end quietly.

pub mod bar;
pub mod json;
pub mod message;
pub mod style;
pub mod table;
pub mod text;

mod pager;

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use json::{JsonElement, JsonList, LineOutput, ListOutput, Message, Output};
pub use style::{ColorChoice, Style};
pub use table::Table;

use crate::config::Environment;
use json::json_text;
use message::{ErrorMessage, WarningFields, WarningMessage};
use pager::Pager;
use text::{sanitised, sanitised_json, sanitised_line};

/// Standard output could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}")]
pub struct OutputError(#[from] pub io::Error);

/// What stands behind the two outputs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terminal {
    /// Standard output is a terminal.
    pub stdout: bool,
    /// Standard error is a terminal.
    pub stderr: bool,
    /// How many columns it has.
    pub width: Option<u16>,
}

impl Terminal {
    /// Looks at this process's outputs.
    fn of_process(environment: &Environment) -> Self {
        let width = environment.text("COLUMNS").and_then(|columns| columns.parse().ok());
        let stdout = io::stdout().is_terminal();
        let asked = || stdout.then(|| rustix::termios::tcgetwinsize(io::stdout()).ok()).flatten();
        let width = width.or_else(|| asked().map(|size| size.ws_col));
        Self { stdout, stderr: io::stderr().is_terminal(), width: width.filter(|columns| *columns > 0) }
    }
}

/// What the user asked for on the command line.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wishes {
    /// `--json`.
    pub json: bool,
    /// `--quiet`.
    pub quiet: bool,
    /// `--color`.
    pub color: Option<ColorChoice>,
    /// `--no-pager`.
    pub no_pager: bool,
}

/// The one object that prints.
pub struct Ui {
    out: Mutex<Out>,
    err: Mutex<Box<dyn Write + Send>>,
    bar: Mutex<Option<indicatif::ProgressBar>>,
    terminal: Terminal,
    wishes: Wishes,
    environment: Environment,
    color: Mutex<ColorChoice>,
}

struct Out {
    writer: Box<dyn Write + Send>,
    pager: Option<Pager>,
}

/// What a captured [`Ui`] has written.
#[derive(Debug, Clone, Default)]
pub struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    /// The text so far.
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
    /// Prints to this process's outputs.
    pub fn of_process(wishes: Wishes, environment: &Environment) -> Self {
        let out = BufWriter::with_capacity(1 << 16, io::stdout());
        let terminal = Terminal::of_process(environment);
        Self::new(Box::new(out), Box::new(io::stderr()), terminal, wishes, environment)
    }

    /// Prints to memory, as if the outputs were `terminal`. Returns what stands
    /// for standard output and for standard error.
    pub fn captured(
        terminal: Terminal,
        wishes: Wishes,
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
        wishes: Wishes,
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

    /// Takes the user's `color.ui` into account, once it is known.
    pub fn configure_color(&self, color_ui: Option<&str>) {
        *lock(&self.color) = ColorChoice::resolve(self.wishes.color, color_ui, &self.environment);
    }

    /// Whether results are wanted as JSON.
    pub fn wants_json(&self) -> bool {
        self.wishes.json
    }

    /// Whether nothing but results and errors is wanted.
    pub fn is_quiet(&self) -> bool {
        self.wishes.quiet
    }

    /// Whether a bar that moves makes sense.
    fn wants_progress(&self) -> bool {
        self.terminal.stderr && !self.wishes.quiet && !self.wishes.json
    }

    /// Sets the bar that moves now, so that messages are printed above it.
    fn set_bar(&self, bar: Option<indicatif::ProgressBar>) {
        *lock(&self.bar) = bar;
    }

    /// Sends the results that follow through the pager if the user would look
    /// at them on a terminal. `core_pager` is git's setting.
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

    /// What a person types after `question`; `None` when there is nobody to ask.
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

    /// Prints one line of a result.
    pub fn line(&self, text: impl Display) -> Result<(), OutputError> {
        self.spans(&[(Style::Plain, &text.to_string())])
    }

    /// Prints one line of a result in pieces of different style.
    pub fn spans(&self, spans: &[(Style, &str)]) -> Result<(), OutputError> {
        let color = self.color_on_stdout();
        let text: String = spans
            .iter()
            .map(|(style, text)| {
                // A file or a pipe gets the bytes as they are.
                let text = if self.terminal.stdout { sanitised(text) } else { (*text).into() };
                style.paint(&text, color)
            })
            .collect();
        Ok(writeln!(lock(&self.out).writer, "{text}")?)
    }

    /// Prints a result byte for byte.
    pub fn raw(&self, bytes: &[u8]) -> Result<(), OutputError> {
        Ok(lock(&self.out).writer.write_all(bytes)?)
    }

    /// Prints a result as JSON.
    pub fn json(&self, output: &impl Output) -> Result<(), OutputError> {
        // Values have their fields in the order of the names, whatever type they are of.
        let value = serde_json::to_value(output).map_err(io::Error::from)?;
        let json = serde_json::to_string_pretty(&value).map_err(io::Error::from)?;
        Ok(writeln!(lock(&self.out).writer, "{}", sanitised_json(json))?)
    }

    /// Prints a result that is one of many as JSON in one line.
    pub fn json_line(&self, output: &impl LineOutput) -> Result<(), OutputError> {
        let json = json_text(output)?.replace('\n', " ");
        Ok(writeln!(lock(&self.out).writer, "{json}")?)
    }

    /// Begins a JSON document that has nothing but one list, which may be too long
    /// to be kept in memory.
    pub fn json_list<L: ListOutput>(&self) -> JsonList<'_, L> {
        JsonList::new(self)
    }

    /// Prints a table: cut to the terminal's width, at full width elsewhere.
    pub fn table(&self, table: &Table) -> Result<(), OutputError> {
        let width = self.terminal.width.filter(|_| self.terminal.stdout);
        let color = self.color_on_stdout();
        Ok(table.print(width, color, &mut lock(&self.out).writer)?)
    }

    /// Says what is being done or has been done.
    pub fn status(&self, text: &str) {
        if !self.wishes.quiet && !self.wishes.json {
            self.say(Style::Plain, "", text);
        }
    }

    /// Warns of something that does not stop the work.
    pub fn warning(&self, text: &str) {
        if self.wishes.json {
            self.say_json(&WarningMessage { warning: WarningFields { message: text.to_owned() } });
        } else {
            self.say(Style::Attention, "warning: ", text);
        }
    }

    /// Says what the user could do.
    pub fn hint(&self, text: &str) {
        if !self.wishes.quiet && !self.wishes.json {
            self.say(Style::Attention, "hint: ", text);
        }
    }

    /// Prints why the command failed.
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
            // A usage line is no advice, and is printed as git prints it.
            match hint.strip_prefix("usage: ") {
                Some(_) => self.say(Style::Plain, "", hint),
                None => self.hint(hint),
            }
        }
    }

    /// Shows how the command line is written.
    pub(crate) fn usage(&self, text: &str) {
        self.to_stderr(text);
    }

    /// Ends all output and waits for the pager.
    pub fn finish(&self) -> Result<(), OutputError> {
        let mut out = lock(&self.out);
        let flushed = out.writer.flush();
        if let Some(pager) = out.pager.take() {
            // Dropping the pipe tells the pager that there is no more.
            out.writer = Box::new(io::sink());
            pager.wait();
        }
        Ok(flushed?)
    }

    /// Whether results are printed in colours.
    pub fn color_on_stdout(&self) -> bool {
        lock(&self.color).applies(self.terminal.stdout)
    }

    /// Whether messages are printed in colours.
    pub fn color_on_stderr(&self) -> bool {
        lock(&self.color).applies(self.terminal.stderr)
    }

    /// Prints a message, line by line after its prefix as git does.
    fn say(&self, style: Style, prefix: &str, text: &str) {
        let color = lock(&self.color).applies(self.terminal.stderr);
        let prefix = style.paint(prefix, color);
        let lines: String =
            text.split('\n').map(|line| format!("{prefix}{}\n", sanitised_line(line))).collect();
        self.to_stderr(&lines);
    }

    fn say_json(&self, message: &impl Message) {
        // Values have their fields in the order of the names.
        if let Ok(value) = serde_json::to_value(message) {
            self.to_stderr(&format!("{}\n", sanitised_json(value.to_string())));
        }
    }

    fn to_stderr(&self, text: &str) {
        // What was printed before must be seen before.
        let _ = lock(&self.out).writer.flush();
        // There is nobody left to tell when standard error fails.
        let print = || drop(lock(&self.err).write_all(text.as_bytes()));
        match lock(&self.bar).as_ref() {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

/// A panic while printing must not stop the printing of that panic.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
