//! `git pggit backup complete`

use std::ffi::OsString;

use crate::cli::Context;
use crate::domain::{Completed, human_bytes};
use crate::failure::Failure;
use crate::output::backup::{print_changed, title};

use super::document;
use super::facts::{CompletionArgs, word};
use super::select::One;

/// Record that a backup is complete
///
/// For a backup that was registered with --in-progress. A backup is completed once:
/// a second command fails, and changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    one: One,

    /// The size of the content in bytes
    #[arg(long, value_name = "BYTES")]
    size: u64,

    /// The attempt that succeeded; refused if a later one has begun
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,

    /// The version of the tool that made the backup
    #[arg(long, value_name = "VERSION")]
    tool_version: Option<String>,

    /// Further facts: a file with a JSON object, or - for standard input
    #[arg(long, value_name = "FILE")]
    metadata: Option<OsString>,

    #[command(flatten)]
    facts: CompletionArgs,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup complete nightly --size 1288490189
    git pggit backup complete 0193f1a2 --size 1288490189 --stored-size 214748364 \\
        --compression zstd:3 --location s3://backups/shop/nightly --digest sha256:9f86d0...
    pgbackrest info --output=json | jq '.[0].backup[-1]' |
        git pggit backup complete latest --size 1288490189 --metadata -";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let found = args.one.find(context)?;
    let metadata = document::metadata(args.metadata.as_ref())?;
    let facts = args.facts.completed(args.size, metadata, context)?;
    let tool_version = word(args.tool_version.as_deref(), "tool version")?;
    let completed = Completed { attempt: args.attempt, tool_version, ..facts };
    let ledger = context.ledger()?;
    let entry = ledger.append_at(&found.backup.commit, found.backup.id, |_| Ok(completed.clone().into()))?;
    let size = human_bytes(args.size);
    Ok(print_changed(&entry, &format!("completed {}, {size}", title(&entry.backup)), &context.ui)?)
}
