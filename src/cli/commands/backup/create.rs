//! `git pggit backup create`

use std::num::NonZeroU32;
use std::path::PathBuf;

use crate::backup::{self, BackupRequest, CommitSpec};
use crate::cli::Context;
use crate::cli::automation::{enqueue_job, revision};
use crate::cli::restores::{backup_failure, watch_signals};
use crate::config::{self, DatabaseConfig, Origin, Setting, Tool};
use crate::domain::{
    Backup, BackupName, BackupType, Checkpoint, Compression, DumpFormat, Line, TableName, WalMethod,
    human_bytes,
};
use crate::failure::{Code, Failure};
use crate::output::backup::print_commit_warnings;
use crate::terminal::bar;
use crate::workspace::queue::{self, JobOptions};

use super::select;

/// Back up a database, and record the backup on its commit
///
/// The tool is the configured one, by default pg_dump. A dump by pg_dump is streamed
/// into the store, together with the roles and tablespaces of the server. A physical
/// backup by pg_basebackup contains the whole cluster of the database; each of its
/// files is stored. The store deduplicates backups of the same database: a later
/// backup takes little more space than the changes, and each backup can be restored
/// by itself. With --output the backup consists of plain files that 'zstd -dc' and
/// 'pg_restore' read without this program.
///
/// pgBackRest, Barman and custom tools keep the data in their own repositories; the
/// facts that they report about the backup are recorded.
///
/// The record is written before the first byte of the backup. The backup is recorded
/// as completed after the last byte is durable.
///
/// The backup belongs to the commit given by --commit or --branch, else to the
/// commit recorded in the database (see 'git pggit mark'), else to HEAD.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The configured database
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,

    /// The commit that the backup belongs to; any git revision
    #[arg(short, long, value_name = "REV", conflicts_with = "branch")]
    commit: Option<String>,

    /// The branch whose tip the backup belongs to
    #[arg(short, long, value_name = "BRANCH")]
    branch: Option<String>,

    /// Back up even if the database is marked with another commit
    #[arg(short, long)]
    force: bool,

    /// The tool that makes the backup; by default the configured one; 'auto' is pg_dump or pg_basebackup,
    /// by the size of the database
    #[arg(long, value_name = "TOOL", value_parser = tool)]
    tool: Option<Tool>,

    /// The type of the backup: full, incremental (since the newest backup), differential (since the newest
    /// full one); pg_dump makes full backups
    #[arg(short = 't', long = "type", value_name = "TYPE")]
    kind: Option<BackupType>,

    /// The name of the backup; by default <database>-<time>
    #[arg(short, long)]
    name: Option<BackupName>,

    /// A tag, with an optional value; may be given several times
    #[arg(short, long, value_name = "KEY[=VALUE]", visible_alias = "tag")]
    label: Vec<String>,

    /// Dump only this schema; may be given several times
    #[arg(long, value_name = "SCHEMA")]
    schema: Vec<String>,

    /// Do not dump this schema; may be given several times
    #[arg(long, value_name = "SCHEMA")]
    exclude_schema: Vec<String>,

    /// Dump only this table; may be given several times
    #[arg(long, value_name = "TABLE", conflicts_with = "schema")]
    table: Vec<TableName>,

    /// Do not dump this table; may be given several times
    #[arg(long, value_name = "TABLE")]
    exclude_table: Vec<TableName>,

    /// pg_basebackup: the checkpoint mode: fast (at once) or spread (over time, as usual)
    #[arg(long, value_name = "MODE")]
    checkpoint: Option<Checkpoint>,

    /// pg_basebackup: the maximum transfer rate per second, such as 500k or 100M
    #[arg(long, value_name = "RATE", value_parser = rate)]
    max_rate: Option<u32>,

    /// pg_basebackup: collect WAL at the end (fetch) or during the backup (stream)
    #[arg(long, value_name = "METHOD")]
    wal: Option<WalMethod>,

    /// The format of the dump: custom, directory, tar or plain
    #[arg(long, value_name = "FORMAT")]
    format: Option<DumpFormat>,

    /// The number of tables to dump in parallel (format directory only)
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,

    /// The store of the backup: a directory or a URL; by default the configured one
    #[arg(long, value_name = "URL", conflicts_with = "output")]
    store: Option<String>,

    /// Write plain files below this directory instead of using a store
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// The compression level of zstd: -7 to 22, or 'none'
    #[arg(long, value_name = "LEVEL", allow_hyphen_values = true)]
    compression_level: Option<Compression>,

    /// Enqueue the backup for a worker, and do not wait
    #[arg(long)]
    enqueue: bool,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup create
    git pggit backup create --database shop --name before-v2 --label release=2.0
    git pggit backup create --commit v1.9 --format directory --jobs 4 --output /backups";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    if args.enqueue {
        return enqueue(args, context);
    }
    let mut request = request(args, context)?;
    backup::choose_tool(context, &mut request)?;
    check(&request, args)?;
    watch_signals()?;
    let progress = bar::progress(&context.ui);
    let (output, store) = (args.output.as_deref(), args.store.as_deref());
    let created = backup::create_configured(context, &request, output, store, progress.as_ref())?;
    drop(progress);
    let entry = created.map_err(|unsuccessful| backup_failure(unsuccessful, context))?;
    match context.ledger()?.commit_warnings(&entry) {
        Ok(warnings) => print_commit_warnings(&warnings, &context.ui),
        // The backup is complete all the same.
        Err(error) => context.ui.warning(&format!("the commit of the backup could not be checked: {error}")),
    }
    if context.ui.wants_json() {
        return Ok(context.ui.json(&entry.backup)?);
    }
    if entry.backup.kind != request.kind {
        context.ui.warning(&format!(
            "there is no parent backup: this backup is {}, not {}",
            entry.backup.kind, request.kind
        ));
    }
    context.ui.status(&summary(&entry.backup));
    Ok(context.ui.line(entry.backup.id)?)
}

