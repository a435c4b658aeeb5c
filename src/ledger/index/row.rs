//! The facts about one backup that listings need.

use crate::domain::{BackupId, BackupType, CommitId, Owner, Status, Timestamp, Verified};
use crate::git::Oid;
use crate::ledger::query::FilterFields;

use super::owned_row::{END, OwnedRow, VALUE, decode_time, flag, of_verdict};
use super::segment::{
    BLOB, BRANCH, DATABASE, FLAGS, KEY, KIND, LAST, LOCATION_PARENT, NAME, NEEDS, OWNER, REF, STATUS, STORE,
    Segment, TAGS, TOOL, VERIFIED, VERIFIED_AT, u32_at, u64_at,
};

/// A row of the index: the facts about a backup, without its record.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    pub(super) segment: &'a Segment,
    pub(super) bytes: &'a [u8],
}

impl<'a> Row<'a> {
    fn text(&self, at: usize) -> &'a str {
        self.segment.text(self.bytes, at)
    }

    fn time(&self, at: usize) -> Option<Timestamp> {
        decode_time(u64_at(self.bytes, at).cast_signed())
    }

    fn has(&self, flag: u8) -> bool {
        self.bytes.get(FLAGS).is_some_and(|flags| flags & flag != 0)
    }

    pub(super) fn at_ref(&self) -> usize {
        u32_at(self.bytes, REF) as usize
    }

    /// Returns the sort key: time of registration, then id.
    pub(super) fn age(&self) -> (i64, [u8; 16]) {
        (u64_at(self.bytes, 16).cast_signed(), self.id().to_bytes())
    }

    /// Returns the id of the backup.
    pub fn id(&self) -> BackupId {
        let bytes = self.bytes.get(..16).and_then(|bytes| bytes.try_into().ok());
        BackupId::from_bytes(bytes.unwrap_or_default())
    }

    /// Returns the schema commit.
    pub fn commit(&self) -> CommitId {
        self.commit_oid().to_commit()
    }

    /// Returns the object id of the schema commit.
    pub fn commit_oid(&self) -> Oid {
        Oid::from_bytes(self.segment.commit(self.at_ref())).expect("a row belongs to a ref")
    }

    /// Returns the ledger commit that has the record.
    pub fn tip(&self) -> Oid {
        Oid::from_bytes(self.segment.tip(self.at_ref())).expect("a row belongs to a ref")
    }

    /// Returns the object id of the record file.
    pub(super) fn blob(&self) -> Oid {
        Oid::from_bytes(self.bytes.get(BLOB..).unwrap_or(&[])).expect("a row ends with the id of its blob")
    }

    /// Returns the first line of the message of the schema commit; `None` if the commit cannot be read,
    /// as in a shallow clone.
    pub fn subject(&self) -> Option<&'a str> {
        self.segment.subject(self.at_ref())
    }

    /// Returns the name of the backup.
    pub fn name(&self) -> &'a str {
        self.text(NAME)
    }

    /// Returns the name of the configured database.
    pub fn database(&self) -> &'a str {
        self.text(DATABASE)
    }

    /// Returns the name of the tool that made the backup.
    pub fn tool(&self) -> &'a str {
        self.text(TOOL)
    }

    /// Returns the backup type.
    pub fn kind(&self) -> BackupType {
        let at = self.bytes.get(KIND).map_or(0, |kind| usize::from(*kind));
        BackupType::ALL.get(at).copied().unwrap_or(BackupType::Full)
    }

    /// Returns the status of the backup.
    pub fn status(&self) -> Status {
        let at = self.bytes.get(STATUS).map_or(0, |status| usize::from(*status));
        Status::ALL.get(at).copied().unwrap_or(Status::InProgress)
    }

    /// Returns the process that makes the backup; `None` if it is not in progress, or is made by another
    /// program.
    pub fn owner(&self) -> Option<Owner> {
        match self.text(OWNER) {
            "" => None,
            text => serde_json::from_str(text).ok(),
        }
    }

    /// Returns the location without its last component; empty if there is no location.
    pub fn location_parent(&self) -> &'a str {
        self.text(LOCATION_PARENT)
    }

    /// Returns the id of the store that has the bytes, if it is recorded.
    pub fn store_id(&self) -> Option<&'a str> {
        Some(self.text(STORE)).filter(|id| !id.is_empty())
    }

    /// Returns the id of the key that the bytes are encrypted with, if any.
    pub fn key_id(&self) -> Option<&'a str> {
        Some(self.text(KEY)).filter(|id| !id.is_empty())
    }

    /// Returns the size of the content in bytes.
    pub fn size_bytes(&self) -> Option<u64> {
        self.has(flag::SIZE).then(|| u64_at(self.bytes, 48))
    }

    /// Returns the size in the store in bytes.
    pub fn stored_bytes(&self) -> Option<u64> {
        self.has(flag::STORED).then(|| u64_at(self.bytes, 56))
    }

    /// Returns the time of registration.
    pub fn registered_at(&self) -> Timestamp {
        self.time(16).unwrap_or_else(|| Timestamp::from(chrono::DateTime::UNIX_EPOCH))
    }

    /// Returns the time at which the last attempt started.
    pub fn started_at(&self) -> Option<Timestamp> {
        self.time(24)
    }

    /// Returns the time of completion.
    pub fn completed_at(&self) -> Option<Timestamp> {
        self.time(32)
    }

    /// Returns the time from which policy may expire the backup.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.time(40)
    }

    /// Returns the time of the last event.
    pub fn last_at(&self) -> Timestamp {
        self.time(LAST).unwrap_or_else(|| self.registered_at())
    }

    /// Returns [`crate::domain::Backup::is_verified`].
    pub fn is_verified(&self) -> bool {
        self.has(flag::VERIFIED)
    }

    /// Returns [`crate::domain::Backup::verified`].
    pub fn verified(&self) -> Option<Verified> {
        let (kind, status) = of_verdict(self.bytes.get(VERIFIED).copied()?)?;
        Some(Verified { kind, status, at: self.time(VERIFIED_AT)? })
    }

    /// Returns true if the backup has a hold.
    pub fn is_held(&self) -> bool {
        self.has(flag::HELD)
    }

    /// Returns the backups that are needed to restore it.
    pub fn needs(&self) -> impl Iterator<Item = BackupId> + use<'a> {
        self.text(NEEDS).split_terminator(END).filter_map(|id| id.parse().ok())
    }

    /// Returns the value of the tag `key`.
    pub fn tag(&self, key: &str) -> Option<&'a str> {
        self.tags().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    fn tags(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.text(TAGS).split_terminator(END).filter_map(|tag| tag.split_once(VALUE))
    }
}

