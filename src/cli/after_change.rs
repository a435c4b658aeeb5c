//! The work at the end of commands that have written records.

use std::time::Duration;

use super::Context;
use crate::git::Repository;
use crate::ledger::SyncOptions;

/// Shares the new records if that is configured, and maintains the ledger if that is due.
pub(super) fn after_change(context: &Context) {
    share(context);
    maintain(context);
}

/// Synchronises after a command that has written records, if `pggit.sync` is set. An unreachable remote
/// does not fail the command: the next synchronisation updates the remote.
pub(super) fn share(context: &Context) {
    const EACH_TRANSFER: Duration = Duration::from_secs(30);
    let wanted = context.config().is_ok_and(|config| config.syncs_on_write().unwrap_or(false));
    let remote =
        wanted.then(|| context.ledger_repository().ok()).flatten().and_then(Repository::default_remote);
    let Some(remote) = remote else { return };
    let direction = SyncOptions { fetch: true, push: true, dry_run: false, unattended: Some(EACH_TRANSFER) };
    let synced = context.ledger().and_then(|ledger| Ok(ledger.sync(&remote, direction)?));
    match synced {
        Ok(synced) => synced.skipped.iter().for_each(|left| {
            context.ui.warning(&format!("{}: {}", left.reference, left.reason));
        }),
        Err(error) => {
            context.ui.warning(&format!("cannot synchronise with {remote}: {error}"));
            context.ui.hint("the records are in this repository; 'git pggit sync' pushes them later");
        }
    }
}

/// Runs due maintenance at the end of a command that has written records. A failed maintenance does not
/// fail the command.
pub(super) fn maintain(context: &Context) {
    let due = || {
        let ledger = context.ledger().ok().filter(crate::ledger::Ledger::needs_maintenance)?;
        let auto = context.git_config().ok()?.text("maintenance.auto").unwrap_or("true");
        (!matches!(auto, "false" | "no" | "off" | "0")).then_some(ledger)
    };
    if let Some(ledger) = due() {
        let _ = ledger.maintain();
    }
}
