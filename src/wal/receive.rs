//! Receives WAL from the server with pg_receivewal, and archives complete segments.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use super::Error;
use crate::config::DatabaseConfig;
use crate::domain::{Lsn, WalKind, WalName};
use crate::pg::Client;
use crate::process::{self, ExclusiveDir, Running, interrupt};
use crate::store::WalArchive;
use crate::tools::{self, Connection, Program};
use crate::workspace::{Workspace, connect, store};

/// The interval between two checks for complete segments.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);
/// The file that names the process that receives into a directory.
const OWNER: &str = ".owner.json";

/// A request to receive WAL.
#[derive(Debug)]
pub struct Receive<'a> {
    /// A database of the server.
    pub database: DatabaseConfig,
    /// The replication slot; it is created if it does not exist.
    pub slot: Option<&'a str>,
    /// The directory for incomplete segments; `None` for one in the staging directory.
    pub directory: Option<&'a Path>,
    /// The WAL position at which it ends; `None` for never.
    pub until: Option<Lsn>,
    /// The store; `None` for the configured one.
    pub store: Option<&'a str>,
}

/// Receives WAL until it is interrupted or reaches `until`. Fails if the server, pg_receivewal or
/// the store fails, or another process receives into the directory.
pub fn receive(receive: &Receive<'_>, workspace: &Workspace) -> Result<(), Error> {
    let info = connect::conninfo(workspace, &receive.database)?;
    let facts = Client::connect(&info, connect::APPLICATION)?.facts()?;
    if receive.until.is_some_and(|until| u64::from(until) == 0) {
        return Err(Error::NoEnd);
    }
    let system = facts.system_identifier.ok_or(Error::NoSystemIdentifier)?;
    let store = store::open(workspace, receive.store)?;
    let directory: PathBuf = match receive.directory {
        Some(directory) => workspace.cwd().join(directory),
        None => store::staging(workspace)?.join(format!("wal-{system}")),
    };
    let _occupied = occupy(&directory)?;
    interrupt::install().map_err(Error::Signals)?;
    let tools = workspace.programs()?.for_server(facts.major);
    let connection = Connection::from(&info);
    if let Some(slot) = receive.slot {
        tools.make_slot(&connection, slot)?;
    }
    let archive = store.wal(&system);
    // Archives the segments that an earlier run has received.
    archive_segments(&directory, &archive, workspace)?;
    remove_empty_partials(&directory)?;
    let running = tools.receive_wal(&connection, &directory, receive.slot, receive.until)?;
    workspace.reporter().status(&format!("receiving WAL of cluster {system} into {}", store.url()));
    let ended = run_until_exit(running, || archive_segments(&directory, &archive, workspace))?;
    archive_segments(&directory, &archive, workspace)?;
    match ended {
        // It was interrupted, and all complete segments are archived.
        Err(process::Error::Interrupted { .. }) | Ok(()) => Ok(()),
        Err(error) => Err(tools::Error::of(Program::PgReceivewal, error).into()),
    }
}

/// Runs `work` at intervals until the program exits. Returns the result of the program.
fn run_until_exit(
    running: Running,
    mut work: impl FnMut() -> Result<(), Error>,
) -> Result<Result<(), process::Error>, Error> {
    let (end, ended) = channel();
    let signaller = running.signaller().map_err(|error| tools::Error::of(Program::PgReceivewal, error))?;
    std::thread::scope(|scope| {
        scope.spawn(move || end.send(running.finish().map(drop)));
        loop {
            match ended.recv_timeout(CHECK_INTERVAL) {
                Ok(ended) => return Ok(ended),
                Err(_) => work().inspect_err(|_| signaller.terminate())?,
            }
        }
    })
}

/// Claims the directory: one process at a time receives into it. It stays, because segments that are
/// not stored yet are in it.
fn occupy(directory: &Path) -> Result<ExclusiveDir, Error> {
    let claimed = ExclusiveDir::claim(directory, OWNER)
        .map_err(|source| Error::Directory { path: directory.to_owned(), source })?;
    claimed.ok_or_else(|| Error::Occupied { directory: directory.to_owned() })
}

/// Removes incomplete segments without any WAL. pg_receivewal fills a new segment with zeros before it
/// writes WAL to it. If it is killed meanwhile, the file is too short, and later runs refuse it.
fn remove_empty_partials(directory: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_str().and_then(|name| name.parse::<WalName>().ok());
        if name.is_none_or(|name| name.kind() != WalKind::Partial) {
            continue;
        }
        let failed = |source| Error::Segment { path: path.clone(), source };
        if fs::read(&path).map_err(failed)?.iter().all(|byte| *byte == 0) {
            fs::remove_file(&path).map_err(failed)?;
        }
    }
    Ok(())
}

/// Archives all complete segments and removes them from the directory.
fn archive_segments(directory: &Path, archive: &WalArchive<'_>, workspace: &Workspace) -> Result<(), Error> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let complete = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<WalName>().ok());
    let mut complete: Vec<WalName> = complete.filter(|name| !name.as_str().ends_with(".partial")).collect();
    complete.sort();
    for name in complete {
        let path = directory.join(name.as_str());
        let content = fs::read(&path).map_err(|source| Error::Segment { path: path.clone(), source })?;
        archive.push(&name, &content)?;
        crate::process::crash_point("wal.received");
        let _ = fs::remove_file(&path);
        workspace.reporter().status(&format!("archived {name}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_partial_segments_without_wal_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| fs::write(dir.path().join(name), content).unwrap();
        write("000000010000000000000003.partial", &[0; 4096]);
        write("000000010000000000000004.partial", &[0, 7]);
        write("000000010000000000000005", &[0; 16]);
        write("notes.partial", b"");
        remove_empty_partials(dir.path()).unwrap();
        let mut left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["000000010000000000000004.partial", "000000010000000000000005", "notes.partial"]);
    }
}
