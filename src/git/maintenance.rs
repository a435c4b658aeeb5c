//! Maintenance for speed: packed refs and the commit-graph.

use super::{Error, Repository};

impl Repository {
    /// Packs the refs that match `patterns`. git before 2.45 cannot select refs and packs all of them.
    /// Fails if git fails.
    pub fn pack_refs(&self, patterns: &[&str]) -> Result<(), Error> {
        let chosen = patterns.iter().flat_map(|it| ["--include", *it]);
        let answer = self.git("pack-refs", chosen, Vec::new())?;
        let answer = match answer.exit.stderr.contains("unknown option") {
            true => self.git("pack-refs", ["--all"], Vec::new())?,
            false => answer,
        };
        done("pack-refs", &answer)
    }

    /// Adds the reachable commits to the commit-graph. Fails if git fails.
    pub fn write_commit_graph(&self) -> Result<(), Error> {
        let args = ["write", "--reachable", "--split", "--no-progress"];
        done("commit-graph", &self.git("commit-graph", args, Vec::new())?)
    }
}

fn done(command: &str, answer: &crate::process::Output) -> Result<(), Error> {
    if answer.exit.status.is_success() {
        return Ok(());
    }
    let detail = answer.exit.stderr.trim().trim_start_matches("fatal: ").to_owned();
    Err(Error::Program { command: command.to_owned(), detail })
}
