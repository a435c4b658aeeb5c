//! Putting rows of a backup back into a live table.

use super::record::location_of_database;
use super::{DatabaseDestination, Destination, RestoreFacts, RestorePlan, RestoreRequest, admin_of, record};
use crate::domain::{DatabaseName, Line, Owner, RestoreMode, TableName};
use crate::ledger::Entry;
use crate::pg::{Client, ConnInfo};
use crate::progress::Progress;
use crate::recovery::new_database::with_suffix;
use crate::recovery::{CloneLabel, Error, RowsBack, RowsDifference, sweep_clones};
use crate::workspace::{Workspace, connect};

/// A request to put rows back.
pub struct RowsRequest {
    /// A backup (an id or a prefix of it, a name, `latest`, `oldest`), or a commit.
    pub what: String,
    /// The database whose backups are considered, and whose table gets the rows.
    pub database: DatabaseName,
    /// The tool whose backups are considered; `None` for all.
    pub tool: Option<Line>,
    /// Additional locations of the bytes: URLs, or absolute paths.
    pub from: Vec<String>,
    /// The table.
    pub table: TableName,
    /// A SQL condition for the restored rows; `None` for all rows.
    pub condition: Option<String>,
    /// True if live rows that differ are overwritten.
    pub overwrite: bool,
    /// True if nothing is changed.
    pub dry_run: bool,
}

/// The result of putting rows back.
#[derive(Debug)]
pub struct RowsOutcome {
    /// The backup.
    pub entry: Entry,
    /// The live database.
    pub info: ConnInfo,
    /// The rows.
    pub rows: RowsDifference,
}

impl RowsRequest {
    /// Restores the table into a temporary database beside the live one, compares the rows, and puts them back.
    /// The temporary database is dropped, also after an error.
    ///
    /// # Errors
    /// If the backup cannot be restored, or if the rows cannot be put back. Then nothing was changed.
    pub fn execute(&self, workspace: &Workspace, progress: &dyn Progress) -> Result<RowsOutcome, Error> {
        let config = workspace.config()?.selected(Some(self.database.as_str()))?;
        let live = connect::conninfo(workspace, &config)?;
        let name = with_suffix(live.dbname(), "~rows");
        let destination = DatabaseDestination {
            name: Some(name.clone()),
            tables: vec![self.table.clone()],
            no_owner: true,
            no_privileges: true,
            ..DatabaseDestination::default()
        };
        let request = RestoreRequest {
            database: Some(self.database.clone()),
            tool: self.tool.clone(),
            from: self.from.clone(),
            no_migrate: true,
            ..RestoreRequest::new(self.what.clone(), Destination::Database(destination))
        };
        let plan = RestorePlan::new(request, workspace)?;
        let entry = plan.target().entry.clone();
        let admin = admin_of(&entry, Some(&self.database), None, workspace)?;
        let client = Client::connect(&admin, connect::APPLICATION)?;
        sweep_clones(&client)?;
        plan.execute(progress)?;
        let temporary = Temporary { client: &client, name: &name };
        // The next clone drops it if this process is killed.
        let label = CloneLabel {
            database: self.database.clone(),
            commit: entry.backup.commit.clone(),
            backup: entry.backup.id,
            at: workspace.now(),
            owner: Owner::current().ok(),
        };
        client.set_comment(&name, Some(&label.to_label()))?;
        progress.stage(&format!("comparing the rows of {}", self.table), None);
        let back = RowsBack {
            restored: &admin.with_dbname(&name),
            live: &live,
            table: &self.table,
            condition: self.condition.as_deref(),
            overwrite: self.overwrite,
            dry_run: self.dry_run,
        };
        let rows = back.run()?;
        drop(temporary);
        Ok(RowsOutcome { entry, info: live, rows })
    }
}

impl RowsOutcome {
    /// Records with the backup that rows were put back.
    ///
    /// # Errors
    /// If the ledger cannot be written. The rows stay.
    pub fn record(&self, duration: std::time::Duration, workspace: &Workspace) -> Result<(), Error> {
        let rows = &self.rows;
        let done = RestoreFacts {
            mode: RestoreMode::Disaster,
            target: location_of_database(&self.info),
            commit: self.entry.backup.commit.clone(),
            duration,
            schema: None,
            proof: None,
            more: vec![
                ("part", format!("rows of table {}", rows.table).into()),
                ("rows_inserted", rows.inserted.into()),
                ("rows_updated", rows.updated.into()),
            ],
        };
        record(&self.entry, done, workspace)
    }
}

/// The temporary database with the restored table.
struct Temporary<'a> {
    client: &'a Client,
    name: &'a str,
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        // A database that cannot be dropped now is dropped when the next clone is created.
        let _ = self.client.drop_database(self.name, true);
    }
}
