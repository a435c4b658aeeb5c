//! Migrations by a program of the user.
//!
//! Trusted configuration names the program. Its working directory has the files of the wanted commit,
//! and its environment names the database. It inherits no other variable that could name a database,
//! because a variable with the production server must not reach it.

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::{CommitId, DatabaseName};
use crate::git::{Oid, Repository};
use crate::pg::ConnInfo;
use crate::process::{Cmd, Stdout};
use crate::tools::reaching;

use super::Error;

/// A program that migrates a database to a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrateCommand {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// The git directory of the schema history.
    pub git_dir: PathBuf,
    /// The configured database.
    pub database: DatabaseName,
    /// The time limit of the program.
    pub deadline: Duration,
    /// The working directory in the tree of the commit; empty for the root.
    pub directory: String,
}

impl MigrateCommand {
    /// Returns the command, quoted for a shell.
    pub fn shown(&self) -> String {
        let words = self.words.iter().map(String::as_str);
        shlex::try_join(words).unwrap_or_else(|_| self.words.join(" "))
    }

    /// Runs the program, so that it migrates `target` to the commit `to`. The database is at the
    /// commit `from`, or is empty if that is `None`. Fails if the program fails or its time limit
    /// expires.
    pub(super) fn run(&self, target: &ConnInfo, to: &CommitId, from: Option<&CommitId>) -> Result<(), Error> {
        let Some((program, arguments)) = self.words.split_first() else { return Ok(()) };
        let worktree = Repository::open(&self.git_dir)?.worktree(Oid::from(to))?;
        let mut cmd = Cmd::new(program)
            .args(arguments)
            .cwd(worktree.path().join(&self.directory))
            .env("LC_ALL", "C.UTF-8");
        cmd = cmd.env("PGGIT_DATABASE", self.database.as_str()).env("PGGIT_COMMIT", to.as_str());
        if let Some(from) = from {
            cmd = cmd.env("PGGIT_FROM_COMMIT", from.as_str());
        }
        cmd = reaching(cmd, target).stdout(Stdout::Joined).deadline(self.deadline);
        let ran = cmd.run().map(drop);
        ran.map_err(|why| Error::Command { command: self.shown(), why })
    }
}
