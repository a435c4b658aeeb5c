//! Changes records.
//!
//! Every change reads the refs and the record, decides, writes objects, and moves the ledger ref and
//! the notes ref in one transaction, each from the value that was read. If one of the refs has moved
//! meanwhile, all of it is repeated, including the decision.

use std::collections::BTreeMap;

use crate::domain::{
    Backup, BackupId, BackupName, BackupType, Body, CommitId, DatabaseName, Dependency, Event, EventId, Line,
    Metadata, Record, Registered, TagKey, Timestamp, Tool, refusal,
};
use crate::git::{
    Identity, NewCommit, NewNote, Notes, Oid, RefUpdate, Transaction, TreeChange, Writer, retry_on_conflict,
};

use crate::process::crash_point;

use super::{Entry, Error, Ledger, catalog::RecordLocation, layout, message, note};

/// A backup to register.
#[derive(Debug, Clone)]
pub struct NewBackup {
    /// The new id.
    pub id: BackupId,
    /// The name.
    pub name: BackupName,
    /// The configured database.
    pub database: DatabaseName,
    /// The schema commit, which must exist.
    pub commit: CommitId,
    /// The branch that the backup is made for.
    pub branch: Option<Line>,
    /// The backup type.
    pub kind: BackupType,
    /// The tool that makes the backup.
    pub tool: Tool,
    /// The backups that are needed to restore it.
    pub depends_on: Vec<Dependency>,
    /// The time from which policy may expire the backup.
    pub expires_at: Option<Timestamp>,
    /// The tags.
    pub tags: BTreeMap<TagKey, Line>,
    /// The metadata, a JSON object.
    pub metadata: Metadata,
}

impl From<NewBackup> for Body {
    fn from(new: NewBackup) -> Self {
        let NewBackup {
            name,
            database,
            commit,
            branch,
            kind,
            tool,
            depends_on,
            expires_at,
            tags,
            metadata,
            ..
        } = new;
        Registered {
            name,
            database,
            commit,
            branch,
            backup_type: kind,
            tool,
            depends_on,
            expires_at,
            tags,
            metadata,
        }
        .into()
    }
}

/// The state before a change.
struct Base {
    id: BackupId,
    reference: String,
    tip: Option<Oid>,
    known: Option<Entry>,
}

/// The additions of a change to a record.
#[derive(Debug, Clone, Default)]
pub struct RecordChange {
    /// The events to add, in this order. If there are none, nothing is written.
    pub bodies: Vec<Body>,
    /// The schema of the database as it was backed up.
    pub schema: Option<Vec<u8>>,
}

impl<T: Into<Body>> From<T> for RecordChange {
    fn from(body: T) -> Self {
        Self { bodies: vec![body.into()], schema: None }
    }
}

