//! `git pggit wal receive`

use std::path::PathBuf;

use crate::cli::Context;
use crate::domain::Lsn;
use crate::failure::Failure;
use crate::wal::{self, Receive};

/// Receive WAL from the server and archive it in the store
///
/// Runs pg_receivewal, which streams WAL from the server, and archives each segment
/// as soon as it is complete. Incomplete segments stay in a directory, and the next
/// run continues with them. Use a replication slot, so that the server keeps WAL that
/// was not received yet. Runs until a signal stops it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The configured database whose server sends the WAL
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,

    /// The replication slot; created if it does not exist
    #[arg(long, value_name = "NAME")]
    slot: Option<String>,

    /// The directory for incomplete segments
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,

    /// Exit when the WAL is complete up to this LSN
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
