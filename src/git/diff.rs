//! Differences in the format of `git diff`.

use crate::process::Status;

use super::{Error, Repository};

/// The options of [`Repository::diff`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiffOptions {
    /// True for a summary (`--stat`) instead of a patch.
    pub stat: bool,
    /// True for coloured output.
    pub color: bool,
}

/// A difference between two blobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// The output of git.
    pub text: Vec<u8>,
    /// True if the blobs differ.
    pub differs: bool,
}

impl Repository {
    /// Returns the output of `git diff` for two blobs, each named `<commit>:<path>`. Fails if git fails.
    pub fn diff(&self, old: &str, new: &str, options: DiffOptions) -> Result<Diff, Error> {
        let color = if options.color { "--color=always" } else { "--color=never" };
        let stat = options.stat.then_some("--stat");
        let args = ["--exit-code", color].into_iter().chain(stat).chain(["--end-of-options", old, new]);
        let answer = self.git("diff", args, Vec::new())?;
        match answer.exit.status {
            Status::Exited(status @ (0 | 1)) => Ok(Diff { text: answer.stdout, differs: status == 1 }),
            _ => {
                let detail = answer.exit.stderr.trim().trim_start_matches("fatal: ").to_owned();
                Err(Error::Program { command: "diff".to_owned(), detail })
            }
        }
    }
}
