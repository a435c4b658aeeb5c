//! Writes objects.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use gix::objs::tree::EntryKind;
use gix::objs::{Data, Exists as _, Find, FindExt as _, Kind, Write};

use super::{Error, Identity, Oid, Repository, Transaction, objects::Database};

/// A commit to write.
#[derive(Debug)]
pub struct NewCommit<'a> {
    /// The tree.
    pub tree: Oid,
    /// The parents.
    pub parents: &'a [Oid],
    /// The message.
    pub message: &'a str,
    /// The author and committer.
    pub identity: &'a Identity,
}

/// One change of a tree.
#[derive(Debug)]
pub enum TreeChange {
    /// Writes this blob to the file at this path.
    File(String, Oid),
    /// Removes the file or directory at this path.
    Remove(String),
}

/// Objects by id.
pub(super) type Objects = BTreeMap<gix::ObjectId, (Kind, Vec<u8>)>;

/// The object database, with a record of the objects that are written to it.
pub(super) struct Recorder<'repo> {
    pub(super) gix: &'repo gix::Repository,
    written: RefCell<Objects>,
}

impl Find for Recorder<'_> {
    fn try_find<'a>(&self, id: &gix::oid, buffer: &'a mut Vec<u8>) -> gix::Result<Option<Data<'a>>> {
        Database(self.gix).try_find(id, buffer)
    }
}

impl Write for Recorder<'_> {
    fn write_buf(&self, kind: Kind, bytes: &[u8]) -> gix::Result<gix::ObjectId> {
        let id = gix::objs::compute_hash(self.gix.object_hash(), kind, bytes)?;
        self.write_buf_with_known_id(kind, bytes, id)
    }

    fn write_buf_with_known_id(
        &self,
        kind: Kind,
        bytes: &[u8],
        id: gix::ObjectId,
    ) -> gix::Result<gix::ObjectId> {
        self.written.borrow_mut().insert(id, (kind, bytes.to_vec()));
        // An object that is in a pack is written nevertheless: a gc may be about to remove that pack.
        if self.loose_path(&id).exists() {
            return Ok(id);
        }
        self.gix.objects.write_buf_with_known_id(kind, bytes, id)
    }

    fn write_stream(&self, kind: Kind, _size: u64, from: &mut dyn Read) -> gix::Result<gix::ObjectId> {
        self.write_buf(kind, &all(from)?)
    }

    fn write_stream_with_known_id(
        &self,
        kind: Kind,
        _size: u64,
        from: &mut dyn Read,
        id: gix::ObjectId,
    ) -> gix::Result<gix::ObjectId> {
        self.write_buf_with_known_id(kind, &all(from)?, id)
    }
}

impl Recorder<'_> {
    fn loose_path(&self, id: &gix::ObjectId) -> PathBuf {
        let hex = id.to_string();
        self.gix.objects.store_ref().path().join(&hex[..2]).join(&hex[2..])
    }
}

fn all(from: &mut dyn Read) -> gix::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).map_err(gix::Error::from_error)?;
    Ok(bytes)
}

/// Maximum number of objects that are synced one by one. For more objects `syncfs` is faster.
const SYNCED_ONE_BY_ONE: usize = 256;

/// Writes the objects of one change and makes them durable in three steps: [`Writer::sync`] before refs
/// point to them, [`Writer::move_refs`], and [`Writer::finish`] after that.
pub struct Writer<'repo> {
    pub(super) repository: &'repo Repository,
    pub(super) objects: Recorder<'repo>,
    signs: Option<bool>,
    /// True if the objects are also in a pack that was written because a gc was running.
    packed: Cell<bool>,
}

impl Repository {
    /// Starts a change.
    pub fn writer(&self) -> Writer<'_> {
        Writer {
            repository: self,
            objects: Recorder { gix: &self.gix, written: RefCell::default() },
            signs: None,
            packed: Cell::new(false),
        }
    }
}

