//! `git pggit wal receive`

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::cli::{Code, Context, Failure};
use crate::domain::WalName;
use crate::pg::Client;
use crate::process::{
    self, Liveness, Owner, Running, interrupt, is_alive, private_directories, write_private,
};
use crate::store::{Store, WalArchive};
use crate::tools::{self, Connection, Program, Programs};
use crate::workspace::{connect, store};

/// How often one looks for segments that are complete.
const LOOK: Duration = Duration::from_millis(200);
/// Who receives into a directory.
const OWNER: &str = ".owner.json";

/// Receive the write-ahead log from the server and keep it in the store
///
/// Runs pg_receivewal, which gets the log while it is written, and puts each
/// segment into the store as soon as it is complete. What is not complete stays in a
/// directory and is gone on with after a new start. Use a replication slot, so that
/// the server keeps what was not received yet. Runs until it is ended.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The database whose server it is, as it is configured
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,

    /// A replication slot; it is made when there is none
    #[arg(long, value_name = "NAME")]
    slot: Option<String>,

    /// A directory for segments that are not complete
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,

    /// End when the log is complete up to here
    #[arg(long, value_name = "LSN")]
    until: Option<crate::domain::Lsn>,

    /// The store: a directory or a URL; by default the configured one
    #[arg(long, value_name = "URL")]
    store: Option<String>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit wal receive --slot pggit
    git pggit wal receive --database shop --slot pggit --store s3://bucket/prefix";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let database = context.config()?.selected(args.database.as_deref())?;
    let info = connect::conninfo(context, &database)?;
    let facts = Client::connect(&info, connect::APPLICATION)?.facts()?;
    if args.until.is_some_and(|until| u64::from(until) == 0) {
        return Err(Failure::new(Code::Usage, "the log has no end at 0/0"));
    }
    let system = facts.system_identifier.ok_or_else(|| {
        Failure::new(Code::DatabaseUnreachable, "the system identifier of the server cannot be read")
            .hint("GRANT EXECUTE ON FUNCTION pg_control_system() TO <role>")
    })?;
    let store: Store = store::open(context, args.store.as_deref())?;
    let directory = match &args.directory {
        Some(directory) => context.cwd().join(directory),
        None => store::staging(context)?.join(format!("wal-{system}")),
    };
    occupy(&directory)?;
    interrupt::install().map_err(|error| Failure::of(Code::Fatal, &error))?;
    let programs = Programs::new(context.config()?.pgbin()?.map(|pgbin| pgbin.value));
    let tools = programs.for_server(facts.major);
    let connection = Connection::from(&info);
    if let Some(slot) = &args.slot {
        tools.make_slot(&connection, slot)?;
    }
    let archive = store.wal(&system);
    // What an earlier run has received and not kept.
    keep(&directory, &archive, context)?;
    let running = tools.receive_wal(&connection, &directory, args.slot.as_deref(), args.until)?;
    context.ui.status(&format!("receiving the log of cluster {system} into {}", store.url()));
    let ended = watch(running, || keep(&directory, &archive, context))?;
    keep(&directory, &archive, context)?;
    let _ = fs::remove_file(directory.join(OWNER));
    match ended {
        // It was asked to end, and everything that is complete is kept.
        Err(process::Error::Interrupted { .. }) | Ok(()) => Ok(()),
        Err(error) => Err(tools::Error::of(Program::PgReceivewal, error).into()),
    }
}

/// Does `work` again and again until the program ends; how it ended.
fn watch(
    running: Running,
    mut work: impl FnMut() -> Result<(), Failure>,
) -> Result<Result<(), process::Error>, Failure> {
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

/// One process at a time receives into a directory.
fn occupy(directory: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(Code::Destination, format!("{}: cannot be used", directory.display()))
            .cause(error.to_string())
    };
    private_directories(directory).map_err(failed)?;
    let path = directory.join(OWNER);
    let there: Option<Owner> = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if there.is_some_and(|owner| is_alive(&owner) != Liveness::Dead) {
        return Err(Failure::new(Code::Busy, format!("somebody receives into {}", directory.display())));
    }
    let owner = Owner::current().and_then(|owner| Ok(serde_json::to_vec(&owner)?)).map_err(failed)?;
    write_private(&path, &owner).map_err(failed)
}

/// Puts everything that is complete into the store, then removes it.
fn keep(directory: &Path, archive: &WalArchive<'_>, context: &Context) -> Result<(), Failure> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let complete = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<WalName>().ok());
    let mut complete: Vec<WalName> = complete.filter(|name| !name.as_str().ends_with(".partial")).collect();
    complete.sort();
    for name in complete {
        let path = directory.join(name.as_str());
        let content = fs::read(&path).map_err(|error| {
            Failure::new(Code::Fatal, format!("{}: cannot be read", path.display())).cause(error.to_string())
        })?;
        archive.push(&name, &content)?;
        crate::process::crash_point("wal.received");
        let _ = fs::remove_file(&path);
        context.ui.status(&format!("kept {name}"));
    }
    Ok(())
}
