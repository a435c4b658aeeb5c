//! Results of the commands for the repository, the ledger and WAL as text.

use super::{
    DangerousRefspec, IndexOutput, InitChange, InitOutput, LeftAloneRef, MaintenanceDone, NoMaintenance,
    SyncOutput, WalBackup, WalCheck,
};
use crate::domain::{Backup, Lsn};
use crate::git::setup::{ConfigChange, SetupPlan, UnsafeRefspec};
use crate::ledger::{MaintenanceReport, SkippedRef, SyncReport};
use crate::recovery::WalCoverage;
use crate::terminal::text::counted;
use crate::terminal::{OutputError, Render, Table, Ui};

impl InitOutput {
    /// Describes a plan. `directory` is the repository to create. `remedy` returns the command that
    /// removes a dangerous refspec.
    pub fn new(
        plan: &SetupPlan,
        directory: Option<String>,
        applied: bool,
        remedy: impl Fn(&UnsafeRefspec) -> Option<String>,
    ) -> Self {
        let step = |step: &ConfigChange| match step.clone() {
            ConfigChange::Add { key, value } => InitChange::Add { key, value },
            ConfigChange::Remove { key, value } => InitChange::Remove { key, value },
        };
        let danger = |danger: &UnsafeRefspec| DangerousRefspec {
            remote: danger.remote.clone(),
            refspec: danger.refspec.clone(),
            remedy: remedy(danger),
        };
        let directory = directory.map(|path| InitChange::Make { path });
        Self {
            applied,
            changes: directory.into_iter().chain(plan.steps.iter().map(step)).collect(),
            dangerous_refspecs: plan.unsafe_refspecs.iter().map(danger).collect(),
        }
    }
}

impl Render for InitOutput {
    fn render(&self, ui: &Ui) -> Result<(), OutputError> {
        self.changes.iter().filter(|_| !self.applied).try_for_each(|change| {
            ui.line(match change {
                InitChange::Make { path } => format!("missing: {path}"),
                InitChange::Add { key, value } => format!("missing: {key} = {value}"),
                InitChange::Remove { key, value } => format!("outdated: {key} = {value}"),
            })
        })
    }
}

impl SyncOutput {
    /// Describes a synchronisation with a remote.
    pub fn new(remote: &str, synced: &SyncReport) -> Self {
        let left = |left: &SkippedRef| LeftAloneRef {
            reference: left.reference.clone(),
            reason: left.reason.clone(),
            rewritten: left.rewritten,
            refused: left.refused,
        };
        Self {
            remote: remote.to_owned(),
            fetched: synced.fetched.iter().cloned().collect(),
            merged: synced.merged.iter().cloned().collect(),
            pushed: synced.pushed.iter().cloned().collect(),
            left_alone: synced.skipped.iter().map(left).collect(),
        }
    }

    /// Returns the result in one line. `dry_run` is true if nothing was exchanged.
    pub fn summary(&self, dry_run: bool) -> String {
        let Self { remote, fetched, merged, pushed, left_alone } = self;
        let parts = [(fetched.len(), "fetched"), (merged.len(), "merged"), (pushed.len(), "pushed")];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, verb)| format!("{count} {verb}"))
            .collect();
        if parts.is_empty() && left_alone.is_empty() {
            return format!("already in sync with {remote}");
        }
        let parts = if parts.is_empty() { "nothing done".to_owned() } else { parts.join(", ") };
        let verb = if dry_run { "would sync with " } else { "synced with " };
        format!("{verb}{remote}: {parts} (commits with backups)")
    }
}

impl From<MaintenanceReport> for MaintenanceDone {
    fn from(done: MaintenanceReport) -> Self {
        Self {
            due: true,
            packed_refs: done.packed,
            index: IndexOutput {
                backups: done.index.backups,
                stale_refs: done.index.stale,
                written: done.index.written,
            },
        }
    }
}

impl Render for MaintenanceDone {
    fn render(&self, ui: &Ui) -> Result<(), OutputError> {
        let backups = counted(self.index.backups, "backup");
        ui.status(&format!("packed {}", counted(self.packed_refs, "ref")));
        ui.status("wrote the commit-graph");
        ui.status(&match (self.index.written, self.index.stale_refs) {
            (true, stale) => format!("updated the index of {backups} ({} read)", counted(stale, "ref")),
            (false, 0) => format!("the index of {backups} is up to date"),
            (false, _) => "the index could not be written; all commands work without it".to_owned(),
        });
        Ok(())
    }
}

impl Render for NoMaintenance {
    fn render(&self, ui: &Ui) -> Result<(), OutputError> {
        ui.status("no maintenance is due");
        Ok(())
    }
}

impl WalBackup {
    /// Describes a backup whose recovery can reach up to `reach`.
    pub fn new(backup: &Backup, reach: Option<WalCoverage>) -> Self {
        Self { backup: backup.id, name: backup.name.clone(), reach }
    }
}

impl Render for WalCheck {
    fn render(&self, ui: &Ui) -> Result<(), OutputError> {
        let mut table = Table::new(["TIMELINE", "FIRST", "LAST", "SEGMENTS", "GAP BEFORE"]).right(0).right(3);
        for run in &self.runs {
            table.shown(run.timeline);
            table.cell(run.first.as_str());
            table.cell(run.last.as_str());
            table.shown(run.segments);
            table.cell(if run.gap_before { "yes" } else { "-" });
        }
        ui.table(&table)?;
        for WalBackup { backup, name, reach } in &self.backups {
            let text = match reach {
                None => "its record has no LSNs".to_owned(),
                Some(WalCoverage { consistent: false, .. }) => {
                    "cannot be recovered to consistency: its own WAL is incomplete".to_owned()
                }
                Some(WalCoverage { until, .. }) => {
                    format!("can be recovered to any point up to {}", Lsn::from(*until))
                }
            };
            ui.line(format!("backup {name} ({backup}): {text}"))?;
        }
        Ok(())
    }
}
