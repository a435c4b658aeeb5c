//! Copies of a database at a commit, for `with` and `checkout`.

use super::target::mask;
use super::{SchemaComparison, Target, admin_of};
use crate::domain::Owner;
use crate::pg::{Client, ConnInfo, quote_ident};
use crate::progress::Progress;
use crate::recovery::{Advance, CloneNote, Error, Leniency, Restore, sweep_clones};
use crate::workspace::{Workspace, connect, places, store};

/// A copy to create.
pub struct CopyRequest<'a> {
    /// The name of the database.
    pub dbname: String,
    /// The server, if it is not that of the configured database.
    pub server: Option<&'a str>,
    /// The process after whose end the copy may be dropped.
    pub owner: Option<Owner>,
    /// Whether sessions may write by default.
    pub writable: bool,
    /// Owners are not restored.
    pub no_owner: bool,
    /// Privileges are not restored.
    pub no_privileges: bool,
    /// A schema that differs from the expected one is only reported.
    pub allow_schema_difference: bool,
}

/// A copy that was created.
pub struct CopyOutcome {
    /// The connection to it.
    pub info: ConnInfo,
    /// The comparison of the schema.
    pub schema: Option<SchemaComparison>,
    /// The reason why the database is not marked with its commit.
    pub not_marked: Option<String>,
}

impl CopyRequest<'_> {
    /// Creates the copy of a target. Copies of processes that have died are dropped first.
    ///
    /// # Errors
    /// If the restore fails; then nothing of the copy is left.
    pub fn create(
        &self,
        target: &Target,
        workspace: &Workspace,
        progress: &dyn Progress,
    ) -> Result<CopyOutcome, Error> {
        let backup = &target.entry.backup;
        let admin = admin_of(&target.entry, None, self.server, workspace)?;
        let client = Client::connect(&admin, connect::APPLICATION)?;
        for dropped in sweep_clones(&client)? {
            workspace.reporter().status(&format!("dropped {dropped}, left by a process that died"));
        }
        let note = CloneNote {
            database: backup.database.clone(),
            commit: target.commit.to_commit(),
            backup: backup.id,
            at: workspace.now(),
            owner: self.owner.clone(),
        };
        let (programs, staging) = (workspace.programs()?, store::staging(workspace)?);
        let restore = Restore {
            advance: Advance {
                leniency: Leniency { owners: self.no_owner, privileges: self.no_privileges },
                forward: target.forward.clone(),
                expected: target.expected.clone(),
                allow_schema_difference: self.allow_schema_difference,
                mask: mask(&workspace.config()?.database(&backup.database)?, target.commit, workspace)?,
                ..Advance::nowhere(backup, &self.dbname, programs, staging, progress)
            },
            admin: admin.clone(),
            access: places::access_to(workspace, backup)?,
            label: Some(note.to_label()),
            globals: false,
        };
        let restored = restore.run()?;
        if !self.writable {
            let name = quote_ident(&self.dbname);
            client.execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"))?;
        }
        Ok(CopyOutcome {
            info: admin.with_dbname(&self.dbname),
            schema: SchemaComparison::of(restored.compared_with, restored.difference),
            not_marked: restored.not_marked,
        })
    }
}
