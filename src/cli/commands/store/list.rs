//! `git pggit store list`

use super::StoreOption;
use crate::cli::Context;
use crate::domain::human_bytes;
use crate::failure::Failure;
use crate::output::store::{ArtifactList, ListedArtifact, ListedFile};
use crate::store::FileEntry;

/// List the artifacts in the store
///
/// One line for each: its id, which is that of its backup, the database, the
/// size of its files, and by how much the store grew for it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreOption,

    /// Only those of this database
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = args.store.open(context)?;
    let listed = match &args.database {
        Some(database) => store.list_lineage(database)?,
        None => store.list()?,
    };
    let mut rows = Vec::with_capacity(listed.len());
    for listed in &listed {
        let artifact = store.artifact(listed)?;
        let manifest = artifact.manifest();
        let size: u64 = manifest.files.iter().map(|file| file.size).sum();
        rows.push(ListedArtifact {
            id: manifest.id.clone(),
            database: manifest.lineage.clone(),
            created_at: manifest.created_at.clone(),
            base: manifest.base.clone(),
            size_bytes: size,
            stored_bytes: manifest.stored_bytes,
            packs: manifest.packs.len(),
            location: listed.location.clone(),
            files: manifest.files.iter().map(file).collect(),
        });
        if !context.ui.wants_json() {
            context.ui.line(format!(
                "{}  {:<16} {}  {:>10} {:>10}",
                manifest.id,
                manifest.lineage,
                manifest.created_at,
                human_bytes(size),
                human_bytes(manifest.stored_bytes)
            ))?;
        }
    }
    if context.ui.wants_json() {
        return Ok(context.ui.json(&ArtifactList(rows))?);
    }
    Ok(())
}

fn file(file: &FileEntry) -> ListedFile {
    ListedFile {
        name: file.name.clone(),
        size_bytes: file.size,
        stored_bytes: file.stored,
        digest: format!("blake3:{}", file.digest),
    }
}
