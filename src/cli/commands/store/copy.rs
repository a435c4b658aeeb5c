//! `git pggit store copy`

use super::StoreOption;
use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::output::store::{StoreCopy, print_copy};
use crate::store::CopyReport;
use crate::terminal::bar::progress;
use crate::terminal::text::counted;
use crate::workspace::artifacts::ArtifactRecords;
use crate::workspace::store;

/// Copy all artifacts into another store
///
/// The other store becomes a copy of this one, with the same id; it is created if it
/// does not exist. Existing artifacts are not copied again, so the command may be
/// interrupted at any time. Artifacts that were removed from this store are kept in
/// the copy. The checksum of every pack is verified. Records name their copies in the
/// metadata 'copies'.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreOption,

    /// The other store: a directory or a URL
    #[arg(value_name = "URL")]
    to: String,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit store copy s3://offsite/shop
    git pggit store check --store s3://offsite/shop --read-data=5%";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let from = args.store.open(context)?;
    let to = store::url(context, Some(&args.to), None)?;
    if to == *from.url() {
        return Err(Failure::new(Code::Usage, format!("{to} is the store itself")));
    }
    let replica = from.replica(&to, &store::access(context, &to)?)?;
    let bar = progress(&context.ui);
    // Packs with a pending deletion in the copy cannot be reused, so the deletion is finished first.
    replica.finish_collections(bar.as_ref())?;
    let copied = from.copy_to(&replica, bar.as_ref())?;
    drop(bar);
    let records = ArtifactRecords::load(context)?;
    for copy in &copied.artifacts {
        records.record_copy(copy, context)?;
    }
    match context.ui.wants_json() {
        true => context.ui.json(&StoreCopy::new(&copied, to.to_string()))?,
        false => print_copy(&copied, &context.ui)?,
    }
    ended(&copied)
}

fn ended(copied: &CopyReport) -> Result<(), Failure> {
    if !copied.failed.is_empty() {
        let message = format!("{} could not be copied", counted(copied.failed.len(), "artifact"));
        let failure = Failure::new(Code::Corrupt, message)
            .hint("'git pggit store check --read-data' lists the damaged objects");
        return Err(copied
            .failed
            .iter()
            .fold(failure, |failure, (id, error)| failure.cause(format!("{id}: {error}"))));
    }
    if !copied.waiting.is_empty() {
        let message = format!("{} could not be copied yet", counted(copied.waiting.len(), "artifact"));
        return Err(Failure::new(Code::Busy, message)
            .cause("a deletion of needed packs is pending in the copy, and waits for an active writer"));
    }
    Ok(())
}
