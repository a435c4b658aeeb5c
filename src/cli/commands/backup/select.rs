//! Selects backups from the command line: a single backup, or all that pass a filter.

use std::str::FromStr;

use crate::backup::displayed_row_status;
use crate::cli::Context;
use crate::config;
use crate::domain::{
    BackupName, BackupSelector, BackupType, CommitId, DatabaseName, Invalid, Line, ShortIds, Status, TagKey,
    time_or_span_before,
};
use crate::failure::{Code, Failure};
use crate::ledger::{Entry, Filter, Overview, Row, TagFilter};

/// The backup of a command
#[derive(Debug, clap::Args)]
pub(super) struct One {
    /// The backup: an id or the beginning of one, a name, 'latest' or 'oldest'
    #[arg(value_name = "BACKUP")]
    backup: String,

    /// Only backups of this database
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,
}

impl One {
    /// Returns the backup. Fails unless exactly one backup matches.
    pub(in crate::cli) fn find(&self, context: &Context) -> Result<Entry, Failure> {
        find(&self.backup, self.database.as_deref(), context)
    }

    /// Returns the backup for a command that reads its bytes, see [`find_completed`].
    pub(super) fn find_completed(&self, context: &Context) -> Result<Entry, Failure> {
        find_completed(&self.backup, self.database.as_deref(), context)
    }

    /// Returns the backup among those of `overview`. Fails unless exactly one backup matches.
    pub(super) fn find_in<'a>(&self, overview: &'a Overview) -> Result<Row<'a>, Failure> {
        Ok(overview.find(&self.backup.parse()?, &of_database(self.database.as_deref())?)?)
    }
}

/// Returns the backup that `selector` names, for a command that reads its bytes: of several backups with one
/// name, the only completed one. Fails otherwise unless exactly one backup matches.
pub(super) fn find_completed(
    selector: &str,
    database: Option<&str>,
    context: &Context,
) -> Result<Entry, Failure> {
    let ledger = context.ledger()?;
    let overview = ledger.overview()?;
    Ok(ledger.entry(&overview.find_completed(&selector.parse()?, &of_database(database)?)?)?)
}

/// Returns the backup that `selector` names, among those of `database` if given. Fails unless exactly
/// one backup matches.
pub(in crate::cli) fn find(
    selector: &str,
    database: Option<&str>,
    context: &Context,
) -> Result<Entry, Failure> {
    Ok(context.ledger()?.find(&selector.parse::<BackupSelector>()?, &of_database(database)?)?)
}

fn of_database(database: Option<&str>) -> Result<Filter, Failure> {
    Ok(Filter { databases: databases(database)?, ..Filter::default() })
}

/// Returns the named database as a filter, or an empty filter without a name.
pub(in crate::cli) fn databases(name: Option<&str>) -> Result<Vec<DatabaseName>, Failure> {
    name.map(database_name).into_iter().collect()
}

/// Returns the database of a new record: the named one, or else the default database. It need not be
/// configured.
pub(super) fn database(named: Option<&str>, context: &Context) -> Result<DatabaseName, Failure> {
    match context.config()?.default_database(named) {
        Err(config::Error::UnknownDatabase { name, .. }) => Ok(name),
        other => Ok(other?),
    }
}

/// The commit that a backup belongs to
#[derive(Debug, clap::Args)]
pub(super) struct CommitArgs {
    /// The schema commit; any git revision; by default HEAD
    #[arg(short, long, value_name = "REV")]
    commit: Option<String>,

    /// The branch whose tip is the schema commit
    #[arg(short, long, value_name = "BRANCH", conflicts_with = "commit")]
    branch: Option<String>,
}

impl CommitArgs {
    /// Returns the commit and the branch whose tip it is. The branch is the named one or that of HEAD.
    pub(in crate::cli) fn find(&self, context: &Context) -> Result<(CommitId, Option<Line>), Failure> {
        let repository = context.repository()?;
        if let Some(branch) = &self.branch {
            return Ok((repository.branch_tip(branch)?.to_commit(), Some(branch.parse()?)));
        }
        let commit = repository.resolve_commit(self.commit.as_deref().unwrap_or("HEAD"))?;
        let head = repository
            .head_branch()
            .filter(|head| repository.branch_tip(head).is_ok_and(|tip| tip == commit));
        Ok((commit.to_commit(), head.map(|head| head.parse()).transpose()?))
    }
}