impl From<Row<'_>> for OwnedRow {
    fn from(row: Row<'_>) -> Self {
        let time = |at: usize| u64_at(row.bytes, at).cast_signed();
        let byte = |at: usize| row.bytes.get(at).copied().unwrap_or_default();
        let text = |at: usize| row.text(at).to_owned();
        Self {
            id: row.id().to_bytes(),
            registered_at: time(16),
            started_at: time(24),
            completed_at: time(32),
            expires_at: time(40),
            last_at: time(LAST),
            size_bytes: u64_at(row.bytes, 48),
            stored_bytes: u64_at(row.bytes, 56),
            kind: byte(KIND),
            status: byte(STATUS),
            flags: byte(FLAGS),
            verified: byte(VERIFIED),
            verified_at: time(VERIFIED_AT),
            name: text(NAME),
            database: text(DATABASE),
            branch: text(BRANCH),
            tool: text(TOOL),
            tags: text(TAGS),
            needs: text(NEEDS),
            owner: text(OWNER),
            location_parent: text(LOCATION_PARENT),
            store: text(STORE),
            key: text(KEY),
            blob: row.blob(),
        }
    }
}

impl FilterFields for Row<'_> {
    fn id(&self) -> BackupId {
        self.id()
    }

    fn name(&self) -> &str {
        self.name()
    }

    fn database(&self) -> &str {
        self.database()
    }

    fn is_on(&self, commit: &CommitId) -> bool {
        self.commit_oid() == Oid::from(commit)
    }

    fn branch(&self) -> Option<&str> {
        self.has(flag::BRANCH).then(|| self.text(BRANCH))
    }

    fn status(&self) -> Status {
        self.status()
    }

    fn kind(&self) -> BackupType {
        self.kind()
    }

    fn tool(&self) -> &str {
        self.tool()
    }

    fn tag(&self, key: &str) -> Option<&str> {
        self.tag(key)
    }

    fn registered_at(&self) -> Timestamp {
        self.registered_at()
    }
}

impl std::fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row").field("id", &self.id()).field("name", &self.name()).finish()
    }
}
