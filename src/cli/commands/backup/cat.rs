//! `git pggit backup cat`

use serde_json::Value;

use crate::cli::Context;
use crate::domain::{Event, EventId, to_canonical_json};
use crate::failure::{Code, Failure};
use crate::ledger::{Entry, Ledger};

use super::select::One;

/// Print the record, the events or the schema of a backup, byte for byte
///
/// 'record' is the file of the record, 'events' the list of its events in their
/// order, 'schema' the schema of the database at the time of the backup; the id of
/// an event prints that event. For scripts: docs/format.md describes the output.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    one: One,

    /// The object: record, events, schema, or the id of an event
    #[arg(value_name = "WHAT", default_value = "record")]
    what: String,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup cat latest
    git pggit backup cat nightly schema > schema.sql
    git pggit backup cat nightly events | jq -r '.[].kind'";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let event = match args.what.as_str() {
        "record" | "events" | "schema" => None,
        id => Some(id.parse::<EventId>().map_err(|invalid| {
            Failure::from(invalid).hint("expected record, events, schema, or the id of an event")
        })?),
    };
    let entry = args.one.find(context)?;
    let ledger = context.ledger()?;
    let bytes = match (event, args.what.as_str()) {
        (Some(id), _) => one_event(&entry, id)?,
        (None, "events") => {
            let events = entry.record.ordered().into_iter().map(Event::to_value);
            to_canonical_json(&Value::Array(events.collect()))
        }
        (None, "schema") => schema(&ledger, &entry)?,
        (None, _) => ledger.record_bytes(&entry)?,
    };
    Ok(context.ui.raw(&bytes)?)
}

fn one_event(entry: &Entry, id: EventId) -> Result<Vec<u8>, Failure> {
    let event = entry.record.event(id).ok_or_else(|| {
        Failure::new(Code::NotFound, format!("backup {} has no event {id}", entry.backup.id))
            .hint("'git pggit backup cat <backup> events' prints all of them")
    })?;
    Ok(to_canonical_json(&event.to_value()))
}

fn schema(ledger: &Ledger<'_>, entry: &Entry) -> Result<Vec<u8>, Failure> {
    ledger.schema(entry)?.ok_or_else(|| {
        Failure::new(Code::NotFound, format!("no schema is recorded with backup {}", entry.backup.id))
    })
}
