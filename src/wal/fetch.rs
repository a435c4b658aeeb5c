//! Fetches a WAL file from the store, and the segments after it in advance.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::spool::Spool;
use super::{Error, system_identifier};
use crate::domain::{WalKind, WalName};
use crate::process::create_private;
use crate::workspace::{Workspace, store};

/// A request of `restore_command`.
#[derive(Debug)]
pub struct Fetch<'a> {
    /// The name of the file.
    pub name: &'a WalName,
    /// The path to write to.
    pub target: PathBuf,
    /// The number of following segments that are fetched in advance.
    pub prefetch: u16,
    /// The system identifier of the cluster; `None` reads it from the data directory.
    pub system_identifier: Option<&'a str>,
    /// The store; `None` for the configured one.
    pub store: Option<&'a str>,
    /// The time for which requests to a store in a cloud are retried.
    pub timeout: Duration,
    /// The data directory.
    pub pgdata: PathBuf,
}

/// Writes the file to its target. Fails with [`Error::NotArchived`] if the store does not have it.
pub fn fetch(fetch: &Fetch<'_>, workspace: &Workspace) -> Result<(), Error> {
    let system = match fetch.system_identifier {
        Some(system) => system.to_owned(),
        None => system_identifier(&fetch.pgdata)?,
    };
    let spool = Spool::open(&workspace.environment, &system, "fetched")?;
    if let Some(content) = spool.get(fetch.name) {
        write(&fetch.target, &content)?;
        spool.remove(fetch.name);
        return Ok(());
    }
    spool.remove_before(fetch.name);
    let store = store::open_retrying_for(workspace, fetch.store, fetch.timeout)?;
    let archive = store.wal(&system);
    let Some(content) = archive.fetch(fetch.name)? else {
        return Err(Error::NotArchived { name: fetch.name.clone(), store: store.url().to_string() });
    };
    write(&fetch.target, &content)?;
    if fetch.name.kind() == WalKind::Segment {
        let ahead = fetch.name.following(content.len() as u64).take(fetch.prefetch.into());
        let ahead: Vec<WalName> = ahead.collect();
        for (name, fetched) in ahead.iter().zip(archive.fetch_all(&ahead)) {
            // An error is reported when PostgreSQL requests the file.
            if let Ok(Some(content)) = fetched {
                spool.put(name, &content);
            }
        }
    }
    Ok(())
}

/// Writes the file atomically: PostgreSQL never sees a part of it.
fn write(target: &Path, content: &[u8]) -> Result<(), Error> {
    let mut partial = target.as_os_str().to_owned();
    partial.push(".pggit");
    let partial = PathBuf::from(partial);
    // Removes the file that a killed process has left. A symbolic link made by another user is
    // removed and not followed.
    let _ = fs::remove_file(&partial);
    let written = create_private(&partial)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&partial, target));
    written.map_err(|source| {
        let _ = fs::remove_file(&partial);
        Error::Target { path: target.to_owned(), source }
    })
}
