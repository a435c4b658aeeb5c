//! Fetches from and pushes to other repositories.
//!
//! The `git` program does the transport and handles credentials and hooks. Results are taken from the
//! refs themselves where possible, because its messages differ between versions.

use std::time::Duration;

use crate::process::{Exit, Output, Status, Stdin};

use super::{Error, Oid, Repository};

/// Maximum output of git in bytes, enough for millions of refs.
const ANSWER_BYTES_MAX: usize = 1 << 30;

/// The result of the push of one ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedRef {
    /// The name of the ref on the remote.
    pub name: String,
    /// The outcome.
    pub outcome: PushOutcome,
}

/// The outcome of the push of one ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushOutcome {
    /// The remote has the new tip.
    Accepted,
    /// Another push came first: fetch, merge and push again.
    Behind,
    /// The remote rejected the ref, for this reason.
    Refused(String),
}

impl Repository {
    /// Returns the names of the remotes.
    pub fn remotes(&self) -> Vec<String> {
        self.gix.remote_names().into_iter().map(|name| name.to_string()).collect()
    }

    /// Returns the default remote of git: the only remote, otherwise that of the current branch, otherwise
    /// `origin`.
    pub fn default_remote(&self) -> Option<String> {
        let remotes = self.remotes();
        let configured = self.head_branch().and_then(|branch| {
            let key = format!("branch.{branch}.remote");
            self.gix.config_snapshot().string(key.as_str()).map(|remote| remote.to_string())
        });
        let origin = || remotes.iter().find(|name| *name == "origin").cloned();
        match remotes.as_slice() {
            [only] => Some(only.clone()),
            _ => configured.filter(|remote| remotes.contains(remote)).or_else(origin),
        }
    }

    /// Returns the refs of `remote` that match `patterns`, with their targets. Fails if the remote cannot
    /// be read.
    pub fn refs_of(
        &self,
        remote: &str,
        patterns: &[&str],
        unattended: Option<Duration>,
    ) -> Result<Vec<(String, Oid)>, Error> {
        let options = ["--quiet", "--refs", "--end-of-options", remote];
        let args = options.into_iter().chain(patterns.iter().copied());
        let output = self.transport("ls-remote", args, Vec::new(), unattended)?;
        if !output.exit.status.is_success() {
            return Err(refused("ls-remote", &output.exit));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let line = |line: &str| {
            let (id, name) = line.split_once('\t')?;
            Some((name.to_owned(), Oid::from_hex(id)?))
        };
        Ok(text.lines().filter_map(line).collect())
    }

    /// Fetches exactly the refs of `refspecs` from `remote`. Fails if the fetch fails, or takes longer than
    /// `unattended`.
    pub fn fetch(
        &self,
        remote: &str,
        refspecs: &[String],
        unattended: Option<Duration>,
    ) -> Result<(), Error> {
        let options = [
            "--quiet",
            "--prune",
            "--no-tags",
            "--refmap=",
            "--no-recurse-submodules",
            "--no-auto-gc",
            "--stdin",
            "--end-of-options",
        ];
        let args = options.into_iter().chain([remote]);
        let refspecs = refspecs.iter().flat_map(|refspec| [refspec.as_str(), "\n"]).collect::<String>();
        let output = self.transport("fetch", args, refspecs.into_bytes(), unattended)?;
        if output.exit.status.is_success() { Ok(()) } else { Err(refused("fetch", &output.exit)) }
    }

    /// Pushes refs to `remote`, never by force. Returns a result for each ref that git reports. Fails if git
    /// reports none, or takes longer than `unattended`.
    pub fn push(
        &self,
        remote: &str,
        refspecs: &[String],
        unattended: Option<Duration>,
    ) -> Result<Vec<PushedRef>, Error> {
        let options = ["--porcelain", "--no-recurse-submodules", "--end-of-options", remote];
        let args = options.into_iter().chain(refspecs.iter().map(String::as_str));
        let output = self.transport("push", args, Vec::new(), unattended)?;
        let pushed = parse_push(&String::from_utf8_lossy(&output.stdout));
        if pushed.is_empty() && !output.exit.status.is_success() {
            return Err(refused("push", &output.exit));
        }
        Ok(pushed)
    }

    /// Runs git in the foreground, where it may prompt for a password, or, with `unattended`, without
    /// prompts and with that time limit.
    fn transport<'a>(
        &self,
        command: &str,
        args: impl IntoIterator<Item = &'a str>,
        input: Vec<u8>,
        unattended: Option<Duration>,
    ) -> Result<Output, Error> {
        let git =
            self.program().arg(command).args(args).stdin(Stdin::Bytes(input)).stdout_limit(ANSWER_BYTES_MAX);
        // The relative path of a remote is relative to its repository.
        let git = if self.ignores_environment { git.cwd(self.top()) } else { git };
        let git = match unattended {
            None => git.foreground(),
            Some(deadline) => git.env("GIT_TERMINAL_PROMPT", "0").deadline(deadline),
        };
        git.run_any()
            .map_err(|error| Error::Program { command: command.to_owned(), detail: error.to_string() })
    }

