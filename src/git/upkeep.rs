//! What makes reading fast and changes nothing: packed refs, the commit-graph.

use super::{Error, Repository};

impl Repository {
    /// Moves the refs that match `patterns` into one file; with a git before
    /// 2.45, which cannot choose, all refs.
    pub fn pack_refs(&self, patterns: &[&str]) -> Result<(), Error> {
        let chosen = patterns.iter().flat_map(|it| ["--include", *it]);
        let answer = self.git("pack-refs", chosen, Vec::new())?;
        let answer = match answer.exit.stderr.contains("unknown option") {
            true => self.git("pack-refs", ["--all"], Vec::new())?,
            false => answer,
        };
        done("pack-refs", &answer)
    }

    /// Adds to the commit-graph what is reachable and not in it yet.
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
