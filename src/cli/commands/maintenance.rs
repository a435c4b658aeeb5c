//! `git pggit maintenance`

use crate::cli::Context;
use crate::failure::Failure;
use crate::output::repository::{IndexOutput, MaintenanceDone, NoMaintenance};

/// Keep the ledger fast: pack its refs, write the commit-graph, refresh the index
///
/// Changes nothing that anybody could see. Commands that write do it by
/// themselves now and then, as 'git maintenance run --auto' does; the setting
/// maintenance.auto of git turns that off.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only when it pays
    #[arg(long)]
    auto: bool,
}

const EXAMPLES: &str = "\
The index is a cache in the git directory (pggit/index). It may be deleted at
any time.

EXAMPLES
    git pggit maintenance
    git pggit maintenance --auto";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let ledger = context.ledger()?;
    if args.auto && !ledger.needs_maintenance() {
        if context.ui.wants_json() {
            return Ok(context.ui.json(&NoMaintenance { due: false })?);
        }
        context.ui.status("no maintenance is due");
        return Ok(());
    }
    let done = ledger.maintain()?;
    if context.ui.wants_json() {
        return Ok(context.ui.json(&MaintenanceDone {
            due: true,
            packed_refs: done.packed,
            index: IndexOutput {
                backups: done.index.backups,
                stale_refs: done.index.stale,
                written: done.index.written,
            },
        })?);
    }
    let of = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    context.ui.status(&format!("packed {}", of(done.packed, "ref")));
    context.ui.status("wrote the commit-graph");
    let index = match (done.index.written, done.index.stale) {
        (true, stale) => {
            format!("refreshed the index of {} ({} read)", of(done.index.backups, "backup"), of(stale, "ref"))
        }
        (false, 0) => format!("the index of {} is up to date", of(done.index.backups, "backup")),
        (false, _) => "the index could not be written; everything works without it".to_owned(),
    };
    context.ui.status(&index);
    Ok(())
}

/// What commands that have written something do before they end. That it did
/// not succeed is no failure of theirs.
pub(in crate::cli) fn by_the_way(context: &Context) {
    let due = || {
        let ledger = context.ledger().ok().filter(crate::ledger::Ledger::needs_maintenance)?;
        let auto = context.git_config().ok()?.text("maintenance.auto").unwrap_or("true");
        (!matches!(auto, "false" | "no" | "off" | "0")).then_some(ledger)
    };
    if let Some(ledger) = due() {
        let _ = ledger.maintain();
    }
}
