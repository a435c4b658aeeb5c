//! What the first ledger commit of a schema commit continues: the schema commit
//! itself, or what stands for it where the schema history is in another
//! repository.

use crate::domain::CommitId;
use crate::git::{CommitData, Oid, Repository, TreeChange, Writer};

use super::{Error, Ledger, layout};

/// How far back a schema commit is looked for that has most of its files here.
const NEIGHBOURS: usize = 256;

/// The last line of what stands for `commit`.
pub(super) fn trailer(commit: &CommitId) -> String {
    format!("Schema-Commit: {commit}")
}

/// Does `data` stand for the schema commit `commit`? It has no records: a ledger
/// commit whose history was taken away has.
pub(super) fn is_stand_in(repository: &Repository, data: &CommitData, commit: &CommitId) -> bool {
    data.parents.is_empty()
        && data.message.trim_end().lines().last() == Some(&trailer(commit))
        && repository.directory(data.tree).is_ok_and(|files| !files.contains_key(layout::DIRECTORY))
}

impl Ledger<'_> {
    /// Are there records of the schema commit `commit`?
    pub fn knows(&self, commit: &CommitId) -> Result<bool, Error> {
        Ok(self.repository.ref_tip(&layout::ref_name(commit))?.is_some())
    }

    /// What a first ledger commit of `commit` has as its parent.
    pub(super) fn beginning(&self, writer: &mut Writer<'_>, commit: &CommitId) -> Result<Oid, Error> {
        let id = Oid::from(commit);
        match self.schema {
            None => {
                self.repository.commit(id)?;
                Ok(id)
            }
            Some(schema) => {
                let known = self.files_nearby(commit)?;
                Ok(writer.copy_of(schema, id, &trailer(commit), layout::DIRECTORY, known)?)
            }
        }
    }

    /// The same, when the name of `commit` may be all that is known.
    pub(super) fn beginning_by_name(&self, writer: &mut Writer<'_>, commit: &CommitId) -> Result<Oid, Error> {
        match self.schema_repository().has_commit(Oid::from(commit)) {
            true => self.beginning(writer, commit),
            false => Ok(writer.placeholder(&trailer(commit))?),
        }
    }

    /// The tree of the nearest schema commit before `commit` that has backups:
    /// no gc takes its files away, and few are different.
    fn files_nearby(&self, commit: &CommitId) -> Result<Option<Oid>, Error> {
        let mut next = Some(Oid::from(commit));
        for _ in 0..NEIGHBOURS {
            let Some(id) = next else { break };
            if let Some(tip) = self.repository.ref_tip(&layout::ref_name(&id.to_commit()))? {
                return Ok(Some(self.repository.commit(tip)?.tree));
            }
            // Where history was cut off there is nothing before.
            next = self.schema_repository().commit(id).ok().and_then(|data| data.parents.first().copied());
        }
        Ok(None)
    }

    /// Does the ref with the tip `tip` belong to `commit`: does it begin with
    /// it, or with what stands for it?
    pub(super) fn belongs(&self, tip: Oid, commit: &CommitId) -> Result<bool, Error> {
        let (schema, mut seen) = (Oid::from(commit), std::collections::BTreeSet::new());
        let mut next = vec![tip];
        while let Some(id) = next.pop() {
            if id == schema {
                return Ok(true);
            }
            if seen.insert(id) {
                let data = self.repository.commit(id)?;
                if is_stand_in(self.repository, &data, commit) {
                    return Ok(true);
                }
                next.extend(data.parents);
            }
        }
        Ok(false)
    }

    /// The tree of the schema commit that refs with these tips belong to, the
    /// same in whatever order they are given.
    pub(super) fn schema_tree(
        &self,
        writer: &mut Writer<'_>,
        commit: &CommitId,
        tips: &[Oid],
    ) -> Result<Oid, Error> {
        if self.repository.has_commit(Oid::from(commit)) {
            return Ok(self.repository.commit(Oid::from(commit))?.tree);
        }
        let mut found: Option<(bool, Oid)> = None;
        for tip in tips {
            let tree = self.repository.commit(*tip)?.tree;
            let tree = writer.tree(tree, &[TreeChange::Remove(layout::DIRECTORY.to_owned())])?;
            // A tree without files is of one who had only the name.
            let known = self.repository.directory(tree).is_ok_and(|files| !files.is_empty());
            found = found.max(Some((known, tree)));
        }
        Ok(found.expect("there are tips").1)
    }
}
