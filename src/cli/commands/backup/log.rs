//! `git pggit backup log`

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::cli::ui::{Style, Table};
use crate::cli::{Context, Failure};
use crate::domain::{Backup, CommitId, Event};
use crate::git::Signature;
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

    /// Say for each event whether the commit that added it is signed, and by whom
    #[arg(long)]
    show_signature: bool,

    #[command(flatten)]
    many: Many,
}

/// Signatures by the id of an event.
type Signatures = BTreeMap<String, Signature>;

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
    let signatures = match args.show_signature {
        true => Some(signatures(&events, context)?),
        false => None,
    };
    if context.ui.wants_json() {
        let events: Vec<Value> =
            events.iter().map(|(backup, event)| as_json(backup, event, signatures.as_ref())).collect();
        return Ok(context.ui.json(&json!({ "events": events }))?);
    }
    let ids = short_ids(&overview);
    let mut table = Table::new(["AT", "EVENT", "BACKUP", "NAME", "DATABASE", "BY", "HOST", "DETAIL"]);
    if signatures.is_some() {
        let header = ["AT", "EVENT", "BACKUP", "NAME", "DATABASE", "BY", "HOST", "SIGNATURE", "DETAIL"];
        table = Table::new(header).paint(7, signature_style);
    }
    let mut table = table.whole(0).paint(1, kind_style).paint(2, view::id_style);
    for (backup, event) in events {
        let row = [
            view::time(event.at),
            event.body.kind().to_owned(),
            ids.of(backup.id),
            backup.name.to_string(),
            backup.database.to_string(),
            event.by.to_string(),
            event.host.to_string(),
        ];
        let [at, kind, id, name, database, by, host] = row;
        let detail = reason(event).unwrap_or_default();
        match &signatures {
            Some(signatures) => {
                let verdict =
                    signatures.get(&event.id.to_string()).map_or("unsigned", |s| s.verdict.as_str());
                table.row([at, kind, id, name, database, by, host, verdict.to_owned(), detail]);
            }
            None => table.row([at, kind, id, name, database, by, host, detail]),
        }
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

fn signature_style(verdict: &str) -> Style {
    match verdict {
        "good" => Style::Good,
        "expired" | "unchecked" => Style::Attention,
        _ => Style::Bad,
    }
}

/// The signatures of the commits that added `events`, by event.
fn signatures(events: &[(&Backup, &Event)], context: &Context) -> Result<Signatures, Failure> {
    let ledger = context.ledger()?;
    let commits: BTreeSet<&CommitId> = events.iter().map(|(backup, _)| &backup.commit).collect();
    let mut signatures = Signatures::new();
    for commit in commits {
        signatures.extend(ledger.signatures_of_events(commit)?);
    }
    Ok(signatures)
}

fn as_json(backup: &Backup, event: &Event, signatures: Option<&Signatures>) -> Value {
    let mut value = event.to_value();
    value["backup_name"] = backup.name.as_str().into();
    value["backup_database"] = backup.database.as_str().into();
    if let Some(signature) = signatures.and_then(|all| all.get(&event.id.to_string())) {
        value["signature"] = json!({
            "verdict": signature.verdict.as_str(),
            "signer": signature.signer,
            "key": signature.key,
        });
    }
    value
}
