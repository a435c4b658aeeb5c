//! The short help of every command.

use super::assert_shown;
use crate::sandbox::Sandbox;

/// Returns the names below `Commands:` or below the headings that replace it.
fn commands_in(help: &str) -> Vec<String> {
    let mut names = vec![];
    let mut is_list = false;
    for line in help.lines() {
        if !line.starts_with(' ') {
            is_list = line.ends_with(':') && !line.starts_with("Usage") && line.contains("ommands");
        } else if is_list && line.starts_with("  ") && !line.starts_with("   ") {
            names.extend(line.split_whitespace().next().map(str::to_owned));
        }
    }
    names
}

/// Compares the help of a command and of its subcommands. Returns the number of commands.
fn walk(sandbox: &Sandbox, command: &[String]) -> usize {
    let args = command.iter().map(String::as_str).chain(["-h"]);
    let output = sandbox.pggit(args).success();
    assert!(output.stderr.is_empty(), "{}", output.snapshot());
    let help = output.stdout_text();
    let name = [&["git-pggit".to_owned()], command].concat().join("-");
    assert_shown("help", &name, &help);
    let below = commands_in(&help).into_iter().filter(|name| name != "help");
    1 + below.map(|name| walk(sandbox, &[command, &[name]].concat())).sum::<usize>()
}

#[test]
fn every_command_has_short_help() {
    let sandbox = Sandbox::without_repository();
    let commands = walk(&sandbox, &[]);
    assert!(commands > 90, "only {commands} commands were found");
}
