//! `git pggit backup list`

use std::cmp::Ordering;

use crate::cli::Context;
use crate::domain::{ShortIds, Timestamp, human_bytes};
use crate::failure::Failure;
use crate::git::Repository;
use crate::ledger::{Entry, Overview, Row};
use crate::output::backup::{RecordList, RecordOutput};
use crate::terminal::text::relative_time;
use crate::terminal::{JsonElement, OutputError, Table};

use super::select::Many;
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
    let overview = context.overview()?;
    let mut rows = args.many.select(&overview, context)?;
    // The newest first also among those that are equal.
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
            false => "no backup passes the filters",
        });
        return Ok(());
    }
    let table = table(&rows, &short_ids(&overview), context)?;
    context.page()?;
    Ok(context.ui.table(&table)?)
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
            Self::Status => view::displayed(a).cmp(view::displayed(b)),
            Self::Commit => a.commit_oid().cmp(&b.commit_oid()),
        }
    }
}

/// For the shortest beginning of each id that no other record shares.
pub(super) fn short_ids(overview: &Overview) -> ShortIds {
    ShortIds::among(overview.rows().map(|row| row.id()))
}

/// The table of all rows: halves side by side where they are many.
fn table(rows: &[Row<'_>], ids: &ShortIds, context: &Context) -> Result<Table, Failure> {
    const WORTH_A_THREAD: usize = 4096;
    let (repository, now) = (context.repository()?, context.now());
    if rows.len() < WORTH_A_THREAD {
        return Ok(part(rows, ids, repository, now));
    }
    let (first, second) = rows.split_at(rows.len() / 2);
    let other = repository.for_thread();
    let (mut table, rest) = std::thread::scope(|scope| {
        let rest = scope.spawn(move || part(second, ids, &other, now));
        (part(first, ids, repository, now), rest.join())
    });
    match rest {
        Ok(rest) => table.append(&rest),
        Err(panic) => std::panic::resume_unwind(panic),
    }
    Ok(table)
}

fn part(rows: &[Row<'_>], ids: &ShortIds, repository: &Repository, now: Timestamp) -> Table {
    let header = [
        "ID", "NAME", "DATABASE", "COMMIT", "TYPE", "TOOL", "STATUS", "SIZE", "STORED", "AGE", "VERIFIED",
        "FLAGS",
    ];
    let mut table = Table::new(header)
        .right(7)
        .right(8)
        .paint(0, view::id_style)
        .paint(6, view::status_style)
        .paint(10, view::verified_style);
    for row in rows {
        let commit = row.commit_oid();
        table.cell(&ids.of(row.id()));
        table.cell(row.name());
        table.cell(row.database());
        match row.subject() {
            Some(subject) => table.shown(format_args!("{} {subject}", commit.short())),
            None => table.shown(format_args!("{} {}", commit.short(), view::subject_of(commit, repository))),
        }
        table.cell(row.kind().as_str());
        table.cell(row.tool());
        table.cell(view::displayed(row));
        for bytes in [row.size_bytes(), row.stored_bytes()] {
            table.cell(&bytes.map_or_else(|| "-".to_owned(), human_bytes));
        }
        table.cell(&relative_time(row.completed_at().unwrap_or_else(|| row.registered_at()), now));
        table.cell(&view::verified(row.verified(), now));
        table.cell(if row.is_held() { "held" } else { "" });
    }
    table
}
