//! The domain types of the project. No I/O: parse, validate, fold, order.
//!
//! Text becomes one of these types at the edge of the program. A value of a type in this room has been
//! validated.

mod backup;
mod backup_tool;
mod base_backup;
mod canonical;
mod commit;
mod database_name;
mod dependency;
mod digest;
mod dump;
mod duration;
mod event;
mod fold;
mod id;
mod job;
mod location;
mod lsn;
mod metadata;
mod name;
mod named_enum;
mod occasion;
mod owner;
mod record;
mod recovery_target;
mod selector;
mod size;
mod table_name;
mod time;
mod time_or_span;
mod verification;
mod wal;

pub use backup::{
    Artifact, Attempt, Backup, BackupType, Encryption, Failure, Hold, Postgres, Restoration, RestoreMode,
    Setting, Status, Tool, Verification, VerificationKind, VerificationStatus,
};
pub use backup_tool::{BackupTool, plain_name};
pub use base_backup::{Checkpoint, WalMethod};
pub use canonical::{to_canonical_json, to_canonical_line};
pub use commit::CommitId;
pub use database_name::{DatabaseName, InvalidDatabaseName};
pub use dependency::{
    ChainError, Dependency, DependencyKind, DependencyProblem, check_dependencies, check_graph,
    dependency_chain,
};
pub use digest::Digest;
pub use dump::{Compression, DumpFormat, DumpOptions, Globals};
pub use duration::{DURATION_FORM, InvalidDuration, parse_duration, parse_positive_duration};
pub use event::{
    Annotated, Body, Completed, Deleted, Event, EventError, Expired, Failed, Held, Registered, Released,
    Restored as RestoredEvent, Started, Tagged, Untagged, Verified as VerifiedEvent,
};
pub use fold::{CLOCK_STEP_MAX, Folded, Ignored, fold, refusal};
pub use id::{BackupId, EventId, JobId, ShortIds};
pub use job::{
    AttemptEnd, AttemptOutcome, AttemptReport, BackupWork, BootTime, Job, JobKind, JobState, Lease, NewJob,
    PendingNotification, Priority, Refusal, RetryPolicy, VerifyWork, Work,
};
pub use location::Location;
pub use lsn::Lsn;
pub use metadata::Metadata;
pub use name::{BackupName, Line, TagKey};
pub(crate) use named_enum::named_enum;
pub use occasion::Occasion;
pub use owner::Owner;
pub use record::{EVENT_BYTES_MAX, FORMAT, RECORD_BYTES_MAX, Record, RecordError};
pub use recovery_target::RecoveryTarget;
pub use selector::BackupSelector;
pub use size::human_bytes;
pub use table_name::TableName;
pub use time::Timestamp;
pub use time_or_span::{InvalidTime, time_or_span_after, time_or_span_before};
pub use verification::{Verified, VerifyPolicy};
pub use wal::{WalKind, WalName};

/// A refused value, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what} {value}: {reason}")]
pub struct Invalid {
    /// The kind of value that was expected: `backup name`, `tag`, ...
    pub what: &'static str,
    /// The value, quoted and shortened.
    pub value: String,
    /// The reason.
    pub reason: String,
}

impl Invalid {
    /// Creates the error for `value`, which is not a valid `what`.
    pub fn new(what: &'static str, value: &str, reason: impl Into<String>) -> Self {
        const SHOWN: usize = 60;
        let mut shown: String = value.chars().take(SHOWN).collect();
        if shown.len() < value.len() {
            shown.push('…');
        }
        Self { what, value: format!("{shown:?}"), reason: reason.into() }
    }
}

#[cfg(test)]
mod proptests;

/// Implements the text forms of a newtype that has `FromStr` and `Display`: serde as a string, and the
/// conversions for it.
macro_rules! text_newtype {
    ($type:ident $(, $format:literal)?) => {
        $crate::domain::text_schema!($type $(, $format)?);

        impl TryFrom<String> for $type {
            type Error = $crate::domain::Invalid;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    };
}
pub(crate) use text_newtype;

/// Implements the JSON schema of a type that is written as text. The format is one of JSON Schema.
macro_rules! text_schema {
    ($type:ident $(, $format:literal)?) => {
        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string" $(, "format": $format)? })
            }
        }
    };
}
pub(crate) use text_schema;
