//! Events: the immutable facts that a record is derived from.
//!
//! An event keeps the JSON object that it was read from. The typed view beside it is for the fold.
//! Writing the event gives the same bytes, so fields and kinds of a newer program survive an older one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    Artifact, BackupId, BackupName, BackupType, CommitId, DatabaseName, Dependency, Digest, Encryption,
    EventId, Failure, Line, Location, Metadata, Owner, Postgres, RestoreMode, TagKey, Timestamp, Tool,
    VerificationKind, VerificationStatus,
    record::{EVENT_BYTES_MAX, FORMAT},
};

/// The reason why a value is not an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The common fields of an event cannot be read.
    #[error("not an event: {0}")]
    Head(String),
    /// The common fields can be read, the fields of the kind cannot.
    #[error("`{kind}` event {id}: {reason}")]
    Body {
        /// The id of the event.
        id: EventId,
        /// The kind of the event.
        kind: String,
        /// The error.
        reason: String,
    },
}

macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident = $kind:literal { $($(#[$fdoc:meta])* $field:ident: $type:ty $(= $rename:literal)?),* $(,)? })+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
            pub struct $name { $($(#[$fdoc])* $(#[serde(rename = $rename)])? pub $field: $type),* }
        )+

        /// The kind of an event with its fields.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Body {
            $(#[doc = concat!("`", $kind, "`")] $name(Box<$name>),)+
            /// A kind or a format that this program does not know. The event is kept unchanged.
            Unknown {
                /// The name of the kind.
                kind: String,
            },
            /// A known kind with invalid fields. The event is kept unchanged, the fold ignores it, and
            /// `fsck` reports it.
            Malformed {
                /// The name of the kind.
                kind: String,
                /// The error.
                reason: String,
            },
        }

        impl Body {
            /// The names of the kinds of this format.
            pub const KINDS: &'static [&'static str] = &[$($kind),+];

            /// Returns the name of the kind.
            pub fn kind(&self) -> &str {
                match self {
                    $(Self::$name(_) => $kind,)+
                    Self::Unknown { kind } | Self::Malformed { kind, .. } => kind,
                }
            }

            fn parse(kind: &str, fields: &Map<String, Value>) -> Self {
                fn read<T: DeserializeOwned>(fields: &Map<String, Value>) -> Result<Box<T>, String> {
                    serde_json::from_value(Value::Object(fields.clone())).map_err(|error| error.to_string())
                }
                let parsed = match kind {
                    $($kind => read(fields).map(Self::$name),)+
                    _ => Ok(Self::Unknown { kind: kind.to_owned() }),
                };
                parsed.unwrap_or_else(|reason| Self::Malformed { kind: kind.to_owned(), reason })
            }

            fn fields(&self) -> Map<String, Value> {
                let value = match self {
                    $(Self::$name(body) => serde_json::to_value(body),)+
                    Self::Unknown { .. } | Self::Malformed { .. } => Ok(Value::Object(Map::new())),
                };
                let Ok(Value::Object(mut fields)) = value else { unreachable!("a struct serialises to an object") };
                fields.retain(|_, value| !absent(value));
                fields
            }
        }

        $(impl From<$name> for Body {
            fn from(body: $name) -> Self {
                Self::$name(Box::new(body))
            }
        })+
    };
}

/// Returns true if a field is absent. Absent facts are not written, so every written field has a value.
fn absent(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

bodies! {
    /// The backup was registered.
    Registered = "registered" {
        /// The name of the backup.
        name: BackupName,
        /// The configured database.
        database: DatabaseName,
        /// The schema commit.
        commit: CommitId,
        /// The branch that the backup is made for.
        branch: Option<Line>,
        /// The type of the backup.
        backup_type: BackupType = "type",
        /// The tool that makes the backup.
        tool: Tool,
        /// The backups that the registered backup depends on.
        #[serde(default)]
        depends_on: Vec<Dependency>,
        /// The time from which policy may expire the backup.
        expires_at: Option<Timestamp>,
        /// The tags at the registration.
        #[serde(default)]
        tags: BTreeMap<TagKey, Line>,
        /// Further facts.
        #[serde(default)]
        metadata: Metadata,
    }
    /// An attempt began.
    Started = "started" {
        /// The number of the attempt; 1 for the first.
        attempt: u32,
        /// The process that runs the attempt, if it is a process of this program.
        owner: Option<Owner>,
        /// The start of the attempt, if it is not the time of the event.
        started_at: Option<Timestamp>,
    }
    /// All bytes are durable.
    Completed = "completed" {
        /// The attempt that succeeded; absent for the current one.
        attempt: Option<u32>,
        /// The location of the bytes.
        location: Option<Location>,
        /// The id of the store that has the bytes, if it is a store of this program.
        store_id: Option<Line>,
        /// Size of the content, in bytes.
        size_bytes: u64,
        /// Size in the store, in bytes.
        stored_bytes: u64,
        /// The compression.
        compression: Option<Line>,
        /// The encryption.
        encryption: Option<Encryption>,
        /// The digest of the main artifact's content.
        digest: Option<Digest>,
        /// The actual type, if it differs from the registered one.
        backup_type: Option<BackupType> = "type",
        /// The actual dependencies, if they differ from the registered ones.
        depends_on: Option<Vec<Dependency>>,
        /// All artifacts.
        #[serde(default)]
        artifacts: Vec<Artifact>,
        /// The start of the attempt, if there is no `started` event.
        started_at: Option<Timestamp>,
        /// The end of the attempt, if it is not the time of the event.
        completed_at: Option<Timestamp>,
        /// The server and the database at the time of the backup.
        postgres: Option<Postgres>,
        /// The version of the tool.
        tool_version: Option<Line>,
        /// Further facts, in addition to the facts of the registration.
        #[serde(default)]
        metadata: Metadata,
    }
    /// The attempt ended without a usable backup.
    Failed = "failed" {
        /// The attempt that failed; absent for the current one.
        attempt: Option<u32>,
        /// The cause.
        error: Failure,
    }
    /// Policy expired the backup.
    Expired = "expired" {
        /// The reason.
        reason: Line,
    }
    /// The bytes were deleted.
    Deleted = "deleted" {
        /// The reason.
        reason: Line,
    }
    /// The backup was verified.
    Verified = "verified" {
        /// The kind of the verification. `kind` is the kind of the event.
        verification: VerificationKind,
        /// The verdict.
        status: VerificationStatus,
        /// The evidence.
        #[serde(default)]
        details: Metadata,
    }
    /// The backup was restored successfully.
    Restored = "restored" {
        /// The mode: a clone, or an in-place restore.
        mode: RestoreMode,
        /// The restored database or directory.
        target: Location,
        /// The commit of the restored database.
        commit: CommitId,
        /// The evidence.
        #[serde(default)]
        details: Metadata,
    }
    /// A tag was set.
    Tagged = "tagged" {
        /// The key of the tag.
        key: TagKey,
        /// The value of the tag; empty if it has none.
        #[serde(default)]
        value: Line,
    }
    /// A tag was removed.
    Untagged = "untagged" {
        /// The key of the tag.
        key: TagKey,
    }
    /// The backup is held: policy must not expire it.
    Held = "held" {
        /// The reason.
        reason: Line,
    }
    /// Holds were released. Only the named holds are released, so a hold that another clone set at the
    /// same time stays.
    Released = "released" {
        /// The `held` events.
        holds: Vec<EventId>,
        /// The reason.
        #[serde(default)]
        reason: Line,
    }
    /// Facts were added or replaced. A `null` removes a fact.
    Annotated = "annotated" {
        /// The facts.
        metadata: Value,
    }
}

/// One immutable change of one record.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The id of the event.
    pub id: EventId,
    /// The backup that the event belongs to.
    pub backup: BackupId,
    /// Lamport clock: 1 + the highest clock in the record when the event was written.
    pub clock: u64,
    /// The time of the event by the writer's clock.
    pub at: Timestamp,
    /// The author in git's form: `Name <mail>`.
    pub by: Line,
    /// The machine of the writer.
    pub host: Line,
    /// The kind of the event with its fields.
    pub body: Body,
    raw: Map<String, Value>,
}

/// The common fields of events of every format.
#[derive(Deserialize)]
struct Head {
    format: u32,
    id: EventId,
    backup: BackupId,
    kind: String,
    clock: u64,
    at: Timestamp,
    #[serde(default)]
    by: Line,
    #[serde(default)]
    host: Line,
}

impl Event {
    /// Creates an event of this format.
    pub fn new(
        id: EventId,
        backup: BackupId,
        clock: u64,
        at: Timestamp,
        by: Line,
        host: Line,
        body: Body,
    ) -> Self {
        let mut raw = body.fields();
        let head = [
            ("format", Value::from(FORMAT)),
            ("id", Value::from(id.to_string())),
            ("backup", Value::from(backup.to_string())),
            ("kind", Value::from(body.kind())),
            ("clock", Value::from(clock)),
            ("at", Value::from(at.to_string())),
            ("by", Value::from(by.as_str())),
            ("host", Value::from(host.as_str())),
        ];
        raw.extend(head.map(|(key, value)| (key.to_owned(), value)));
        Self { id, backup, clock, at, by, host, body, raw }
    }

    /// Reads an event of any version of this program. Fails if the common fields cannot be read.
    pub fn from_value(value: Value) -> Result<Self, EventError> {
        let Value::Object(raw) = value else {
            return Err(EventError::Head("it is not a JSON object".to_owned()));
        };
        let head: Head = serde_json::from_value(Value::Object(raw.clone()))
            .map_err(|error| EventError::Head(error.to_string()))?;
        let body = match head.format {
            FORMAT => Body::parse(&head.kind, &raw),
            _ => Body::Unknown { kind: head.kind },
        };
        let Head { id, backup, clock, at, by, host, .. } = head;
        Ok(Self { id, backup, clock, at, by, host, body, raw })
    }

    /// Reads an event from JSON text. Fails if the text is too long or is not an event.
    pub fn parse(bytes: &[u8]) -> Result<Self, EventError> {
        if bytes.len() > EVENT_BYTES_MAX {
            return Err(EventError::Head(format!(
                "it has {} bytes, and the limit is {EVENT_BYTES_MAX}",
                bytes.len()
            )));
        }
        let value = serde_json::from_slice(bytes).map_err(|error| EventError::Head(error.to_string()))?;
        Self::from_value(value)
    }

    /// Fails if the event is unknown to this program or has invalid fields. A writer checks this before
    /// it appends.
    pub fn validate(&self) -> Result<(), EventError> {
        let reason = match &self.body {
            Body::Unknown { .. } => format!("unknown kind or format; known are {}", Body::KINDS.join(", ")),
            Body::Malformed { reason, .. } => reason.clone(),
            Body::Annotated(body) => match Metadata::try_from(body.metadata.clone()) {
                Ok(_) => return Ok(()),
                Err(invalid) => invalid.to_string(),
            },
            _ => return Ok(()),
        };
        Err(EventError::Body { id: self.id, kind: self.body.kind().to_owned(), reason })
    }

    /// Returns the JSON object, with all fields that it was read with.
    pub fn to_value(&self) -> Value {
        Value::Object(self.raw.clone())
    }

    /// Returns the sort key of the event within its record.
    pub fn order(&self) -> (u64, Timestamp, EventId) {
        (self.clock, self.at, self.id)
    }
}
