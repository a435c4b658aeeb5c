//! Reads objects.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use backon::{BlockingRetryable as _, ConstantBuilder};
use gix::objs::{CommitRef, Data, Find, Kind, Tree, TreeRef};

use crate::domain::CommitId;

use super::{Error, Repository};

/// An object id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid(pub(super) gix::ObjectId);

impl Oid {
    /// Returns the 20 or 32 bytes of the id.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Returns the id with these bytes; `None` if their number is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        gix::ObjectId::try_from(bytes).ok().map(Self)
    }

    /// Parses 40 or 64 lower case hex digits.
    pub fn from_hex(hex: &str) -> Option<Self> {
        let lower = !hex.bytes().any(|byte| byte.is_ascii_uppercase());
        gix::ObjectId::from_hex(hex.as_bytes()).ok().filter(|_| lower).map(Self)
    }

    /// Returns the first digits, as many as [`CommitId::short`].
    pub fn short(&self) -> impl fmt::Display + '_ {
        self.0.to_hex_with_len(10)
    }

    /// Converts the id to a commit id.
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

/// The content of a commit.
#[derive(Debug, Clone)]
pub struct CommitData {
    /// The tree.
    pub tree: Oid,
    /// The parents.
    pub parents: Vec<Oid>,
    /// The first line of the message.
    pub subject: String,
    /// The whole message.
    pub message: String,
    /// The author: `Name <mail>`.
    pub author: String,
    /// The commit time in seconds since the Unix epoch.
    pub committed_at: i64,
}

/// The object database, with a fallback for objects that the library does not find.
///
/// The library lists the packs once and never refreshes the list, because its refresh sometimes panics
/// while a gc replaces packs. An object that it does not find is searched in a newly opened database.
pub(super) struct Database<'repo>(pub(super) &'repo gix::Repository);

impl Database<'_> {
    /// Opens the object database again; `None` if that fails.
    pub(super) fn reopen(&self) -> Option<gix::odb::Handle> {
        gix::odb::at(self.0.objects.store_ref().path(), self.0.object_hash()).ok()
    }
}

impl Find for Database<'_> {
    fn try_find<'a>(&self, id: &gix::oid, buffer: &'a mut Vec<u8>) -> gix::Result<Option<Data<'a>>> {
        // A removed pack causes an error, which is not a reliable answer. (The data is requested twice
        // because of the borrow checker.)
        if matches!(self.0.objects.try_find(id, buffer), Ok(Some(_))) {
            return self.0.objects.try_find(id, buffer);
        }
        match self.reopen() {
            Some(reopened) => reopened.try_find(id, buffer),
            None => self.0.objects.try_find(id, buffer),
        }
    }
}

impl Repository {
    /// Reads a commit. Fails if it is missing or invalid.
    pub fn commit(&self, id: Oid) -> Result<CommitData, Error> {
        let doing = || Error::library(format!("read commit {id}"));
        let bytes = self.read(id, Kind::Commit)?;
        let commit = CommitRef::from_bytes(&bytes, id.0.kind()).map_err(doing())?;
        let author = commit.author().map_err(doing())?;
        Ok(CommitData {
            tree: Oid(commit.tree()),
            parents: commit.parents().map(Oid).collect(),
            subject: commit.message().summary().to_string(),
            message: commit.message.to_string(),
            author: format!("{} <{}>", author.name, author.email),
            committed_at: commit.time().map(|time| time.seconds).unwrap_or_default(),
        })
    }

    /// Returns true if there is a commit `id`. It does not wait for a concurrent gc.
    pub fn has_commit(&self, id: Oid) -> bool {
        let mut buffer = Vec::new();
        // An id of another hash cannot be looked up.
        id.0.kind() == self.gix.object_hash()
            && Database(&self.gix)
                .try_find(&id.0, &mut buffer)
                .is_ok_and(|data| data.is_some_and(|data| data.kind == Kind::Commit))
    }

    /// Returns the content of the blob `id`. Fails if it is missing.
    pub fn blob(&self, id: Oid) -> Result<Vec<u8>, Error> {
        self.read(id, Kind::Blob)
    }

    /// Returns the content of the file `path` in the tree of commit `commit`; `None` if there is no such
    /// file. Fails if an object cannot be read.
    pub fn blob_at(&self, commit: Oid, path: &str) -> Result<Option<Vec<u8>>, Error> {
        match self.entry_at(commit, path)? {
            Some(id) => self.blob(id).map(Some),
            None => Ok(None),
        }
    }

