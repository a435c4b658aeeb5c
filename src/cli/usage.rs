//! Reads the command line; what is wrong with it is said in git's short way.

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{Cli, conclude};
use crate::config::Environment;
use crate::failure::{Code, Failure};
use crate::terminal::{Ui, Wishes};

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
            _ => match retired_command(&error, args).or_else(|| retired(&error, args)) {
                Some((old, new)) => {
                    let message = format!("{old} is called {new} now");
                    Stop::Wrong(Failure::new(Code::Usage, message).hint("see its '--help'"))
                }
                None => Stop::Wrong(wrong(&text)),
            },
        }
    })
}

/// The options that have another name now, by the command that had them.
const RETIRED: [(&str, &str, &str); 15] = [
    ("backup restore", "--list", "'git pggit backup restore list'"),
    ("backup restore", "--resume", "'git pggit backup restore resume'"),
    ("backup restore", "--abort", "'git pggit backup restore abort'"),
    ("backup restore", "--finish", "'git pggit backup restore finish'"),
    ("backup restore", "--prove", "--check-schema"),
    ("backup restore", "--end-of-log", "--to-latest"),
    ("backup restore", "--server", "--maintenance-db"),
    ("backup plan", "--prove", "--check-schema"),
    ("backup plan", "--end-of-log", "--to-latest"),
    ("backup plan", "--server", "--maintenance-db"),
    ("with", "--server", "--maintenance-db"),
    ("checkout", "--server", "--maintenance-db"),
    ("backup verify", "--again", "--force"),
    ("store remove", "--even-if-recorded", "--recorded"),
    ("ledger import", "--names-only", "--allow-missing-commits"),
];

/// The commands that have another name now.
const RETIRED_COMMANDS: [(&str, &str); 4] = [
    ("store ls", "'git pggit store list'"),
    ("store rm", "'git pggit store remove'"),
    ("clone stop", "'git pggit clone remove'"),
    ("reconcile", "'git pggit schedule catch-up'"),
];

/// Returns the retired command that is the reason of the error, and its name now.
fn retired_command(error: &clap::Error, args: &[OsString]) -> Option<(&'static str, &'static str)> {
    let ContextValue::String(unknown) = error.get(ContextKind::InvalidSubcommand)? else { return None };
    let words: Vec<&str> = args.iter().skip(1).filter_map(|arg| arg.to_str()).collect();
    let (old, new) = RETIRED_COMMANDS.iter().find(|(old, _)| {
        let (group, name) = old.rsplit_once(' ').unwrap_or(("", old));
        name == unknown && (group.is_empty() || words.contains(&group))
    })?;
    Some((old, new))
}

/// Returns the retired option that is the reason of the error, and its name now.
fn retired(error: &clap::Error, args: &[OsString]) -> Option<(&'static str, &'static str)> {
    let ContextValue::String(unknown) = error.get(ContextKind::InvalidArg)? else { return None };
    let unknown = unknown.split('=').next()?;
    let words: Vec<&str> = args.iter().skip(1).filter_map(|arg| arg.to_str()).collect();
    let is_of = |command: &str| {
        let mut words = words.iter();
        command.split(' ').all(|part| words.any(|word| *word == part))
    };
    let (_, old, new) = RETIRED.iter().find(|(command, old, _)| *old == unknown && is_of(command))?;
    Some((old, new))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retired_command_says_its_new_name_and_is_no_command() {
        for (old, new) in RETIRED_COMMANDS {
            let mut args: Vec<OsString> = vec!["git-pggit".into(), "--quiet".into()];
            args.extend(old.split(' ').map(OsString::from));
            args.push("--force".into());
            let Err(Stop::Wrong(failure)) = parse(&args) else { panic!("{old} is read") };
            assert_eq!(failure.message(), format!("{old} is called {new} now"));
        }
        let args = ["git-pggit", "queue", "stop"].map(OsString::from);
        let Err(Stop::Wrong(failure)) = parse(&args) else { panic!() };
        assert!(!failure.message().contains("now"), "{}", failure.message());
    }

    #[test]
    fn a_retired_option_says_its_new_name_and_is_no_option() {
        for (command, old, new) in RETIRED {
            let mut args: Vec<OsString> = vec!["git-pggit".into(), "--json".into()];
            args.extend(command.split(' ').map(OsString::from));
            args.push(old.into());
            let Err(Stop::Wrong(failure)) = parse(&args) else { panic!("{command} {old} is read") };
            assert_eq!(failure.message(), format!("{old} is called {new} now"));
        }
        let args = ["git-pggit", "store", "list", "--prove"].map(OsString::from);
        let Err(Stop::Wrong(failure)) = parse(&args) else { panic!() };
        assert!(failure.message().contains("--prove") && !failure.message().contains("now"));
    }
}
