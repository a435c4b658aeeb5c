//! `git pggit backup list`

use std::cmp::Ordering;

use crate::backup::displayed_row_status;
use crate::cli::Context;
use crate::failure::Failure;
use crate::ledger::{Entry, Row};
use crate::output::backup::{RecordList, RecordOutput, backup_table};
use crate::terminal::{JsonElement, OutputError};

use super::select::{Many, short_ids};

/// List backups, newest first
///
/// Lists all backups that match the filters. The ids are shortened to unique
/// prefixes; every command accepts them. A backup whose process has crashed is shown
/// as 'interrupted'.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The maximum number of backups
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// The field to sort by: times and sizes in descending, words in ascending order
    #[arg(long, value_name = "FIELD", value_enum, default_value_t = Sort::Registered)]
    sort: Sort,

    /// Reverse the order
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
    let overview = context.overview()?;
    let mut rows = args.many.select(&overview, context)?;
    // Backups with equal values stay in the order of their age, the newest first.
    rows.reverse();
    if args.sort != Sort::Registered {
        rows.sort_by(|a, b| args.sort.compare(a, b));
    }
    if args.reverse {
        rows.reverse();
    }
    rows.truncate(args.limit.unwrap_or(usize::MAX));
    if context.ui.wants_json() {
        let mut list = context.ui.json_list::<RecordList>();
        let element = |entry: Entry| JsonElement::new(&RecordOutput::from(&entry.backup));
        let print = |element: Result<_, OutputError>| Ok::<_, Failure>(list.element(&element?)?);
        context.ledger()?.each_entry(&rows, element, print)?;
        return Ok(list.end()?);
    }
    if args.ids {
        let lines: String = rows.iter().map(|row| format!("{}\n", row.id())).collect();
        return Ok(context.ui.raw(lines.as_bytes())?);
    }
    if rows.is_empty() {
        context.ui.hint(match overview.is_empty() {
            true => "there are no backups yet; 'git pggit backup create' makes one",
            false => "no backup matches the filters",
        });
        return Ok(());
    }
    let table = backup_table(&rows, &short_ids(&overview), context.repository()?, context.now());
    context.table(&table)
}

impl Sort {
    fn compare(self, a: &Row<'_>, b: &Row<'_>) -> Ordering {
        match self {
            Self::Registered => b.registered_at().cmp(&a.registered_at()),
            Self::Started => b.started_at().cmp(&a.started_at()),
            Self::Completed => b.completed_at().cmp(&a.completed_at()),
            Self::Expires => b.expires_at().cmp(&a.expires_at()),
            Self::Size => b.size_bytes().cmp(&a.size_bytes()),
            Self::Stored => b.stored_bytes().cmp(&a.stored_bytes()),
            Self::Name => a.name().cmp(b.name()),
            Self::Database => a.database().cmp(b.database()),
            Self::Type => a.kind().cmp(&b.kind()),
            Self::Tool => a.tool().cmp(b.tool()),
            Self::Status => displayed_row_status(a).cmp(displayed_row_status(b)),
            Self::Commit => a.commit_oid().cmp(&b.commit_oid()),
        }
    }
}
