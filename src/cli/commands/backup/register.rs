//! `git pggit backup register`

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::backup::default_name;
use crate::cli::Context;
use crate::domain::{
    BackupId, BackupName, BackupType, Body, DatabaseName, Dependency, Tool, check_dependencies,
    time_or_span_after,
};
use crate::failure::{Code, Failure};
use crate::git::Oid;
use crate::ledger::{Entry, NewBackup};
use crate::output::backup::RecordOutput;

use super::document;
use super::facts::{CompletionArgs, word};
use super::select::{self, CommitArgs};

/// Record a backup of another program
///
/// Writes the record of an external backup to its schema commit, so that git shows
/// it, clones have it and coverage counts it. The data of the backup is not read.
///
/// The record is complete at once, unless --in-progress is given: then
/// 'git pggit backup complete' or 'fail' records the result later. Prints the id of
/// the backup.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The database; it need not be configured
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,

    #[command(flatten)]
    place: CommitArgs,

    /// The type of the backup: full, incremental, differential or snapshot
    #[arg(short = 't', long = "type", value_name = "TYPE", default_value = "full")]
    kind: String,

    /// The tool that makes the backup, and its version
    #[arg(long, value_name = "NAME[@VERSION]")]
    tool: String,

    /// The name of the backup; by default <database>-<time>
    #[arg(short, long, value_name = "NAME")]
    name: Option<String>,

    /// The size of the content in bytes
    #[arg(long, value_name = "BYTES", required_unless_present = "in_progress")]
    size: Option<u64>,

    /// Register a running backup, to be completed or failed later
    #[arg(long, conflicts_with_all = ["size", "CompletionArgs"])]
    in_progress: bool,

    /// The parent backup of an incremental or differential backup
    #[arg(long, value_name = "BACKUP")]
    depends_on: Vec<String>,

    /// The expiration time: RFC 3339, a date, or a span such as 30d from now
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,

    /// A tag, with an optional value; may be given several times
    #[arg(long, visible_alias = "tag", value_name = "KEY[=VALUE]")]
    label: Vec<String>,

    /// Further facts: a file with a JSON object, or - for standard input
    #[arg(long, value_name = "FILE")]
    metadata: Option<OsString>,

    #[command(flatten)]
    facts: CompletionArgs,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup register -d shop --tool pgbackrest@2.45 --size 1288490189 \\
        --location pgbackrest:main/20261121-004914F --started-at 40m
    git pggit backup register -d shop --branch main --type incremental \\
        --depends-on nightly --tool pgbackrest --size 52428800
    id=$(git pggit backup register -d shop --commit v2.0 --tool zfs --type snapshot --in-progress)
    git pggit backup complete \"$id\" --size 1073741824 --location zfs:tank/pg@v2.0";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let database = select::database(args.database.as_deref(), context)?;
    let new = args.new_backup(database, context)?;
    let mut then: Vec<Body> = Vec::new();
    if let Some(size) = args.size {
        then.push(args.facts.completed(size, Default::default(), context)?.into());
    }
    let entry = context.ledger()?.register(&new, &then)?;
    report(&entry, context)
}

/// Prints the id to standard output for scripts, and messages for people to standard error.
fn report(entry: &Entry, context: &Context) -> Result<(), Failure> {
    let backup = &entry.backup;
    if context.ui.wants_json() {
        return Ok(context.ui.json(&RecordOutput::from(backup))?);
    }
    let (name, database, commit) = (&backup.name, &backup.database, backup.commit.short());
    context.ui.status(&format!(
        "registered {name} of {database} on {commit} ({})",
        context.repository()?.subject(Oid::from(&backup.commit))
    ));
    Ok(context.ui.line(backup.id)?)
}

impl Args {
    fn new_backup(&self, database: DatabaseName, context: &Context) -> Result<NewBackup, Failure> {
        let (commit, branch) = self.place.find(context)?;
        let kind: BackupType = self.kind.parse()?;
        let now = context.now();
        let name = match &self.name {
            Some(name) => name.parse::<BackupName>()?,
            None => default_name(database.as_str(), now)?,
        };
        let tags =
            self.label.iter().map(|label| select::tag(label)).collect::<Result<BTreeMap<_, _>, _>>()?;
        let expires_at = self.expires_at.as_ref().map(|text| time_or_span_after(text, now)).transpose()?;
        Ok(NewBackup {
            id: BackupId::new(now),
            name,
            commit,
            branch,
            kind,
            tool: tool(&self.tool)?,
            depends_on: self.dependencies(kind, &database, context)?,
            expires_at,
            tags,
            metadata: document::metadata(self.metadata.as_ref())?,
            database,
        })
    }

    fn dependencies(
        &self,
        kind: BackupType,
        database: &DatabaseName,
        context: &Context,
    ) -> Result<Vec<Dependency>, Failure> {
        let parents: Vec<Entry> = self
            .depends_on
            .iter()
            .map(|parent| select::find(parent, None, context))
            .collect::<Result<_, _>>()?;
        let parents: Vec<_> = parents.iter().map(|entry| &entry.backup).collect();
        check_dependencies(kind, database.as_str(), &parents).map_err(|reason| {
            let failure = Failure::new(Code::Conflict, reason);
            if parents.is_empty() {
                failure.hint("name the parent backup with --depends-on <backup>")
            } else {
                failure
            }
        })
    }
}

/// Parses `name` or `name@version`.
fn tool(text: &str) -> Result<Tool, Failure> {
    let (name, version) = text.split_once('@').map_or((text, None), |(name, version)| (name, Some(version)));
    let name = word(Some(name), "tool")?.unwrap_or_default();
    Ok(Tool { name, version: word(version, "tool version")? })
}
