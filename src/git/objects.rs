//! Reading objects.

use std::fmt;
use std::time::Duration;

use backon::{BlockingRetryable as _, ConstantBuilder};

use crate::domain::CommitId;

use super::{Error, Repository};

/// The name of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid(pub(super) gix::ObjectId);

impl Oid {
    /// As the name of a commit.
    pub fn to_commit(self) -> CommitId {
        self.0.to_string().parse().expect("an object name is 40 or 64 lower case hex digits")
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<&CommitId> for Oid {
    fn from(commit: &CommitId) -> Self {
        Self(gix::ObjectId::from_hex(commit.as_str().as_bytes()).expect("a commit id is 40 or 64 hex digits"))
    }
}

/// What a commit says.
#[derive(Debug, Clone)]
pub struct CommitData {
    /// Its tree.
    pub tree: Oid,
    /// Its parents.
    pub parents: Vec<Oid>,
    /// First line of its message.
    pub subject: String,
    /// The whole message.
    pub message: String,
    /// Who wrote it: `Name <mail>`.
    pub author: String,
    /// Commit time in seconds since the Unix epoch.
    pub committed_at: i64,
}

impl Repository {
    /// Reads a commit.
    pub fn commit(&self, id: Oid) -> Result<CommitData, Error> {
        let commit = self.find(id)?.try_into_commit().map_err(|error| self.wrong(id, &error.to_string()))?;
        let decoded = commit.decode().map_err(Error::library(format!("read commit {id}")))?;
        let author = decoded.author().map_err(Error::library(format!("read commit {id}")))?;
        Ok(CommitData {
            tree: Oid(decoded.tree()),
            parents: decoded.parents().map(Oid).collect(),
            subject: decoded.message().summary().to_string(),
            message: decoded.message.to_string(),
            author: format!("{} <{}>", author.name, author.email),
            committed_at: decoded.time().map(|time| time.seconds).unwrap_or_default(),
        })
    }

    /// The content of the blob `id`.
    pub fn blob(&self, id: Oid) -> Result<Vec<u8>, Error> {
        Ok(self.find(id)?.detach().data)
    }

    /// The blob at `path` in the tree of commit `commit`.
    pub fn blob_at(&self, commit: Oid, path: &str) -> Result<Option<Vec<u8>>, Error> {
        match self.entry_at(commit, path)? {
            Some(id) => self.blob(id).map(Some),
            None => Ok(None),
        }
    }

    /// The object at `path` in the tree of commit `commit`.
    pub fn entry_at(&self, commit: Oid, path: &str) -> Result<Option<Oid>, Error> {
        let tree = self.tree_of(commit)?;
        let entry = tree.lookup_entry_by_path(path).map_err(Error::library(format!("look up {path} in {commit}")))?;
        Ok(entry.map(|entry| Oid(entry.object_id())))
    }

    /// Names and ids of the files directly in the directory `path` of commit
    /// `commit`; empty when there is no such directory.
    pub fn files_at(&self, commit: Oid, path: &str) -> Result<Vec<(String, Oid)>, Error> {
        let doing = || format!("list {path} in {commit}");
        let tree = self.tree_of(commit)?;
        let Some(entry) = tree.lookup_entry_by_path(path).map_err(Error::library(doing()))? else { return Ok(Vec::new()) };
        if !entry.mode().is_tree() {
            return Ok(Vec::new());
        }
        let directory = self.find(Oid(entry.object_id()))?;
        let decoded = gix::objs::TreeRef::from_bytes(&directory.data, directory.id.kind())
            .map_err(|error| Error::Library { doing: doing(), detail: error.to_string() })?;
        let files = decoded.entries.iter().filter(|entry| entry.mode.is_blob());
        Ok(files.map(|entry| (entry.filename.to_string(), Oid(entry.oid.to_owned()))).collect())
    }

    fn tree_of(&self, commit: Oid) -> Result<gix::Tree<'_>, Error> {
        let object = self.find(commit)?;
        let commit = object.try_into_commit().map_err(|error| self.wrong(commit, &error.to_string()))?;
        let tree = commit.tree_id().map_err(Error::library("read a commit"))?.detach();
        self.find(Oid(tree))?.try_into_tree().map_err(|error| self.wrong(Oid(tree), &error.to_string()))
    }

    /// Reads an object. One that is missing is asked for again for a moment:
    /// beside a gc an object may be on its way from one place to another.
    pub(super) fn find(&self, id: Oid) -> Result<gix::Object<'_>, Error> {
        let look = || match self.gix.try_find_object(id.0) {
            Ok(Some(object)) => Ok(object),
            Ok(None) => Err(Error::Missing { id: id.to_string(), shallow: self.is_shallow() }),
            Err(error) => Err(Error::library(format!("read object {id}"))(error)),
        };
        let moments = ConstantBuilder::default().with_delay(Duration::from_millis(5)).with_max_times(10);
        look.retry(moments).when(|error| matches!(error, Error::Missing { shallow: false, .. })).call()
    }

    fn wrong(&self, id: Oid, detail: &str) -> Error {
        Error::Library { doing: format!("read object {id}"), detail: detail.to_owned() }
    }
}