/// A command-line option and the setting of the database that it overrides.
struct Override<'a> {
    option: &'static str,
    /// The tool that supports the option; `None` for an option of all tools.
    tool: Option<Tool>,
    change: Box<dyn FnOnce(&mut DatabaseConfig) + 'a>,
}

impl<'a> Override<'a> {
    fn new<T: 'a>(
        option: &'static str,
        tool: Option<Tool>,
        value: Option<T>,
        change: impl FnOnce(&mut DatabaseConfig, T) + 'a,
    ) -> Option<Self> {
        let value = value?;
        Some(Self { option, tool, change: Box::new(move |database| change(database, value)) })
    }
}

/// Returns the options of the command line that override the configuration of the database. A worker
/// reads only the configuration and receives none of them. A test compares the table with the options
/// of the command.
fn overrides(args: &Args) -> Vec<Override<'_>> {
    fn list<T: Clone>(values: &[T]) -> Option<Vec<T>> {
        (!values.is_empty()).then(|| values.to_vec())
    }
    fn set<T>(value: T) -> Setting<T> {
        Setting { value, origin: Origin::CommandLine }
    }
    let (dump, copy) = (|| Some(Tool::PgDump), || Some(Tool::PgBasebackup));
    let table = [
        Override::new("--schema", dump(), list(&args.schema), |database, schemas| {
            database.dump.schemas = schemas;
            database.dump.tables.clear();
        }),
        Override::new("--exclude-schema", dump(), list(&args.exclude_schema), |database, schemas| {
            database.dump.exclude_schemas = schemas;
        }),
        Override::new("--table", dump(), list(&args.table), |database, tables| {
            database.dump.tables = tables;
            database.dump.schemas.clear();
        }),
        Override::new("--exclude-table", dump(), list(&args.exclude_table), |database, tables| {
            database.dump.exclude_tables = tables;
        }),
        Override::new("--checkpoint", copy(), args.checkpoint, |database, checkpoint| {
            database.checkpoint = set(checkpoint);
        }),
        Override::new("--max-rate", copy(), args.max_rate, |database, rate| {
            database.max_rate = Some(set(rate));
        }),
        Override::new("--wal", copy(), args.wal, |database, wal| database.wal = set(wal)),
        Override::new("--format", dump(), args.format, |database, format| database.dump.format = format),
        Override::new("--jobs", dump(), args.jobs, |database, jobs| {
            database.dump.jobs = NonZeroU32::new(jobs.into());
        }),
        Override::new("--store", None, args.store.as_ref(), |_, _| {}),
        Override::new("--output", None, args.output.as_ref(), |_, _| {}),
        Override::new("--compression-level", None, args.compression_level, |database, level| {
            database.compression = set(level);
        }),
    ];
    table.into_iter().flatten().collect()
}

/// Returns the first option of the command line that a job cannot pass on to a worker, if any.
fn not_in_a_job(args: &Args) -> Option<&'static str> {
    overrides(args).first().map(|given| given.option)
}

/// Enqueues a job, so that a worker makes the backup.
fn enqueue(args: &Args, context: &Context) -> Result<(), Failure> {
    if let Some(option) = not_in_a_job(args) {
        return Err(Failure::new(Code::Usage, format!("{option} cannot be used with --enqueue"))
            .hint("configure it: a worker takes it from the configuration of the database"));
    }
    let database = context.config()?.default_database(args.database.as_deref())?;
    let (commit, branch) = revision(args.commit.as_deref(), args.branch.as_deref(), context)?;
    let wish = JobOptions {
        commit,
        branch,
        force: args.force,
        backup_type: args.kind,
        tool: args.tool.as_ref().map(|tool| Line::lossy(tool.as_str())),
        name: args.name.clone(),
        tags: args.label.iter().map(|label| select::tag(label)).collect::<Result<_, _>>()?,
        ..JobOptions::default()
    };
    enqueue_job(queue::backup_job(context, &database, wish)?, context)
}

