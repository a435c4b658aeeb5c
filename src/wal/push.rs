//! Archives a WAL file in the store, and the next ready segments with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::spool::Spool;
use super::{Error, system_identifier};
use crate::domain::{Digest, WalKind, WalName};
use crate::store::WalPushOutcome;
use crate::workspace::{Workspace, store};

/// A request of `archive_command`.
#[derive(Debug)]
pub struct Push<'a> {
    /// The path of the file.
    pub path: PathBuf,
    /// The maximum number of files that are archived at once, including this one.
    pub batch: u16,
    /// The store; `None` for the configured one.
    pub store: Option<&'a str>,
    /// The time for which requests to a store in a cloud are retried.
    pub timeout: Duration,
    /// The data directory.
    pub pgdata: PathBuf,
}

/// An archived file.
#[derive(Debug)]
pub struct Archived {
    /// The name of the file.
    pub name: WalName,
    /// The system identifier of the cluster.
    pub system_identifier: String,
    /// True if it was not archived before.
    pub is_new: bool,
    /// The number of files that were archived with it, including itself.
    pub batch: usize,
}

/// Archives the file, and ready segments after it. Returns `None` if an earlier call has archived
/// it in advance. Fails if the file cannot be read or archived.
pub fn push(push: &Push<'_>, workspace: &Workspace) -> Result<Option<Archived>, Error> {
    let name: WalName =
        push.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default().parse()?;
    let path = &push.path;
    let content = fs::read(path).map_err(|source| Error::File { path: path.clone(), source })?;
    let system = system_identifier(&push.pgdata)?;
    let spool = Spool::open(&workspace.environment, &system, "pushed")?;
    let digest = digest(&content);
    if spool.get(&name).is_some_and(|left| left == digest) {
        spool.remove(&name);
        return Ok(None);
    }
    let store = store::open_retrying_for(workspace, push.store, push.timeout)?;
    let mut files = vec![(name.clone(), content)];
    if name.kind() == WalKind::Segment {
        files.extend(ready_after(path, &name, usize::from(push.batch) - 1));
    }
    let mut pushed = store.wal(&system).push_all(&files).into_iter();
    let first = pushed.next().expect("there is one answer for each file")?;
    for ((other, content), pushed) in files[1..].iter().zip(pushed) {
        // An error is reported when PostgreSQL archives the file.
        if pushed.is_ok() {
            spool.put(other, &self::digest(content));
        }
    }
    let is_new = first == WalPushOutcome::New;
    Ok(Some(Archived { name, system_identifier: system, is_new, batch: files.len() }))
}

fn digest(content: &[u8]) -> Vec<u8> {
    Digest::of(content).to_string().into_bytes()
}

/// Returns up to `most` segments after `name` that PostgreSQL has marked as ready, in order.
fn ready_after(path: &Path, name: &WalName, most: usize) -> Vec<(WalName, Vec<u8>)> {
    let Some(directory) = path.parent() else { return Vec::new() };
    let entries = fs::read_dir(directory.join("archive_status")).into_iter().flatten().flatten();
    let ready = entries.filter_map(|entry| {
        let ready: WalName = entry.file_name().to_str()?.strip_suffix(".ready")?.parse().ok()?;
        (ready.kind() == WalKind::Segment && ready > *name).then_some(ready)
    });
    let mut ready: Vec<WalName> = ready.collect();
    ready.sort();
    ready.truncate(most);
    let content = |name: WalName| Some((name.clone(), fs::read(directory.join(name.as_str())).ok()?));
    ready.into_iter().filter_map(content).collect()
}
