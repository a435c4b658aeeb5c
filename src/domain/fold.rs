//! Folds the events of a record into its state.
//!
//! The fold is a pure function with a state machine:
//!
//! ```text
//! registered -> in_progress -> completed -> expired -> deleted
//!                  |    ^                                 ^
//!                  v    | started                         |
//!                 failed ---------------------------------+
//! ```
//!
//! Writers of two clones may append events that the state machine does not allow together. An example:
//! both record the end of the same backup. The later events in the order are ignored and reported. They
//! are never an error.

use super::{
    Attempt, Backup, BackupId, Body, Event, EventId, Hold, Metadata, Registered, Restoration,
    RestoredEvent as Restored, Started, Status, Verification,
};

/// The largest believable distance between the clock of an event and the highest clock before it. A
/// writer adds 1. After a clock far above the others, no later event could be ordered behind it.
pub const CLOCK_STEP_MAX: u64 = 1 << 32;

/// Decides for clocks in ascending order whether each is believable after those before it.
#[derive(Debug, Default)]
pub(super) struct Believable {
    /// The highest believable clock so far.
    pub(super) highest: u64,
}

impl Believable {
    pub(super) fn is(&mut self, clock: u64) -> bool {
        let believable = clock <= self.highest.saturating_add(CLOCK_STEP_MAX);
        if believable {
            self.highest = self.highest.max(clock);
        }
        believable
    }
}

/// An ignored event and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// The event.
    pub id: EventId,
    /// The reason.
    pub reason: String,
}

/// The result of the fold of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded {
    /// The state of the backup.
    pub backup: Backup,
    /// The events that changed nothing.
    pub ignored: Vec<Ignored>,
}

/// Folds the events of the backup `id`. Their order in `events` does not matter. Returns `None` if no
/// event registers the backup.
pub fn fold<'a>(id: BackupId, events: impl IntoIterator<Item = &'a Event>) -> Option<Folded> {
    let mut events: Vec<&Event> = events.into_iter().collect();
    events.sort_by_key(|event| event.order());
    let mut ignored = Vec::new();
    let (mut state, mut clocks): (Option<Backup>, _) = (None, Believable::default());
    for event in events {
        if !clocks.is(event.clock) {
            ignored.push(Ignored {
                id: event.id,
                reason: "its clock is far above the clocks of all earlier events".to_owned(),
            });
            continue;
        }
        match refusal(state.as_ref(), &event.body) {
            Some(reason) => ignored.push(Ignored { id: event.id, reason }),
            None => match &mut state {
                Some(backup) => apply(backup, event),
                None => state = registered(id, event),
            },
        }
    }
    state.map(|backup| Folded { backup, ignored })
}

/// Returns the reason why the state machine does not allow `body` in the state of `backup`, or `None`
/// if it does. Writers call it before they append. The fold calls it for each event.
pub fn refusal(backup: Option<&Backup>, body: &Body) -> Option<String> {
    let Some(backup) = backup else {
        return match body {
            Body::Registered(_) => None,
            _ => Some("the backup is not registered yet".to_owned()),
        };
    };
    let status = backup.status;
    let allowed = match body {
        Body::Registered(_) => return Some("the backup is already registered".to_owned()),
        Body::Unknown { kind } => {
            return Some(format!("events of kind `{kind}` or of its format are not known"));
        }
        Body::Malformed { reason, .. } => return Some(format!("its fields are invalid: {reason}")),
        Body::Annotated(body) if Metadata::try_from(body.metadata.clone()).is_err() => {
            return Some("its metadata is not a metadata object".to_owned());
        }
        Body::Started(_) => matches!(status, Status::InProgress | Status::Failed),
        Body::Completed(body) => {
            if status == Status::InProgress && stale(backup, body.attempt) {
                return Some("another attempt is running".to_owned());
            }
            status == Status::InProgress
        }
        Body::Failed(body) => {
            if status == Status::InProgress && stale(backup, body.attempt) {
                return Some("another attempt is running".to_owned());
            }
            status == Status::InProgress
        }
        Body::Expired(_) => status == Status::Completed,
        Body::Deleted(_) => matches!(status, Status::Expired | Status::Failed),
        Body::Verified(_) | Body::Restored(_) => matches!(status, Status::Completed | Status::Expired),
        Body::Tagged(_) | Body::Untagged(_) | Body::Held(_) | Body::Released(_) | Body::Annotated(_) => {
            status != Status::Deleted
        }
    };
    (!allowed).then(|| format!("the backup is {}", status.as_str().replace('_', " ")))
}

