//! `git pggit store stats`

use super::{StoreOption, of};
use crate::cli::Context;
use crate::domain::human_bytes;
use crate::failure::Failure;
use crate::output::store::{DatabaseStats, StoreStats};

/// Show how much is in the store, and how much space it takes
///
/// The bytes of a database are those of the packs that its artifacts name.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreOption,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let stats = args.store.open(context)?.stats()?;
    let useful = stats.stored_bytes - stats.garbage_bytes;
    if context.ui.wants_json() {
        let databases = stats.lineages.iter().map(|(name, lineage)| DatabaseStats {
            database: name.clone(),
            artifacts: lineage.artifacts,
            size_bytes: lineage.content_bytes,
            stored_bytes: lineage.stored_bytes,
            ratio: ratio(lineage.content_bytes, lineage.stored_bytes),
        });
        return Ok(context.ui.json(&StoreStats {
            artifacts: stats.artifacts,
            size_bytes: stats.content_bytes,
            stored_bytes: stats.stored_bytes,
            ratio: ratio(stats.content_bytes, useful),
            packs: stats.packs,
            garbage_packs: stats.garbage_packs,
            garbage_bytes: stats.garbage_bytes,
            databases: databases.collect(),
        })?);
    }
    for (name, lineage) in &stats.lineages {
        let (content, stored) = (lineage.content_bytes, lineage.stored_bytes);
        context.ui.line(format!(
            "{name:<16} {:>14} {:>10} in {:>10}  {}",
            of(lineage.artifacts, "artifact"),
            human_bytes(content),
            human_bytes(stored),
            shown(content, stored)
        ))?;
    }
    let (content, stored) = (human_bytes(stats.content_bytes), human_bytes(stats.stored_bytes));
    context.ui.line(format!(
        "{}, {content} in {stored} and {}; {} of it garbage",
        of(stats.artifacts, "artifact"),
        of(stats.packs, "pack"),
        human_bytes(stats.garbage_bytes)
    ))?;
    Ok(())
}

/// How many bytes each stored byte stands for.
#[expect(clippy::cast_precision_loss, reason = "a ratio is shown with one digit")]
fn ratio(content: u64, stored: u64) -> Option<f64> {
    (stored > 0).then(|| (content as f64 / stored as f64 * 10.0).round() / 10.0)
}

fn shown(content: u64, stored: u64) -> String {
    ratio(content, stored).map_or(String::new(), |ratio| format!("{ratio:.1}x"))
}
