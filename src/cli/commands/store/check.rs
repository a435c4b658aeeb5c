//! `git pggit store check`

use super::StoreOption;
use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::output::store::StoreCheck;
use crate::store::Portion;
use crate::terminal::bar::progress;
use crate::workspace::artifacts::{self, CheckedStore};

/// Check that what is in the store is what was written
///
/// Reads the manifest of every artifact, and looks whether every pack that it
/// names is there with its size, and whether every artifact that a record names
/// is there. With --read-data the content of the packs is compared with their
/// names. When something is wrong, the artifacts that may need it are really
/// read: what is named as damaged is damaged, and nothing else.
///
/// Fails with 'negative' if anything is.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreOption,

    /// Read the packs, too: all, or about this percentage of them, others every day
    #[arg(long, value_name = "PERCENT", num_args = 0..=1, require_equals = true, default_missing_value = "100%",
        value_parser = portion)]
    read_data: Option<Portion>,

    /// Replace what is damaged by what is in this copy of the store
    #[arg(long, value_name = "URL")]
    repair_from: Option<String>,
}

const EXAMPLES: &str = "\
Packs are in 101 slices by their names; PERCENT of them are read, beginning
behind those of the day before. Regular checks get to every pack: daily ones with
10% in ten days.

EXAMPLES
    git pggit store check
    git pggit store check --read-data=10%
    git pggit store check --read-data --repair-from s3://copy/shop";

fn portion(text: &str) -> Result<Portion, String> {
    match text.trim_end_matches('%').parse() {
        Ok(100) => Ok(Portion::All),
        Ok(percent @ 1..=99) => Ok(Portion::Percent(percent)),
        _ => Err("expected a number of percent from 1% to 100%".to_owned()),
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
        context
            .ui
            .hint("'git pggit store check --repair-from <url>' replaces what is damaged, if there is a copy");
        context.ui.hint(
            "otherwise make a new backup, and remove what cannot be read with 'git pggit store remove'",
        );
    }
    Err(Failure::new(Code::Negative, ""))
}