    /// Returns true if `wanted` is an ancestor of `tip`. This is fast for a long history: git stops at older
    /// commits and uses the commit-graph. Fails if git fails.
    pub fn is_ancestor(&self, wanted: Oid, tip: Oid) -> Result<bool, Error> {
        let args = ["--is-ancestor".to_owned(), wanted.to_string(), tip.to_string()];
        let answer = self.git("merge-base", args, Vec::new())?;
        match answer.exit.status {
            Status::Exited(status @ (0 | 1)) => Ok(status == 0),
            _ => Err(refused("merge-base", &answer.exit)),
        }
    }

    /// Returns true if `wanted` is in the history of `tip`, which is followed only up to `end`. Fails if a
    /// commit cannot be read.
    pub fn contains(&self, tip: Oid, wanted: Oid, end: Oid) -> Result<bool, Error> {
        let (mut seen, mut next) = (std::collections::BTreeSet::new(), vec![tip]);
        while let Some(id) = next.pop() {
            if id == wanted {
                return Ok(true);
            }
            if id != end && seen.insert(id) {
                next.extend(self.commit(id)?.parents);
            }
        }
        Ok(false)
    }
}

fn refused(command: &str, exit: &Exit) -> Error {
    let words = exit.stderr.trim().trim_start_matches("fatal: ");
    let detail = if words.is_empty() { exit.status.to_string() } else { words.to_owned() };
    Error::Program { command: command.to_owned(), detail }
}

/// Parses the output of `git push --porcelain`: `<flag> TAB <from>:<to> TAB <summary>`.
fn parse_push(text: &str) -> Vec<PushedRef> {
    let line = |line: &str| {
        let mut fields = line.split('\t');
        let (flag, refs, summary) = (fields.next()?, fields.next()?, fields.next()?);
        let name = refs.rsplit_once(':')?.1.to_owned();
        let behind = [
            "(fetch first)",
            "(non-fast-forward)",
            "(stale info)",
            "failed to update ref",
            "cannot lock ref",
        ];
        let outcome = match flag {
            " " | "*" | "=" | "+" | "-" => PushOutcome::Accepted,
            "!" if behind.iter().any(|words| summary.contains(words)) => PushOutcome::Behind,
            "!" => PushOutcome::Refused(summary.trim_start_matches("[remote rejected] ").to_owned()),
            _ => return None,
        };
        Some(PushedRef { name, outcome })
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::{PushOutcome, parse_push};

    #[test]
    fn every_push_status_is_parsed() {
        let text = "To /srv/x\n*\trefs/backups/a:refs/backups/a\t[new reference]\n=\trefs/b:refs/b\t[up to date]\n \trefs/n:refs/n\t1..2\n!\trefs/c:refs/c\t[rejected] (fetch first)\n!\trefs/d:refs/d\t[remote rejected] (hook declined)\nDone\n";
        let pushed: Vec<_> =
            parse_push(text).into_iter().map(|pushed| (pushed.name, pushed.outcome)).collect();
        let expected = [
            ("refs/backups/a", PushOutcome::Accepted),
            ("refs/b", PushOutcome::Accepted),
            ("refs/n", PushOutcome::Accepted),
            ("refs/c", PushOutcome::Behind),
            ("refs/d", PushOutcome::Refused("(hook declined)".to_owned())),
        ];
        assert_eq!(pushed, expected.map(|(name, outcome)| (name.to_owned(), outcome)));
        assert_eq!(parse_push("garbage\n\t\n"), []);
    }
}
