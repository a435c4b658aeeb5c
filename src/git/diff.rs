//! Differences, as git shows them.

use crate::process::Status;

use super::{Error, Repository};

/// How a difference is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiffOptions {
    /// How much changed instead of what.
    pub stat: bool,
    /// In colours.
    pub color: bool,
}

/// A difference between two blobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// What git printed.
    pub text: Vec<u8>,
    /// Whether there is one.
    pub differs: bool,
}

impl Repository {
    /// What `git diff` shows between two blobs, each named `<commit>:<path>`.
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
