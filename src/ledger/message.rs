//! The messages of ledger commits. Pure.

use crate::domain::{Backup, Body, Event, human_bytes};

/// Returns the message of the ledger commit that adds `events` and results in the state `backup`.
pub(super) fn commit_message(backup: &Backup, events: &[Event]) -> String {
    let verbs: Vec<&str> = events.iter().map(|event| verb(&event.body)).collect();
    // The last event counts: a backup that is registered and completed in one commit is `completed`.
    let verb = verbs.last().copied().unwrap_or("touched");
    let mut message = format!("backup: {verb} {} ({})\n\n", backup.name, facts(backup));
    if let Some(reason) = events.last().and_then(reason) {
        message.push_str(&format!("{reason}\n\n"));
    }
    message.push_str(&format!("Backup-Id: {}\n", backup.id));
    for event in events {
        message.push_str(&format!("Event: {} {}\n", event.body.kind(), event.id));
    }
    message.push_str(&format!("Database: {}\n", backup.database));
    message.push_str(&format!("Tool: {}\n", tool(backup)));
    message.push_str(&format!("Schema-Commit: {}\n", backup.commit));
    message
}

/// Returns type, tool and size: `full, pg_dump, 1.2 GiB`.
fn facts(backup: &Backup) -> String {
    let mut facts = vec![backup.kind.to_string(), backup.tool.name.to_string()];
    facts.extend(backup.size_bytes.map(human_bytes));
    facts.join(", ")
}

fn tool(backup: &Backup) -> String {
    match &backup.tool.version {
        Some(version) => format!("{} {version}", backup.tool.name),
        None => backup.tool.name.to_string(),
    }
}

/// Returns the kind of an event as a past participle: `completed`, `tagged`, ...
pub(super) fn verb(body: &Body) -> &str {
    match body {
        Body::Failed(_) => "failed",
        other => other.kind(),
    }
}

/// Returns the detail of an event in one line: a reason, a verdict, a tag. `None` if it has none.
pub fn reason(event: &Event) -> Option<String> {
    let text = match &event.body {
        Body::Failed(body) => {
            format!("{}: {}", body.error.code, body.error.message.lines().next().unwrap_or(""))
        }
        Body::Held(body) => body.reason.to_string(),
        Body::Released(body) => body.reason.to_string(),
        Body::Expired(body) => body.reason.to_string(),
        Body::Deleted(body) => body.reason.to_string(),
        Body::Verified(body) => format!("{}: {}", body.verification, body.status),
        Body::Restored(body) => {
            format!("{} at commit {}: {}", body.mode, body.commit.short(), body.target)
        }
        Body::Tagged(body) if body.value.as_str().is_empty() => body.key.to_string(),
        Body::Tagged(body) => format!("{}={}", body.key, body.value),
        Body::Untagged(body) => body.key.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}
