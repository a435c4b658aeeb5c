//! `git pggit hooks`: backups after moves of branches.

mod install;
mod remove;
mod run;
mod status;

use clap::Subcommand;

use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::git::hooks::{Hook, HookError, Hooks};

/// Manage the git hooks that enqueue backups when branches move
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Install(install::Args),
    Remove(remove::Args),
    Status(status::Args),
    #[command(hide = true)]
    Run(run::Args),
}

pub(super) fn run(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Install(args) => install::run(&args, context),
        Command::Remove(args) => remove::run(&args, context),
        Command::Status(args) => status::run(&args, context),
        Command::Run(args) => {
            run::run(&args, context);
            Ok(())
        }
    }
}

/// Returns the hooks of the repository. Fails if `core.hooksPath` switches hooks off.
fn place(context: &Context) -> Result<Hooks, Failure> {
    let hooks = context.repository()?.hooks(context.git_config()?)?;
    if hooks.dir.exists() && !hooks.dir.is_dir() {
        let message = format!("hooks are disabled: core.hooksPath is {}", hooks.dir.display());
        return Err(Failure::new(Code::Conflict, message)
            .hint("'git config --show-origin core.hooksPath' shows the file that sets it"));
    }
    Ok(hooks)
}

/// Returns the selected hooks: the named ones, or all.
fn meant(names: &[Hook]) -> Vec<Hook> {
    if names.is_empty() { Hook::ALL.to_vec() } else { names.to_vec() }
}

fn hook(text: &str) -> Result<Hook, String> {
    Hook::named(text).ok_or_else(|| {
        let names: Vec<_> = Hook::ALL.iter().map(|hook| hook.name()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

/// Returns the path of this program, which the hooks run.
fn program() -> Result<std::path::PathBuf, Failure> {
    std::env::current_exe().map_err(|error| Failure::of(Code::Fatal, &error))
}

impl From<HookError> for Failure {
    fn from(error: HookError) -> Self {
        match &error {
            HookError::Io { .. } => Self::of(Code::Storage, &error),
            HookError::NameTaken { .. } => Self::of(Code::Conflict, &error)
                .hint("a hook that is not a shell script gets that name; move the file away, or call 'git pggit hooks run <hook> \"$@\"' from your hook"),
            HookError::Markers { .. } => Self::of(Code::Conflict, &error).hint("remove the markers by hand, then run the command again"),
        }
    }
}
