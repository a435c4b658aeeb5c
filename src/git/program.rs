//! The `git` program, for what it alone does right: changing refs, asking for
//! its own words.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::process::{Cmd, Output, Stdin};

use super::{Error, Repository};

/// Git with everything that its user has set up, answering in English. It is
/// no tool that ends with us: an interrupt does not stop it half way.
pub(super) fn git() -> Cmd {
    Cmd::new("git").inherit_env().env("LC_ALL", "C").survives_interrupt()
}

/// What git says about the repository at `directory`, when it refuses it.
pub(super) fn opening_error(directory: &Path) -> Option<String> {
    let answer = git().args(["rev-parse", "--git-dir"]).cwd(directory).run_any().ok()?;
    let words = answer.exit.stderr.trim().trim_start_matches("fatal: ").to_owned();
    (!answer.exit.status.is_success()).then_some(words)
}

/// What `git rev-parse --local-env-vars` lists, without what `git -c` hands
/// down: it is about the repository that the environment speaks of. In a hook
/// of that repository these are set.
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

/// Git without what the environment says about a repository.
pub(super) fn elsewhere() -> Cmd {
    git().hide_env(LOCAL_ENV)
}

impl Repository {
    /// Git for this repository, in its git directory or where it is told to.
    pub(super) fn program(&self) -> Cmd {
        let git = git().env("GIT_DIR", self.git_dir());
        if self.elsewhere { git.hide_env(LOCAL_ENV) } else { git }
    }

    /// Runs `git <command> <args>` on this repository, with `input` on its
    /// stdin.
    pub(super) fn git<A: Into<OsString>>(
        &self,
        command: &str,
        args: impl IntoIterator<Item = A>,
        input: Vec<u8>,
    ) -> Result<Output, Error> {
        self.git_with(&[], command, args, input)
    }

    /// The same with more in its environment.
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

    /// `git <command> <args>` on this repository, to be started by the caller.
    pub(super) fn git_command<A: Into<OsString>>(
        &self,
        env: &[(&str, &OsStr)],
        command: &str,
        args: impl IntoIterator<Item = A>,
    ) -> Cmd {
        // Without this git looks whether some ref is called like an object, and
        // so reads packed-refs before it holds any lock. What it has read it
        // trusts by inode, size and whole seconds, which two `git pack-refs`
        // within a second leave alike: one of 3,000 updates was lost that way.
        let git = self.program().args(["-c", "core.warnAmbiguousRefs=false", command]).args(args);
        let git = env.iter().fold(git, |git, (name, value)| git.env(*name, *value));
        git.cwd(self.git_dir())
    }
}
