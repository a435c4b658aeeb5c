//! Parses the command line, and reports errors in git's short form.

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{Cli, conclude};
use crate::config::Environment;
use crate::failure::{Code, Failure};
use crate::terminal::{OutputOptions, Ui};

/// The reason why no command runs.
pub(super) enum Stop {
    /// The text of the help or of the version.
    Answer(String),
    /// The usage, printed because there are no arguments.
    Nothing(String),
    /// The error about an invalid command line.
    Wrong(Failure),
}

/// Parses `args`, which begin with the name of the program. Fails if no command is to run.
pub(super) fn parse(args: &[OsString]) -> Result<Cli, Stop> {
    Cli::try_parse_from(args).map_err(|error| {
        let text = error.render().to_string();
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Stop::Answer(text),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Stop::Nothing(text),
            _ => match retired_command(&error, args).or_else(|| retired(&error, args)) {
                Some((old, new)) => {
                    let message = format!("{old} was replaced by {new}");
                    Stop::Wrong(Failure::new(Code::Usage, message).hint("'--help' describes it"))
                }
                None => Stop::Wrong(wrong(&text)),
            },
        }
    })
}

/// The renamed options: the command, the old name and the new name.
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

/// The renamed commands: the old name and the new name.
const RETIRED_COMMANDS: [(&str, &str); 4] = [
    ("store ls", "'git pggit store list'"),
    ("store rm", "'git pggit store remove'"),
    ("clone stop", "'git pggit clone remove'"),
    ("reconcile", "'git pggit schedule catch-up'"),
];

/// Returns the old and the new name of the renamed command that causes the error.
fn retired_command(error: &clap::Error, args: &[OsString]) -> Option<(&'static str, &'static str)> {
    let ContextValue::String(unknown) = error.get(ContextKind::InvalidSubcommand)? else { return None };
    let words: Vec<&str> = args.iter().skip(1).filter_map(|arg| arg.to_str()).collect();
    let (old, new) = RETIRED_COMMANDS.iter().find(|(old, _)| {
        let (group, name) = old.rsplit_once(' ').unwrap_or(("", old));
        name == unknown && (group.is_empty() || words.contains(&group))
    })?;
    Some((old, new))
}

/// Returns the old and the new name of the renamed option that causes the error.
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

/// Returns the failure for an error text of clap, which has a message, `tip:` lines, and a `Usage:`
/// line.
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

/// Returns true if the command line has `--json`, even if it cannot be parsed.
fn wants_json(args: &[OsString]) -> bool {
    args.iter().take_while(|arg| *arg != "--").any(|arg| arg == OsStr::new("--json"))
}

impl Stop {
    /// Prints the text or the error, and returns the exit status.
    pub(super) fn finish(self, args: &[OsString], environment: &Environment) -> ExitCode {
        let ui =
            Ui::of_process(OutputOptions { json: wants_json(args), ..OutputOptions::default() }, environment);
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
            assert_eq!(failure.message(), format!("{old} was replaced by {new}"));
        }
        let args = ["git-pggit", "queue", "stop"].map(OsString::from);
        let Err(Stop::Wrong(failure)) = parse(&args) else { panic!() };
        assert!(!failure.message().contains("replaced"), "{}", failure.message());
    }

    #[test]
    fn a_retired_option_says_its_new_name_and_is_no_option() {
        for (command, old, new) in RETIRED {
            let mut args: Vec<OsString> = vec!["git-pggit".into(), "--json".into()];
            args.extend(command.split(' ').map(OsString::from));
            args.push(old.into());
            let Err(Stop::Wrong(failure)) = parse(&args) else { panic!("{command} {old} is read") };
            assert_eq!(failure.message(), format!("{old} was replaced by {new}"));
        }
        let args = ["git-pggit", "store", "list", "--prove"].map(OsString::from);
        let Err(Stop::Wrong(failure)) = parse(&args) else { panic!() };
        assert!(failure.message().contains("--prove") && !failure.message().contains("replaced"));
    }
}
