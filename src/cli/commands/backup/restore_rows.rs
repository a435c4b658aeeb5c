//! `git pggit backup restore --back-into`

use std::time::Instant;

use crate::cli::restores::{failed, recorded, watch_signals};
use crate::cli::{Context, logging};
use crate::domain::DatabaseName;
use crate::failure::{Code, Failure};
use crate::output::restore::RowsPutBack;
use crate::recovery::restore::RowsRequest;
use crate::terminal::bar;

use super::restore_args::RestoreArgs;

/// Rows that are put back into a live table
#[derive(Debug, clap::Args)]
pub(super) struct RowsArgs {
    /// With --table: put the rows that this configured database lacks back into its table
    #[arg(long, value_name = "DATABASE")]
    pub(super) back_into: Option<DatabaseName>,

    /// With --back-into: only rows of the backup that fulfil this SQL condition
    #[arg(long, value_name = "CONDITION")]
    r#where: Option<String>,

    /// With --back-into: also overwrite the rows that differ from those of the backup
    #[arg(long)]
    overwrite: bool,
}

impl RowsArgs {
    /// Puts rows of a backup back into a table of a configured database.
    pub(super) fn put_back(
        &self,
        database: &DatabaseName,
        wanted: &RestoreArgs,
        dry_run: bool,
        context: &Context,
    ) -> Result<(), Failure> {
        if wanted.backup.is_empty() {
            return Err(Failure::new(Code::Usage, "no backup or commit was given"));
        }
        let [table] = wanted.table.as_slice() else {
            return Err(Failure::new(Code::Usage, "--back-into requires one --table"));
        };
        wanted.from.apply(context)?;
        let request = RowsRequest {
            what: wanted.backup.clone(),
            database: database.clone(),
            tool: wanted.tool.clone(),
            from: wanted.from.absolute(context)?,
            table: table.clone(),
            condition: self.r#where.clone(),
            overwrite: self.overwrite,
            dry_run,
        };
        watch_signals()?;
        logging::begin_with_warnings(context);
        let begun = Instant::now();
        let progress = bar::progress(&context.ui);
        let outcome = request.execute(context, progress.as_ref()).map_err(failed)?;
        drop(progress);
        if outcome.rows.inserted + outcome.rows.updated > 0 {
            recorded(outcome.record(begun.elapsed(), context), context);
        }
        context.paged(&RowsPutBack::new(&outcome, dry_run))
    }
}
