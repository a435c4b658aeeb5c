//! How commands name backups: one of them, or those that pass a filter.

use crate::cli::{Code, Context, Failure};
use crate::domain::{BackupName, BackupSelector, BackupType, DatabaseName, Line, Status, TagKey, Timestamp};
use crate::ledger::{Catalog, Entry, Filter, TagFilter};

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
    pub(super) fn find(&self, context: &Context) -> Result<Entry, Failure> {
        find(&self.backup, self.database.as_deref(), context)
    }
}

/// Finds the backup that `selector` names, among those of `database` if given.
pub(super) fn find(selector: &str, database: Option<&str>, context: &Context) -> Result<Entry, Failure> {
    let filter = Filter { databases: databases(database)?, ..Filter::default() };
    Ok(context.ledger()?.find(&selector.parse::<BackupSelector>()?, &filter)?)
}

/// The database to look among, if one was named.
pub(super) fn databases(name: Option<&str>) -> Result<Vec<DatabaseName>, Failure> {
    name.map(database_name).into_iter().collect()
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

    /// In this state: in_progress, completed, failed, expired or deleted
    #[arg(short, long, value_name = "STATUS")]
    status: Vec<Status>,

    /// Of this type: full, incremental, differential or snapshot
    #[arg(short = 't', long = "type", value_name = "TYPE")]
    kind: Vec<BackupType>,

    /// Made by this tool
    #[arg(long, value_name = "TOOL")]
    tool: Vec<Line>,

    /// With this name
    #[arg(long, value_name = "NAME")]
    name: Vec<BackupName>,

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
    /// As a filter of the ledger.
    pub(super) fn filter(&self, context: &Context) -> Result<Filter, Failure> {
        let repository = context.repository()?;
        let commit = |rev: &String| Ok::<_, Failure>(repository.resolve_commit(rev)?.to_commit());
        let moment = |text: &String| moment(text, context.now());
        Ok(Filter {
            databases: self.database.iter().map(|name| database_name(name)).collect::<Result<_, _>>()?,
            commits: self.commit.iter().map(commit).collect::<Result<_, _>>()?,
            branches: self.branch.iter().map(|branch| Line::lossy(branch)).collect(),
            statuses: self.status.clone(),
            types: self.kind.clone(),
            tools: self.tool.clone(),
            names: self.name.clone(),
            tags: self.tag.iter().map(|tag| tag_filter(tag)).collect::<Result<_, _>>()?,
            since: self.since.as_ref().map(moment).transpose()?,
            until: self.until.as_ref().map(moment).transpose()?,
        })
    }
}

/// Reads all records and says what cannot be read.
pub(super) fn catalog(context: &Context) -> Result<Catalog, Failure> {
    let catalog = context.ledger()?.catalog()?;
    for damage in &catalog.damaged {
        context.ui.warning(&format!("{}:{} is damaged: {}", damage.reference, damage.file, damage.reason));
    }
    Ok(catalog)
}

/// `key` or `key=value`.
pub(super) fn tag(text: &str) -> Result<(TagKey, Line), Failure> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    Ok((key.parse()?, value.parse()?))
}

fn tag_filter(text: &str) -> Result<TagFilter, Failure> {
    let (key, value) = tag(text)?;
    Ok(TagFilter { key, value: text.contains('=').then_some(value) })
}

/// A time in words: RFC 3339, `2026-11-21` (midnight UTC), or a span before
/// `now`.
pub(super) fn moment(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    let full = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    if let Ok(at) = full.parse() {
        return Ok(at);
    }
    let span =
        span_seconds(text).and_then(|seconds| Timestamp::from_unix(now.unix_millis() / 1000 - seconds));
    span.ok_or_else(|| {
        Failure::new(Code::Usage, format!("'{text}' is no time")).hint(
            "write it as 2026-11-21, as 2026-11-21T03:40:06Z, or as a span before now: 90m, 12h, 7d, 2w",
        )
    })
}

fn span_seconds(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    number.parse::<u32>().ok().map(|number| i64::from(number) * seconds)
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
        for bad in ["", "h", "yesterday", "-1d", "é", "12", "2026-13-01", "99999999999999d"] {
            assert!(moment(bad, now).is_err(), "{bad:?}");
        }
    }
}
