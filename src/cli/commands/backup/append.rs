//! `git pggit backup append`

use std::ffi::OsStr;

use serde_json::{Map, Value, json};

use crate::cli::Context;
use crate::domain::{BackupId, EVENT_BYTES_MAX, Event, EventError, EventId, FORMAT, Timestamp};
use crate::failure::{Code, Failure};
use crate::ledger::{self, Ledger};
use crate::output::backup::EventOutput;

use super::{document, view};

/// Add an event to the record of a backup, for scripts
///
/// Reads one event as JSON, as docs/format.md describes it. 'backup' and 'kind'
/// and the fields of the kind must be there; 'format', 'id', 'clock', 'at', 'by'
/// and 'host' are filled in if they are not. An event that the state of the
/// backup does not allow is refused; one that is already there is no change.
/// Prints the id of the event.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Read the event from standard input
    #[arg(long, required = true)]
    stdin: bool,
}

const EXAMPLES: &str = "\
EXAMPLES
    id=$(git pggit backup list --name nightly --ids)
    echo '{\"backup\":\"'$id'\",\"kind\":\"verified\",\"verification\":\"checksum\",\"status\":\"passed\"}' |
        git pggit backup append --stdin";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    debug_assert!(args.stdin, "there is no other place to read from");
    let bytes = document::read(OsStr::new("-"), "the event", EVENT_BYTES_MAX)?;
    let event = completed(&bytes, context)?;
    let entry = context.ledger()?.append_event(&event)?;
    if context.ui.wants_json() {
        return Ok(context.ui.json(&EventOutput::from(&event))?);
    }
    context.ui.status(&format!("{} {}", event.body.kind(), view::title(&entry.backup)));
    Ok(context.ui.line(event.id)?)
}

fn refuse(reason: impl Into<String>) -> Failure {
    Failure::from(ledger::Error::Event(EventError::Head(reason.into())))
}

/// The event with everything that every event has, in the form of the format.
fn completed(bytes: &[u8], context: &Context) -> Result<Event, Failure> {
    let value = serde_json::from_slice(bytes).map_err(|error| refuse(format!("not valid JSON: {error}")))?;
    let Value::Object(mut fields) = value else { return Err(refuse("it is not a JSON object")) };
    let backup = text(&fields, "backup")?.ok_or_else(|| refuse("it has no `backup`"))?.parse::<BackupId>()?;
    let kind = text(&fields, "kind")?.ok_or_else(|| refuse("it has no `kind`"))?;
    let at = match text(&fields, "at")? {
        Some(at) => at.parse::<Timestamp>().map_err(|reason| refuse(format!("`at`: {reason}")))?,
        None => context.now(),
    };
    let ledger = context.ledger()?;
    let clock = if fields.contains_key("clock") { 0 } else { next_clock(&ledger, backup, &kind)? };
    let missing = [
        ("format", json!(FORMAT)),
        ("id", json!(EventId::new(context.now()))),
        ("clock", json!(clock)),
        ("by", json!(ledger.schema_repository().identity()?.to_line())),
        ("host", json!(crate::process::host())),
    ];
    for (key, value) in missing {
        fields.entry(key).or_insert(value);
    }
    fields.insert("at".to_owned(), json!(at));
    let read = Event::from_value(Value::Object(fields.clone())).map_err(ledger::Error::Event)?;
    read.validate().map_err(ledger::Error::Event)?;
    // Known fields in their one form, and all others as they are.
    let Event { id, backup, clock, at, by, host, body, .. } = read;
    if let Value::Object(canonical) = Event::new(id, backup, clock, at, by, host, body).to_value() {
        fields.extend(canonical);
    }
    fields.retain(|_, value| !value.is_null());
    Ok(Event::from_value(Value::Object(fields)).map_err(ledger::Error::Event)?)
}

fn text(fields: &Map<String, Value>, key: &str) -> Result<Option<String>, Failure> {
    match fields.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(refuse(format!("`{key}` is not a text"))),
    }
}

fn next_clock(ledger: &Ledger<'_>, backup: BackupId, kind: &str) -> Result<u64, Failure> {
    match ledger.by_id(backup) {
        Ok(entry) => Ok(entry.record.next_clock()),
        Err(ledger::Error::NotFound { .. }) if kind == "registered" => Ok(1),
        Err(ledger::Error::NotFound { selector }) => {
            Err(Failure::new(Code::NotFound, format!("there is no backup {selector}"))
                .hint("an event of kind `registered` makes one"))
        }
        Err(other) => Err(other.into()),
    }
}
