//! Which commit does a backup belong to?
//!
//! In this order: the commit or branch that was asked for; the commit recorded
//! in the database; HEAD. So a record says what was in the database, not what
//! was checked out on the laptop. When what was asked for and what the database
//! says differ, somebody is wrong, and nothing is written.

use crate::domain::{CommitId, Line, Metadata};
use crate::git::{self, Oid, Repository};

use super::Error;

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Asked {
    /// Nothing.
    #[default]
    Nothing,
    /// This revision.
    Revision(String),
    /// The tip of this branch.
    Branch(String),
    /// The commit recorded in the database, and this revision where there is none.
    Unmarked(String),
}

/// The commit of a backup, and how it was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The schema commit.
    pub commit: CommitId,
    /// The branch it stands for.
    pub branch: Option<Line>,
    source: &'static str,
    mark: Option<String>,
}

impl Chosen {
    /// What the record says about the choice.
    pub fn to_metadata(&self) -> Metadata {
        let mut metadata = Metadata::default();
        metadata.insert("commit_source", self.source);
        if let Some(mark) = self.mark.as_ref().filter(|mark| mark.as_str() != self.commit.as_str()) {
            metadata.insert("commit_in_database", mark.as_str());
        }
        metadata
    }
}

/// Chooses. `mark` is the commit recorded in the database `database`; with
/// `force` it loses against what was asked for.
pub fn choose(
    repository: &Repository,
    asked: &Asked,
    mark: Option<&str>,
    database: &str,
    force: bool,
) -> Result<Chosen, Error> {
    let (oid, branch, source) = match asked {
        Asked::Revision(revision) => (repository.resolve_commit(revision)?, None, "commit"),
        Asked::Branch(branch) => (repository.branch_tip(branch)?, Some(branch.clone()), "branch"),
        Asked::Nothing | Asked::Unmarked(_) => match (mark, asked) {
            (Some(mark), _) => (marked(repository, mark, database)?, None, "database"),
            (None, Asked::Unmarked(revision)) => (repository.resolve_commit(revision)?, None, "commit"),
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
    Ok(Chosen { commit, branch, source, mark: mark.map(str::to_owned) })
}

/// The commit that the database names, if this repository has it.
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
