//! `git pggit queue enqueue`

use crate::cli::Context;
use crate::cli::automation::{enqueue_job, revision};
use crate::cli::commands::backup::select;
use crate::domain::{BackupName, BackupType, Priority, VerificationKind, VerifyWork, Work};
use crate::failure::Failure;
use crate::workspace::queue::{self, JobOptions};

/// Enqueue a backup or a verification for a worker
///
/// The job names the database; the worker takes the URL of the database, the tool
/// and all other settings from its own configuration. A commit or branch is resolved
/// now, so that the backup belongs to the commit of this time; without one, the
/// worker takes the commit that is recorded in the database, or HEAD. With --verify,
/// a worker verifies a backup instead.
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

    /// The type of the backup; by default the configured one
    #[arg(short = 't', long = "type", value_name = "TYPE")]
    kind: Option<BackupType>,

    /// The tool that makes the backup; by default the configured one
    #[arg(long, value_name = "TOOL")]
    tool: Option<String>,

    /// The name of the backup; by default <database>-<time>
    #[arg(short, long)]
    name: Option<BackupName>,

    /// A tag, with an optional value; may be given several times
    #[arg(short, long, value_name = "KEY[=VALUE]", visible_alias = "tag")]
    label: Vec<String>,

    /// Verify this backup instead of making one
    #[arg(long, value_name = "BACKUP", conflicts_with_all = ["commit", "branch", "force", "kind", "tool", "name", "label"])]
    verify: Option<String>,

    /// With --verify: the kind: checksum, integrity or restore-test
    #[arg(long, value_name = "KIND", value_parser = verification, default_value = "integrity", requires = "verify")]
    how: VerificationKind,

    #[command(flatten)]
    order: QueueArgs,
}

fn verification(text: &str) -> Result<VerificationKind, String> {
    let words: Vec<&str> = VerificationKind::ALL.iter().map(|kind| kind.word()).collect();
    VerificationKind::of_word(text).ok_or_else(|| format!("expected one of {}", words.join(", ")))
}

/// The place of a job in the queue.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct QueueArgs {
    /// The priority: jobs with a higher number run first
    #[arg(short, long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) priority: Priority,

    /// The deduplication key: nothing is enqueued if a job with this key is waiting
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) key: Option<String>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit queue enqueue
    git pggit queue enqueue --database shop --branch main --priority 10
    git pggit queue enqueue --database shop --key nightly-shop --label nightly
    git pggit queue enqueue --verify latest --how restore-test";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let key = args.order.key.as_deref().map(|key| queue::line(key, "--key")).transpose()?;
    if let Some(backup) = &args.verify {
        let entry = select::find(backup, args.database.as_deref(), context)?;
        let work = VerifyWork { backup: entry.backup.id, database: entry.backup.database, kind: args.how };
        return enqueue_job(queue::job(context, Work::Verify(work), args.order.priority, key)?, context);
    }
    let database = context.config()?.default_database(args.database.as_deref())?;
    let (commit, branch) = revision(args.commit.as_deref(), args.branch.as_deref(), context)?;
    let wish = JobOptions {
        commit,
        branch,
        force: args.force,
        prefer_mark: false,
        backup_type: args.kind,
        tool: args.tool.as_deref().map(|tool| queue::line(tool, "--tool")).transpose()?,
        name: args.name.clone(),
        tags: args.label.iter().map(|label| select::tag(label)).collect::<Result<_, _>>()?,
        priority: args.order.priority,
        key,
    };
    enqueue_job(queue::backup_job(context, &database, wish)?, context)
}
