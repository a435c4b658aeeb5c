//! `git pggit store gc`

use super::{StoreOption, of};
use crate::cli::bar::progress;
use crate::cli::output::store::CollectedGarbage;
use crate::cli::{Context, Failure};
use crate::domain::human_bytes;
use crate::store::{Amount, GcReport, WriterSession};

/// Remove from the store what no artifact needs
///
/// Says what would go; with --force it goes. Backups may be made meanwhile, and
/// other collections may run: what somebody may still need stays, and goes the
/// next time. Nothing is removed while the manifest of an artifact cannot be read.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreOption,

    /// Remove it
    #[arg(short, long)]
    force: bool,
}

const EXAMPLES: &str = "\
Whoever has not said for 12 hours that it still writes is taken for dead.

EXAMPLES
    git pggit store rm 01a1fc4d --force
    git pggit store gc
    git pggit store gc --force";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = args.store.open(context)?;
    let collection = match args.force {
        true => store.collect(progress(&context.ui).as_ref())?,
        false => store.garbage(context.now())?,
    };
    if context.ui.wants_json() {
        return Ok(context.ui.json(&output(&collection, args.force))?);
    }
    for writer in collection.writers.iter().filter(|writer| !writer.expired) {
        context.ui.status(&format!("somebody writes since {}", since(writer)));
    }
    let superseded = collection.superseded.count;
    if args.force {
        let revisions = match collection.removed_revisions {
            0 => String::new(),
            count => format!(" and {}", of(count, "old manifest")),
        };
        context.ui.line(format!("removed {}{revisions}", amount(collection.removed)))?;
    } else {
        let manifests = match superseded {
            0 => String::new(),
            count => format!(" and {}", of(count, "old manifest")),
        };
        context.ui.line(format!("would remove {}{manifests}", amount(collection.garbage)))?;
    }
    if collection.waiting.count > 0 {
        context.ui.line(format!("{} wait for those who write", amount(collection.waiting)))?;
    }
    if collection.unfinished.count > 0 {
        context.ui.line(format!("{} may be in use by those who write", amount(collection.unfinished)))?;
    }
    if !args.force && collection.garbage.count + superseded > 0 {
        context.ui.hint("'git pggit store gc --force' removes it");
    }
    Ok(())
}

fn amount(amount: Amount) -> String {
    format!("{} ({})", of(amount.count, "pack"), human_bytes(amount.bytes))
}

fn since(writer: &WriterSession) -> String {
    let started = writer.started.unwrap_or(writer.last_heartbeat);
    format!("{started}, and was last seen {}", writer.last_heartbeat)
}

fn output(collection: &GcReport, force: bool) -> CollectedGarbage {
    CollectedGarbage {
        dry_run: !force,
        artifacts: collection.artifacts,
        garbage: collection.garbage.into(),
        unfinished: collection.unfinished.into(),
        waiting: collection.waiting.into(),
        superseded_manifests: collection.superseded.count,
        removed: collection.removed.into(),
        removed_manifests: collection.removed_revisions,
        swept_files: collection.swept,
        writers: collection.writers.iter().map(Into::into).collect(),
    }
}
