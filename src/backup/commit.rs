//! Chooses the commit of a backup.
//!
//! The order is: the requested commit or branch, the commit recorded in the database, HEAD. Therefore a
//! record has the commit of the database and not the one that is checked out on the laptop. If the
//! requested commit differs from the commit recorded in the database, one of them is wrong, and nothing
//! is written.

use crate::domain::{CommitId, Line, Metadata};
use crate::git::{self, Oid, Repository};

use super::Error;

/// The requested commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CommitSpec {
    /// None.
    #[default]
    Nothing,
    /// A revision.
    Revision(String),
    /// The tip of a branch.
    Branch(String),
    /// The commit recorded in the database, or this revision if none is recorded.
    Unmarked(String),
}

/// The commit of a backup, and the source of the choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedCommit {
    /// The schema commit.
    pub commit: CommitId,
    /// The branch of the commit.
    pub branch: Option<Line>,
    source: &'static str,
    mark: Option<String>,
}

impl ResolvedCommit {
    /// Returns the facts about the choice for the record.
    pub fn to_metadata(&self) -> Metadata {
        let mut metadata = Metadata::default();
        metadata.insert("commit_source", self.source);
        if let Some(mark) = self.mark.as_ref().filter(|mark| mark.as_str() != self.commit.as_str()) {
            metadata.insert("commit_in_database", mark.as_str());
        }
        metadata
    }
}

/// Chooses the commit. `mark` is the commit recorded in the database `database`. With `force` the
/// requested commit takes precedence over it.
///
/// # Errors
/// Fails if the requested commit or `mark` is not in the repository, or if they differ without `force`.
pub fn choose_commit(
    repository: &Repository,
    asked: &CommitSpec,
    mark: Option<&str>,
    database: &str,
    force: bool,
) -> Result<ResolvedCommit, Error> {
    let (oid, branch, source) = match asked {
        CommitSpec::Revision(revision) => (repository.resolve_commit(revision)?, None, "commit"),
        CommitSpec::Branch(branch) => (repository.branch_tip(branch)?, Some(branch.clone()), "branch"),
        CommitSpec::Nothing | CommitSpec::Unmarked(_) => match (mark, asked) {
            (Some(mark), _) => (marked(repository, mark, database)?, None, "database"),
            (None, CommitSpec::Unmarked(revision)) => (repository.resolve_commit(revision)?, None, "commit"),
            (None, _) => (repository.head()?, None, "head"),
        },
    };
    let commit = oid.to_commit();
    let branch = branch
        .or_else(|| repository.head_branch().filter(|_| repository.head().is_ok_and(|head| head == oid)));
    let differs = mark.is_some_and(|mark| mark != commit.as_str());
    if let (true, false, Some(mark)) = (differs, force, mark) {
        return Err(match mark.parse() {
            Ok(mark) => Error::MarkDiffers { database: database.to_owned(), mark, chosen: commit },
            Err(_) => Error::MarkUnknown { database: database.to_owned(), mark: mark.to_owned() },
        });
    }
    let branch = branch.map(|branch| Line::lossy(&branch));
    Ok(ResolvedCommit { commit, branch, source, mark: mark.map(str::to_owned) })
}

/// Returns the commit recorded in the database. Fails if this repository does not have it.
fn marked(repository: &Repository, mark: &str, database: &str) -> Result<Oid, Error> {
    let unknown = || Error::MarkUnknown { database: database.to_owned(), mark: mark.to_owned() };
    let commit: CommitId = mark.parse().map_err(|_| unknown())?;
    match repository.resolve_commit(commit.as_str()) {
        Ok(oid) => Ok(oid),
        Err(git::Error::UnknownRevision { .. } | git::Error::Missing { shallow: false, .. }) => {
            Err(unknown())
        }
        Err(error) => Err(error.into()),
    }
}
