//! Exported snapshots, which several sessions can share.

use super::{Client, Error, Result};

/// An exported snapshot. All queries of the client during its life run in its read-only
/// transaction, which ends on drop.
#[derive(Debug)]
pub struct Snapshot<'a> {
    client: &'a Client,
    id: String,
    open: bool,
}

impl Client {
    /// Begins a transaction with a snapshot and exports it. Fails if the server refuses that.
    pub fn export_snapshot(&self) -> Result<Snapshot<'_>> {
        self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        let mut snapshot = Snapshot { client: self, id: String::new(), open: true };
        let id = self.value("SELECT pg_catalog.pg_export_snapshot()", "an exported snapshot")?;
        snapshot.id = id.ok_or_else(|| Error::unexpected("a snapshot without a name"))?;
        Ok(snapshot)
    }
}

impl Snapshot<'_> {
    /// Returns the name for `SET TRANSACTION SNAPSHOT` and `pg_dump --snapshot`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the connection of the snapshot.
    pub fn client(&self) -> &Client {
        self.client
    }

    /// Ends the transaction. Fails if it was aborted meanwhile: the data that was read with this
    /// snapshot is consistent only if this succeeds.
    pub fn finish(mut self) -> Result<()> {
        // COMMIT of an aborted transaction succeeds, so a query is run before it.
        self.client.execute("SELECT 1")?;
        self.open = false;
        self.client.execute("COMMIT")
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        if self.open {
            // It can only fail if the connection and with it the transaction has ended.
            let _ = self.client.execute("ROLLBACK");
        }
    }
}
