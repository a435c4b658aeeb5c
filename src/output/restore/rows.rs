//! Rows that were put back into a table.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::BackupId;
use crate::recovery::restore::RowsOutcome;
use crate::terminal::{OutputError, Render, Ui};

/// Rows of a backup beside those of a live table.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RowsPutBack {
    /// The id of the backup.
    pub backup: BackupId,
    /// The name of the live database.
    pub database: String,
    /// The table, with its schema.
    pub table: String,
    /// The columns of the primary key, by which rows were compared.
    pub key: Vec<String>,
    /// Number of rows of the backup that were compared.
    pub rows: u64,
    /// Number of them that the live table lacked.
    pub missing: u64,
    /// Number of them that are in the live table with other values.
    pub differing: u64,
    /// The keys of the first missing rows, as PostgreSQL writes rows.
    pub missing_keys: Vec<String>,
    /// The keys of the first differing rows.
    pub differing_keys: Vec<String>,
    /// Columns that only one of the two tables has. They were not compared.
    pub columns_left_out: Vec<String>,
    /// Number of rows that were inserted; 0 with `--dry-run`.
    pub inserted: u64,
    /// Number of rows that were overwritten; 0 without `--overwrite`.
    pub updated: u64,
    /// True if nothing was changed because of `--dry-run`.
    pub dry_run: bool,
}

impl RowsPutBack {
    /// Describes rows that were put back.
    pub fn new(outcome: &RowsOutcome, dry_run: bool) -> Self {
        let rows = &outcome.rows;
        Self {
            backup: outcome.entry.backup.id,
            database: outcome.info.dbname().to_owned(),
            table: rows.table.clone(),
            key: rows.key.clone(),
            rows: rows.restored,
            missing: rows.missing,
            differing: rows.differing,
            missing_keys: rows.missing_keys.clone(),
            differing_keys: rows.differing_keys.clone(),
            columns_left_out: rows.columns_left_out.clone(),
            inserted: rows.inserted,
            updated: rows.updated,
            dry_run,
        }
    }
}

impl Render for RowsPutBack {
    fn render(&self, ui: &Ui) -> Result<(), OutputError> {
        let (missing, differing) = (self.missing, self.differing);
        ui.line(format!(
            "table {} of {}: {} rows in the backup, {missing} of them missing, {differing} differing",
            self.table, self.database, self.rows
        ))?;
        let key = self.key.join(", ");
        let keys = |what: &str, keys: &[String], count: u64| {
            let more = if count > keys.len() as u64 { ", ..." } else { "" };
            format!("  {what} ({key}): {}{more}", keys.join(", "))
        };
        if missing > 0 {
            ui.line(keys("missing", &self.missing_keys, missing))?;
        }
        if differing > 0 {
            ui.line(keys("differing", &self.differing_keys, differing))?;
        }
        if !self.columns_left_out.is_empty() {
            ui.warning(&format!(
                "only one of the two tables has these columns, which were not compared: {}",
                self.columns_left_out.join(", ")
            ));
        }
        if self.dry_run {
            return ui.line("nothing was changed (--dry-run)".to_owned());
        }
        ui.line(format!("inserted {} rows, overwrote {}", self.inserted, self.updated))?;
        if self.updated < self.differing {
            ui.hint(
                "the differing rows were left as they are; --overwrite gives them the values of the backup",
            );
        }
        Ok(())
    }
}
