//! `git pggit completions`

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::{Cli, Context};
use crate::failure::Failure;

/// Print the completion script of a shell
///
/// For bash, write the script into its directory of completions:
/// git pggit completions bash > ~/.local/share/bash-completion/completions/git-pggit
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let mut script = Vec::new();
    // The script completes calls of the program itself, not calls through git.
    let mut command = Cli::command().bin_name("git-pggit");
    clap_complete::generate(args.shell, &mut command, "git-pggit", &mut script);
    Ok(context.ui.raw(&script)?)
}
