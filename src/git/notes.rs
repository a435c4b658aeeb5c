//! Notes on commits, in any of git's fan-outs.

use super::{Error, NewCommit, Oid, Repository, Writer, objects::Database, refs::RefUpdate};

/// The notes of one notes ref, as they were when they were opened.
pub struct Notes<'repo> {
    repository: &'repo Repository,
    name: String,
    tip: Option<Oid>,
    state: gix::note::plumbing::State,
}

impl<'repo> Notes<'repo> {
    /// Opens the notes under the ref `name`, which may not exist yet.
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

    /// The note on `commit`.
    pub fn get(&mut self, commit: Oid) -> Result<Option<Vec<u8>>, Error> {
        let found = self
            .state
            .get(&commit.0, &Database(&self.repository.gix))
            .map_err(Error::library("look up a note"))?;
        found.map(|id| self.repository.blob(Oid(id))).transpose()
    }

    /// Writes the objects of a new note on `commit` and returns what the notes
    /// ref has to become for it.
    pub fn set(
        &mut self,
        writer: &mut Writer<'_>,
        commit: Oid,
        text: &[u8],
        new: &NewNote<'_>,
    ) -> Result<RefUpdate, Error> {
        let blob = writer.blob(text)?;
        let edit =
            self.state.replace(commit.0, blob.0, &writer.objects).map_err(Error::library("write a note"))?;
        let parents: Vec<Oid> = self.tip.into_iter().collect();
        let tip = writer.commit(&NewCommit {
            tree: Oid(edit.tree),
            parents: &parents,
            message: new.message,
            identity: new.identity,
        })?;
        Ok(RefUpdate { name: self.name.clone(), old: self.tip, new: tip })
    }
}

/// What the commit of a note says.
pub struct NewNote<'a> {
    /// Its message.
    pub message: &'a str,
    /// Who acts.
    pub identity: &'a super::Identity,
}
