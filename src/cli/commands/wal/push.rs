//! `git pggit wal push`

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::parse_positive_duration;
use crate::output::repository::PushedWal;

use crate::cli::Context;
use crate::failure::Failure;
use crate::wal::{Archived, Push, push};

use super::WalArgs;

/// Archive a WAL file in the store
///
/// For archive_command. Exits with 0 only when the file is durable in the store. An
/// archived file may be pushed again; other content under the same name is refused,
/// and the archived file is kept. Files that are ready to be archived after this one
/// are archived in the same run, several at a time, so that their calls exit at once.
///
///     archive_command = 'git-pggit wal push --store s3://bucket/prefix %p'
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES, verbatim_doc_comment)]
pub(crate) struct Args {
    /// The path of the WAL file: %p of archive_command
    #[arg(value_name = "PATH")]
    path: PathBuf,

    /// The maximum number of ready files to archive in one run
    #[arg(short, long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    batch: u16,

    /// Fail if the store does not work for this time; PostgreSQL tries again
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_positive_duration)]
    timeout: Duration,

    #[command(flatten)]
    place: WalArgs,
}

const EXAMPLES: &str = "\
EXAMPLES
    git-pggit wal push --store /srv/store %p
    git pggit wal push --pgdata /var/lib/postgresql/17/main pg_wal/000000010000000000000003";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let (store, pgdata) = (args.place.store.as_deref(), args.place.pgdata(context));
    let path = context.cwd().join(&args.path);
    let request = Push { path, batch: args.batch, store, timeout: args.timeout, pgdata };
    let archived = push(&request, context)?;
    if let Some(Archived { name, system_identifier, is_new, batch }) = archived
        && context.ui.wants_json()
    {
        context.ui.json(&PushedWal { name, system_identifier, new: is_new, batch })?;
    }
    Ok(())
}
