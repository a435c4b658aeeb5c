//! `git pggit store remove`

use super::{StoreOption, find};
use crate::cli::Context;
use crate::domain::{Line, human_bytes};
use crate::failure::Failure;
use crate::output::store::RemovedArtifacts;
use crate::store::ListedArtifact;
use crate::terminal::text::counted;
use crate::workspace::artifacts::ArtifactRecords;

/// Remove artifacts from the store
///
/// Prints the artifacts; --force removes them. 'git pggit store gc' then frees the
/// space that no other artifact needs.
///
/// An artifact that is the only location of a recorded backup is removed only with
/// --recorded, which first records the backup as deleted. This also applies to a
/// backup that is already recorded as deleted. The artifact of a backup that is held,
/// in progress, or needed by another backup is never removed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreOption,

    /// The artifacts: ids or the beginnings of ids
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,

    /// Remove the artifacts
    #[arg(short, long)]
    force: bool,

    /// Remove artifacts of recorded backups, too, and record the backups as deleted
    #[arg(long)]
    recorded: bool,

    /// The reason, for the record
    #[arg(short, long, value_name = "TEXT", default_value = "removed from the store by hand")]
    reason: Line,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit store remove 01a1fc4d
    git pggit store remove 01a1fc4d --force --recorded --reason 'test data'";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = args.store.open(context)?;
    let records = ArtifactRecords::load(context)?;
    let mut artifacts: Vec<ListedArtifact> = Vec::new();
    for id in &args.ids {
        let listed = find(&store, id)?;
        if !artifacts.contains(&listed) {
            artifacts.push(listed);
        }
    }
    for artifact in &artifacts {
        records.check_removal(artifact, &artifacts, args.recorded)?;
    }
    for artifact in &artifacts {
        // A damaged artifact has no known size, and can be removed.
        let manifest = store.artifact(artifact).ok();
        let files = manifest.iter().flat_map(|artifact| &artifact.manifest().files);
        let size = match files.map(|file| file.size).sum() {
            0 => String::new(),
            bytes => format!(" ({})", human_bytes(bytes)),
        };
        if args.force {
            records.remove(artifact, &store, &args.reason, context)?;
        }
        if !context.ui.wants_json() {
            let verb = if args.force { "removed" } else { "would remove" };
            context.ui.line(format!("{verb} {}{size}", artifact.id))?;
        }
    }
    if context.ui.wants_json() {
        let artifacts = artifacts.iter().map(Into::into).collect();
        return Ok(context.ui.json(&RemovedArtifacts { dry_run: !args.force, artifacts })?);
    }
    match args.force {
        true => context.ui.hint("'git pggit store gc --force' frees the space"),
        false => context.ui.hint(&format!("'--force' removes {}", counted(artifacts.len(), "artifact"))),
    }
    Ok(())
}
