//! Regenerates derived data: the state in the record files, and the notes.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{BackupId, CommitId, Record};
use crate::git::{NewCommit, NewNote, Notes, Oid, RefUpdate, Transaction, TreeChange};

use super::record::StoredEvents;
use super::{Code, Report};
use crate::ledger::{Error, Ledger, layout, note};

/// The result of [`Ledger::repair`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerRepair {
    /// The backups whose record file was regenerated.
    pub records: BTreeSet<BackupId>,
    /// The schema commits whose note was regenerated.
    pub notes: BTreeSet<CommitId>,
}

impl Ledger<'_> {
    /// Regenerates the derived data that `report` found stale, from the current events and not from those
    /// at the time of the report. Fails if a ref cannot be read or written.
    pub fn repair(&self, report: &Report) -> Result<LedgerRepair, Error> {
        let mut repaired = LedgerRepair::default();
        let mut commits = BTreeSet::new();
        for finding in &report.findings {
            let commit = match finding.code {
                Code::RecordStale => finding.reference.strip_prefix(layout::REFS_PREFIX),
                Code::NoteStale | Code::NoteOrphan => Some(finding.file.as_str()),
                _ => None,
            };
            commits.extend(commit.and_then(|commit| commit.parse::<CommitId>().ok()));
        }
        for commit in commits {
            let (records, note) = self.retry_on_conflict(|| self.repair_commit(&commit))?;
            repaired.records.extend(records);
            if note {
                repaired.notes.insert(commit);
            }
        }
        Ok(repaired)
    }

    fn repair_commit(&self, commit: &CommitId) -> Result<(Vec<BackupId>, bool), Error> {
        let name = layout::ref_name(commit);
        let identity = self.schema_repository().identity()?;
        let mut writer = self.repository.writer();
        let (mut updates, mut changes, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        let mut backups = BTreeMap::new();
        let tip = self.repository.ref_tip(&name)?;
        for (id, blob) in tip.map(|tip| self.records_at(tip)).transpose()?.unwrap_or_default() {
            let bytes = self.repository.blob(blob)?;
            let Some((record, whole)) = readable(&bytes, id, commit) else { continue };
            let (backup, derived) = (record.fold()?.backup, record.to_bytes()?);
            if derived != bytes && whole {
                changes.push(TreeChange::File(layout::record_path(id), writer.blob(&derived)?));
                ids.push(id);
            }
            backups.insert(id, backup);
        }
        if let (Some(parent), false) = (tip, changes.is_empty()) {
            let tree = writer.tree(self.repository.commit(parent)?.tree, &changes)?;
            let message = message(commit, &ids);
            let commit = NewCommit { tree, parents: &[parent], message: &message, identity: &identity };
            updates.push(RefUpdate { name, old: tip, new: writer.commit(&commit)? });
        }
        let mut notes = Notes::open(self.repository, layout::NOTES_REF)?;
        let old = notes.get(Oid::from(commit))?.unwrap_or_default();
        let text = note::derived(&String::from_utf8_lossy(&old), backups.values());
        let stale = text.as_bytes() != old;
        if stale {
            notes.stage(&mut writer, Oid::from(commit), text.as_bytes())?;
            let new = NewNote { message: "backup: repaired notes\n", identity: &identity };
            updates.push(notes.publish(&mut writer, &[], &new)?);
        }
        if !updates.is_empty() {
            writer.sync()?;
            writer.move_refs(&Transaction {
                updates,
                reason: "backup: repaired".to_owned(),
                ..Transaction::default()
            })?;
            writer.finish()?;
        }
        Ok((ids, stale))
    }

    fn records_at(&self, tip: Oid) -> Result<Vec<(BackupId, Oid)>, Error> {
        let files = self.repository.files_at(tip, layout::DIRECTORY)?;
        Ok(files.into_iter().filter_map(|(file, blob)| Some((layout::record_of(&file)?, blob))).collect())
    }
}

/// Returns the record in `bytes`, if it is the one of `id` on `commit`, and true if regenerating it
/// keeps every event.
fn readable(bytes: &[u8], id: BackupId, commit: &CommitId) -> Option<(Record, bool)> {
    let record = Record::parse(bytes).ok()?;
    let belongs = record.id() == id && record.fold().is_ok_and(|folded| folded.backup.commit == *commit);
    let whole = StoredEvents::parse(bytes).is_ok_and(|facts| facts.duplicate_ids().next().is_none());
    belongs.then_some((record, whole))
}

fn message(commit: &CommitId, ids: &[BackupId]) -> String {
    let lines: String = ids.iter().map(|id| format!("Backup-Id: {id}\n")).collect();
    format!("backup: repaired {} records\n\n{lines}Schema-Commit: {commit}\n", ids.len())
}
