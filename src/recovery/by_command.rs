//! Migrations that a program of the user runs.
//!
//! It is named in trusted configuration, gets the files of the commit that is
//! wanted as its directory and the database in its environment, and nothing else
//! of ours: a variable that says where production is must not reach it.

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::{CommitId, DatabaseName};
use crate::git::{Oid, Repository};
use crate::pg::ConnInfo;
use crate::process::{Cmd, Stdout};
use crate::tools::reaching;

use super::Error;

/// A program that brings a database to a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrateCommand {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// The git directory of the schema history.
    pub git_dir: PathBuf,
    /// The configured database.
    pub database: DatabaseName,
    /// When it is stopped.
    pub deadline: Duration,
}

impl MigrateCommand {
    /// As a person would write it in a shell.
    pub fn shown(&self) -> String {
        let words = self.words.iter().map(String::as_str);
        shlex::try_join(words).unwrap_or_else(|_| self.words.join(" "))
    }

    /// Lets it bring `target` to the commit `to`; it is at `from`, or empty.
    pub(super) fn run(&self, target: &ConnInfo, to: &CommitId, from: Option<&CommitId>) -> Result<(), Error> {
        let Some((program, arguments)) = self.words.split_first() else { return Ok(()) };
        let worktree = Repository::open(&self.git_dir)?.worktree(Oid::from(to))?;
        let mut cmd = Cmd::new(program).args(arguments).cwd(worktree.path()).env("LC_ALL", "C.UTF-8");
        cmd = cmd.env("PGGIT_DATABASE", self.database.as_str()).env("PGGIT_COMMIT", to.as_str());
        if let Some(from) = from {
            cmd = cmd.env("PGGIT_FROM_COMMIT", from.as_str());
        }
        cmd = reaching(cmd, target).stdout(Stdout::Joined).deadline(self.deadline);
        let ran = cmd.run().map(drop);
        ran.map_err(|why| Error::Command { command: self.shown(), why })
    }
}
