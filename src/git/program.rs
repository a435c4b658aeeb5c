//! The `git` program, for what it alone does right: changing refs, asking for
//! its own words.

use std::ffi::OsString;
use std::path::Path;

use crate::process::{Cmd, Output, Stdin};

use super::{Error, Repository};

/// Git with everything that its user has set up, answering in English. It is
/// no tool that ends with us: an interrupt does not stop it half way.
fn git() -> Cmd {
    Cmd::new("git").inherit_env().env("LC_ALL", "C").survives_interrupt()
}

/// What git says about the repository at `directory`, when it refuses it.
pub(super) fn opening_error(directory: &Path) -> Option<String> {
    let answer = git().args(["rev-parse", "--git-dir"]).cwd(directory).run_any().ok()?;
    let words = answer.exit.stderr.trim().trim_start_matches("fatal: ").to_owned();
    (!answer.exit.status.is_success()).then_some(words)
}

impl Repository {
    /// Runs `git <args>` on this repository, with `input` on its stdin.
    pub(super) fn git<A: Into<OsString>>(
        &self,
        args: impl IntoIterator<Item = A>,
        input: Vec<u8>,
    ) -> Result<Output, Error> {
        let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
        let command = args.first().map(|arg| arg.to_string_lossy().into_owned()).unwrap_or_default();
        git()
            .args(args)
            .env("GIT_DIR", self.git_dir())
            .cwd(self.git_dir())
            .stdin(Stdin::Bytes(input))
            .run_any()
            .map_err(|error| Error::Program { command, detail: error.to_string() })
    }
}
