//! The `git` program, for what it alone does right: changing refs, asking for
//! its own words.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Error, Repository};

/// What a run of git gave.
pub(super) struct Answer {
    pub(super) success: bool,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

fn git() -> Command {
    use std::os::unix::process::CommandExt as _;
    #[expect(clippy::disallowed_methods, reason = "replaced by the room `process`")]
    let mut command = Command::new("git");
    command.env("LC_ALL", "C").process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(mut command: Command, input: &[u8]) -> std::io::Result<Answer> {
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // Git may end before it has read everything; then its status counts.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output()?;
    Ok(Answer {
        success: output.status.success(),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// What git says about the repository at `directory`, when it refuses it.
pub(super) fn opening_error(directory: &Path) -> Option<String> {
    let mut command = git();
    command.arg("rev-parse").arg("--git-dir").current_dir(directory);
    let answer = run(command, b"").ok().filter(|answer| !answer.success)?;
    Some(answer.stderr.trim_start_matches("fatal: ").to_owned())
}

impl Repository {
    /// Runs `git <args>` on this repository, with `input` on its stdin.
    pub(super) fn git(&self, args: &[impl AsRef<OsStr>], input: &[u8]) -> Result<Answer, Error> {
        let mut command = git();
        command.args(args).env("GIT_DIR", self.git_dir()).current_dir(self.git_dir());
        let name = || args.first().map(|arg| arg.as_ref().to_string_lossy().into_owned()).unwrap_or_default();
        run(command, input).map_err(|source| Error::Program { command: name(), detail: source.to_string() })
    }
}
