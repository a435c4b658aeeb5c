//! A view of one database that stands still and that other sessions can share.

use super::{Client, Error, Result};

/// An exported snapshot. Everything the client reads while this value lives is
/// read inside its read-only transaction; it ends with the value.
#[derive(Debug)]
pub struct Snapshot<'a> {
    client: &'a Client,
    id: String,
    open: bool,
}

impl Client {
    /// Opens a transaction that sees one moment, and exports it.
    pub fn export_snapshot(&self) -> Result<Snapshot<'_>> {
        self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        let mut snapshot = Snapshot { client: self, id: String::new(), open: true };
        let id = self.value("SELECT pg_catalog.pg_export_snapshot()", "an exported snapshot")?;
        snapshot.id = id.ok_or_else(|| Error::unexpected("a snapshot without a name"))?;
        Ok(snapshot)
    }
}

impl Snapshot<'_> {
    /// The name for `SET TRANSACTION SNAPSHOT` and `pg_dump --snapshot`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The connection that holds it.
    pub fn client(&self) -> &Client {
        self.client
    }

    /// Ends the transaction and says so when it was broken in the meantime: what
    /// was read with this snapshot until now was read consistently only if this
    /// succeeds.
    pub fn finish(mut self) -> Result<()> {
        // A broken transaction answers COMMIT with success.
        self.client.execute("SELECT 1")?;
        self.open = false;
        self.client.execute("COMMIT")
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        if self.open {
            // It cannot fail in a way that leaves the transaction open.
            let _ = self.client.execute("ROLLBACK");
        }
    }
}
