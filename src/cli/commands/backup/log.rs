//! `git pggit backup log`

use serde_json::{Value, json};

use crate::cli::ui::{Style, Table};
use crate::cli::{Context, Failure};
use crate::domain::{Backup, Event};
use crate::ledger::reason;

use super::list::short_ids;
use super::select::{self, Many};
use super::view;

/// Show who did what to which backup, newest first
///
/// Shows the events of all backups that pass the filters, or of one. They are
/// the same facts as in 'git log refs/backups/<commit>', across all commits.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only this backup: an id or the beginning of one, a name, 'latest' or 'oldest'
    #[arg(value_name = "BACKUP")]
    backup: Option<String>,

    /// Show at most this many events
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    #[command(flatten)]
    many: Many,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup log --limit 20
    git pggit backup log nightly
    git pggit backup log --database shop --json";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let overview = select::overview(context)?;
    let rows = match &args.backup {
        Some(backup) => vec![overview.find(&backup.parse()?, &args.many.filter(context)?)?],
        None => args.many.select(&overview, context)?,
    };
    let entries = context.ledger()?.entries(&rows)?;
    let mut events: Vec<(&Backup, &Event)> = Vec::new();
    for entry in &entries {
        events.extend(entry.record.ordered().into_iter().map(|event| (&entry.backup, event)));
    }
    // Across records there is only the wall clock; the sort keeps the order
    // within a record where that stands still.
    events.reverse();
    events.sort_by_key(|(_, event)| std::cmp::Reverse(event.at));
    events.truncate(args.limit.unwrap_or(usize::MAX));
    if context.ui.wants_json() {
        let events: Vec<Value> = events.iter().map(|(backup, event)| as_json(backup, event)).collect();
        return Ok(context.ui.json(&json!({ "events": events }))?);
    }
    let ids = short_ids(&overview);
    let header = ["AT", "EVENT", "BACKUP", "NAME", "DATABASE", "BY", "HOST", "DETAIL"];
    let mut table = Table::new(header).whole(0).paint(1, kind_style).paint(2, view::id_style);
    for (backup, event) in events {
        table.row([
            view::time(event.at),
            event.body.kind().to_owned(),
            ids.of(backup.id),
            backup.name.to_string(),
            backup.database.to_string(),
            event.by.to_string(),
            event.host.to_string(),
            reason(event).unwrap_or_default(),
        ]);
    }
    if table.is_empty() {
        context.ui.hint("nothing has happened yet");
        return Ok(());
    }
    context.page()?;
    Ok(context.ui.table(&table)?)
}

fn kind_style(kind: &str) -> Style {
    view::status_style(kind)
}

fn as_json(backup: &Backup, event: &Event) -> Value {
    let mut value = event.to_value();
    value["backup_name"] = backup.name.as_str().into();
    value["backup_database"] = backup.database.as_str().into();
    value
}