impl Writer<'_> {
    /// Writes a blob. Fails if the object database fails.
    pub fn blob(&mut self, bytes: &[u8]) -> Result<Oid, Error> {
        self.objects.write_buf(Kind::Blob, bytes).map(Oid).map_err(Error::library("write a blob"))
    }

    /// Writes the tree `base` with `changes`. Fails if a tree cannot be read or written.
    pub fn tree(&mut self, base: Oid, changes: &[TreeChange]) -> Result<Oid, Error> {
        let failed = || Error::library("write a tree");
        let mut buffer = Vec::new();
        let root = self.objects.find_tree(&base.0, &mut buffer).map_err(failed())?;
        let root = gix::objs::Tree::from(root);
        let mut editor = gix::objs::tree::Editor::new(root, &self.objects, self.objects.gix.object_hash());
        for change in changes {
            match change {
                TreeChange::File(path, id) => editor.upsert(path.split('/'), EntryKind::Blob, id.0),
                TreeChange::Remove(path) => editor.remove(path.split('/')),
            }
            .map_err(failed())?;
        }
        editor.write(|tree| self.objects.write(tree)).map(Oid).map_err(failed())
    }

    /// Writes a commit, signed if git is configured to sign. Fails if it cannot be written or signed.
    pub fn commit(&mut self, new: &NewCommit<'_>) -> Result<Oid, Error> {
        let signs = match self.signs {
            Some(signs) => signs,
            None => *self.signs.insert(self.repository.signs_commits()?),
        };
        if signs {
            let id = self.repository.write_signed(new)?;
            let (kind, bytes) = self.repository.find(id)?;
            self.objects.written.borrow_mut().insert(id.0, (kind, bytes));
            return Ok(id);
        }
        let commit = gix::objs::Commit {
            tree: new.tree.0,
            parents: new.parents.iter().map(|parent| parent.0).collect(),
            author: new.identity.author.clone(),
            committer: new.identity.committer.clone(),
            encoding: None,
            message: new.message.into(),
            extra_headers: Vec::new(),
        };
        self.objects.write(&commit).map(Oid).map_err(Error::library("write a commit"))
    }

    /// Makes the objects durable, as git does for its own objects: a ref must not be durable before the
    /// objects that it points to. Like git, it honours `core.fsync=none`. Fails if the file system fails.
    pub fn sync(&self) -> Result<(), Error> {
        let fsync = self.objects.gix.config_snapshot().string("core.fsync");
        if fsync.is_some_and(|value| value.split(|byte| *byte == b',').any(|part| part == b"none")) {
            return Ok(());
        }
        let written = self.objects.written.borrow();
        if written.len() > SYNCED_ONE_BY_ONE {
            let path = self.objects.gix.objects.store_ref().path();
            let failed = |source| Error::Io { path: path.to_owned(), source };
            return File::open(path).and_then(|it| Ok(rustix::fs::syncfs(it)?)).map_err(failed);
        }
        for id in written.keys() {
            let path = self.objects.loose_path(id);
            match File::open(&path).and_then(|file| file.sync_data()) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::Io { path, source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Moves refs to the new objects. As soon as a ref points to them, no running gc removes them, even if
    /// this process is killed (see [`super::gc_guard`]). Fails as [`Repository::update_refs`] does.
    pub fn move_refs(&self, transaction: &Transaction) -> Result<(), Error> {
        let mut kept = None;
        let moved = self.repository.update_refs_when_ready(transaction, || {
            if self.is_at_risk() {
                kept = Some(self.repository.write_pack(&self.objects.written.borrow())?);
            }
            Ok(())
        });
        self.packed.set(moved.is_ok() && kept.is_some());
        moved
    }

    /// Checks again that all objects exist, now that they are reachable, and writes them again if a gc may
    /// have removed some (see [`super::gc_guard`]). Fails if git or the file system fails.
    pub fn finish(&self) -> Result<(), Error> {
        if !self.packed.get() && self.is_at_risk() {
            drop(self.repository.write_pack(&self.objects.written.borrow())?);
        }
        Ok(())
    }

    /// Returns true if a gc is running, or has already removed some of the objects.
    fn is_at_risk(&self) -> bool {
        let lost = |id: &gix::ObjectId| {
            let packed = || Database(self.objects.gix).reopen().is_some_and(|packs| packs.exists(id));
            !self.objects.loose_path(id).exists() && !packed()
        };
        self.repository.gc_is_running() || self.objects.written.borrow().keys().any(lost)
    }
}
