//! What was restored stands in the ledger: who, when, what, where to, with which
//! evidence. The one way for all commands that restore.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::commands::{maintenance, sync};
use crate::cli::{Code, Context, Failure};
use crate::domain::{CommitId, Location, Metadata, RestoreMode, RestoredEvent, Status};
use crate::ledger::Entry;
use crate::pg::ConnInfo;
use crate::store::StoreUrl;

/// How much of a difference between schemas is kept.
const DIFFERENCE_BYTES_MAX: usize = 16 << 10;

/// A restore that has succeeded.
pub(crate) struct Done {
    pub(crate) mode: RestoreMode,
    /// What it became; nothing where it has no name that a record could have.
    pub(crate) target: Result<Location, Failure>,
    /// The commit that this is at.
    pub(crate) commit: CommitId,
    pub(crate) duration: Duration,
    /// What the schema was compared with, and in what it differs.
    pub(crate) schema: Option<(String, Option<String>)>,
    /// Further facts.
    pub(crate) more: Vec<(&'static str, Value)>,
}

/// Warns that a restored database has no mark, and prints how to get one.
pub(crate) fn say_not_marked(dbname: &str, why: Option<&str>, context: &Context) {
    let Some(why) = why else { return };
    context.ui.warning(&format!("database {dbname} is not marked with its commit: {why}"));
    context.ui.hint(
        "a superuser may allow it: GRANT SET ON PARAMETER \"pggit.commit\" TO <role> (PostgreSQL 15 and later)",
    );
}

/// Records it with its backup, and shares that where it is configured. The
/// restore has succeeded whatever comes of this, so what fails is only said.
pub(crate) fn recorded(entry: &Entry, done: Done, context: &Context) {
    match record(entry, done, context) {
        Ok(()) => {
            sync::on_write(context);
            maintenance::by_the_way(context);
        }
        Err(failure) => {
            context.ui.warning(&format!("the restore is not recorded in the ledger: {}", failure.message()));
        }
    }
}

fn record(entry: &Entry, done: Done, context: &Context) -> Result<(), Failure> {
    let backup = &entry.backup;
    let details = details(&done);
    let event = RestoredEvent { mode: done.mode, target: done.target?, commit: done.commit, details };
    if !matches!(backup.status, Status::Completed | Status::Expired) {
        let status = backup.status.as_str().replace('_', " ");
        return Err(Failure::new(Code::Conflict, format!("backup {} is {status}", backup.id)));
    }
    context.ledger()?.append_at(&backup.commit, backup.id, |_| Ok(event.clone().into()))?;
    Ok(())
}

fn details(done: &Done) -> Metadata {
    let mut facts = vec![
        ("duration_s", json!(done.duration.as_secs_f64())),
        ("pggit_version", json!(env!("CARGO_PKG_VERSION"))),
    ];
    if let Some((with, difference)) = &done.schema {
        let equal = if difference.is_some() { "differs" } else { "equal" };
        facts.extend([("schema_compared_with", json!(with)), ("schema", json!(equal))]);
        if let Some(difference) = difference {
            let end = difference.floor_char_boundary(DIFFERENCE_BYTES_MAX);
            facts.push(("schema_difference", json!(&difference[..end])));
        }
    }
    let mut details = Metadata::default();
    for (key, value) in facts.into_iter().chain(done.more.iter().cloned()) {
        // Records are shared: what looks like a secret stays out of them.
        match Metadata::try_from(json!({ key: value })) {
            Ok(fact) => details.apply(&fact),
            Err(_) => details.insert(key, "left out: it looks like a secret"),
        }
    }
    details
}

/// The database as a record names it: without a password, and without anything
/// else that is only about connecting.
pub(crate) fn place_of_database(info: &ConnInfo) -> Result<Location, Failure> {
    let url = info.to_url();
    Ok(url.split('?').next().unwrap_or_default().parse()?)
}

/// The directory as a record names it.
pub(crate) fn place_of_directory(path: &Path) -> Result<Location, Failure> {
    Ok(StoreUrl::from_directory(path)?.to_string().parse()?)
}
