//! `git pggit store check`

use super::StoreOption;
use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::output::store::StoreCheck;
use crate::store::Portion;
use crate::terminal::bar::progress;
use crate::workspace::artifacts::{self, CheckedStore};

/// Check the integrity of the store
///
/// Reads the manifest of every artifact. Checks that every pack of a manifest exists
/// with its size, and that every recorded artifact exists. With --read-data the
/// content of the packs is compared with their names, which are checksums. If an
/// object is damaged, the artifacts that may need it are read completely: exactly
/// the damaged artifacts are reported.
///
/// Fails with 'negative' if an object is damaged.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreOption,

    /// Read the packs, too: all, or about this percentage, different ones every day
    #[arg(long, value_name = "PERCENT", num_args = 0..=1, require_equals = true, default_missing_value = "100%",
        value_parser = portion)]
    read_data: Option<Portion>,

    /// Replace damaged objects from this copy of the store
    #[arg(long, value_name = "URL")]
    repair_from: Option<String>,
}

const EXAMPLES: &str = "\
The packs are divided by name into 101 slices; PERCENT of the slices are read,
beginning after those of the day before. Regular checks read every pack: daily
checks with 10% in ten days.

EXAMPLES
    git pggit store check
    git pggit store check --read-data=10%
    git pggit store check --read-data --repair-from s3://copy/shop";

fn portion(text: &str) -> Result<Portion, String> {
    match text.trim_end_matches('%').parse() {
        Ok(100) => Ok(Portion::All),
        Ok(percent @ 1..=99) => Ok(Portion::Percent(percent)),
        _ => Err("expected a percentage from 1% to 100%".to_owned()),
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let bar = progress(&context.ui);
    let repair_from = args.repair_from.as_deref();
    let done = artifacts::check(context, args.store.url(), args.read_data, repair_from, bar.as_ref());
    drop(bar);
    let CheckedStore { checked, repaired, records } = done?;
    context.ui.result(&StoreCheck::new(&checked, repaired, |location, id| records.name(location, id)))?;
    if checked.is_sound() {
        return Ok(());
    }
    if args.repair_from.is_none() {
        context.ui.hint(
            "'git pggit store check --repair-from <url>' replaces damaged objects from a copy of the store",
        );
        context
            .ui
            .hint("otherwise make a new backup, and remove damaged artifacts with 'git pggit store remove'");
    }
    Err(Failure::new(Code::CheckFailed, ""))
}
