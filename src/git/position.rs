//! The position of a commit relative to HEAD.

use super::{Error, Oid, Repository, Walk};

/// The position of a commit in the history, relative to HEAD.
pub struct Position {
    /// The first line of the message of the commit.
    pub subject: String,
    /// The number of commits that are reachable from HEAD but not from the commit; `None` if HEAD has no
    /// commit yet.
    pub behind: Option<usize>,
    /// The number of commits that are reachable from the commit but not from HEAD; `None` if HEAD has no
    /// commit yet.
    pub ahead: Option<usize>,
}

impl Position {
    /// Returns the position of `commit`, a full commit id; `None` if this repository does not have the
    /// commit. Fails if another object cannot be read.
    pub fn of(repository: &Repository, commit: &str) -> Result<Option<Self>, Error> {
        let commit = match repository.resolve_commit(commit) {
            Ok(commit) => commit,
            Err(Error::UnknownRevision { .. } | Error::Missing { .. } | Error::Vanished { .. }) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let subject = repository.summary(commit)?.subject;
        let head = match repository.head() {
            Ok(head) => head,
            Err(Error::Unborn { .. }) => return Ok(Some(Self { subject, behind: None, ahead: None })),
            Err(error) => return Err(error),
        };
        let count = |tip: Oid, hidden: Oid| -> Result<usize, Error> {
            Ok(repository.walk(&[tip], &[hidden], Walk::default())?.len())
        };
        let (behind, ahead) = (count(head, commit)?, count(commit, head)?);
        Ok(Some(Self { subject, behind: Some(behind), ahead: Some(ahead) }))
    }

    /// Returns the position as text: `2 commits behind HEAD`.
    pub fn describe(&self) -> String {
        let commits = |count: usize| format!("{count} {}", if count == 1 { "commit" } else { "commits" });
        match (self.behind, self.ahead) {
            (Some(0), Some(0)) => "this is HEAD".to_owned(),
            (Some(behind), Some(0)) => format!("{} behind HEAD", commits(behind)),
            (Some(0), Some(ahead)) => format!("{} ahead of HEAD", commits(ahead)),
            (Some(behind), Some(ahead)) => {
                format!("{} behind and {} ahead of HEAD", commits(behind), commits(ahead))
            }
            _ => "there is no HEAD yet".to_owned(),
        }
    }
}
