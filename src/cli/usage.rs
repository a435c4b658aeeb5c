//! Reads the command line; what is wrong with it is said in git's short way.

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use super::error::{Code, Failure};
use super::ui::{Ui, Wishes};
use super::{Cli, conclude};
use crate::config::Environment;

/// Why no command is run.
pub(super) enum Stop {
    /// Help or the version was asked for.
    Answer(String),
    /// Nothing was asked for: how to ask.
    Nothing(String),
    /// It makes no sense.
    Wrong(Failure),
}

/// Reads `args`, the first of which is the name of the program.
pub(super) fn parse(args: &[OsString]) -> Result<Cli, Stop> {
    Cli::try_parse_from(args).map_err(|error| {
        let text = error.render().to_string();
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Stop::Answer(text),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Stop::Nothing(text),
            _ => Stop::Wrong(wrong(&text)),
        }
    })
}

/// Takes clap's text apart: the message, `tip:` lines, and the `Usage:` line.
fn wrong(text: &str) -> Failure {
    let (mut message, mut hints) = (Vec::new(), Vec::new());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(tip) = line.strip_prefix("tip: ") {
            hints.push(tip.to_owned());
        } else if let Some(usage) = line.strip_prefix("Usage: ") {
            hints.push(format!("usage: {usage}"));
        } else if !line.starts_with("For more information") {
            message.push(line.strip_prefix("error: ").unwrap_or(line));
        }
    }
    hints.into_iter().fold(Failure::new(Code::Usage, message.join(" ")), Failure::hint)
}

/// Whether the command line asks for JSON, as far as it can be understood.
fn wants_json(args: &[OsString]) -> bool {
    args.iter().take_while(|arg| *arg != "--").any(|arg| arg == OsStr::new("--json"))
}

impl Stop {
    /// Says it, and ends the process.
    pub(super) fn finish(self, args: &[OsString], environment: &Environment) -> ExitCode {
        let ui = Ui::of_process(Wishes { json: wants_json(args), ..Wishes::default() }, environment);
        let result = match self {
            Self::Answer(text) => ui.raw(text.as_bytes()).map_err(Failure::from),
            Self::Nothing(_) if wants_json(args) => Err(Failure::new(Code::Usage, "no command was given")),
            Self::Nothing(text) => {
                ui.usage(&text);
                return ExitCode::from(Code::Usage.status());
            }
            Self::Wrong(failure) => Err(failure),
        };
        let result = result.and(ui.finish().map_err(Failure::from));
        ExitCode::from(conclude(&ui, result))
    }
}
