//! `git pggit backup hold`

use crate::cli::Context;
use crate::domain::Held;
use crate::failure::Failure;
use crate::output::backup::{print_changed, title};

use super::facts::word;
use super::select::One;

/// Hold a backup: keep it independent of any policy
///
/// A backup may have several holds; it is kept until each of them is released.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    one: One,

    /// The reason of the hold
    #[arg(short, long, value_name = "TEXT")]
    reason: String,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup hold nightly --reason 'audit 2026'";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let reason = word(Some(&args.reason), "reason")?.unwrap_or_default();
    let found = args.one.find(context)?;
    let held = Held { reason };
    let entry =
        context.ledger()?.append_at(&found.backup.commit, found.backup.id, |_| Ok(held.clone().into()))?;
    Ok(print_changed(&entry, &format!("held {}: {}", title(&entry.backup), held.reason), &context.ui)?)
}
