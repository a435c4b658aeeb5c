//! Clones of a database at a commit, for `with` and `checkout`.

use super::target::mask;
use super::{Proof, RestoredState, SchemaComparison, Target, admin_of};
use crate::domain::Owner;
use crate::pg::{Client, ConnInfo, quote_ident};
use crate::progress::Progress;
use crate::recovery::{CloneLabel, Error, PostRestore, Restore, sweep_clones};
use crate::tools::LoadOptions;
use crate::workspace::{Workspace, connect, places, store};

/// A request for a clone.
pub struct CopyRequest<'a> {
    /// The name of the clone database.
    pub dbname: String,
    /// The server, if it differs from the server of the configured database.
    pub server: Option<&'a str>,
    /// The owner process. The clone may be dropped after the process has exited.
    pub owner: Option<Owner>,
    /// True if sessions may write by default.
    pub writable: bool,
    /// The options of the restore.
    pub options: LoadOptions,
    /// True if a schema difference is reported and is not an error.
    pub allow_schema_difference: bool,
}

/// A clone that was created.
pub struct CopyOutcome {
    /// The connection to the clone.
    pub info: ConnInfo,
    /// The result of the schema comparison, if there was one.
    pub schema: Option<SchemaComparison>,
    /// The proof that the clone is at its commit.
    pub proof: Proof,
    /// The reason why the clone is not marked with its commit, if there is one.
    pub not_marked: Option<String>,
}

impl CopyRequest<'_> {
    /// Creates the clone of a target. Drops the clones of exited processes first.
    ///
    /// # Errors
    /// If the restore fails. Then nothing of the clone is left.
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
            workspace.reporter().status(&format!("dropped {dropped}, which a crashed process left over"));
        }
        let note = CloneLabel {
            database: backup.database.clone(),
            commit: target.commit.to_commit(),
            backup: backup.id,
            at: workspace.now(),
            owner: self.owner.clone(),
        };
        let (programs, staging) = (workspace.programs()?, store::staging(workspace)?);
        let restore = Restore {
            post_restore: PostRestore {
                options: self.options,
                forward: target.forward.clone(),
                expected: target.expected.clone(),
                allow_schema_difference: self.allow_schema_difference,
                mask: mask(&workspace.config()?.database(&backup.database)?, target.commit, workspace)?,
                ..PostRestore::nowhere(backup, &self.dbname, programs, staging, progress)
            },
            admin: admin.clone(),
            access: places::access_to(workspace, backup)?,
            label: Some(note.to_label()),
            globals: false,
            properties: false,
        };
        let restored = restore.run()?;
        if !self.writable {
            let name = quote_ident(&self.dbname);
            client.execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"))?;
        }
        let info = admin.with_dbname(&self.dbname);
        let schema = SchemaComparison::of(restored.compared_with, restored.difference);
        // A compared schema proves more than the table of the migration tool.
        let read = || RestoredState::read(&info, &backup.database, target.commit, workspace);
        let state = if schema.is_none() { read() } else { None };
        Ok(CopyOutcome {
            proof: Proof::of(target, schema.as_ref(), state.as_ref(), workspace),
            info,
            schema,
            not_marked: restored.not_marked,
        })
    }
}