/// Returns true if another attempt has replaced `attempt`.
fn stale(backup: &Backup, attempt: Option<u32>) -> bool {
    match (attempt, &backup.attempt) {
        (Some(number), Some(current)) => number != current.number,
        _ => false,
    }
}

fn registered(id: BackupId, event: &Event) -> Option<Backup> {
    let Body::Registered(body) = &event.body else { return None };
    let Registered {
        name,
        database,
        commit,
        branch,
        backup_type,
        tool,
        depends_on,
        expires_at,
        tags,
        metadata,
    } = (**body).clone();
    Some(Backup {
        id,
        name,
        database,
        commit,
        branch,
        kind: backup_type,
        tool,
        status: Status::InProgress,
        attempt: None,
        location: None,
        store_id: None,
        size_bytes: None,
        stored_bytes: None,
        compression: None,
        encryption: None,
        digest: None,
        artifacts: Vec::new(),
        depends_on,
        registered_at: event.at,
        started_at: None,
        completed_at: None,
        expires_at,
        created_by: event.by.clone(),
        host: event.host.clone(),
        postgres: None,
        tags,
        holds: Vec::new(),
        verifications: Vec::new(),
        restores: Vec::new(),
        error: None,
        metadata,
    })
}

/// Applies an event that [`refusal`] allows.
fn apply(backup: &mut Backup, event: &Event) {
    match &event.body {
        Body::Started(body) => {
            let Started { attempt, owner, started_at } = (**body).clone();
            backup.status = Status::InProgress;
            backup.error = None;
            backup.started_at = Some(started_at.unwrap_or(event.at));
            backup.attempt = Some(Attempt { number: attempt, owner });
        }
        Body::Completed(_) => complete(backup, event),
        Body::Failed(body) => {
            backup.status = Status::Failed;
            backup.error = Some(body.error.clone());
        }
        Body::Expired(_) => backup.status = Status::Expired,
        Body::Deleted(_) => backup.status = Status::Deleted,
        Body::Verified(body) => backup.verifications.push(Verification {
            id: event.id,
            kind: body.verification,
            status: body.status,
            at: event.at,
            by: event.by.clone(),
            details: body.details.clone(),
        }),
        Body::Restored(body) => {
            let Restored { mode, target, commit, details } = (**body).clone();
            let (by, host) = (event.by.clone(), event.host.clone());
            let restored =
                Restoration { id: event.id, mode, target, commit, at: event.at, by, host, details };
            backup.restores.push(restored);
        }
        Body::Tagged(body) => drop(backup.tags.insert(body.key.clone(), body.value.clone())),
        Body::Untagged(body) => drop(backup.tags.remove(&body.key)),
        Body::Held(body) => {
            backup.holds.push(Hold {
                id: event.id,
                reason: body.reason.clone(),
                at: event.at,
                by: event.by.clone(),
            });
        }
        Body::Released(body) => backup.holds.retain(|hold| !body.holds.contains(&hold.id)),
        Body::Annotated(body) => {
            if let Ok(patch) = Metadata::try_from(body.metadata.clone()) {
                backup.metadata.apply(&patch);
            }
        }
        Body::Registered(_) | Body::Unknown { .. } | Body::Malformed { .. } => {}
    }
}

fn complete(backup: &mut Backup, event: &Event) {
    let Body::Completed(body) = &event.body else { return };
    let body = (**body).clone();
    backup.status = Status::Completed;
    backup.error = None;
    backup.location = body.location;
    backup.store_id = body.store_id;
    backup.size_bytes = Some(body.size_bytes);
    backup.stored_bytes = Some(body.stored_bytes);
    backup.compression = body.compression;
    backup.encryption = body.encryption;
    backup.digest = body.digest;
    backup.artifacts = body.artifacts;
    if let Some(kind) = body.backup_type {
        backup.kind = kind;
        backup.depends_on = body.depends_on.unwrap_or_default();
    }
    backup.postgres = body.postgres;
    backup.started_at = body.started_at.or(backup.started_at);
    backup.completed_at = Some(body.completed_at.unwrap_or(event.at));
    if body.tool_version.is_some() {
        backup.tool.version = body.tool_version;
    }
    backup.metadata.apply(&body.metadata);
}
