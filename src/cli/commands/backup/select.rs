//! How commands name backups: one of them, or those that pass a filter.

use std::str::FromStr;

use crate::cli::Context;
use crate::config;
use crate::domain::{
    BackupName, BackupSelector, BackupType, CommitId, DatabaseName, Invalid, Line, Status, TagKey, Timestamp,
    parse_duration,
};
use crate::failure::{Code, Failure};
use crate::ledger::{Entry, Filter, Overview, Row, TagFilter};

use super::view;

/// The one backup that a command is about
#[derive(Debug, clap::Args)]
pub(super) struct One {
    /// The backup: an id or the beginning of one, a name, 'latest' or 'oldest'
    #[arg(value_name = "BACKUP")]
    backup: String,

    /// Look only among the backups of this database
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,
}

impl One {
    /// Finds it.
    pub(in crate::cli) fn find(&self, context: &Context) -> Result<Entry, Failure> {
        find(&self.backup, self.database.as_deref(), context)
    }

    /// Finds it among those that are known.
    pub(super) fn find_in<'a>(&self, overview: &'a Overview) -> Result<Row<'a>, Failure> {
        Ok(overview.find(&self.backup.parse()?, &of_database(self.database.as_deref())?)?)
    }
}

/// Finds the backup that `selector` names, among those of `database` if given.
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

/// The database to look among, if one was named.
pub(in crate::cli) fn databases(name: Option<&str>) -> Result<Vec<DatabaseName>, Failure> {
    name.map(database_name).into_iter().collect()
}

/// The database that a record is about: the one that was named, else the one
/// that commands work on by default. It need not be configured.
pub(super) fn database(named: Option<&str>, context: &Context) -> Result<DatabaseName, Failure> {
    match context.config()?.default_database(named) {
        Err(config::Error::UnknownDatabase { name, .. }) => Ok(name),
        other => Ok(other?),
    }
}

/// The commit that a backup belongs to
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// The schema commit, as any git revision; HEAD by default
    #[arg(short, long, value_name = "REV")]
    commit: Option<String>,

    /// The tip of this branch
    #[arg(short, long, value_name = "BRANCH", conflicts_with = "commit")]
    branch: Option<String>,
}

impl Place {
    /// The commit, and the branch whose tip it is: the one that was named, or
    /// the one that HEAD is on.
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

/// A state as people are told it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown(&'static str);

/// The state of a backup whose maker is dead.
const INTERRUPTED: &str = "interrupted";

impl FromStr for Shown {
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

/// The backups that a command is about
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Filters")]
pub(super) struct Many {
    /// Of this database
    #[arg(short, long, value_name = "NAME")]
    database: Vec<String>,

    /// On this commit; any git revision
    #[arg(short, long, value_name = "REV")]
    commit: Vec<String>,

    /// Made for this branch
    #[arg(short, long, value_name = "BRANCH")]
    branch: Vec<String>,

    /// In this state: in_progress, interrupted, completed, failed, expired or deleted
    #[arg(short, long, value_name = "STATUS")]
    status: Vec<String>,

    /// Of this type: full, incremental, differential or snapshot
    #[arg(short = 't', long = "type", value_name = "TYPE")]
    kind: Vec<String>,

    /// Made by this tool
    #[arg(long, value_name = "TOOL")]
    tool: Vec<String>,

    /// With this name
    #[arg(long, value_name = "NAME")]
    name: Vec<String>,

    /// With this tag, and this value if one is given; given twice, with both
    #[arg(long, value_name = "KEY[=VALUE]")]
    tag: Vec<String>,

    /// Registered at this time or later: RFC 3339, a date, or a span such as 12h, 7d or 2w before now
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Registered before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl Many {
    /// The backups that pass, oldest first.
    pub(super) fn select<'a>(
        &self,
        overview: &'a Overview,
        context: &Context,
    ) -> Result<Vec<Row<'a>>, Failure> {
        let statuses: Vec<Shown> = all(&self.status)?;
        let mut rows = overview.select(&self.filter(context)?);
        if !statuses.is_empty() {
            rows.retain(|row| statuses.contains(&Shown(view::displayed(row))));
        }
        Ok(rows)
    }

    /// As a filter of the ledger, which knows nothing of dead processes and
    /// therefore not of `--status`.
    pub(super) fn filter(&self, context: &Context) -> Result<Filter, Failure> {
        let commit = |rev: &String| context.schema_commit(rev);
        let moment = |text: &String| moment(text, context.now());
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

/// `key` or `key=value`.
pub(in crate::cli::commands) fn tag(text: &str) -> Result<(TagKey, Line), Failure> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    Ok((key.parse()?, value.parse()?))
}

fn tag_filter(text: &str) -> Result<TagFilter, Failure> {
    let (key, value) = tag(text)?;
    Ok(TagFilter { key, value: text.contains('=').then_some(value) })
}

/// A time in words: RFC 3339, `2026-11-21` (midnight UTC), or a span before
/// `now`.
pub(in crate::cli) fn moment(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    let full = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    if let Ok(at) = full.parse() {
        return Ok(at);
    }
    let span =
        span_seconds(text).and_then(|seconds| Timestamp::from_unix(now.unix_millis() / 1000 - seconds));
    span.ok_or_else(|| no_time(text, "before"))
}

/// The same for a time to come: a span is one after `now`.
pub(super) fn moment_ahead(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    match span_seconds(text) {
        Some(seconds) => {
            Timestamp::from_unix(now.unix_millis() / 1000 + seconds).ok_or_else(|| no_time(text, "after"))
        }
        None => moment(text, now).map_err(|_| no_time(text, "after")),
    }
}

fn no_time(text: &str, side: &str) -> Failure {
    let shown: String = text.chars().take(60).collect();
    Failure::new(Code::Usage, format!("'{shown}' is no time")).hint(format!(
        "write it as 2026-11-21, as 2026-11-21T03:40:06Z, or as a span {side} now (units s, m, h, d and w): 90m, 12h, 7d, 2w"
    ))
}

/// A duration in seconds; 0 without a unit is no time.
fn span_seconds(text: &str) -> Option<i64> {
    let span = parse_duration(text).ok().filter(|_| text != "0")?;
    i64::try_from(span.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::moment;
    use crate::domain::Timestamp;

    #[test]
    fn times_and_spans() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let text = |text: &str| {
            moment(text, now).map(|at| at.to_string()).map_err(|failure| failure.message().to_owned())
        };
        assert_eq!(text("2026-11-20").unwrap(), "2026-11-20T00:00:00.000000Z");
        assert_eq!(text("2026-11-20T10:00:00+01:00").unwrap(), "2026-11-20T09:00:00.000000Z");
        assert_eq!(text("12h").unwrap(), "2026-11-21T00:00:00.000000Z");
        assert_eq!(text("2w").unwrap(), "2026-11-07T12:00:00.000000Z");
        for bad in ["", "h", "yesterday", "-1d", "é", "0", "12", "2026-13-01", "99999999999999d"] {
            assert!(moment(bad, now).is_err(), "{bad:?}");
        }
    }
}
