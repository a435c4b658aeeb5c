//! Chooses the commit of a backup.
//!
//! The order is: the requested commit or branch, the commit recorded in the database, the commit whose
//! migrations are the applied ones, HEAD. Therefore a record has the commit of the database and not the
//! one that is checked out on the laptop. If the requested commit differs from the commit recorded in the
//! database, one of them is wrong, and nothing is written.

use serde_json::json;

use crate::domain::{CommitId, Line, Metadata};
use crate::git::{self, Oid, Repository};
use crate::migrations::{COMMIT_IN_DATABASE, COMMIT_NOT_DERIVED, COMMIT_SOURCE, CommitSource};

use super::Error;

/// The commit of a new backup, as the command line or a job requests it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CommitSpec {
    /// None.
    #[default]
    Nothing,
    /// A revision.
    Revision(String),
    /// The tip of a branch.
    Branch(String),
    /// The commit that the database has, or this revision if neither a mark nor applied migrations tell it.
    Unmarked(String),
}

/// The commit of a backup, and the source of the choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedCommit {
    /// The schema commit.
    pub commit: CommitId,
    /// The branch of the commit.
    pub branch: Option<Line>,
    source: CommitSource,
    mark: Option<String>,
    /// The reason why the commit could not be derived from the applied migrations.
    not_derived: Option<String>,
}

impl ResolvedCommit {
    /// Returns the facts about the choice for the record.
    pub fn to_metadata(&self) -> Metadata {
        let mut metadata = Metadata::default();
        metadata.insert(COMMIT_SOURCE, self.source.as_str());
        if let Some(mark) = self.mark.as_ref().filter(|mark| mark.as_str() != self.commit.as_str()) {
            metadata.insert(COMMIT_IN_DATABASE, mark.as_str());
        }
        // Records are shared, so they must not contain names that look like secrets.
        let reason = self.not_derived.as_ref().map(|reason| json!({ COMMIT_NOT_DERIVED: reason }));
        if let Some(Ok(reason)) = reason.map(Metadata::try_from) {
            metadata.apply(&reason);
        }
        metadata
    }
}

/// Chooses the commit. `mark` is the commit recorded in the database `database`. With `force` the
/// requested commit takes precedence over it. `derive` returns the newest commit in the history of a
/// commit whose migrations are those that the database has applied, or the reason why none is found. It is
/// called if no commit is requested or recorded.
///
/// # Errors
/// Fails if the requested commit or `mark` is not in the repository, or if they differ without `force`.
pub fn choose_commit(
    repository: &Repository,
    asked: &CommitSpec,
    mark: Option<&str>,
    database: &str,
    force: bool,
    derive: impl FnOnce(Oid) -> Option<Result<Oid, String>>,
) -> Result<ResolvedCommit, Error> {
    let mut not_derived = None;
    let (oid, branch, source) = match asked {
        CommitSpec::Revision(revision) => (repository.resolve_commit(revision)?, None, CommitSource::Commit),
        CommitSpec::Branch(branch) => {
            (repository.branch_tip(branch)?, Some(branch.clone()), CommitSource::Branch)
        }
        CommitSpec::Nothing | CommitSpec::Unmarked(_) => {
            let (oid, source, reason) = of_database(repository, asked, mark, database, derive)?;
            not_derived = reason;
            (oid, None, source)
        }
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
    Ok(ResolvedCommit { commit, branch, source, mark: mark.map(str::to_owned), not_derived })
}

/// Returns the commit of a database for which none is requested, its source, and the reason why it could not
/// be derived.
fn of_database(
    repository: &Repository,
    asked: &CommitSpec,
    mark: Option<&str>,
    database: &str,
    derive: impl FnOnce(Oid) -> Option<Result<Oid, String>>,
) -> Result<(Oid, CommitSource, Option<String>), Error> {
    if let Some(mark) = mark {
        return Ok((marked(repository, mark, database)?, CommitSource::Database, None));
    }
    let (tip, otherwise) = match asked {
        CommitSpec::Unmarked(revision) => (repository.resolve_commit(revision)?, CommitSource::Tip),
        _ => (repository.head()?, CommitSource::Head),
    };
    Ok(match derive(tip) {
        Some(Ok(commit)) => (commit, CommitSource::Migrations, None),
        Some(Err(reason)) => (tip, otherwise, Some(reason)),
        None => (tip, otherwise, None),
    })
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
