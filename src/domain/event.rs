//! Events: the immutable facts that a record is derived from.
//!
//! An event is kept as the JSON object it was read as. The typed view beside it
//! is for the fold; writing it out again gives the same bytes, so fields and
//! kinds that a newer program added survive an older one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    Artifact, BackupId, BackupName, BackupType, CommitId, DatabaseName, Dependency, Digest, Encryption,
    EventId, Failure, Line, Location, Metadata, Owner, Postgres, RestoreMode, TagKey, Timestamp, Tool,
    VerificationKind, VerificationStatus,
    record::{EVENT_BYTES_MAX, FORMAT},
};

/// Why something is not an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Not even its head can be read.
    #[error("not an event: {0}")]
    Head(String),
    /// Its head can be read, its own fields not.
    #[error("`{kind}` event {id}: {reason}")]
    Body {
        /// Its id.
        id: EventId,
        /// Its kind.
        kind: String,
        /// What is wrong.
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

        /// What an event says.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Body {
            $(#[doc = concat!("`", $kind, "`")] $name(Box<$name>),)+
            /// A kind or a format that this program does not know; kept as it is.
            Unknown {
                /// Its kind.
                kind: String,
            },
            /// A known kind whose fields make no sense; kept as it is, ignored
            /// by the fold and reported by `fsck`.
            Malformed {
                /// Its kind.
                kind: String,
                /// What is wrong.
                reason: String,
            },
        }

        impl Body {
            /// The kinds of this format.
            pub const KINDS: &'static [&'static str] = &[$($kind),+];

            /// The name of the kind.
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

/// Absent facts are left out: a field that is there says something.
fn absent(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

bodies! {
    /// The backup exists: what it is to be.
    Registered = "registered" {
        /// Its name.
        name: BackupName,
        /// The configured database.
        database: DatabaseName,
        /// The schema commit.
        commit: CommitId,
        /// The branch it is made for.
        branch: Option<Line>,
        /// What it contains.
        backup_type: BackupType = "type",
        /// What makes it.
        tool: Tool,
        /// The backups it needs.
        #[serde(default)]
        depends_on: Vec<Dependency>,
        /// When policy may end its life.
        expires_at: Option<Timestamp>,
        /// Tags it has from the beginning.
        #[serde(default)]
        tags: BTreeMap<TagKey, Line>,
        /// Further facts.
        #[serde(default)]
        metadata: Metadata,
    }
    /// An attempt begins.
    Started = "started" {
        /// 1 for the first.
        attempt: u32,
        /// The process that works on it, where it is one of ours.
        owner: Option<Owner>,
        /// When it really began, where that was not now.
        started_at: Option<Timestamp>,
    }
    /// All bytes are durable.
    Completed = "completed" {
        /// The attempt that succeeded; without it, whichever is under way.
        attempt: Option<u32>,
        /// Where the bytes are.
        location: Option<Location>,
        /// The id of the store that has the bytes, if it is a store of this program.
        store_id: Option<Line>,
        /// Size of the content.
        size_bytes: u64,
        /// What it takes in the store.
        stored_bytes: u64,
        /// How it is compressed.
        compression: Option<Line>,
        /// Whether it is encrypted.
        encryption: Option<Encryption>,
        /// Digest of the main artifact's content.
        digest: Option<Digest>,
        /// What it turned out to contain, where that is not what was registered.
        backup_type: Option<BackupType> = "type",
        /// The backups it turned out to need, where those are not the registered ones.
        depends_on: Option<Vec<Dependency>>,
        /// All stored pieces.
        #[serde(default)]
        artifacts: Vec<Artifact>,
        /// When it really began, where no `started` event tells.
        started_at: Option<Timestamp>,
        /// When it really ended, where that was not now.
        completed_at: Option<Timestamp>,
        /// The server, as it was then.
        postgres: Option<Postgres>,
        /// Version of the tool that made it.
        tool_version: Option<Line>,
        /// Further facts, added to those of the registration.
        #[serde(default)]
        metadata: Metadata,
    }
    /// The attempt ended without a usable backup.
    Failed = "failed" {
        /// The attempt that failed; without it, whichever is under way.
        attempt: Option<u32>,
        /// Why.
        error: Failure,
    }
    /// Policy ended its life.
    Expired = "expired" {
        /// Why.
        reason: Line,
    }
    /// The bytes are gone.
    Deleted = "deleted" {
        /// Why.
        reason: Line,
    }
    /// It was verified, with this verdict.
    Verified = "verified" {
        /// How it was verified; `kind` is the event's own.
        verification: VerificationKind,
        /// The verdict.
        status: VerificationStatus,
        /// Evidence.
        #[serde(default)]
        details: Metadata,
    }
    /// It was restored, with success.
    Restored = "restored" {
        /// Beside what was there, or in its place.
        mode: RestoreMode,
        /// The database or directory that it became.
        target: Location,
        /// The commit that this is at.
        commit: CommitId,
        /// Evidence.
        #[serde(default)]
        details: Metadata,
    }
    /// A tag was set.
    Tagged = "tagged" {
        /// Its key.
        key: TagKey,
        /// Its value; empty where it has none.
        #[serde(default)]
        value: Line,
    }
    /// A tag was removed.
    Untagged = "untagged" {
        /// Its key.
        key: TagKey,
    }
    /// It is to be kept whatever policy says.
    Held = "held" {
        /// Why.
        reason: Line,
    }
    /// Holds were lifted: those named here and no others, so that a hold set
    /// elsewhere at the same time stays.
    Released = "released" {
        /// The `held` events.
        holds: Vec<EventId>,
        /// Why.
        #[serde(default)]
        reason: Line,
    }
    /// Facts were added, replaced or (with `null`) removed.
    Annotated = "annotated" {
        /// The facts.
        metadata: Value,
    }
}

/// One immutable change of one record.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// The record it belongs to.
    pub backup: BackupId,
    /// Lamport clock: 1 + the highest that its writer saw in the record.
    pub clock: u64,
    /// When it happened, by the writer's clock.
    pub at: Timestamp,
    /// Who did it, as git names people: `Name <mail>`.
    pub by: Line,
    /// On which machine.
    pub host: Line,
    /// What it says.
    pub body: Body,
    raw: Map<String, Value>,
}

/// The head that events of every format have.
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
    /// A new event of this format.
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

    /// Reads an event that may come from any version of this program.
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

    /// Reads JSON text of limited size.
    pub fn parse(bytes: &[u8]) -> Result<Self, EventError> {
        if bytes.len() > EVENT_BYTES_MAX {
            return Err(EventError::Head(format!(
                "it has {} bytes, the most is {EVENT_BYTES_MAX}",
                bytes.len()
            )));
        }
        let value = serde_json::from_slice(bytes).map_err(|error| EventError::Head(error.to_string()))?;
        Self::from_value(value)
    }

    /// What a writer must check: the event is one this program understands.
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

    /// The JSON object, with everything it was read with.
    pub fn to_value(&self) -> Value {
        Value::Object(self.raw.clone())
    }

    /// Position in the order in which a record's events count.
    pub fn order(&self) -> (u64, Timestamp, EventId) {
        (self.clock, self.at, self.id)
    }
}