/// A displayed status of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
struct StatusFilter(&'static str);

/// The displayed status of an in-progress backup whose process does not exist any more.
const INTERRUPTED: &str = "interrupted";

impl FromStr for StatusFilter {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == INTERRUPTED {
            return Ok(Self(INTERRUPTED));
        }
        let status: Status = text.parse().map_err(|mut invalid: Invalid| {
            invalid.reason.push_str(", interrupted");
            invalid
        })?;
        Ok(Self(status.as_str()))
    }
}

fn database_name(text: &str) -> Result<DatabaseName, Failure> {
    text.parse()
        .map_err(|error: crate::domain::InvalidDatabaseName| Failure::new(Code::Usage, error.to_string()))
}

/// The backups of a command
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Filters")]
pub(super) struct Many {
    /// Only backups of this database
    #[arg(short, long, value_name = "NAME")]
    database: Vec<String>,

    /// Only backups on this commit; any git revision
    #[arg(short, long, value_name = "REV")]
    commit: Vec<String>,

    /// Only backups made for this branch
    #[arg(short, long, value_name = "BRANCH")]
    branch: Vec<String>,

    /// Only backups in this state: in_progress, interrupted, completed, failed, expired or deleted
    #[arg(short, long, value_name = "STATUS")]
    status: Vec<String>,

    /// Only backups of this type: full, incremental, differential or snapshot
    #[arg(short = 't', long = "type", value_name = "TYPE")]
    kind: Vec<String>,

    /// Only backups made by this tool
    #[arg(long, value_name = "TOOL")]
    tool: Vec<String>,

    /// Only backups with this name
    #[arg(long, value_name = "NAME")]
    name: Vec<String>,

    /// Only backups with this tag, and this value if one is given; given twice, with both tags
    #[arg(long, value_name = "KEY[=VALUE]")]
    tag: Vec<String>,

    /// Only backups registered at this time or later: RFC 3339, a date, or a span such as 12h, 7d or 2w
    /// before now
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Only backups registered before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl Many {
    /// Returns the backups that pass the filter, oldest first.
    pub(super) fn select<'a>(
        &self,
        overview: &'a Overview,
        context: &Context,
    ) -> Result<Vec<Row<'a>>, Failure> {
        let statuses: Vec<StatusFilter> = all(&self.status)?;
        let mut rows = overview.select(&self.filter(context)?);
        if !statuses.is_empty() {
            rows.retain(|row| statuses.contains(&StatusFilter(displayed_row_status(row))));
        }
        Ok(rows)
    }

    /// Returns the filter of the ledger without `--status`, because the ledger does not know which
    /// processes have crashed.
    pub(super) fn filter(&self, context: &Context) -> Result<Filter, Failure> {
        let commit = |rev: &String| context.schema_commit(rev);
        let moment = |text: &String| time_or_span_before(text, context.now());
        Ok(Filter {
            databases: self.database.iter().map(|name| database_name(name)).collect::<Result<_, _>>()?,
            commits: self.commit.iter().map(commit).collect::<Result<_, _>>()?,
            branches: self.branch.iter().map(|branch| Line::lossy(branch)).collect(),
            statuses: Vec::new(),
            types: all::<BackupType>(&self.kind)?,
            tools: all::<Line>(&self.tool)?,
            names: all::<BackupName>(&self.name)?,
            tags: self.tag.iter().map(|tag| tag_filter(tag)).collect::<Result<_, _>>()?,
            since: self.since.as_ref().map(moment).transpose()?,
            until: self.until.as_ref().map(moment).transpose()?,
        })
    }
}

fn all<T: FromStr<Err = Invalid>>(texts: &[String]) -> Result<Vec<T>, Failure> {
    Ok(texts.iter().map(|text| text.parse()).collect::<Result<_, _>>()?)
}

/// Parses `key` or `key=value`.
pub(in crate::cli::commands) fn tag(text: &str) -> Result<(TagKey, Line), Failure> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    Ok((key.parse()?, value.parse()?))
}

fn tag_filter(text: &str) -> Result<TagFilter, Failure> {
    let (key, value) = tag(text)?;
    Ok(TagFilter { key, value: text.contains('=').then_some(value) })
}

/// Returns the shortest unique prefix of each id.
pub(super) fn short_ids(overview: &Overview) -> ShortIds {
    ShortIds::among(overview.rows().map(|row| row.id()))
}
