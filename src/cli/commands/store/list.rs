//! `git pggit store list`

use super::StoreOption;
use crate::cli::Context;
use crate::failure::Failure;
use crate::output::store::{ArtifactList, StoredArtifactRow};

/// List the artifacts in the store
///
/// Prints one line for each artifact: its id, which is that of its backup, the
/// database, the time, the size of its files, and the bytes that it added to the
/// store.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreOption,

    /// Only artifacts of this database
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,
}

/// The number of artifacts that are read before their lines are printed.
const PRINTED_AT_ONCE: usize = 256;

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = args.store.open(context)?;
    let listed = match &args.database {
        Some(database) => store.list_lineage(database)?,
        None => store.list()?,
    };
    let mut rows = Vec::with_capacity(listed.len());
    for listed in listed.chunks(PRINTED_AT_ONCE) {
        let read = store.read_listed(listed, StoredArtifactRow::new)?;
        if !context.ui.wants_json() {
            read.iter().try_for_each(|row| row.print(&context.ui))?;
        }
        rows.extend(read);
    }
    if context.ui.wants_json() {
        return Ok(context.ui.json(&ArtifactList(rows))?);
    }
    Ok(())
}
