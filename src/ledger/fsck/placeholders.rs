//! Checks the placeholders against the schema commits of another repository.

use crate::domain::CommitId;
use crate::git::Oid;

use super::{Code, Finding, Report};
use crate::ledger::{Error, Ledger, layout};

impl Ledger<'_> {
    /// Checks that each placeholder has the files of the schema commit. A missing schema commit makes the
    /// check impossible, which is a finding.
    pub(super) fn check_placeholders(
        &self,
        commit: &CommitId,
        placeholders: &[Oid],
        report: &mut Report,
    ) -> Result<(), Error> {
        if placeholders.is_empty() {
            return Ok(());
        }
        let (reference, schema) = (layout::ref_name(commit), self.schema_repository());
        if !schema.has_commit(Oid::from(commit)) {
            let message = "the schema commit is missing; only its id is known";
            report.findings.push(Finding::new(Code::SchemaCommitUnknown, &reference, message));
            return Ok(());
        }
        let mut wanted = schema.directory(schema.commit(Oid::from(commit))?.tree)?;
        wanted.remove(layout::DIRECTORY);
        for id in placeholders {
            let Ok(data) = self.repository.commit(*id) else { continue };
            let files = self.repository.directory(data.tree)?;
            // A placeholder that was written without the schema commit has no files.
            if files != wanted && !files.is_empty() {
                let message = format!("placeholder {id} has other files than the schema commit");
                report.findings.push(Finding::new(Code::SchemaChanged, &reference, message).at(*id));
            }
        }
        Ok(())
    }
}
