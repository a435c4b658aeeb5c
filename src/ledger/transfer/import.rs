//! Imports the records of an export.
//!
//! The input is read twice. The first pass checks every line and the second one writes, so that
//! nothing is written unless all of the input is valid. Records are merged like those of another
//! clone, by the union of events. Events that exist already change nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, Read as _};

use crate::domain::{BackupId, Body, CommitId, Event, RECORD_BYTES_MAX, Record};
use crate::git::{Identity, NewCommit, NewNote, Notes, Oid, RefUpdate, Transaction, TreeChange, Writer};
use crate::process::crash_point;

use super::line::{LINE_BYTES_MAX, Line};
use crate::ledger::{Error, Ledger, catalog::RecordLocation, layout, note};

/// Maximum number of records per transaction.
const BATCH_RECORDS: usize = 400;
/// Maximum number of bytes of input per transaction.
const BATCH_BYTES: usize = 32 << 20;

/// The options of an import.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// True to only report the changes.
    pub dry_run: bool,
    /// True to skip backups of schema commits that are not in the repository.
    pub skip_missing: bool,
    /// True to import backups of schema commits that are not in the repository: only the name of the
    /// commit is known then.
    pub names_only: bool,
}

/// The result of an import, or of a dry run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// The backups that had no record.
    pub new: BTreeSet<BackupId>,
    /// The backups whose record was extended.
    pub changed: BTreeSet<BackupId>,
    /// The number of backups whose record was equal already.
    pub unchanged: usize,
    /// The number of events that were added.
    pub events: usize,
    /// The skipped backups, with their schema commit.
    pub skipped: BTreeMap<BackupId, CommitId>,
}

/// Consecutive lines about one backup.
struct Group {
    id: BackupId,
    line: u64,
    bytes: usize,
    record: Record,
    sql: Option<Vec<u8>>,
}

/// A reader of groups of lines.
struct Groups<R> {
    input: R,
    line: u64,
    pending: Option<(u64, usize, Line)>,
}

impl<R: BufRead> Groups<R> {
    /// Reads the header, and returns the number of backups that it announces. Fails if the input is not
    /// an export.
    fn open(input: R) -> Result<(Self, u64), Error> {
        let mut groups = Self { input, line: 0, pending: None };
        match groups.next_line()? {
            Some((_, _, Line::Header { backups })) => Ok((groups, backups)),
            _ => Err(at(1, "this is not an export of a ledger")),
        }
    }

    fn next_line(&mut self) -> Result<Option<(u64, usize, Line)>, Error> {
        if let Some(pending) = self.pending.take() {
            return Ok(Some(pending));
        }
        self.line += 1;
        let mut bytes = Vec::new();
        let mut limited = (&mut self.input).take(LINE_BYTES_MAX as u64 + 1);
        limited.read_until(b'\n', &mut bytes).map_err(|error| at(self.line, error.to_string()))?;
        match bytes.len() {
            0 => Ok(None),
            len if len > LINE_BYTES_MAX => {
                Err(at(self.line, format!("the line has more than {LINE_BYTES_MAX} bytes")))
            }
            len => {
                let line = Line::parse(&bytes).map_err(|reason| at(self.line, reason))?;
                Ok(Some((self.line, len, line)))
            }
        }
    }

    /// Reads the next group; `None` at the end. Fails if a line is invalid.
    fn next_group(&mut self) -> Result<Option<Group>, Error> {
        let mut group: Option<Group> = None;
        while let Some((number, bytes, line)) = self.next_line()? {
            let id = match &line {
                Line::Header { .. } => return Err(at(number, "a second header")),
                Line::Event(event) => event.backup,
                Line::Schema { backup, .. } => *backup,
            };
            let new = || Group { id, line: number, bytes: 0, record: Record::new(id), sql: None };
            let current = group.get_or_insert_with(new);
            if current.id != id {
                self.pending = Some((number, bytes, line));
                break;
            }
            current.bytes += bytes;
            match line {
                Line::Event(event) => current.add(*event, number)?,
                Line::Schema { sql, .. } if current.sql.as_ref().is_none_or(|known| *known == sql) => {
                    current.sql = Some(sql);
                }
                _ => return Err(at(number, format!("a second schema of backup {id}"))),
            }
        }
        Ok(group)
    }
}

impl Group {
    fn add(&mut self, event: Event, line: u64) -> Result<(), Error> {
        if self.bytes > RECORD_BYTES_MAX {
            return Err(at(line, format!("the events of backup {} are too large", self.id)));
        }
        if self.record.event(event.id).is_some_and(|known| *known != event) {
            return Err(at(line, format!("two different events have the id {}", event.id)));
        }
        self.record.add(event).map_err(|error| at(line, error.to_string()))
    }

    /// Returns the schema commit, if one of the events names it.
    fn commit(&self) -> Option<CommitId> {
        self.record.ordered().into_iter().find_map(|event| match &event.body {
            Body::Registered(body) => Some(body.commit.clone()),
            _ => None,
        })
    }
}