    /// Returns the blob id of the file `path` in the tree of commit `commit`; `None` if there is no such
    /// file. Fails if an object cannot be read.
    pub fn entry_at(&self, commit: Oid, path: &str) -> Result<Option<Oid>, Error> {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let files = self.files_at(commit, directory)?;
        Ok(files.into_iter().find(|(file, _)| file == name).map(|(_, id)| id))
    }

    /// Returns the names and blob ids of the files directly in the directory `path` (empty for the top) of
    /// commit `commit`. There are none if there is no such directory. Fails if an object cannot be read.
    pub fn files_at(&self, commit: Oid, path: &str) -> Result<Vec<(String, Oid)>, Error> {
        let mut tree = self.tree(self.commit(commit)?.tree)?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            match tree.entries.iter().find(|entry| entry.filename == name && entry.mode.is_tree()) {
                Some(entry) => tree = self.tree(Oid(entry.oid))?,
                None => return Ok(Vec::new()),
            }
        }
        let files = tree.entries.into_iter().filter(|entry| entry.mode.is_blob());
        Ok(files.map(|entry| (entry.filename.to_string(), Oid(entry.oid))).collect())
    }

    pub(super) fn tree_bytes(&self, id: Oid) -> Result<Vec<u8>, Error> {
        self.read(id, Kind::Tree)
    }

    pub(super) fn commit_bytes(&self, id: Oid) -> Result<Vec<u8>, Error> {
        self.read(id, Kind::Commit)
    }

    pub(super) fn tree(&self, id: Oid) -> Result<Tree, Error> {
        let bytes = self.read(id, Kind::Tree)?;
        let tree =
            TreeRef::from_bytes(&bytes, id.0.kind()).map_err(Error::library(format!("read tree {id}")))?;
        Ok(tree.into())
    }

    /// Returns the entries of the directory `id` by name: true for a directory, and the object id.
    pub(super) fn entries(&self, id: Option<Oid>) -> Result<BTreeMap<String, (bool, Oid)>, Error> {
        let Some(id) = id else { return Ok(BTreeMap::new()) };
        let entries = self.tree(id)?.entries.into_iter();
        Ok(entries
            .map(|entry| (entry.filename.to_string(), (entry.mode.is_tree(), Oid(entry.oid))))
            .collect())
    }

    /// Returns the commit `id`, or the commit that the tag `id` points to; `None` for other objects.
    pub(super) fn peel_to_commit(&self, id: Oid) -> Result<Option<Oid>, Error> {
        let mut current = id;
        loop {
            match self.find(current)? {
                (Kind::Commit, _) => return Ok(Some(current)),
                (Kind::Tag, bytes) => {
                    let tag = gix::objs::TagRef::from_bytes(&bytes, current.0.kind());
                    current = Oid(tag.map_err(Error::library(format!("read tag {current}")))?.target());
                }
                _ => return Ok(None),
            }
        }
    }

    fn read(&self, id: Oid, kind: Kind) -> Result<Vec<u8>, Error> {
        match self.find(id)? {
            (found, bytes) if found == kind => Ok(bytes),
            (found, _) => Err(Error::Library {
                doing: format!("read object {id}"),
                detail: format!("the object is a {found}, not a {kind}"),
            }),
        }
    }

    /// Reads an object. A missing one is retried for 50 ms: a concurrent gc may be moving it into a pack.
    pub(super) fn find(&self, id: Oid) -> Result<(Kind, Vec<u8>), Error> {
        let look = || {
            let mut buffer = Vec::new();
            // The usual case, without opening the database again.
            if let Ok(Some(data)) = self.gix.objects.try_find(&id.0, &mut buffer) {
                return Ok((data.kind, data.data.to_vec()));
            }
            match Database(&self.gix).try_find(&id.0, &mut buffer) {
                Ok(Some(data)) => Ok((data.kind, data.data.to_vec())),
                Ok(None) => Err(Error::Missing { id: id.to_string(), shallow: self.is_shallow() }),
                Err(error) => Err(Error::library(format!("read object {id}"))(error)),
            }
        };
        let moments = ConstantBuilder::default().with_delay(Duration::from_millis(5)).with_max_times(10);
        look.retry(moments).when(Error::retry).call()
    }
}
