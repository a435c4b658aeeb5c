//! `git pggit store rm`

use super::known::Known;
use super::{StoreOption, copy, find, of};
use crate::cli::output::store::{ArtifactPlace, RemovedArtifacts};
use crate::cli::{Code, Context, Failure};
use crate::domain::{Backup, Body, Deleted, Expired, Line, Status, human_bytes};
use crate::ledger::{Change, Entry, Error as LedgerError};
use crate::process::crash_point;
use crate::store::{ListedArtifact, StoredBackup};
use crate::workspace::places;

/// Remove artifacts from the store
///
/// Says what would be removed; with --force it is. 'git pggit store gc' then
/// gives back the space that no other artifact needs.
///
/// An artifact that is the only place of a backup is not removed, unless
/// --recorded says so: then the record says first that the backup is
/// deleted. This also holds for one whose record says that it is deleted. One that is held, in progress, or needed by another backup is not
/// removed at all.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreOption,

    /// The artifacts: ids, or the beginnings of them
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,

    /// Remove them
    #[arg(short, long)]
    force: bool,

    /// Remove them although backups are recorded there, and record that
    #[arg(long)]
    recorded: bool,

    /// Why, for the record
    #[arg(short, long, value_name = "TEXT", default_value = "removed from the store by hand")]
    reason: Line,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit store rm 01a1fc4d
    git pggit store rm 01a1fc4d --force --recorded --reason 'test data'";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = args.store.open(context)?;
    let known = Known::load(context)?;
    let mut artifacts: Vec<ListedArtifact> = Vec::new();
    for id in &args.ids {
        let listed = find(&store, id)?;
        if !artifacts.contains(&listed) {
            artifacts.push(listed);
        }
    }
    for artifact in &artifacts {
        permitted(artifact, &artifacts, &known, args)?;
    }
    for artifact in &artifacts {
        // What is damaged has no size; it is removed all the same.
        let manifest = store.artifact(artifact).ok();
        let files = manifest.iter().flat_map(|artifact| &artifact.manifest().files);
        let size = match files.map(|file| file.size).sum() {
            0 => String::new(),
            bytes => format!(" ({})", human_bytes(bytes)),
        };
        if args.force {
            record(artifact, &known, args, context)?;
            crash_point("store.rm.recorded");
            store.remove(&artifact.location)?;
        }
        if !context.ui.wants_json() {
            let verb = if args.force { "removed" } else { "would remove" };
            context.ui.line(format!("{verb} {}{size}", artifact.id))?;
        }
    }
    if context.ui.wants_json() {
        let place = |artifact: &ListedArtifact| ArtifactPlace {
            id: artifact.id.clone(),
            location: artifact.location.clone(),
        };
        let artifacts = artifacts.iter().map(place).collect();
        return Ok(context.ui.json(&RemovedArtifacts { dry_run: !args.force, artifacts })?);
    }
    match args.force {
        true => context.ui.hint("'git pggit store gc --force' gives back the space"),
        false => context.ui.hint(&format!("'--force' removes {}", of(artifacts.len(), "artifact"))),
    }
    Ok(())
}

/// Whether no record says that these bytes have to stay.
fn permitted(
    artifact: &ListedArtifact,
    others: &[ListedArtifact],
    known: &Known,
    args: &Args,
) -> Result<(), Failure> {
    let refuse = |entry: &Entry, why: &str| {
        let Backup { name, database, id, .. } = &entry.backup;
        Failure::new(Code::Conflict, format!("backup {name} of {database} ({id}) {why}"))
    };
    if known.may_hide(&artifact.id) {
        let message = format!("a record that may be that of {} cannot be read", artifact.id);
        return Err(Failure::new(Code::Damaged, message).hint("'git pggit fsck' says what is wrong with it"));
    }
    let running = known.entries.iter().find(|entry| {
        entry.backup.status == Status::InProgress && entry.backup.id.to_string() == artifact.id
    });
    if let Some(entry) = running {
        return Err(
            refuse(entry, "is in progress").hint("'git pggit backup fail' ends it, if it was interrupted")
        );
    }
    for entry in known.at(&artifact.location).chain(known.moved_to(artifact)) {
        match entry.backup.status {
            Status::Failed => continue,
            // Anyone with push access can record a deletion, and the bytes still exist.
            Status::Deleted if !args.recorded => {
                return Err(refuse(entry, "is recorded as deleted, and its bytes are there")
                    .hint("'--recorded' removes them; 'git pggit backup log' says who deleted it"));
            }
            Status::Deleted => continue,
            Status::InProgress | Status::Completed | Status::Expired => {}
        }
        if !entry.backup.holds.is_empty() {
            return Err(refuse(entry, "is held").hint("'git pggit backup release' lifts the hold"));
        }
        let removed = |id: &str| others.iter().any(|other| other.id == id);
        let dependent = known.entries.iter().find(|other| {
            matches!(other.backup.status, Status::Completed | Status::Expired | Status::InProgress)
                && other.backup.depends_on.iter().any(|dependency| dependency.id == entry.backup.id)
                && !removed(&other.backup.id.to_string())
        });
        if let Some(other) = dependent {
            return Err(refuse(entry, "is needed by another").cause(format!("backup {}", other.backup.id)));
        }
        if !args.recorded {
            return Err(refuse(entry, "is stored there")
                .hint("'--recorded' records that it is deleted, and removes it"));
        }
    }
    Ok(())
}

/// Returns the backups of a moved artifact whose bytes are not available anywhere else.
fn lost<'k>(
    artifact: &ListedArtifact,
    known: &'k Known,
    context: &Context,
) -> Result<Vec<&'k Entry>, Failure> {
    let mut lost = Vec::new();
    for entry in known.moved_to(artifact) {
        let mut access = places::access_to(context, &entry.backup)?;
        access.roots.retain(|root| !root.contains_location(&artifact.location));
        if StoredBackup::open(&entry.backup, &access).is_err() {
            lost.push(entry);
        }
    }
    Ok(lost)
}

/// Lets the records say what is going to be true, before it is.
fn record(artifact: &ListedArtifact, known: &Known, args: &Args, context: &Context) -> Result<(), Failure> {
    for entry in known.copied_to(&artifact.location) {
        copy::set(entry, context, |copies| copies.remove(&artifact.location))?;
    }
    let moved = lost(artifact, known, context)?;
    for entry in known.at(&artifact.location).chain(moved) {
        context.ledger()?.append_at(&entry.backup.commit, entry.backup.id, |entry| {
            let Backup { id, holds, status, .. } = &entry.backup;
            if !holds.is_empty() && *status != Status::Deleted {
                let (verb, reason) = ("deleted".to_owned(), "it is held".to_owned());
                return Err(LedgerError::Refused { backup: *id, verb, reason });
            }
            let expired = Body::from(Expired { reason: args.reason.clone() });
            let deleted = Body::from(Deleted { reason: args.reason.clone() });
            let bodies = match status {
                Status::Completed => vec![expired, deleted],
                Status::Expired => vec![deleted],
                Status::InProgress | Status::Failed | Status::Deleted => Vec::new(),
            };
            Ok(Change { bodies, schema: None })
        })?;
    }
    Ok(())
}
