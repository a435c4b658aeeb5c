//! `git pggit backup list`

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::backup::displayed_status;
use crate::cli::ui::Table;
use crate::cli::ui::text::relative_time;
use crate::cli::{Context, Failure};
use crate::domain::{Backup, BackupId, human_bytes, shortest_prefixes};
use crate::ledger::{Catalog, Entry};

use super::select::{self, Many};
use super::view;

/// List backups, newest first
///
/// Lists all backups that pass the filters. The ids are shortened to what is
/// needed to tell them apart; every command takes them in that form. A backup
/// whose maker died is shown as 'interrupted'.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Show at most this many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// What to sort by: times and sizes with the largest first, words from a to z
    #[arg(long, value_name = "FIELD", value_enum, default_value_t = Sort::Registered)]
    sort: Sort,

    /// The other way round
    #[arg(long)]
    reverse: bool,

    /// Print only the full ids, one per line
    #[arg(long, conflicts_with = "json")]
    ids: bool,

    #[command(flatten)]
    many: Many,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup list
    git pggit backup list --database shop --status completed --since 7d
    git pggit backup list --commit v2.0 --tag pinned --sort size
    git pggit backup list --status failed --ids | xargs -n1 git pggit backup show";

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Sort {
    Registered,
    Started,
    Completed,
    Expires,
    Size,
    Stored,
    Name,
    Database,
    Type,
    Tool,
    Status,
    Commit,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let catalog = select::catalog(context)?;
    let mut entries = args.many.select(&catalog, context)?;
    // The newest first also among those that are equal.
    entries.reverse();
    entries.sort_by(|a, b| args.sort.compare(&a.backup, &b.backup));
    if args.reverse {
        entries.reverse();
    }
    entries.truncate(args.limit.unwrap_or(usize::MAX));
    if context.ui.wants_json() {
        let backups: Vec<Value> = entries.iter().map(|entry| view::record(&entry.backup)).collect();
        return Ok(context.ui.json(&json!({ "backups": backups }))?);
    }
    if args.ids {
        return entries.iter().try_for_each(|entry| Ok(context.ui.line(entry.backup.id)?));
    }
    if entries.is_empty() {
        context.ui.hint(match catalog.entries.is_empty() {
            true => "there are no backups yet; 'git pggit backup create' makes one",
            false => "no backup passes the filters",
        });
        return Ok(());
    }
    let table = table(&entries, &short_ids(&catalog), context)?;
    context.page()?;
    Ok(context.ui.table(&table)?)
}

impl Sort {
    fn compare(self, a: &Backup, b: &Backup) -> Ordering {
        match self {
            Self::Registered => b.registered_at.cmp(&a.registered_at),
            Self::Started => b.started_at.cmp(&a.started_at),
            Self::Completed => b.completed_at.cmp(&a.completed_at),
            Self::Expires => b.expires_at.cmp(&a.expires_at),
            Self::Size => b.size_bytes.cmp(&a.size_bytes),
            Self::Stored => b.stored_bytes.cmp(&a.stored_bytes),
            Self::Name => a.name.cmp(&b.name),
            Self::Database => a.database.cmp(&b.database),
            Self::Type => a.kind.cmp(&b.kind),
            Self::Tool => a.tool.name.cmp(&b.tool.name),
            Self::Status => displayed_status(a).cmp(displayed_status(b)),
            Self::Commit => a.commit.cmp(&b.commit),
        }
    }
}

/// The shortest beginning of each id that no other record shares.
pub(super) fn short_ids(catalog: &Catalog) -> BTreeMap<BackupId, String> {
    const LEAST: usize = 8;
    let ids: Vec<BackupId> = catalog.entries.iter().map(|entry| entry.backup.id).collect();
    let lengths = shortest_prefixes(&ids, LEAST);
    let short = |(id, length): (&BackupId, usize)| (*id, id.to_string()[..length].to_owned());
    ids.iter().zip(lengths).map(short).collect()
}

fn table(entries: &[&Entry], ids: &BTreeMap<BackupId, String>, context: &Context) -> Result<Table, Failure> {
    let header =
        ["ID", "NAME", "DATABASE", "COMMIT", "TYPE", "TOOL", "STATUS", "SIZE", "STORED", "AGE", "FLAGS"];
    let mut table =
        Table::new(header).right(7).right(8).paint(0, view::id_style).paint(6, view::status_style);
    let now = context.now();
    let mut subjects = BTreeMap::new();
    for entry in entries {
        let backup = &entry.backup;
        if !subjects.contains_key(&backup.commit) {
            subjects.insert(&backup.commit, view::subject(backup, context)?);
        }
        let size = |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), human_bytes);
        table.row([
            ids[&backup.id].clone(),
            backup.name.to_string(),
            backup.database.to_string(),
            format!("{} {}", backup.commit.short(), subjects[&backup.commit]),
            backup.kind.to_string(),
            backup.tool.name.to_string(),
            displayed_status(backup).to_owned(),
            size(backup.size_bytes),
            size(backup.stored_bytes),
            relative_time(backup.completed_at.unwrap_or(backup.registered_at), now),
            flags(backup),
        ]);
    }
    Ok(table)
}

/// `verified`, `held`
fn flags(backup: &Backup) -> String {
    let flags = [(backup.is_verified(), "verified"), (!backup.holds.is_empty(), "held")];
    flags.iter().filter(|(set, _)| *set).map(|(_, word)| *word).collect::<Vec<_>>().join(",")
}
