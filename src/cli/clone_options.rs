//! The options of commands that restore a commit into a clone database.

use super::Context;
use super::from_option::FromOption;
use super::restores::{print_proof, warn_not_marked, warn_of_difference, watch_signals};
use crate::domain::{DatabaseName, Owner};
use crate::failure::Failure;
use crate::pg::ConnInfo;
use crate::recovery::restore::{CopyRequest, Target, TargetQuery};
use crate::terminal::bar;
use crate::tools::LoadOptions;

/// The source and the server of a clone
#[derive(Debug, clap::Args)]
pub(super) struct CloneOptions {
    /// Only backups of this configured database
    #[arg(short, long, value_name = "NAME")]
    pub(super) database: Option<DatabaseName>,

    /// The target server, as a psql connection string; by default the server of the database
    #[arg(long, value_name = "URL")]
    pub(super) maintenance_db: Option<String>,

    #[command(flatten)]
    pub(super) from: FromOption,

    /// Do not restore ownership: the restoring role owns all objects
    #[arg(long)]
    pub(super) no_owner: bool,

    /// Do not restore privileges (GRANT and REVOKE)
    #[arg(long)]
    pub(super) no_privileges: bool,

    /// Do not restore tablespaces: everything is in the default tablespace of the database
    #[arg(long)]
    pub(super) no_tablespaces: bool,

    /// Only warn if the schema differs from the expected one
    #[arg(long)]
    pub(super) allow_schema_difference: bool,

    /// Run migrations even if the schema of the commit is not known, so that nothing is proved
    #[arg(long)]
    pub(super) allow_unproved: bool,
}

impl CloneOptions {
    /// Finds the backup from which the commit is restored.
    pub(super) fn target(&self, commit: &str, context: &Context) -> Result<Target, Failure> {
        let query = TargetQuery {
            what: commit,
            database: self.database.as_ref(),
            only_commit: true,
            allow_unproved: self.allow_unproved,
            ..TargetQuery::default()
        };
        Ok(Target::find(&query, context)?)
    }

    /// Creates a clone on the chosen server. Returns the connection to it.
    pub(super) fn copy(
        &self,
        target: &Target,
        dbname: String,
        owner: Option<Owner>,
        writable: bool,
        context: &Context,
    ) -> Result<ConnInfo, Failure> {
        let request = CopyRequest {
            dbname,
            server: self.maintenance_db.as_deref(),
            owner,
            writable,
            options: LoadOptions {
                no_owner: self.no_owner,
                no_privileges: self.no_privileges,
                no_tablespaces: self.no_tablespaces,
                ..LoadOptions::default()
            },
            allow_schema_difference: self.allow_schema_difference,
        };
        watch_signals()?;
        let progress = bar::progress(&context.ui);
        let copy = request.create(target, context, progress.as_ref())?;
        drop(progress);
        warn_of_difference(copy.schema.as_ref(), context);
        if self.allow_unproved {
            print_proof(&copy.proof, target.forward.is_some(), context);
        }
        warn_not_marked(&request.dbname, copy.not_marked.as_deref(), context);
        Ok(copy.info)
    }
}
