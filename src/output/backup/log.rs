//! The events of records as JSON and as a table.

use super::words::status_style;
use super::{LoggedEvent, SignatureOutput};
use crate::domain::ShortIds;
use crate::git::Signature;
use crate::ledger::{TimelineEvent, reason};
use crate::terminal::text::utc_time;
use crate::terminal::{Style, Table};

impl LoggedEvent {
    /// Describes an event, with the signature of the commit that added the event, if there is one.
    pub fn new(it: &TimelineEvent, signature: Option<&Signature>) -> Self {
        Self {
            event: (&it.event).into(),
            backup_name: it.backup.name.clone(),
            backup_database: it.backup.database.clone(),
            signature: signature.map(|signature| SignatureOutput {
                verdict: signature.verdict.as_str().to_owned(),
                signer: signature.signer.clone(),
                key: signature.key.clone(),
            }),
        }
    }
}

/// Returns the table of events without rows. `with_signatures` adds a column of signatures.
pub fn event_table(with_signatures: bool) -> Table {
    let table = match with_signatures {
        false => Table::new(["AT", "EVENT", "BACKUP", "NAME", "DATABASE", "BY", "HOST", "DETAIL"]),
        true => {
            let header = ["AT", "EVENT", "BACKUP", "NAME", "DATABASE", "BY", "HOST", "SIGNATURE", "DETAIL"];
            Table::new(header).paint(7, signature_style)
        }
    };
    table.whole(0).paint(1, status_style).paint(2, Style::of_id)
}

/// Adds an event to a table of [`event_table`]. `verdict` is the verdict on the signature, if the table
/// has that column.
pub fn add_event(table: &mut Table, it: &TimelineEvent, ids: &ShortIds, verdict: Option<&str>) {
    let (backup, event) = (&it.backup, &it.event);
    table.cell(&utc_time(event.at));
    table.cell(event.body.kind());
    table.cell(&ids.of(backup.id));
    table.cell(backup.name.as_str());
    table.cell(backup.database.as_str());
    table.shown(&event.by);
    table.shown(&event.host);
    if let Some(verdict) = verdict {
        table.cell(verdict);
    }
    table.cell(&reason(event).unwrap_or_default());
}

fn signature_style(verdict: &str) -> Style {
    match verdict {
        "good" => Style::Good,
        "expired" | "unchecked" => Style::Attention,
        _ => Style::Bad,
    }
}
