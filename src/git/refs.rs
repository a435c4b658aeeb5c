//! Reading refs, and changing several of them in one step.
//!
//! Changes go through `git update-ref --stdin`, not through the library: its
//! transactions lose updates while somebody else runs `git pack-refs`, and when
//! the process is killed they leave lock files that block git. The program does
//! neither, runs in a process group of its own and so finishes what it began
//! when we are killed.

use std::io::{BufRead as _, BufReader, Write as _};

use gix::bstr::ByteSlice;

use super::{Error, Oid, Repository};
use crate::process::Stdin;

/// One ref of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefUpdate {
    /// Full name.
    pub name: String,
    /// What it must point to now; `None`: it must not exist.
    pub old: Option<Oid>,
    /// What it is to point to.
    pub new: Oid,
}

/// One ref that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefDeletion {
    /// Full name.
    pub name: String,
    /// What it must point to now.
    pub old: Oid,
}

/// Several refs that change together or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    /// The refs.
    pub updates: Vec<RefUpdate>,
    /// The refs that are to go.
    pub deletions: Vec<RefDeletion>,
    /// What the reflogs say.
    pub reason: String,
}

impl Repository {
    /// What the ref `name` points to.
    pub fn ref_tip(&self, name: &str) -> Result<Option<Oid>, Error> {
        let found = self.gix.try_find_reference(name).map_err(Error::library(format!("read ref {name}")))?;
        Ok(found.and_then(|reference| reference.try_id().map(|id| Oid(id.detach()))))
    }

    /// Names (without `prefix`) and targets of all refs under `prefix`, which
    /// ends with a slash.
    pub fn refs_under(&self, prefix: &str) -> Result<Vec<(String, Oid)>, Error> {
        // Beside a `git pack-refs` an iteration fails now and then.
        const TRIES: usize = 5;
        let mut tries = 1;
        loop {
            match self.iterate_refs(prefix) {
                Err(_) if tries < TRIES => tries += 1,
                result => return result,
            }
        }
    }

    fn iterate_refs(&self, prefix: &str) -> Result<Vec<(String, Oid)>, Error> {
        let doing = || Error::library(format!("list refs under {prefix}"));
        let platform = self.gix.references().map_err(doing())?;
        let mut found = Vec::new();
        for reference in platform.prefixed(prefix).map_err(doing())? {
            let reference = reference.map_err(|error| Error::Library {
                doing: format!("list refs under {prefix}"),
                detail: error.to_string(),
            })?;
            let name = reference.name().as_bstr().to_str_lossy();
            if let (Some(id), Some(rest)) = (reference.try_id(), name.strip_prefix(prefix)) {
                found.push((rest.to_owned(), Oid(id.detach())));
            }
        }
        Ok(found)
    }

    /// Carries out a transaction. [`Error::LostRace`] means that nothing was
    /// changed because a ref was not what was expected, or is just being
    /// changed by somebody else.
    pub fn update_refs(&self, transaction: &Transaction) -> Result<(), Error> {
        self.update_refs_when_ready(transaction, || Ok(()))
    }

    /// The same, and does `ready` when all refs are locked and are what was
    /// expected. When that fails no ref moves.
    pub(super) fn update_refs_when_ready(
        &self,
        transaction: &Transaction,
        ready: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let failed = |detail: String| Error::Program { command: "update-ref".to_owned(), detail };
        let reason = transaction.reason.replace(['\n', '\0'], " ");
        let git = self.git_command(&[], "update-ref", ["--no-deref", "-m", &reason, "--stdin"]);
        let mut running = git.stdin(Stdin::Piped).spawn().map_err(|error| failed(error.to_string()))?;
        let mut stdin = running.take_stdin().expect("stdin was to be piped");
        let mut answers = BufReader::new(running.take_stdout().expect("stdout is piped")).lines();
        let mut answer = |expected: &str| answers.by_ref().map_while(Result::ok).any(|line| line == expected);
        // When git has ended early its own words are the error, not the pipe.
        let asked = stdin.write_all(self.instructions(transaction).as_bytes()).and_then(|()| stdin.flush());
        let prepared = asked.is_ok() && answer("prepare: ok");
        // Without a `commit` git undoes what it has prepared.
        let wanted = if prepared { ready() } else { Ok(()) };
        let committed = prepared && wanted.is_ok() && stdin.write_all(b"commit\n").is_ok();
        drop(stdin);
        let committed = committed && answer("commit: ok");
        let exit = running.wait().map_err(|error| failed(error.to_string()))?;
        wanted?;
        if committed && exit.status.is_success() {
            return Ok(());
        }
        let deleted = || transaction.deletions.first().map(|deletion| deletion.name.clone());
        let name = transaction.updates.first().map(|update| update.name.clone()).or_else(deleted);
        let name = name.unwrap_or_default();
        // The last is a `git gc --prune=now` that was faster.
        let lost = [
            "but expected",
            "reference already exists",
            "File exists",
            "unable to resolve reference",
            "with nonexistent object",
        ];
        let detail = exit.stderr.trim().trim_start_matches("fatal: ").to_owned();
        if lost.iter().any(|words| detail.contains(words)) {
            return Err(Error::LostRace { name, detail });
        }
        Err(failed(detail))
    }

    /// What `git update-ref --stdin` is told up to the point where it holds all
    /// locks.
    fn instructions(&self, transaction: &Transaction) -> String {
        let null = Oid(self.gix.object_hash().null());
        let update = |RefUpdate { name, old, new }: &RefUpdate| {
            format!("update {name} {new} {}\n", old.unwrap_or(null))
        };
        let updates: String = transaction.updates.iter().map(update).collect();
        let delete = |RefDeletion { name, old }: &RefDeletion| format!("delete {name} {old}\n");
        let deletions: String = transaction.deletions.iter().map(delete).collect();
        format!("start\n{updates}{deletions}prepare\n")
    }
}
