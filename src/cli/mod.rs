//! The command line: the only module that parses arguments, prints results, and decides the exit
//! status.
//!
//! [`run`] is the whole program. Each command has one file in [`commands`]. Its function takes a
//! [`Context`] and fails with a [`Failure`].

pub mod context;

mod after_change;
mod automation;
mod clone_options;
mod commands;
mod from_option;
mod logging;
mod panics;
mod restores;
mod usage;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{ArgAction, Parser, ValueEnum};

use crate::clock::System;
use crate::config::Environment;
use crate::failure::{Code, Failure};
use crate::terminal::{ColorChoice, OutputOptions, Ui};
use commands::Command;
pub use context::Context;

/// Back up PostgreSQL databases as first-class citizens of git
///
/// Every backup is recorded as git objects on the commit of the schema history
/// that it belongs to: 'git log' shows it, every clone has it, and losing the
/// database never loses the catalogue.
#[derive(Debug, Parser)]
#[command(name = "git-pggit", bin_name = "git pggit", version, arg_required_else_help = true)]
#[command(disable_help_subcommand = true, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    /// Run as if started in <DIR>; may be given several times, as in git
    #[arg(short = 'C', value_name = "DIR", action = ArgAction::Append)]
    directory: Vec<OsString>,

    /// Print results, errors and warnings as JSON
    #[arg(long, global = true, help_heading = GLOBAL)]
    json: bool,

    /// Print only results and errors
    #[arg(short, long, global = true, help_heading = GLOBAL)]
    quiet: bool,

    /// Use of colours in the output
    #[arg(long, global = true, value_name = "WHEN", help_heading = GLOBAL)]
    color: Option<Color>,

    /// Do not pipe long output into a pager
    #[arg(long, global = true, help_heading = GLOBAL)]
    no_pager: bool,

    #[command(subcommand)]
    command: Command,
}

/// The values of `--color`.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Color {
    /// Colours on a terminal only.
    Auto,
    /// Colours also in files and pipes.
    Always,
    /// No colours.
    Never,
}

impl From<Color> for ColorChoice {
    fn from(color: Color) -> Self {
        match color {
            Color::Auto => Self::Auto,
            Color::Always => Self::Always,
            Color::Never => Self::Never,
        }
    }
}

const GLOBAL: &str = "Global options";
const AFTER_HELP: &str = "Exit codes are listed in docs/exit-codes.md, settings by 'git pggit config'.";

impl Cli {
    fn wishes(&self) -> OutputOptions {
        OutputOptions {
            json: self.json,
            quiet: self.quiet,
            color: self.color.map(ColorChoice::from),
            no_pager: self.no_pager,
        }
    }
}

/// Runs the program with the arguments of the process, including its own name. Returns the exit status.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let environment = Environment::from_process();
    let cli = match usage::parse(&args) {
        Ok(cli) => cli,
        Err(stop) => return stop.finish(&args, &environment),
    };
    let ui = Arc::new(Ui::of_process(cli.wishes(), &environment));
    let result = panics::caught(|| start(cli, &ui, environment));
    let result = result.and(ui.finish().map_err(Failure::from));
    ExitCode::from(conclude(&ui, result))
}

fn start(cli: Cli, ui: &Arc<Ui>, environment: Environment) -> Result<(), Failure> {
    for dir in cli.directory.iter().filter(|dir| !dir.is_empty()) {
        std::env::set_current_dir(dir).map_err(|e| {
            Failure::new(Code::Fatal, format!("cannot change to '{}'", dir.display())).cause(e.to_string())
        })?;
    }
    let cwd = std::env::current_dir().map_err(|e| {
        Failure::new(Code::Fatal, "cannot determine the current directory").cause(e.to_string())
    })?;
    let context = Context::new(Arc::clone(ui), environment, Arc::new(System), cwd);
    commands::run(cli.command, &context)
}

/// Prints the error, if there is one, and returns the exit status.
fn conclude(ui: &Ui, result: Result<(), Failure>) -> u8 {
    match result {
        Ok(()) => Code::Done.status(),
        Err(failure) => {
            if !failure.is_silent() {
                ui.failure(&failure.output());
            }
            failure.status()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;
    use crate::output::OUTPUTS;

    #[test]
    fn every_command_of_an_output_exists() {
        let mut known: Vec<String> = vec![];
        let mut commands = vec![(String::new(), Cli::command())];
        while let Some((path, command)) = commands.pop() {
            for sub in command.get_subcommands() {
                let path = format!("{path} {}", sub.get_name()).trim().to_owned();
                known.push(path.clone());
                commands.push((path, sub.clone()));
            }
        }
        for command in OUTPUTS.iter().flat_map(|output| output.commands) {
            assert!(known.iter().any(|known| known == command), "there is no command '{command}'");
        }
    }
}
