//! The findings of the ledger check. Pure.

use crate::git::Oid;

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The ledger is incorrect or incomplete.
    Error,
    /// The ledger deviates from the format, but no data is lost.
    Warning,
    /// For information.
    Notice,
}

impl Severity {
    /// Returns the stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident = $name:literal, $severity:ident;)+) => {
        /// The kind of a finding. The names are stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$doc])* $code),+ }

        impl Code {
            /// All codes.
            pub const ALL: &'static [Code] = &[$(Code::$code),+];

            /// Returns the stable name.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$code => $name),+ }
            }

            /// Returns the usual severity.
            pub fn severity(self) -> Severity {
                match self { $(Self::$code => Severity::$severity),+ }
            }
        }
    };
}

codes! {
    /// The name of a ref below `refs/backups/` is not a commit id.
    RefName = "ref-name", Error;
    /// An object is missing from the repository.
    ObjectMissing = "object-missing", Error;
    /// The schema commit is missing from the repository.
    SchemaCommitMissing = "schema-commit-missing", Error;
    /// The schema commit is missing from the repository of the schema history: only its id is known.
    SchemaCommitUnknown = "schema-commit-unknown", Warning;
    /// The clone is shallow, so a part of the history cannot be checked.
    Shallow = "shallow", Notice;
    /// The chain of ledger commits does not lead to the schema commit.
    ChainBroken = "chain-broken", Error;
    /// A remote has ledger commits that are missing here.
    Behind = "behind", Notice;
    /// A ledger commit changes the schema.
    SchemaChanged = "schema-changed", Error;
    /// A file in the directory of the ledger does not belong to it.
    ForeignFile = "foreign-file", Warning;
    /// A recorded schema has no record of its backup.
    SchemaWithoutRecord = "schema-without-record", Warning;
    /// A record cannot be read.
    RecordUnreadable = "record-unreadable", Error;
    /// A record is in the wrong file or under the wrong commit.
    RecordMisplaced = "record-misplaced", Error;
    /// The state in a record file differs from the state of its events.
    RecordStale = "record-stale", Error;
    /// Two different events have one id.
    EventTwice = "event-twice", Error;
    /// A ledger commit removed events.
    EventRemoved = "event-removed", Error;
    /// A ledger commit changed an event.
    EventAltered = "event-altered", Error;
    /// The state of the backup did not allow an event.
    EventIgnored = "event-ignored", Notice;
    /// An event has an unknown kind or format.
    EventUnknown = "event-unknown", Notice;
    /// An event of a known kind has invalid fields.
    EventMalformed = "event-malformed", Warning;
    /// A note differs from the records.
    NoteStale = "note-stale", Warning;
    /// A note lists backups that have no record.
    NoteOrphan = "note-orphan", Warning;
    /// A note belongs to a commit that has no backups.
    NoteForeign = "note-foreign", Notice;
    /// A backup needs another backup that has no record.
    DependencyMissing = "dependency-missing", Error;
    /// A backup needs another backup that cannot be restored.
    DependencyUnusable = "dependency-unusable", Warning;
    /// A backup needs itself.
    DependencyCycle = "dependency-cycle", Error;
    /// A backup has records under several commits.
    BackupTwice = "backup-twice", Error;
    /// A completed backup has no sizes.
    SizesMissing = "sizes-missing", Error;
    /// Two backups have the same location.
    LocationTwice = "location-twice", Warning;
    /// A backup is in progress, but its process has exited.
    Interrupted = "interrupted", Notice;
    /// Nothing in the database said which commit it had.
    CommitAssumed = "commit-assumed", Notice;
    /// The commit recorded in the database was another one.
    MarkDiffers = "mark-differs", Warning;
    /// The migrations that the database had applied were not those of the commit.
    MigrationsDiffer = "migrations-differ", Warning;
    /// It is not known whether they were.
    MigrationsUnknown = "migrations-unknown", Notice;
    /// Two backups of one database and commit have recorded different schemas.
    SchemasDiffer = "schemas-differ", Warning;
    /// No signer is trusted, so no signature can be good.
    NoSigners = "no-signers", Error;
    /// A ledger commit is not signed.
    Unsigned = "unsigned", Error;
    /// A signature does not match its ledger commit, or the key was revoked.
    SignatureBad = "signature-bad", Error;
    /// A ledger commit is signed with an unknown key, or the signature cannot be checked.
    SignerUnknown = "signer-unknown", Error;
    /// A signature or its key has expired.
    SignatureExpired = "signature-expired", Warning;
    /// The author of a deletion, expiry, hold or release is not proven.
    ActorUnproven = "actor-unproven", Error;
    /// An event names another author than its signer.
    SignerDiffers = "signer-differs", Warning;
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The kind.
    pub code: Code,
    /// The severity, which may differ from that of the code.
    pub severity: Severity,
    /// The full name of the ref.
    pub reference: String,
    /// The path of the file below the ref; empty if the finding is about the whole ref.
    pub file: String,
    /// The commit with the problem.
    pub commit: Option<Oid>,
    /// The details.
    pub message: String,
}

impl Finding {
    pub(super) fn new(code: Code, reference: &str, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.severity(),
            reference: reference.to_owned(),
            file: String::new(),
            commit: None,
            message: message.into(),
        }
    }

    pub(super) fn file(mut self, file: impl Into<String>) -> Self {
        self.file = file.into();
        self
    }

    pub(super) fn at(mut self, commit: Oid) -> Self {
        self.commit = Some(commit);
        self
    }

    pub(super) fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Returns the place of the finding as `ref:file@commit`, without the parts that it lacks.
    pub fn place(&self) -> String {
        let mut place = self.reference.clone();
        if !self.file.is_empty() {
            place.push_str(&format!(":{}", self.file));
        }
        if let Some(commit) = self.commit {
            place.push_str(&format!("@{}", commit.to_commit().short()));
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
    }
}
