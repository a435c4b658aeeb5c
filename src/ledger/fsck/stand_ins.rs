//! What stands for schema commits of another repository, against these.

use crate::domain::CommitId;
use crate::git::Oid;

use super::{Code, Finding, Report};
use crate::ledger::{Error, Ledger, layout};

impl Ledger<'_> {
    /// Is each of `stand_ins` what it says it is? Where the schema commit is
    /// not to be had nobody can tell.
    pub(super) fn look_at_stand_ins(
        &self,
        commit: &CommitId,
        stand_ins: &[Oid],
        report: &mut Report,
    ) -> Result<(), Error> {
        if stand_ins.is_empty() {
            return Ok(());
        }
        let (reference, schema) = (layout::ref_name(commit), self.schema_repository());
        if !schema.has_commit(Oid::from(commit)) {
            let message = "the schema commit is not to be had; its backups are known by its name";
            report.findings.push(Finding::new(Code::SchemaCommitUnknown, &reference, message));
            return Ok(());
        }
        let mut wanted = schema.directory(schema.commit(Oid::from(commit))?.tree)?;
        wanted.remove(layout::DIRECTORY);
        for id in stand_ins {
            let Ok(data) = self.repository.commit(*id) else { continue };
            let files = self.repository.directory(data.tree)?;
            // Without files it is of one who had only the name.
            if files != wanted && !files.is_empty() {
                let message = format!("{id} has other files than the schema commit that it stands for");
                report.findings.push(Finding::new(Code::SchemaChanged, &reference, message).at(*id));
            }
        }
        Ok(())
    }
}
