//! What can be found. Pure.

use crate::git::Oid;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The ledger says something wrong, or something is missing from it.
    Error,
    /// Something is not as it should be, and nothing is lost by it.
    Warning,
    /// Good to know.
    Notice,
}

impl Severity {
    /// The word for it.
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
        /// What was found; the names are stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$doc])* $code),+ }

        impl Code {
            /// All of them.
            pub const ALL: &'static [Code] = &[$(Code::$code),+];

            /// The stable name.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$code => $name),+ }
            }

            /// How bad it is, as a rule.
            pub fn severity(self) -> Severity {
                match self { $(Self::$code => Severity::$severity),+ }
            }
        }
    };
}

codes! {
    /// A ref below `refs/backups/` is not called like a commit.
    RefName = "ref-name", Error;
    /// An object is not in the repository.
    ObjectMissing = "object-missing", Error;
    /// The schema commit is not in the repository.
    SchemaCommitMissing = "schema-commit-missing", Error;
    /// The schema commit is not to be had: its name is all that is known of it.
    SchemaCommitUnknown = "schema-commit-unknown", Warning;
    /// History is cut off here, so that not all can be seen.
    Shallow = "shallow", Notice;
    /// The chain of ledger commits leads somewhere else.
    ChainBroken = "chain-broken", Error;
    /// A remote had ledger commits that are not here.
    Behind = "behind", Notice;
    /// A ledger commit changes the schema.
    SchemaChanged = "schema-changed", Error;
    /// Something that is not of the ledger is in its directory.
    ForeignFile = "foreign-file", Warning;
    /// A recorded schema without its record.
    SchemaWithoutRecord = "schema-without-record", Warning;
    /// A record cannot be read.
    RecordUnreadable = "record-unreadable", Error;
    /// A record is not where it belongs.
    RecordMisplaced = "record-misplaced", Error;
    /// The derived half of a record is not what its events add up to.
    RecordStale = "record-stale", Error;
    /// Two different events have one id.
    EventTwice = "event-twice", Error;
    /// A ledger commit took events away.
    EventRemoved = "event-removed", Error;
    /// A ledger commit changed an event.
    EventAltered = "event-altered", Error;
    /// The state of the backup did not allow an event.
    EventIgnored = "event-ignored", Notice;
    /// An event of a kind or format that is not known here.
    EventUnknown = "event-unknown", Notice;
    /// An event of a known kind whose fields make no sense.
    EventMalformed = "event-malformed", Warning;
    /// A note does not say what the records say.
    NoteStale = "note-stale", Warning;
    /// A note tells of backups that have no record.
    NoteOrphan = "note-orphan", Warning;
    /// A note on a commit that has no backups.
    NoteForeign = "note-foreign", Notice;
    /// A backup needs one that has no record.
    DependencyMissing = "dependency-missing", Error;
    /// A backup needs one that cannot be restored.
    DependencyUnusable = "dependency-unusable", Warning;
    /// A backup needs itself.
    DependencyCycle = "dependency-cycle", Error;
    /// A backup has records under several commits.
    BackupTwice = "backup-twice", Error;
    /// A completed backup without sizes.
    SizesMissing = "sizes-missing", Error;
    /// Two backups say that their bytes are in the same place.
    LocationTwice = "location-twice", Warning;
    /// Nobody works on a backup that is in progress.
    Interrupted = "interrupted", Notice;
    /// No signer is trusted, so no signature can be good.
    NoSigners = "no-signers", Error;
    /// A ledger commit is not signed.
    Unsigned = "unsigned", Error;
    /// A ledger commit is not what was signed, or the key was revoked.
    SignatureBad = "signature-bad", Error;
    /// A ledger commit is signed by nobody who is known, or it cannot be checked.
    SignerUnknown = "signer-unknown", Error;
    /// A signature or its key has expired.
    SignatureExpired = "signature-expired", Warning;
    /// A deletion, expiry, hold or release whose author is not proven.
    ActorUnproven = "actor-unproven", Error;
    /// An event names another person than the one who signed it.
    SignerDiffers = "signer-differs", Warning;
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// The ref.
    pub reference: String,
    /// The file below it; empty when it is about the whole ref.
    pub file: String,
    /// The commit in which it was found.
    pub commit: Option<Oid>,
    /// What it is in detail.
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

    /// `ref:file@commit`, as far as there is one.
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
