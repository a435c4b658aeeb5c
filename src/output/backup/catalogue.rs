//! The backups in the catalogue of a tool: imported backups, and differences from the ledger.

use super::{
    ChangedBackup, GoneBackup, ImportOutcome, ImportedBackup, ImportedBackups, ToolDifferences, UnknownBackup,
};
use crate::backup::{Differences, ImportResult, Imported};
use crate::domain::Location;
use crate::ledger::Entry;
use crate::terminal::{OutputError, Render, Ui};

impl From<&Imported> for ImportedBackup {
    fn from(one: &Imported) -> Self {
        let (outcome, id, reason) = match &one.outcome {
            ImportResult::Imported(entry) => (ImportOutcome::Imported, Some(entry.backup.id), None),
            ImportResult::Completed(entry) => (ImportOutcome::Completed, Some(entry.backup.id), None),
            ImportResult::Known(id) => (ImportOutcome::Known, Some(*id), None),
            ImportResult::LeftOut(why) => (ImportOutcome::LeftOut, None, Some(why.clone())),
        };
        Self { label: one.label.clone(), outcome, id, reason }
    }
}

impl Render for ImportedBackups {
    fn render(&self, ui: &Ui) -> Result<(), OutputError> {
        let is_new =
            |one: &&ImportedBackup| matches!(one.outcome, ImportOutcome::Imported | ImportOutcome::Completed);
        let known = self.backups.iter().filter(|one| one.outcome == ImportOutcome::Known).count();
        ui.status(&format!(
            "imported {} of {} backups from {}; {known} were already recorded",
            self.backups.iter().filter(is_new).count(),
            self.backups.len(),
            self.tool
        ));
        for ImportedBackup { id, label, .. } in self.backups.iter().filter(is_new) {
            let id = id.map_or_else(String::new, |id| id.to_string());
            ui.line(format!("{id} {label}"))?;
        }
        Ok(())
    }
}

impl ToolDifferences {
    /// Describes the differences from the catalogue of a tool. `recorded` is true if the missing
    /// backups were recorded as deleted.
    pub fn new(differences: &Differences, tool: &str, recorded: bool) -> Self {
        let gone =
            |entry: &Entry| GoneBackup { id: entry.backup.id, location: entry.backup.location.clone() };
        let changed = |(at, changes): &(Entry, Vec<String>)| ChangedBackup {
            id: at.backup.id,
            location: at.backup.location.clone(),
            changes: changes.clone(),
        };
        let unknown = differences.unknown.iter().map(|item| UnknownBackup {
            label: item.label.clone(),
            location: item.location.clone(),
            unusable: item.usable.as_ref().err().cloned(),
        });
        Self {
            tool: tool.to_owned(),
            recorded,
            same: differences.same,
            gone: differences.gone.iter().map(gone).collect(),
            unknown: unknown.collect(),
            changed: differences.changed.iter().map(changed).collect(),
        }
    }

    /// Returns the number of unrecorded differences.
    pub fn open(&self) -> usize {
        self.unknown.len() + self.changed.len() + if self.recorded { 0 } else { self.gone.len() }
    }
}

impl Render for ToolDifferences {
    fn render(&self, ui: &Ui) -> Result<(), OutputError> {
        let at = |location: &Option<Location>| {
            location.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string)
        };
        for GoneBackup { id, location } in &self.gone {
            let tail = if self.recorded { " (recorded as deleted)" } else { "" };
            ui.line(format!("gone     {id} {}{tail}", at(location)))?;
        }
        for UnknownBackup { location, unusable, .. } in &self.unknown {
            let tail = unusable.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
            ui.line(format!("unknown  {location}{tail}"))?;
        }
        for ChangedBackup { id, location, changes } in &self.changed {
            ui.line(format!("changed  {id} {}: {}", at(location), changes.join("; ")))?;
        }
        ui.status(&format!(
            "{} the same, {} gone, {} unknown, {} changed",
            self.same,
            self.gone.len(),
            self.unknown.len(),
            self.changed.len()
        ));
        if !self.recorded && !self.gone.is_empty() {
            ui.hint("--record records the missing backups as deleted");
        }
        if !self.unknown.is_empty() {
            ui.hint("'git pggit backup import' registers unknown backups");
        }
        Ok(())
    }
}
