//! `git pggit wal push`

use std::path::PathBuf;

use crate::output::repository::PushedWal;

use crate::cli::Context;
use crate::failure::Failure;
use crate::wal::{Archived, Push, push};

use super::WalArgs;

/// Keep a file of the write-ahead log in the store
///
/// For archive_command. It ends with 0 only when the file is durable in the store.
/// Doing it twice is fine; a file that is there with other content is refused, and
/// stays. Files that wait behind it are kept in the same go, several at a time, so
/// that the calls for them end at once.
///
///     archive_command = 'git-pggit wal push --store s3://bucket/prefix %p'
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES, verbatim_doc_comment)]
pub(crate) struct Args {
    /// The file, as %p of archive_command
    #[arg(value_name = "PATH")]
    path: PathBuf,

    /// How many files that wait are kept in the same go
    #[arg(short, long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    batch: u16,

    #[command(flatten)]
    place: WalArgs,
}

const EXAMPLES: &str = "\
EXAMPLES
    git-pggit wal push --store /srv/store %p
    git pggit wal push --pgdata /var/lib/postgresql/17/main pg_wal/000000010000000000000003";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let (store, pgdata) = (args.place.store.as_deref(), args.place.pgdata(context));
    let archived =
        push(&Push { path: context.cwd().join(&args.path), batch: args.batch, store, pgdata }, context)?;
    if let Some(Archived { name, system_identifier, is_new, batch }) = archived
        && context.ui.wants_json()
    {
        context.ui.json(&PushedWal { name, system_identifier, new: is_new, batch })?;
    }
    Ok(())
}