impl Ledger<'_> {
    /// Registers a backup and adds the events `then` in the same commit. Fails if the schema commit is
    /// missing or the id is taken.
    pub fn register(&self, new: &NewBackup, then: &[Body]) -> Result<Entry, Error> {
        let mut bodies = vec![Body::from(new.clone())];
        bodies.extend_from_slice(then);
        self.change(&new.commit, new.id, |_| Ok(RecordChange { bodies: bodies.clone(), schema: None }))
    }

    /// Adds the events that `decide` returns to the record of a backup. `decide` is called again with
    /// the newer record if the record was changed meanwhile. Fails if the backup is missing or its
    /// state does not allow an event.
    pub fn append(
        &self,
        id: BackupId,
        decide: impl FnMut(&Entry) -> Result<RecordChange, Error>,
    ) -> Result<Entry, Error> {
        let commit = self.by_id(id)?.backup.commit;
        self.append_at(&commit, id, decide)
    }

    /// Like [`Ledger::append`], with a known schema commit.
    pub fn append_at(
        &self,
        commit: &CommitId,
        id: BackupId,
        mut decide: impl FnMut(&Entry) -> Result<RecordChange, Error>,
    ) -> Result<Entry, Error> {
        self.change(commit, id, |entry| match entry {
            Some(entry) => decide(entry),
            None => Err(Error::NotFound { selector: id.to_string() }),
        })
    }

    /// Adds an existing event unchanged. Does nothing if the record has it already. Fails if the event
    /// is invalid or the state of the backup does not allow it.
    pub fn append_event(&self, event: &Event) -> Result<Entry, Error> {
        self.append_event_with_schema(event, None)
    }

    /// Returns the event that this ledger would add to `record` next. Fails if git has no identity.
    pub fn next_event(&self, record: &Record, body: Body) -> Result<Event, Error> {
        let (at, by) = (self.clock.now(), Line::lossy(&self.schema_repository().identity()?.to_line()));
        Ok(Event::new(EventId::new(at), record.id(), record.next_clock(), at, by, self.host.clone(), body))
    }

    /// Like [`Ledger::append_event`], and also records the schema of the database.
    pub fn append_event_with_schema(&self, event: &Event, schema: Option<&[u8]>) -> Result<Entry, Error> {
        event.validate()?;
        let commit = match &event.body {
            Body::Registered(body) => body.commit.clone(),
            _ => self.by_id(event.backup)?.backup.commit,
        };
        if self.repository.ref_tip(&layout::ref_name(&commit))?.is_none() {
            self.schema_repository().commit(Oid::from(&commit))?;
        }
        self.retry_on_conflict(|| {
            let base = self.base(&commit, event.backup)?;
            let known = base.known.as_ref().is_some_and(|entry| entry.record.event(event.id).is_some());
            let added = if known { Vec::new() } else { vec![event.clone()] };
            self.write(base, &added, schema)
        })
    }

    fn change(
        &self,
        commit: &CommitId,
        id: BackupId,
        mut decide: impl FnMut(Option<&Entry>) -> Result<RecordChange, Error>,
    ) -> Result<Entry, Error> {
        let by = Line::lossy(&self.schema_repository().identity()?.to_line());
        self.retry_on_conflict(|| {
            let base = self.base(commit, id)?;
            let change = decide(base.known.as_ref())?;
            let (clock, at) =
                (base.known.as_ref().map_or(1, |entry| entry.record.next_clock()), self.clock.now());
            let event = |(body, clock): (Body, u64)| {
                Event::new(EventId::new(at), id, clock, at, by.clone(), self.host.clone(), body)
            };
            let added: Vec<Event> = change.bodies.into_iter().zip(clock..).map(event).collect();
            self.write(base, &added, change.schema.as_deref())
        })
    }

    /// Calls `attempt` again while it fails because refs have moved. Fails with [`Error::Busy`] after too
    /// many attempts.
    pub(super) fn retry_on_conflict<T>(&self, attempt: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
        retry_on_conflict(attempt, Error::retry, |attempts, last| Error::Busy { attempts, last })
    }

    /// Reads the state before a change. The tip is read only once: the record, the tree and the expected
    /// value of the ref all come from it.
    fn base(&self, commit: &CommitId, id: BackupId) -> Result<Base, Error> {
        let reference = layout::ref_name(commit);
        let tip = self.repository.ref_tip(&reference)?;
        let known = match tip {
            Some(tip) => match self.repository.entry_at(tip, &layout::record_path(id))? {
                Some(blob) => {
                    Some(self.read_at(&RecordLocation { id, commit: commit.clone(), tip, blob })?)
                }
                None => None,
            },
            None => None,
        };
        Ok(Base { id, reference, tip, known })
    }

    /// Adds events to the state `base`. Fails if a ref has moved meanwhile.
    fn write(&self, base: Base, added: &[Event], schema: Option<&[u8]>) -> Result<Entry, Error> {
        let mut record = match &base.known {
            Some(entry) if added.is_empty() => return Ok(entry.clone()),
            Some(entry) => entry.record.clone(),
            None => Record::new(base.id),
        };
        for event in added {
            let state = record.fold().ok();
            check(base.id, state.as_ref().map(|folded| &folded.backup), event)?;
            record.add(event.clone())?;
        }
        let folded = record.fold()?;
        let tip = self.publish(base, &folded.backup, &record, added, schema)?;
        Ok(Entry { backup: folded.backup, record, ignored: folded.ignored, tip })
    }

    /// Writes the objects and moves the refs.
    fn publish(
        &self,
        base: Base,
        backup: &Backup,
        record: &Record,
        added: &[Event],
        schema: Option<&[u8]>,
    ) -> Result<Oid, Error> {
        let identity = self.schema_repository().identity()?;
        let message = message::commit_message(backup, added);
        let mut writer = self.repository.writer();
        let parent = match base.tip {
            Some(tip) => tip,
            None => self.root_commit(&mut writer, &backup.commit)?,
        };
        let mut changes = Vec::new();
        if base.tip.is_none() {
            // Records of another commit may have been merged into the schema history by accident.
            // They do not belong to this commit.
            changes.push(TreeChange::Remove(layout::DIRECTORY.to_owned()));
        }
        changes.push(TreeChange::File(layout::record_path(backup.id), writer.blob(&record.to_bytes()?)?));
        if let Some(schema) = schema {
            changes.push(TreeChange::File(layout::schema_path(backup.id), writer.blob(schema)?));
        }
        let tree = writer.tree(self.repository.commit(parent)?.tree, &changes)?;
        let new =
            writer.commit(&NewCommit { tree, parents: &[parent], message: &message, identity: &identity })?;
        let updates = vec![
            RefUpdate { name: base.reference, old: base.tip, new },
            self.note(&mut writer, backup, &message, &identity)?,
        ];
        let step = if added.iter().any(|event| matches!(event.body, Body::Completed(_))) {
            "completion"
        } else {
            "ledger"
        };
        crash_point(&format!("{step}.objects-written"));
        writer.sync()?;
        writer.move_refs(&Transaction {
            updates,
            reason: subject(&message).to_owned(),
            ..Transaction::default()
        })?;
        crash_point(&format!("{step}.refs-moved"));
        writer.finish()?;
        Ok(new)
    }

    fn note(
        &self,
        writer: &mut Writer<'_>,
        backup: &Backup,
        message: &str,
        identity: &Identity,
    ) -> Result<RefUpdate, Error> {
        let commit = Oid::from(&backup.commit);
        let mut notes = Notes::open(self.repository, layout::NOTES_REF)?;
        let old = notes.get(commit)?.unwrap_or_default();
        let text = note::updated(&String::from_utf8_lossy(&old), backup);
        let message = format!("notes{}\n", subject(message).trim_start_matches("backup"));
        notes.stage(writer, commit, text.as_bytes())?;
        Ok(notes.publish(writer, &[], &NewNote { message: &message, identity })?)
    }
}

fn subject(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

/// Fails if the state machine does not allow `event` in `state`.
fn check(id: BackupId, state: Option<&Backup>, event: &Event) -> Result<(), Error> {
    match refusal(state, &event.body) {
        Some(reason) => {
            Err(Error::Refused { backup: id, verb: message::verb(&event.body).to_owned(), reason })
        }
        None => Ok(()),
    }
}