fn request(args: &Args, context: &Context) -> Result<BackupRequest, Failure> {
    let mut database = context.config()?.selected(args.database.as_deref())?;
    if let Some(tool) = &args.tool {
        database.tool = Setting { value: tool.clone(), origin: Origin::CommandLine };
    }
    overrides(args).into_iter().for_each(|given| (given.change)(&mut database));
    if args.jobs.is_some()
        && database.tool.value != Tool::PgBasebackup
        && database.dump.format != DumpFormat::Directory
    {
        let message = format!("--jobs requires --format directory, not {}", database.dump.format);
        return Err(Failure::new(Code::Usage, message));
    }
    let asked = match (&args.commit, &args.branch) {
        (Some(revision), _) => CommitSpec::Revision(revision.clone()),
        (None, Some(branch)) => CommitSpec::Branch(branch.clone()),
        (None, None) => CommitSpec::Nothing,
    };
    Ok(BackupRequest {
        id: None,
        kind: args.kind.unwrap_or(database.backup_type.value),
        database,
        asked,
        force: args.force,
        name: args.name.clone(),
        tags: args.label.iter().map(|label| select::tag(label)).collect::<Result<_, _>>()?,
    })
}

fn tool(text: &str) -> Result<Tool, String> {
    text.parse().map_err(|()| {
        "expected pg_dump, pg_basebackup, auto, pgbackrest, barman or the name of a custom tool".to_owned()
    })
}

fn rate(text: &str) -> Result<u32, String> {
    config::rate(text).ok_or_else(|| "expected a rate from 32k to 1024M".to_owned())
}

/// Fails if options contradict each other, or are for another tool than the one that makes the backup.
fn check(request: &BackupRequest, args: &Args) -> Result<(), Failure> {
    let database = &request.database;
    let tool = &database.tool.value;
    let other = |given: &Override<'_>| given.tool.as_ref().is_some_and(|of| of != tool);
    if let Some(Override { option, tool: Some(of), .. }) = overrides(args).into_iter().find(other) {
        let message = match (&of, tool) {
            (Tool::PgDump, Tool::PgBasebackup) => {
                format!("{option} is for pg_dump: pg_basebackup backs up the whole cluster")
            }
            _ => format!("{option} is for {of}, and {tool} makes this backup"),
        };
        return Err(Failure::new(Code::Usage, message));
    }
    if *tool == Tool::PgDump && !database.dump.schemas.is_empty() && !database.dump.tables.is_empty() {
        let message = "pg_dump accepts schemas or tables, not both: with tables it ignores schemas";
        return Err(Failure::new(Code::Usage, message)
            .hint(format!("unset pggit.{0}.schema or pggit.{0}.table", database.name)));
    }
    Ok(())
}

/// Returns the summary of a backup:
/// `backup shop-20261121T034006Z: 480 MiB in 13 MiB, on 1f2e3d4c5b (main)`.
fn summary(backup: &Backup) -> String {
    let size = human_bytes(backup.size_bytes.unwrap_or_default());
    let stored = human_bytes(backup.stored_bytes.unwrap_or_default());
    let branch = backup.branch.as_ref().map(|branch| format!(" ({branch})")).unwrap_or_default();
    let commit = backup.commit.short();
    format!("completed backup {}: {size} stored in {stored}, on commit {commit}{branch}", backup.name)
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    #[test]
    fn every_option_reaches_the_job_or_is_refused_by_name() {
        const IN_A_JOB: [&str; 9] =
            ["database", "commit", "branch", "force", "tool", "type", "name", "label", "enqueue"];
        let command = Args::augment_args(clap::Command::new("create"));
        let value_of = |option: &str| match option {
            "table" | "exclude-table" => "public.orders",
            "checkpoint" => "fast",
            "max-rate" => "1M",
            "wal" => "fetch",
            "format" => "custom",
            "jobs" | "compression-level" => "2",
            _ => "x",
        };
        for option in command.get_arguments().filter_map(clap::Arg::get_long) {
            if IN_A_JOB.contains(&option) {
                continue;
            }
            let words = ["create", "--enqueue", &format!("--{option}"), value_of(option)];
            let matches = command.clone().try_get_matches_from(words).unwrap();
            let args = Args::from_arg_matches(&matches).unwrap();
            assert_eq!(not_in_a_job(&args), Some(&*format!("--{option}")));
        }
    }
}
