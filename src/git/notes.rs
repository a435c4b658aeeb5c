//! Notes on commits, with every fan-out of git.

use std::collections::{BTreeMap, BTreeSet};

use super::{Error, NewCommit, Oid, Repository, Writer, objects::Database, refs::RefUpdate};

/// The notes of one notes ref, at the time when they were opened.
pub struct Notes<'repo> {
    repository: &'repo Repository,
    name: String,
    tip: Option<Oid>,
    state: gix::note::plumbing::State,
}

impl<'repo> Notes<'repo> {
    /// Opens the notes of the ref `name`, which may not exist yet. Fails if they cannot be read.
    pub fn open(repository: &'repo Repository, name: &str) -> Result<Self, Error> {
        let tip = repository.ref_tip(name)?;
        let root = match tip {
            Some(tip) => repository.commit(tip)?.tree.0,
            None => repository.gix.empty_tree().id,
        };
        let state = gix::note::plumbing::State::new(root, &Database(&repository.gix))
            .map_err(Error::library("read the notes"))?;
        Ok(Self { repository, name: name.to_owned(), tip, state })
    }

    /// Returns the note on `commit`. Fails if it cannot be read.
    pub fn get(&mut self, commit: Oid) -> Result<Option<Vec<u8>>, Error> {
        let found = self
            .state
            .get(&commit.0, &Database(&self.repository.gix))
            .map_err(Error::library("look up a note"))?;
        found.map(|id| self.repository.blob(Oid(id))).transpose()
    }

    /// Stages a note on `commit` for [`Notes::publish`]. Fails if it cannot be written.
    pub fn stage(&mut self, writer: &mut Writer<'_>, commit: Oid, text: &[u8]) -> Result<(), Error> {
        let blob = writer.blob(text)?;
        self.state.edit(commit.0, Some(blob.0), &writer.objects).map_err(Error::library("write a note"))?;
        Ok(())
    }

    /// Writes the staged notes, and returns the update of the notes ref that publishes them. `merged` are
    /// further parents of the new commit, whose notes were merged. Fails if an object cannot be written.
    pub fn publish(
        &mut self,
        writer: &mut Writer<'_>,
        merged: &[Oid],
        new: &NewNote<'_>,
    ) -> Result<RefUpdate, Error> {
        let tree = self.state.write(&writer.objects).map_err(Error::library("write the notes"))?;
        let parents: Vec<Oid> = self.tip.into_iter().chain(merged.iter().copied()).collect();
        let (tree, message, identity) = (Oid(tree), new.message, new.identity);
        let tip = writer.commit(&NewCommit { tree, parents: &parents, message, identity })?;
        Ok(RefUpdate { name: self.name.clone(), old: self.tip, new: tip })
    }

    /// Returns the fast-forward of the notes ref to `theirs`, if `theirs` is a descendant of its tip and
    /// has exactly the staged notes. Fails if an object cannot be read or written.
    pub fn forward(&mut self, writer: &Writer<'_>, theirs: Oid) -> Result<Option<RefUpdate>, Error> {
        let tree = self.state.write(&writer.objects).map_err(Error::library("write the notes"))?;
        let continues = match self.tip {
            _ if self.repository.commit(theirs)?.tree != Oid(tree) => false,
            Some(ours) => self.repository.is_ancestor(ours, theirs)?,
            None => true,
        };
        Ok(continues.then(|| RefUpdate { name: self.name.clone(), old: self.tip, new: theirs }))
    }

    /// Returns the tip of the notes ref at the time when the notes were opened.
    pub fn tip(&self) -> Option<Oid> {
        self.tip
    }
}

impl Repository {
    /// Returns the commits whose notes differ between `ours` and `theirs`, with the blobs of both. Equal
    /// subtrees are skipped. Fails if an object cannot be read.
    pub fn notes_differences(
        &self,
        ours: Option<Oid>,
        theirs: Option<Oid>,
    ) -> Result<Vec<NoteDifference>, Error> {
        let root = |tip: Option<Oid>| tip.map(|tip| Ok::<_, Error>(self.commit(tip)?.tree)).transpose();
        let (mut left, mut right) = (BTreeMap::new(), BTreeMap::new());
        self.differing(root(ours)?, root(theirs)?, "", &mut left, &mut right)?;
        let commits: BTreeSet<String> = left.keys().chain(right.keys()).cloned().collect();
        let difference = |hex: String| {
            let commit = gix::ObjectId::from_hex(hex.as_bytes()).ok()?;
            let (ours, theirs) = (left.get(&hex).copied(), right.get(&hex).copied());
            (ours != theirs).then_some(NoteDifference { commit: Oid(commit), ours, theirs })
        };
        Ok(commits.into_iter().filter_map(difference).collect())
    }

    /// Collects the notes that differ below two directories.
    fn differing(
        &self,
        left: Option<Oid>,
        right: Option<Oid>,
        prefix: &str,
        ours: &mut BTreeMap<String, Oid>,
        theirs: &mut BTreeMap<String, Oid>,
    ) -> Result<(), Error> {
        if left == right {
            return Ok(());
        }
        let (left, right) = (self.entries(left)?, self.entries(right)?);
        let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
        for name in names {
            let path = format!("{prefix}{name}");
            let sub = |side: &BTreeMap<String, (bool, Oid)>| {
                side.get(name).filter(|(tree, _)| *tree).map(|(_, id)| *id)
            };
            let leaf = |side: &BTreeMap<String, (bool, Oid)>| {
                side.get(name).filter(|(tree, _)| !tree).map(|(_, id)| *id)
            };
            self.differing(sub(&left), sub(&right), &path, ours, theirs)?;
            ours.extend(leaf(&left).map(|id| (path.clone(), id)));
            theirs.extend(leaf(&right).map(|id| (path.clone(), id)));
        }
        Ok(())
    }
}

/// A commit whose notes differ between two trees of notes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoteDifference {
    /// The commit.
    pub commit: Oid,
    /// The blob of our note.
    pub ours: Option<Oid>,
    /// The blob of their note.
    pub theirs: Option<Oid>,
}

/// Message and identity of a commit of the notes ref.
pub struct NewNote<'a> {
    /// The message.
    pub message: &'a str,
    /// The author and committer.
    pub identity: &'a super::Identity,
}
