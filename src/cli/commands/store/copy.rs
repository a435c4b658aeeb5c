//! `git pggit store copy`

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::known::{COPIES, Known, copies};
use super::{StoreOption, of};
use crate::cli::bar::progress;
use crate::cli::output::store::{ArtifactError, CopiedArtifact, StoreCopy};
use crate::cli::{Code, Context, Failure};
use crate::domain::{Annotated, Metadata, Status, human_bytes};
use crate::ledger::{Change, Entry, Error as LedgerError};
use crate::store::{CopyReport, ReplicatedArtifact};
use crate::workspace::store;

/// Copy all artifacts into another store
///
/// The other store becomes a copy of this one, with the same id; where there is
/// nothing yet, it is made. What is there already is not copied again, so it may
/// be interrupted at any time. What was removed here stays there. Every pack is
/// compared with its name on the way. Records name their copies in the metadata
/// 'copies'.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreOption,

    /// The other store: a directory or a URL
    #[arg(value_name = "URL")]
    to: String,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit store copy s3://offsite/shop
    git pggit store check --store s3://offsite/shop --read-data=5%";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let from = args.store.open(context)?;
    let to = store::url(context, Some(&args.to), None)?;
    if to == *from.url() {
        return Err(Failure::new(Code::Usage, format!("{to} is the store itself")));
    }
    let replica = from.replica(&to, &store::access(context, &to)?)?;
    let bar = progress(&context.ui);
    // What waits there to be removed must not be relied on.
    replica.finish_collections(bar.as_ref())?;
    let copied = from.copy_to(&replica, bar.as_ref())?;
    drop(bar);
    let known = Known::load(context)?;
    for copy in &copied.artifacts {
        record(copy, &known, context)?;
    }
    let new = copied.artifacts.iter().filter(|copy| copy.new).count();
    match context.ui.wants_json() {
        true => context.ui.json(&output(&copied, to.to_string()))?,
        false => context.ui.line(format!(
            "copied {} with {} ({}); {} were there already",
            of(new, "artifact"),
            of(copied.packs.count, "pack"),
            human_bytes(copied.packs.bytes),
            copied.artifacts.len() - new
        ))?,
    }
    if copied.wal.count > 0 && !context.ui.wants_json() {
        let (files, size) = (of(copied.wal.count, "file"), human_bytes(copied.wal.bytes));
        context.ui.line(format!("copied {files} of the write-ahead log ({size})"))?;
    }
    ended(&copied)
}

fn ended(copied: &CopyReport) -> Result<(), Failure> {
    if !copied.failed.is_empty() {
        let message = format!("{} could not be copied", of(copied.failed.len(), "artifact"));
        let failure = Failure::new(Code::Damaged, message)
            .hint("'git pggit store check --read-data' says what is damaged");
        return Err(copied
            .failed
            .iter()
            .fold(failure, |failure, (id, error)| failure.cause(format!("{id}: {error}"))));
    }
    if !copied.waiting.is_empty() {
        let message = format!("{} could not be copied yet", of(copied.waiting.len(), "artifact"));
        return Err(Failure::new(Code::Busy, message)
            .cause("the copy is about to remove packs of it, and waits for somebody who writes there"));
    }
    Ok(())
}

/// Writes the location of a copy into the records of its backup.
fn record(copy: &ReplicatedArtifact, known: &Known, context: &Context) -> Result<(), Failure> {
    let alive = |entry: &&Entry| matches!(entry.backup.status, Status::Completed | Status::Expired);
    for entry in known.at(&copy.of).filter(alive) {
        if copies(&entry.backup).contains(&copy.location) {
            continue;
        }
        set(entry, context, |copies| copies.insert(copy.location.clone()))?;
    }
    Ok(())
}

/// Changes the list of copies in a record, if `change` does.
pub(super) fn set(
    entry: &Entry,
    context: &Context,
    change: impl Fn(&mut BTreeSet<String>) -> bool,
) -> Result<(), Failure> {
    context.ledger()?.append_at(&entry.backup.commit, entry.backup.id, |entry| {
        let mut after = copies(&entry.backup);
        if !change(&mut after) || entry.backup.status == Status::Deleted {
            return Ok(Change::default());
        }
        let list = match after.is_empty() {
            true => Value::Null,
            false => after.into_iter().map(Value::from).collect(),
        };
        let metadata = Metadata::try_from(Value::Object(Map::from_iter([(COPIES.to_owned(), list)])));
        Ok(Annotated { metadata: metadata.map_err(LedgerError::Invalid)?.into() }.into())
    })?;
    Ok(())
}

fn output(copied: &CopyReport, url: String) -> StoreCopy {
    let artifact = |copy: &ReplicatedArtifact| CopiedArtifact {
        id: copy.id.clone(),
        location: copy.location.clone(),
        new: copy.new,
    };
    let failed = copied.failed.iter();
    StoreCopy {
        url,
        packs: copied.packs.count,
        wal_files: copied.wal.count,
        stored_bytes: copied.packs.bytes,
        artifacts: copied.artifacts.iter().map(artifact).collect(),
        failed: failed
            .map(|(id, error)| ArtifactError { id: id.clone(), error: error.to_string() })
            .collect(),
        waiting: copied.waiting.clone(),
    }
}
