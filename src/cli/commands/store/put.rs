//! `git pggit store put`

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::PathBuf;

use super::StoreOption;
use crate::cli::Context;
use crate::domain::{BackupId, human_bytes};
use crate::failure::{Code, Failure};
use crate::output::store::StoredArtifact;
use crate::process;
use crate::store::{Chunking, NewArtifact};

/// Store a file or standard input
///
/// The file is deduplicated against the newest artifact of the same database: only
/// new data is stored. Prints the id of the new artifact.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreOption,

    /// The file; by default or with '-' standard input
    #[arg(value_name = "FILE", default_value = "-", hide_default_value = true)]
    file: PathBuf,

    /// The database whose artifacts the file is deduplicated against
    #[arg(short, long, value_name = "NAME")]
    database: String,

    /// The name of the file in the artifact
    #[arg(short, long, value_name = "NAME", default_value = "dump.custom")]
    name: String,

    /// The compression level of zstd
    #[arg(long, value_name = "LEVEL", default_value_t = 3, allow_hyphen_values = true)]
    compression_level: i32,

    /// Split at pages of 8 KiB, for files of a data directory
    #[arg(long)]
    pages: bool,
}

const EXAMPLES: &str = "\
Dumps without their own compression are deduplicated best.

EXAMPLES
    pg_dump -Fc -Z0 shop | git pggit store put --database shop
    git pggit store put --database shop old.dump";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = args.store.open(context)?;
    let unreadable = |error: &io::Error| {
        Failure::new(Code::Fatal, format!("cannot read '{}'", args.file.display())).cause(error.to_string())
    };
    let mut input: Box<dyn Read> = match args.file.as_os_str() == "-" {
        true => {
            process::widen_pipe(&io::stdin());
            Box::new(io::stdin().lock())
        }
        false => Box::new(File::open(&args.file).map_err(|error| unreadable(&error))?),
    };
    let now = context.now();
    let writer = store.begin(NewArtifact {
        id: BackupId::new(now).to_string(),
        lineage: args.database.clone(),
        created_at: now,
        level: args.compression_level,
    })?;
    let chunking = if args.pages { Chunking::Pages } else { Chunking::Content };
    let mut file = writer.file(&args.name, chunking)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(&error)),
        };
        file.write_all(&buffer[..count]).map_err(written)?;
    }
    let summary = file.finish()?;
    let base = writer.base().map(str::to_owned);
    let published = writer.publish(None)?;
    let id = published.location.rsplit('/').next().unwrap_or_default();
    if context.ui.wants_json() {
        return Ok(context.ui.json(&StoredArtifact {
            id: id.to_owned(),
            location: published.location.clone(),
            base,
            size_bytes: summary.content_bytes,
            stored_bytes: published.stored_bytes,
            digest: summary.digest,
            key: published.key,
        })?);
    }
    let (size, stored) = (human_bytes(summary.content_bytes), human_bytes(published.stored_bytes));
    context.ui.status(&format!("stored {size} in {stored}"));
    Ok(context.ui.line(id)?)
}

/// Returns the error of the store inside an I/O error of its writer.
fn written(error: io::Error) -> Failure {
    match error.downcast::<crate::store::Error>() {
        Ok(error) => error.into(),
        Err(error) => Failure::new(Code::Storage, "cannot write to the store").cause(error.to_string()),
    }
}
