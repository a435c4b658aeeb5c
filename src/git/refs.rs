//! Reads refs, and changes several of them in one transaction.
//!
//! `git update-ref --stdin` makes the changes, not the library: transactions of the library lose
//! updates while another process runs `git pack-refs`, and leave lock files that block git if the
//! process is killed. The program does neither. It runs in its own process group, so it completes its
//! transaction even if we are killed.

use std::io::{BufRead as _, BufReader, Write as _};

use gix::bstr::ByteSlice;

use super::{Error, Oid, Repository};
use crate::process::Stdin;

/// The update of one ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefUpdate {
    /// The full name.
    pub name: String,
    /// The expected target; `None` if the ref must not exist.
    pub old: Option<Oid>,
    /// The new target.
    pub new: Oid,
}

/// The deletion of one ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefDeletion {
    /// The full name.
    pub name: String,
    /// The expected target.
    pub old: Oid,
}

/// Changes of refs that are made together or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    /// The refs to create or move.
    pub updates: Vec<RefUpdate>,
    /// The refs to delete.
    pub deletions: Vec<RefDeletion>,
    /// The message for the reflogs.
    pub reason: String,
}

impl Repository {
    /// Returns the target of the ref `name`; `None` if it does not exist. Fails if it cannot be read.
    pub fn ref_tip(&self, name: &str) -> Result<Option<Oid>, Error> {
        let found = self.gix.try_find_reference(name).map_err(Error::library(format!("read ref {name}")))?;
        Ok(found.and_then(|reference| reference.try_id().map(|id| Oid(id.detach()))))
    }

    /// Returns the names (without `prefix`) and targets of all refs under `prefix`, which ends with a
    /// slash. Fails if a ref cannot be read.
    pub fn refs_under(&self, prefix: &str) -> Result<Vec<(String, Oid)>, Error> {
        // An iteration may fail while `git pack-refs` is running.
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

    /// Executes a transaction.
    ///
    /// # Errors
    ///
    /// [`Error::LostRace`] if a ref has not its expected target, or is locked by another process. Nothing
    /// was changed then.
    pub fn update_refs(&self, transaction: &Transaction) -> Result<(), Error> {
        self.update_refs_when_ready(transaction, || Ok(()))
    }

    /// Executes a transaction, and calls `ready` when all refs are locked and have their expected targets.
    /// If `ready` fails, no ref moves.
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
        // If git has exited early, its message is the error, and not the broken pipe.
        let asked = stdin.write_all(self.instructions(transaction).as_bytes()).and_then(|()| stdin.flush());
        let prepared = asked.is_ok() && answer("prepare: ok");
        // Without a `commit`, git rolls the transaction back.
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
        // The last message means that a `git gc --prune=now` has removed an object.
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

    /// Returns the input of `git update-ref --stdin` up to the point where it holds all locks.
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
