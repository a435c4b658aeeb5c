//! WAL is received while the server writes it, and goes into the store by segments.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use super::Error;
use crate::config::DatabaseConfig;
use crate::domain::{Lsn, WalName};
use crate::pg::Client;
use crate::process::{self, ExclusiveDir, Running, interrupt};
use crate::store::WalArchive;
use crate::tools::{self, Connection, Program};
use crate::workspace::{Workspace, connect, store};

/// The interval between two checks for complete segments.
const LOOK: Duration = Duration::from_millis(200);
/// The file that names the process that receives into a directory.
const OWNER: &str = ".owner.json";

/// From where to where.
#[derive(Debug)]
pub struct Receive<'a> {
    /// The database whose server it is.
    pub database: DatabaseConfig,
    /// A replication slot.
    pub slot: Option<&'a str>,
    /// A directory for segments that are not complete.
    pub directory: Option<&'a Path>,
    /// The end.
    pub until: Option<Lsn>,
    /// The store, instead of the configured one.
    pub store: Option<&'a str>,
}

/// Receives until it is ended, or up to the end that was given.
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
    // Stores the segments that an earlier run has received and not stored.
    keep(&directory, &archive, workspace)?;
    let running = tools.receive_wal(&connection, &directory, receive.slot, receive.until)?;
    workspace.reporter().status(&format!("receiving the log of cluster {system} into {}", store.url()));
    let ended = watch(running, || keep(&directory, &archive, workspace))?;
    keep(&directory, &archive, workspace)?;
    match ended {
        // It was asked to end, and everything that is complete is kept.
        Err(process::Error::Interrupted { .. }) | Ok(()) => Ok(()),
        Err(error) => Err(tools::Error::of(Program::PgReceivewal, error).into()),
    }
}

/// Does `work` again and again until the program ends; how it ended.
fn watch(
    running: Running,
    mut work: impl FnMut() -> Result<(), Error>,
) -> Result<Result<(), process::Error>, Error> {
    let (end, ended) = channel();
    let signaller = running.signaller().map_err(|error| tools::Error::of(Program::PgReceivewal, error))?;
    std::thread::scope(|scope| {
        scope.spawn(move || end.send(running.finish().map(drop)));
        loop {
            match ended.recv_timeout(LOOK) {
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

/// Puts everything that is complete into the store, then removes it.
fn keep(directory: &Path, archive: &WalArchive<'_>, workspace: &Workspace) -> Result<(), Error> {
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
        workspace.reporter().status(&format!("kept {name}"));
    }
    Ok(())
}
