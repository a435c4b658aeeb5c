//! `git pggit wal fetch`

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::Context;
use crate::domain::{WalName, parse_positive_duration};
use crate::failure::{Code, Failure};
use crate::wal::{self, Fetch};

use super::WalArgs;

/// Fetch a WAL file from the store
///
/// For restore_command. PostgreSQL takes an exit status from 1 to 125 as the end of
/// the archive, and would recover less than the archive has. So the command exits
/// with 10 if the store does not have the file, and with 128 or more for every other
/// error: then recovery stops with an error.
///
///     restore_command = 'git-pggit wal fetch --store s3://bucket/prefix %f "%p"'
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES, verbatim_doc_comment)]
pub(crate) struct Args {
    /// The name of the WAL file: %f of restore_command
    #[arg(value_name = "NAME")]
    name: WalName,

    /// The destination: %p of restore_command
    #[arg(value_name = "PATH")]
    path: PathBuf,

    /// The number of following segments to prefetch
    #[arg(short, long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(0..=64))]
    prefetch: u16,

    /// The system identifier of the cluster; by default that of the data directory
    #[arg(long, value_name = "ID")]
    system_identifier: Option<String>,

    /// Fail if the store does not work for this time; then recovery stops with an error
    #[arg(long, value_name = "DURATION", default_value = "3m", value_parser = parse_positive_duration)]
    timeout: Duration,

    #[command(flatten)]
    place: WalArgs,
}

const EXAMPLES: &str = "\
EXAMPLES
    git-pggit wal fetch --store /srv/store %f \"%p\"
    git pggit wal fetch --system-identifier 7710420227913410699 00000002.history /tmp/00000002.history";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let fetch = Fetch {
        name: &args.name,
        target: context.cwd().join(&args.path),
        prefetch: args.prefetch,
        system_identifier: args.system_identifier.as_deref(),
        store: args.place.store.as_deref(),
        timeout: args.timeout,
        pgdata: args.place.pgdata(context),
    };
    wal::fetch(&fetch, context).map_err(|error| {
        // An unknown cluster or a missing store does not prove that the file is missing.
        let is_fatal = matches!(error, wal::Error::ControlFile { .. } | wal::Error::Workspace(_));
        let is_missing = matches!(error, wal::Error::NotArchived { .. });
        let failure = Failure::from(error);
        match failure.code().status() {
            _ if is_missing => failure,
            126.. if !is_fatal => failure,
            _ => failure.with_code(Code::Fatal),
        }
    })
}
