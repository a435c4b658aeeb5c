//! Reading and writing objects.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, FileTimes};
use std::path::PathBuf;
use std::time::Duration;

use gix::objs::tree::EntryKind;

use crate::domain::CommitId;

use super::{Error, Identity, Repository};

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

/// A commit to be written.
#[derive(Debug)]
pub struct NewCommit<'a> {
    /// Its tree.
    pub tree: Oid,
    /// Its parents.
    pub parents: &'a [Oid],
    /// Its message.
    pub message: &'a str,
    /// Who acts.
    pub identity: &'a Identity,
}

/// One change of a tree.
#[derive(Debug)]
pub enum TreeChange {
    /// The file at this path has this content.
    File(String, Oid),
    /// There is nothing at this path.
    Remove(String),
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

    pub(super) fn find(&self, id: Oid) -> Result<gix::Object<'_>, Error> {
        match self.gix.try_find_object(id.0) {
            Ok(Some(object)) => Ok(object),
            Ok(None) => Err(Error::Missing { id: id.to_string(), shallow: self.is_shallow() }),
            Err(error) => Err(Error::library(format!("read object {id}"))(error)),
        }
    }

    fn wrong(&self, id: Oid, detail: &str) -> Error {
        Error::Library { doing: format!("read object {id}"), detail: detail.to_owned() }
    }

    /// Begins a change.
    pub fn writer(&self) -> Writer<'_> {
        Writer { repository: self, written: BTreeMap::new() }
    }
}

/// Writes the objects of one change and makes them safe in two steps:
/// [`Writer::sync`] before the refs point to them, [`Writer::settle`] after.
pub struct Writer<'repo> {
    pub(super) repository: &'repo Repository,
    written: BTreeMap<gix::ObjectId, (gix::objs::Kind, Vec<u8>)>,
}

impl Writer<'_> {
    /// Writes a blob.
    pub fn blob(&mut self, bytes: &[u8]) -> Result<Oid, Error> {
        let id = self.repository.gix.write_blob(bytes).map_err(Error::library("write a blob"))?.detach();
        self.note(id);
        Ok(Oid(id))
    }

    /// Writes the tree of commit or tree `base` with some changes.
    pub fn tree(&mut self, base: Oid, changes: &[TreeChange]) -> Result<Oid, Error> {
        let failed = || Error::library("write a tree");
        let mut editor = self.repository.gix.edit_tree(base.0).map_err(failed())?;
        for change in changes {
            match change {
                TreeChange::File(path, id) => editor.upsert(path.as_str(), EntryKind::Blob, id.0).map_err(failed())?,
                TreeChange::Remove(path) => editor.remove(path.as_str()).map_err(failed())?,
            };
        }
        let id = editor.write().map_err(failed())?.detach();
        self.note_tree(id, changes);
        Ok(Oid(id))
    }

    /// Writes a commit.
    pub fn commit(&mut self, new: &NewCommit<'_>) -> Result<Oid, Error> {
        let commit = gix::objs::Commit {
            tree: new.tree.0,
            parents: new.parents.iter().map(|parent| parent.0).collect(),
            author: new.identity.author.clone(),
            committer: new.identity.committer.clone(),
            encoding: None,
            message: new.message.into(),
            extra_headers: Vec::new(),
        };
        let id = self.repository.gix.write_object(&commit).map_err(Error::library("write a commit"))?.detach();
        self.note(id);
        Ok(Oid(id))
    }

    /// Remembers an object that this change needs, with its bytes.
    pub(super) fn note(&mut self, id: gix::ObjectId) {
        if let Ok(Some(object)) = self.repository.gix.try_find_object(id) {
            let object = object.detach();
            self.written.insert(id, (object.kind, object.data));
        }
    }

    /// Remembers a tree and those of its sub-trees that `changes` went through.
    fn note_tree(&mut self, root: gix::ObjectId, changes: &[TreeChange]) {
        self.note(root);
        let Ok(Some(tree)) = self.repository.gix.try_find_object(root) else { return };
        let Ok(tree) = tree.try_into_tree() else { return };
        for change in changes {
            let (TreeChange::File(path, _) | TreeChange::Remove(path)) = change;
            let directories = path.char_indices().filter(|(_, c)| *c == '/').map(|(at, _)| &path[..at]);
            let ids: Vec<_> =
                directories.filter_map(|path| tree.lookup_entry_by_path(path).ok()?).map(|entry| entry.object_id()).collect();
            ids.into_iter().for_each(|id| self.note(id));
        }
    }

    /// Brings the objects to the disk, as git does for those it writes itself.
    /// A ref is then never durable before what it points to. Like git it obeys
    /// `core.fsync=none`.
    pub fn sync(&self) -> Result<(), Error> {
        let fsync = self.repository.gix.config_snapshot().string("core.fsync");
        if fsync.is_some_and(|value| value.split(|byte| *byte == b',').any(|part| part == b"none")) {
            return Ok(());
        }
        for id in self.written.keys() {
            let path = self.loose_path(id);
            match File::open(&path).and_then(|file| file.sync_data()) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => return Err(Error::Io { path, source }),
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes the objects safe from a `git gc --prune=now` that was already
    /// running when the refs began to point to them.
    ///
    /// Such a prune has computed what is reachable without them and removes
    /// every loose object that is not younger, in whole seconds, than its own
    /// start. So they are dated a little into the future, and any that is gone
    /// is written again.
    pub fn settle(&self) -> Result<(), Error> {
        // Once to date them, once to see that a prune was not between its look
        // and its removal.
        for _ in 0..2 {
            for (id, (kind, bytes)) in &self.written {
                let dated = File::open(self.loose_path(id)).is_ok_and(|file| postdate(&file).is_ok());
                if !dated && !gix::objs::Exists::exists(&self.repository.gix.objects, id) {
                    self.write_again(*kind, bytes)?;
                }
            }
        }
        Ok(())
    }

    fn write_again(&self, kind: gix::objs::Kind, bytes: &[u8]) -> Result<(), Error> {
        let objects = self.repository.gix.objects.store_ref().path();
        let loose = gix::odb::loose::Store::at(objects, self.repository.gix.object_hash());
        gix::objs::Write::write_buf(&loose, kind, bytes).map_err(Error::library("write an object again"))?;
        Ok(())
    }

    fn loose_path(&self, id: &gix::ObjectId) -> PathBuf {
        let hex = id.to_string();
        self.repository.gix.objects.store_ref().path().join(&hex[..2]).join(&hex[2..])
    }
}

/// Dates a file a little after now.
fn postdate(file: &File) -> std::io::Result<()> {
    const AHEAD: Duration = Duration::from_secs(5);
    let modified = file.metadata()?.modified()?;
    file.set_times(FileTimes::new().set_modified(modified + AHEAD))
}
