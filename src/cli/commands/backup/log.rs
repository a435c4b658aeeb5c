//! `git pggit backup log`

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::collections::binary_heap::{BinaryHeap, PeekMut};
use std::sync::Arc;

use crate::cli::Context;
use crate::domain::{Backup, BackupId, CommitId, Event, Timestamp};
use crate::failure::Failure;
use crate::git::Signature;
use crate::ledger::{Entry, Row, reason};
use crate::output::backup::{EventLog, LoggedEvent, SignatureOutput};
use crate::terminal::{JsonElement, Style, Table};

use super::list::short_ids;
use super::select::Many;
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

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup log --limit 20
    git pggit backup log nightly
    git pggit backup log --database shop --json";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let overview = context.overview()?;
    let mut rows = match &args.backup {
        Some(backup) => vec![overview.find(&backup.parse()?, &args.many.filter(context)?)?],
        None => args.many.select(&overview, context)?,
    };
    let limit = args.limit.unwrap_or(usize::MAX);
    // Across records there is only the wall clock. Each record has an event at
    // its last time, so the newest events are in as many of these records.
    rows.reverse();
    rows.sort_by_key(|row| Reverse(row.last_at()));
    rows.truncate(limit);
    let mut signatures = args.show_signature.then(|| Signatures { context, by_commit: BTreeMap::new() });
    if context.ui.wants_json() {
        let mut list = context.ui.json_list::<EventLog>();
        newest_first(&rows, limit, context, |happened| {
            let signature = signatures.as_mut().map(|all| all.of(&happened)).transpose()?.flatten();
            Ok(list.element(&JsonElement::new(&output(&happened, signature))?)?)
        })?;
        return Ok(list.end()?);
    }
    let ids = short_ids(&overview);
    let mut table = match signatures {
        None => Table::new(["AT", "EVENT", "BACKUP", "NAME", "DATABASE", "BY", "HOST", "DETAIL"]),
        Some(_) => {
            let header = ["AT", "EVENT", "BACKUP", "NAME", "DATABASE", "BY", "HOST", "SIGNATURE", "DETAIL"];
            Table::new(header).paint(7, signature_style)
        }
    };
    table = table.whole(0).paint(1, kind_style).paint(2, view::id_style);
    newest_first(&rows, limit, context, |happened| {
        let (backup, event) = (&happened.backup, &happened.event);
        table.cell(&view::time(event.at));
        table.cell(event.body.kind());
        table.cell(&ids.of(backup.id));
        table.cell(backup.name.as_str());
        table.cell(backup.database.as_str());
        table.shown(&event.by);
        table.shown(&event.host);
        if let Some(signatures) = &mut signatures {
            table.cell(signatures.of(&happened)?.map_or("unsigned", |signature| signature.verdict.as_str()));
        }
        table.cell(&reason(event).unwrap_or_default());
        Ok(())
    })?;
    if table.is_empty() {
        context.ui.hint("nothing has happened yet");
        return Ok(());
    }
    context.page()?;
    Ok(context.ui.table(&table)?)
}

/// One event, with what came to be of its backup.
struct Happened {
    backup: Arc<Backup>,
    event: Event,
    /// What sorts events: their time, the age of the record, and the place in
    /// the record, for where the clock stands still.
    rank: (Timestamp, (Timestamp, BackupId), usize),
}

impl Ord for Happened {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank.cmp(&other.rank)
    }
}

impl PartialOrd for Happened {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Happened {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl Eq for Happened {}

/// Hands over the events of `rows`, which are in the order of their last
/// events, the newest first. It keeps only those that may still have to wait
/// for others.
fn newest_first(
    rows: &[Row<'_>],
    limit: usize,
    context: &Context,
    mut show: impl FnMut(Happened) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut waiting = BinaryHeap::new();
    let (mut read, mut left) = (0, limit);
    let mut show_newer = |waiting: &mut BinaryHeap<Happened>, than: Option<Timestamp>| {
        while let Some(next) = waiting.peek_mut() {
            if left == 0 || than.is_some_and(|than| next.event.at <= than) {
                break;
            }
            left -= 1;
            show(PeekMut::pop(next))?;
        }
        Ok::<_, Failure>(())
    };
    let events = |entry: Entry| {
        let Entry { backup, record, .. } = entry;
        (Arc::new(backup), record.ordered().into_iter().cloned().collect::<Vec<Event>>())
    };
    context.ledger()?.each_entry(rows, events, |(backup, events)| {
        for (at, event) in events.into_iter().enumerate() {
            let rank = (event.at, (backup.registered_at, backup.id), at);
            waiting.push(Happened { backup: Arc::clone(&backup), event, rank });
        }
        read += 1;
        match rows.get(read) {
            Some(next) => show_newer(&mut waiting, Some(next.last_at())),
            None => show_newer(&mut waiting, None),
        }
    })
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

/// The signatures of the commits that added events.
struct Signatures<'a> {
    context: &'a Context,
    /// By the id of the event.
    by_commit: BTreeMap<CommitId, BTreeMap<String, Signature>>,
}

impl Signatures<'_> {
    fn of(&mut self, happened: &Happened) -> Result<Option<&Signature>, Failure> {
        let commit = &happened.backup.commit;
        if !self.by_commit.contains_key(commit) {
            let found = self.context.ledger()?.signatures_of_events(commit)?.into_iter().collect();
            self.by_commit.insert(commit.clone(), found);
        }
        Ok(self.by_commit.get(commit).and_then(|found| found.get(&happened.event.id.to_string())))
    }
}

fn output(happened: &Happened, signature: Option<&Signature>) -> LoggedEvent {
    let Happened { backup, event, .. } = happened;
    LoggedEvent {
        event: event.into(),
        backup_name: backup.name.clone(),
        backup_database: backup.database.clone(),
        signature: signature.map(|signature| SignatureOutput {
            verdict: signature.verdict.as_str().to_owned(),
            signer: signature.signer.clone(),
            key: signature.key.clone(),
        }),
    }
}
