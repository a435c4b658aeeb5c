//! Copies commits from another repository.
//!
//! A copy has the tree of the commit and no parents. It depends only on the commit: all copies of one
//! commit are equal.

use std::collections::BTreeMap;

use gix::objs::{Commit, CommitRef, Kind, Write as _};

use super::{Error, Oid, Repository, TreeChange, Writer};

/// The author of a commit of which only the id is known.
const UNKNOWN: &str = "unknown";

impl Writer<'_> {
    /// Writes a commit without parents, with the authors, the message and the files of the commit `id` of
    /// `from`. `trailer` is added to the message, and the top-level entry `without` is left out. Objects
    /// that are in the tree `known` exist already and are not copied. Fails if an object cannot be read or
    /// written.
    pub fn copy_commit(
        &mut self,
        from: &Repository,
        id: Oid,
        trailer: &str,
        without: &str,
        known: Option<Oid>,
    ) -> Result<Oid, Error> {
        let failed = || Error::library(format!("copy commit {id}"));
        let bytes = from.commit_bytes(id)?;
        let old = CommitRef::from_bytes(&bytes, id.0.kind()).map_err(failed())?;
        let person = |signature: Result<gix::actor::SignatureRef<'_>, _>| {
            signature.ok().and_then(|signature: gix::actor::SignatureRef<'_>| signature.to_owned().ok())
        };
        let (author, committer) = (person(old.author().map_err(drop)), person(old.committer().map_err(drop)));
        let words = old.message.to_vec();
        let tree = self.copy_tree(from, Oid(old.tree()), known)?;
        let tree = match from.directory(tree)?.contains_key(without) {
            true => self.tree(tree, &[TreeChange::Remove(without.to_owned())])?,
            false => tree,
        };
        let new = Commit {
            tree: tree.0,
            parents: Default::default(),
            author: author.unwrap_or_else(unknown_author),
            committer: committer.unwrap_or_else(unknown_author),
            encoding: old.encoding.map(Into::into),
            message: [words.trim_ascii_end(), b"\n\n", trailer.as_bytes(), b"\n"].concat().into(),
            extra_headers: Vec::new(),
        };
        self.objects.write(&new).map(Oid).map_err(failed())
    }

    /// Writes a commit without parents and files, whose message is only `trailer`. Fails if it cannot be
    /// written.
    pub fn placeholder(&mut self, trailer: &str) -> Result<Oid, Error> {
        let failed = || Error::library("write a commit");
        let tree = self.objects.write_buf(Kind::Tree, b"").map_err(failed())?;
        let new = Commit {
            tree,
            parents: Default::default(),
            author: unknown_author(),
            committer: unknown_author(),
            encoding: None,
            message: format!("{trailer}\n").into(),
            extra_headers: Vec::new(),
        };
        self.objects.write(&new).map(Oid).map_err(failed())
    }

    fn copy_tree(&mut self, from: &Repository, id: Oid, known: Option<Oid>) -> Result<Oid, Error> {
        if known == Some(id) {
            return Ok(id);
        }
        let there = known.map(|known| self.repository.tree(known)).transpose()?.unwrap_or_default();
        let there: BTreeMap<_, _> = there.entries.iter().map(|entry| (&entry.filename, entry)).collect();
        for entry in &from.tree(id)?.entries {
            let known = there.get(&entry.filename).filter(|there| there.mode == entry.mode);
            let known = known.map(|there| Oid(there.oid));
            if entry.mode.is_tree() {
                self.copy_tree(from, Oid(entry.oid), known)?;
            } else if known != Some(Oid(entry.oid)) && !entry.mode.is_commit() {
                self.blob(&from.blob(Oid(entry.oid))?)?;
            }
        }
        let bytes = from.tree_bytes(id)?;
        self.objects.write_buf(Kind::Tree, &bytes).map(Oid).map_err(Error::library("write a tree"))
    }
}

fn unknown_author() -> gix::actor::Signature {
    let time = gix::date::Time { seconds: 0, offset: 0 };
    gix::actor::Signature { name: UNKNOWN.into(), email: UNKNOWN.into(), time }
}
