//! Runs the `git` program, where it is more reliable than the library: to change refs, and for its
//! messages.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::process::{Cmd, Output, Stdin};

use super::{Error, Repository};

/// Returns the command `git`, with the environment of the user and messages in English. An interrupt of
/// this program does not stop it half-way.
pub(super) fn git() -> Cmd {
    Cmd::new("git").inherit_env().env("LC_ALL", "C").survives_interrupt()
}

/// Returns the message of git about the repository at `directory`, if git refuses to open it.
pub(super) fn opening_error(directory: &Path) -> Option<String> {
    let answer = git().args(["rev-parse", "--git-dir"]).cwd(directory).run_any().ok()?;
    let words = answer.exit.stderr.trim().trim_start_matches("fatal: ").to_owned();
    (!answer.exit.status.is_success()).then_some(words)
}

/// The variables that name the repository: the list of `git rev-parse --local-env-vars`, without the
/// variables of `git -c`. They are set in hooks.
const LOCAL_ENV: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// Returns the command `git` without the variables that name a repository.
pub(super) fn git_without_repository_env() -> Cmd {
    git().hide_env(LOCAL_ENV)
}

impl Repository {
    /// Returns the command `git` for this repository.
    pub(super) fn program(&self) -> Cmd {
        let git = git().env("GIT_DIR", self.git_dir());
        if self.ignores_environment { git.hide_env(LOCAL_ENV) } else { git }
    }

    /// Runs `git <command> <args>` on this repository, with `input` as its standard input. Fails if it
    /// cannot be run; the caller checks its exit status.
    pub(super) fn git<A: Into<OsString>>(
        &self,
        command: &str,
        args: impl IntoIterator<Item = A>,
        input: Vec<u8>,
    ) -> Result<Output, Error> {
        self.git_with(&[], command, args, input)
    }

    /// Like [`Self::git`], with additional variables.
    pub(super) fn git_with<A: Into<OsString>>(
        &self,
        env: &[(&str, &OsStr)],
        command: &str,
        args: impl IntoIterator<Item = A>,
        input: Vec<u8>,
    ) -> Result<Output, Error> {
        let ran = self.git_command(env, command, args).stdin(Stdin::Bytes(input)).run_any();
        ran.map_err(|error| Error::Program { command: command.to_owned(), detail: error.to_string() })
    }

    /// Returns the command `git <command> <args>` for this repository.
    pub(super) fn git_command<A: Into<OsString>>(
        &self,
        env: &[(&str, &OsStr)],
        command: &str,
        args: impl IntoIterator<Item = A>,
    ) -> Cmd {
        // Without this setting, git checks if a ref has the name of an object, and reads packed-refs
        // before it holds a lock. It then trusts its copy as long as inode, size and whole seconds are
        // equal, which two `git pack-refs` within a second can leave unchanged: 1 of 3,000 updates was
        // lost.
        let git = self.program().args(["-c", "core.warnAmbiguousRefs=false", command]).args(args);
        let git = env.iter().fold(git, |git, (name, value)| git.env(*name, *value));
        git.cwd(self.git_dir())
    }
}
