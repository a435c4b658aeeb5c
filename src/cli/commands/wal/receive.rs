//! `git pggit wal receive`

use std::path::PathBuf;

use crate::cli::Context;
use crate::domain::Lsn;
use crate::failure::Failure;
use crate::wal::{self, Receive};

/// Receive the write-ahead log from the server and keep it in the store
///
/// Runs pg_receivewal, which gets the log while it is written, and puts each
/// segment into the store as soon as it is complete. What is not complete stays in a
/// directory and is gone on with after a new start. Use a replication slot, so that
/// the server keeps what was not received yet. Runs until it is ended.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The database whose server it is, as it is configured
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,

    /// A replication slot; it is made when there is none
    #[arg(long, value_name = "NAME")]
    slot: Option<String>,

    /// A directory for segments that are not complete
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,

    /// End when the log is complete up to here
    #[arg(long, value_name = "LSN")]
    until: Option<Lsn>,

    /// The store: a directory or a URL; by default the configured one
    #[arg(long, value_name = "URL")]
    store: Option<String>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit wal receive --slot pggit
    git pggit wal receive --database shop --slot pggit --store s3://bucket/prefix";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let receive = Receive {
        database: context.config()?.selected(args.database.as_deref())?,
        slot: args.slot.as_deref(),
        directory: args.directory.as_deref(),
        until: args.until,
        store: args.store.as_deref(),
    };
    Ok(wal::receive(&receive, context)?)
}
