//! Checks the notes against the records that they are derived from.

use std::collections::BTreeMap;

use crate::domain::{Backup, CommitId};
use crate::git::Oid;

use super::{Code, Finding, RecordAt, Report};
use crate::ledger::{Error, Ledger, layout, note};

impl Ledger<'_> {
    /// Checks all notes. `tips` are the refs from which the records were read.
    pub(super) fn check_notes(
        &self,
        known: &[RecordAt],
        tips: &BTreeMap<CommitId, Oid>,
        report: &mut Report,
    ) -> Result<(), Error> {
        let mut wanted = BTreeMap::<CommitId, Vec<&Backup>>::new();
        for one in known {
            // A misplaced record has no line in a note.
            if one.reference == layout::ref_name(&one.backup.commit) {
                wanted.entry(one.backup.commit.clone()).or_default().push(&one.backup);
            }
        }
        let tip = self.repository.ref_tip(layout::NOTES_REF)?;
        let mut written = BTreeMap::<CommitId, Oid>::new();
        for found in self.repository.notes_differences(None, tip)? {
            written.extend(found.theirs.map(|blob| (found.commit.to_commit(), blob)));
        }
        for (commit, backups) in &wanted {
            let text = match written.get(commit) {
                Some(blob) => self.text(*blob)?,
                None => String::new(),
            };
            if !note::is_derived(&text, backups.iter().copied()) && self.is_still(commit, tips)? {
                let file = commit.to_string();
                let message = "the note differs from the records";
                report.findings.push(Finding::new(Code::NoteStale, layout::NOTES_REF, message).file(file));
            }
        }
        for (commit, blob) in written.iter().filter(|(commit, _)| !wanted.contains_key(*commit)) {
            if !self.is_still(commit, tips)? {
                continue;
            }
            let finding = if note::is_derived(&self.text(*blob)?, []) {
                Finding::new(Code::NoteForeign, layout::NOTES_REF, "the commit has no backups")
            } else {
                let message = "the note lists backups that have no record";
                Finding::new(Code::NoteOrphan, layout::NOTES_REF, message)
            };
            report.findings.push(finding.file(commit.to_string()));
        }
        Ok(())
    }

    /// Returns true if the ref of `commit` has not moved since it was read. A concurrent write moves the
    /// ref and the note together.
    fn is_still(&self, commit: &CommitId, tips: &BTreeMap<CommitId, Oid>) -> Result<bool, Error> {
        Ok(self.repository.ref_tip(&layout::ref_name(commit))? == tips.get(commit).copied())
    }

    fn text(&self, blob: Oid) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(&self.repository.blob(blob)?).into_owned())
    }
}