fn at(line: u64, reason: impl Into<String>) -> Error {
    Error::Import { line, reason: reason.into() }
}

/// The state of the repository at the start of an import.
struct ExistingRecords {
    places: BTreeMap<BackupId, RecordLocation>,
    commits: BTreeMap<BackupId, CommitId>,
    present: BTreeMap<CommitId, bool>,
}

/// The records and schemas to write, by schema commit and backup.
type Batch = BTreeMap<CommitId, BTreeMap<BackupId, (Record, Option<Vec<u8>>)>>;

impl Ledger<'_> {
    /// Imports the export that `open` returns; it is opened twice. Fails if a line is invalid or
    /// contradicts the ledger, or if schema commits are missing and `options` do not allow that.
    pub fn import<R: BufRead>(
        &self,
        mut open: impl FnMut() -> io::Result<R>,
        options: ImportOptions,
    ) -> Result<ImportReport, Error> {
        let mut input = || open().map_err(|error| at(0, error.to_string()));
        let places =
            self.record_locations(&mut Vec::new())?.into_iter().map(|place| (place.id, place)).collect();
        let mut known = ExistingRecords { places, commits: BTreeMap::new(), present: BTreeMap::new() };
        let imported = self.check_import(input()?, options, &mut known)?;
        let nothing = imported.new.is_empty() && imported.changed.is_empty();
        if !options.dry_run && !nothing {
            self.write_import(input()?, &known)?;
        }
        Ok(imported)
    }

    /// Checks every line and returns the changes to make.
    fn check_import<R: BufRead>(
        &self,
        input: R,
        options: ImportOptions,
        known: &mut ExistingRecords,
    ) -> Result<ImportReport, Error> {
        let (mut groups, announced) = Groups::open(input)?;
        let (mut imported, mut missing) = (ImportReport::default(), BTreeSet::new());
        while let Some(group) = groups.next_group()? {
            let commit = self.commit_of(&group, known)?;
            known.commits.insert(group.id, commit.clone());
            if !options.names_only && !self.is_present(&commit, known) {
                missing.insert(commit.clone());
                imported.skipped.insert(group.id, commit);
                continue;
            }
            self.compare(&group, &commit, known, &mut imported)?;
        }
        let found = known.commits.len() as u64;
        if found != announced {
            let reason = format!(
                "the export has {found} of the {announced} backups that it announces: it is incomplete"
            );
            return Err(at(groups.line, reason));
        }
        if !missing.is_empty() && !options.skip_missing {
            return Err(Error::MissingCommits { commits: missing.into_iter().collect() });
        }
        Ok(imported)
    }

    fn commit_of(&self, group: &Group, known: &ExistingRecords) -> Result<CommitId, Error> {
        let here = known.places.get(&group.id).map(|place| &place.commit).or(known.commits.get(&group.id));
        match (here, group.commit()) {
            (Some(here), Some(there)) if *here != there => {
                Err(at(group.line, format!("backup {} belongs to commit {here}, not to {there}", group.id)))
            }
            (Some(here), _) => Ok(here.clone()),
            (None, Some(there)) => Ok(there),
            (None, None) => Err(at(group.line, format!("no event registers backup {}", group.id))),
        }
    }

    fn is_present(&self, commit: &CommitId, known: &mut ExistingRecords) -> bool {
        match known.present.get(commit) {
            Some(present) => *present,
            None => {
                let present = self.schema_repository().has_commit(Oid::from(commit));
                *known.present.entry(commit.clone()).or_insert(present)
            }
        }
    }

    /// Compares a group with the existing record. Fails if the two contradict each other.
    fn compare(
        &self,
        group: &Group,
        commit: &CommitId,
        known: &ExistingRecords,
        imported: &mut ImportReport,
    ) -> Result<(), Error> {
        let Some(place) = known.places.get(&group.id) else {
            let belongs = group.record.fold().is_ok_and(|folded| folded.backup.commit == *commit);
            if !belongs && !imported.new.contains(&group.id) {
                let reason = format!("the events of backup {} do not form a record", group.id);
                return Err(at(group.line, reason));
            }
            imported.events += group.record.ordered().len();
            imported.new.insert(group.id);
            return Ok(());
        };
        let here = self.read_at(place)?.record;
        let mut added = 0;
        for event in group.record.ordered() {
            match here.event(event.id) {
                Some(same) if same == event => {}
                None => added += 1,
                Some(_) => {
                    let reason =
                        format!("event {} of backup {} differs from the event here", event.id, group.id);
                    return Err(at(group.line, reason));
                }
            }
        }
        let sql = self.repository.blob_at(place.tip, &layout::schema_path(group.id))?;
        imported.events += added;
        if added > 0 || (group.sql.is_some() && sql.is_none()) {
            imported.changed.insert(group.id);
        } else {
            imported.unchanged += 1;
        }
        Ok(())
    }

    /// Writes the checked records, in transactions of limited size.
    fn write_import<R: BufRead>(&self, input: R, known: &ExistingRecords) -> Result<(), Error> {
        let (mut groups, _) = Groups::open(input)?;
        let (mut batch, mut records, mut bytes) = (Batch::new(), 0, 0);
        while let Some(group) = groups.next_group()? {
            // The first pass has not checked this backup.
            let Some(commit) = known.commits.get(&group.id) else {
                return Err(at(group.line, "the input has changed between the two passes"));
            };
            if known.present.get(commit) == Some(&false) {
                continue;
            }
            records += 1;
            bytes += group.bytes;
            let backups = batch.entry(commit.clone()).or_default();
            let (record, sql) = backups.entry(group.id).or_insert_with(|| (Record::new(group.id), None));
            *record = record.union(&group.record)?;
            *sql = sql.take().or(group.sql);
            if records >= BATCH_RECORDS || bytes >= BATCH_BYTES {
                self.write_batch(&batch)?;
                (batch, records, bytes) = (Batch::new(), 0, 0);
            }
        }
        self.write_batch(&batch)
    }

    fn write_batch(&self, batch: &Batch) -> Result<(), Error> {
        self.retry_on_conflict(|| {
            let identity = self.schema_repository().identity()?;
            let mut writer = self.repository.writer();
            let mut notes = Notes::open(self.repository, layout::NOTES_REF)?;
            let mut updates = Vec::new();
            for (commit, backups) in batch {
                let old = notes.get(Oid::from(commit))?.unwrap_or_default();
                let mut text = String::from_utf8_lossy(&old).into_owned();
                let update = self.write_commit(&mut writer, commit, backups, &mut text, &identity)?;
                if update.is_some() && text.as_bytes() != old {
                    notes.stage(&mut writer, Oid::from(commit), text.as_bytes())?;
                }
                updates.extend(update);
            }
            if updates.is_empty() {
                return Ok(());
            }
            let new = NewNote { message: "backup: imported notes\n", identity: &identity };
            updates.push(notes.publish(&mut writer, &[], &new)?);
            crash_point("import.objects-written");
            writer.sync()?;
            writer.move_refs(&Transaction {
                updates,
                reason: "backup: imported".to_owned(),
                ..Transaction::default()
            })?;
            crash_point("import.refs-moved");
            Ok(writer.finish()?)
        })
    }

    /// Writes the ledger commit of one schema commit; `None` if nothing changes.
    fn write_commit(
        &self,
        writer: &mut Writer<'_>,
        commit: &CommitId,
        backups: &BTreeMap<BackupId, (Record, Option<Vec<u8>>)>,
        text: &mut String,
        identity: &Identity,
    ) -> Result<Option<RefUpdate>, Error> {
        let name = layout::ref_name(commit);
        let tip = self.repository.ref_tip(&name)?;
        let parent = match tip {
            Some(tip) => tip,
            None => self.root_commit_by_name(writer, commit)?,
        };
        let files: BTreeMap<String, Oid> = match tip {
            Some(tip) => self.repository.files_at(tip, layout::DIRECTORY)?.into_iter().collect(),
            None => BTreeMap::new(),
        };
        let (mut changes, mut lines) = (Vec::new(), String::new());
        for (id, (record, sql)) in backups {
            let blob = files.get(&format!("{id}.json")).copied();
            let here = match blob {
                Some(blob) => {
                    let place = RecordLocation { id: *id, commit: commit.clone(), tip: parent, blob };
                    self.read_at(&place)?.record
                }
                None => Record::new(*id),
            };
            let union = here.union(record)?;
            if union != here {
                let path = layout::record_path(*id);
                changes.push(TreeChange::File(path, writer.blob(&union.to_bytes()?)?));
                lines.push_str(&trailers(*id, &here, &union));
                *text = note::updated(text, &union.fold()?.backup);
            }
            if let (Some(sql), false) = (sql, files.contains_key(&format!("{id}.sql"))) {
                changes.push(TreeChange::File(layout::schema_path(*id), writer.blob(sql)?));
            }
        }
        if changes.is_empty() {
            return Ok(None);
        }
        if tip.is_none() {
            changes.insert(0, TreeChange::Remove(layout::DIRECTORY.to_owned()));
        }
        let tree = writer.tree(self.repository.commit(parent)?.tree, &changes)?;
        let message =
            format!("backup: imported {} records\n\n{lines}Schema-Commit: {commit}\n", backups.len());
        let new = writer.commit(&NewCommit { tree, parents: &[parent], message: &message, identity })?;
        Ok(Some(RefUpdate { name, old: tip, new }))
    }
}

fn trailers(id: BackupId, here: &Record, union: &Record) -> String {
    let mut lines = format!("Backup-Id: {id}\n");
    for event in union.ordered().into_iter().filter(|event| here.event(event.id).is_none()) {
        lines.push_str(&format!("Event: {} {}\n", event.body.kind(), event.id));
    }
    lines
}
