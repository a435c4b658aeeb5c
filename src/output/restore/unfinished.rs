//! In-place restores that are not finished.

use super::{RestoreStatusOutput, UnfinishedRestores};
use crate::recovery::in_place::Stage;
use crate::recovery::restore::replace::RestoreStatus;
use crate::terminal::text::utc_time;
use crate::terminal::{OutputError, Render, Table, Ui};

impl From<&RestoreStatus> for RestoreStatusOutput {
    fn from(status: &RestoreStatus) -> Self {
        let RestoreStatus { id, journal, is_busy, positions } = status;
        let known = positions.as_ref().ok();
        Self {
            id: id.clone(),
            backup: journal.backup,
            commit: journal.commit.clone(),
            begun_at: journal.begun_at,
            place: journal.place.clone(),
            stage: journal.stage,
            busy: *is_busy,
            in_place: known.map(|positions| positions.in_place.to_owned()),
            old: known.map(|positions| positions.old),
            new: known.map(|positions| positions.new),
            error: positions.as_ref().err().map(ToString::to_string),
        }
    }
}

impl Render for UnfinishedRestores {
    fn render(&self, ui: &Ui) -> Result<(), OutputError> {
        let mut table = Table::new(["ID", "TARGET", "STARTED", "COMMIT", "IN PLACE", "STATE"]);
        for restore in &self.restores {
            table.cell(&restore.id);
            table.cell(&restore.place.to_string());
            table.cell(&utc_time(restore.begun_at));
            table.cell(restore.commit.short());
            table.cell(&match (&restore.in_place, &restore.error) {
                (Some(in_place), _) => in_place.clone(),
                (None, error) => format!("? {}", error.as_deref().unwrap_or_default()),
            });
            table.cell(match (restore.busy, restore.stage) {
                (true, _) => "running",
                (_, Stage::Making) => "interrupted while restoring",
                (_, Stage::Ready) => "interrupted before the swap",
                (_, Stage::Replaced) => "in place",
                (_, Stage::Aborting) => "interrupted during abort",
                (_, Stage::Finishing) => "interrupted during finish",
            });
        }
        ui.table(&table)
    }
}
