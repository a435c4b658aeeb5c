//! The root of the ledger history of a schema commit, which is the parent of its first ledger commit:
//! the schema commit itself, or a placeholder for it if the schema history is in another repository.

use crate::domain::CommitId;
use crate::git::{CommitData, Oid, Repository, TreeChange, Writer};

use super::{Error, Ledger, layout};

/// Maximum number of ancestors of a schema commit that are searched for a tree whose files are in the ledger.
const ANCESTORS_MAX: usize = 256;

/// Returns the last line of the message of the placeholder for `commit`.
pub(super) fn trailer(commit: &CommitId) -> String {
    format!("Schema-Commit: {commit}")
}

/// Returns true if `data` is the placeholder for the schema commit `commit`. A placeholder has no
/// records. A ledger commit whose history was cut off has no parents either, but it has records.
pub(super) fn is_placeholder(repository: &Repository, data: &CommitData, commit: &CommitId) -> bool {
    data.parents.is_empty()
        && data.message.trim_end().lines().last() == Some(&trailer(commit))
        && repository.directory(data.tree).is_ok_and(|files| !files.contains_key(layout::DIRECTORY))
}

impl Ledger<'_> {
    /// Returns true if there are records of the schema commit `commit`. Fails if the ref cannot be read.
    pub fn knows(&self, commit: &CommitId) -> Result<bool, Error> {
        Ok(self.repository.ref_tip(&layout::ref_name(commit))?.is_some())
    }

    /// Returns the parent of the first ledger commit of `commit`, and writes a placeholder if one is
    /// needed. Fails if the schema commit cannot be read.
    pub(super) fn root_commit(&self, writer: &mut Writer<'_>, commit: &CommitId) -> Result<Oid, Error> {
        let id = Oid::from(commit);
        match self.schema {
            None => {
                self.repository.commit(id)?;
                Ok(id)
            }
            Some(schema) => {
                let known = self.nearest_known_tree(commit)?;
                Ok(writer.copy_commit(schema, id, &trailer(commit), layout::DIRECTORY, known)?)
            }
        }
    }

    /// Returns the same as [`Self::root_commit`] if the schema commit can be read, otherwise a placeholder
    /// without files.
    pub(super) fn root_commit_by_name(
        &self,
        writer: &mut Writer<'_>,
        commit: &CommitId,
    ) -> Result<Oid, Error> {
        match self.schema_repository().has_commit(Oid::from(commit)) {
            true => self.root_commit(writer, commit),
            false => Ok(writer.placeholder(&trailer(commit))?),
        }
    }

    /// Returns the ledger tree of the nearest ancestor of `commit` that has backups, or of `commit`
    /// itself. `git gc` keeps its files, and only few of them differ from those of `commit`.
    fn nearest_known_tree(&self, commit: &CommitId) -> Result<Option<Oid>, Error> {
        let mut next = Some(Oid::from(commit));
        for _ in 0..ANCESTORS_MAX {
            let Some(id) = next else { break };
            if let Some(tip) = self.repository.ref_tip(&layout::ref_name(&id.to_commit()))? {
                return Ok(Some(self.repository.commit(tip)?.tree));
            }
            // The history of a shallow clone ends here.
            next = self.schema_repository().commit(id).ok().and_then(|data| data.parents.first().copied());
        }
        Ok(None)
    }

    /// Returns true if the history of `tip` contains `commit` or a placeholder for it. Fails if a commit
    /// of the history cannot be read.
    pub(super) fn belongs(&self, tip: Oid, commit: &CommitId) -> Result<bool, Error> {
        let (schema, mut seen) = (Oid::from(commit), std::collections::BTreeSet::new());
        let mut next = vec![tip];
        while let Some(id) = next.pop() {
            if id == schema {
                return Ok(true);
            }
            if seen.insert(id) {
                let data = self.repository.commit(id)?;
                if is_placeholder(self.repository, &data, commit) {
                    return Ok(true);
                }
                next.extend(data.parents);
            }
        }
        Ok(false)
    }

    /// Returns the tree of the schema commit `commit`. If the commit is not in this repository, the tree
    /// is derived from the ledger commits `tips`, independent of their order.
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
            // A placeholder that was written without the schema commit has an empty tree.
            let known = self.repository.directory(tree).is_ok_and(|files| !files.is_empty());
            found = found.max(Some((known, tree)));
        }
        Ok(found.expect("there are tips").1)
    }
}
