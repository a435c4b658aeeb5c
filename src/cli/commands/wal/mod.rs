//! `git pggit wal`: the write-ahead log in the store.

mod check;
mod fetch;
mod push;
mod receive;
mod spool;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;

use crate::cli::{Code, Context, Failure};
use crate::domain::WalName;
use crate::store::Store;
use crate::workspace::store;

/// Archive the write-ahead log, and bring it back
///
/// With it a physical backup can be restored to any moment after its end.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Push(push::Args),
    Fetch(fetch::Args),
    Check(check::Args),
    Receive(receive::Args),
}

pub(super) fn run(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Push(args) => push::run(&args, context),
        Command::Fetch(args) => fetch::run(&args, context),
        Command::Check(args) => check::run(&args, context),
        Command::Receive(args) => receive::run(&args, context),
    }
}

/// Which log and where
#[derive(Debug, clap::Args)]
struct Place {
    /// The store: a directory or a URL; by default the configured one
    #[arg(long, value_name = "URL")]
    store: Option<String>,

    /// The data directory of the server; by default the current directory, as PostgreSQL sets it
    #[arg(long, value_name = "DIR")]
    pgdata: Option<PathBuf>,
}

impl Place {
    fn open(&self, context: &Context) -> Result<Store, Failure> {
        Ok(store::open(context, self.store.as_deref())?)
    }

    fn pgdata(&self, context: &Context) -> PathBuf {
        context.cwd().join(self.pgdata.as_deref().unwrap_or(Path::new("")))
    }

    /// The system identifier, straight from the control file: its first eight
    /// bytes, in the order of this machine.
    fn system_identifier(&self, context: &Context) -> Result<String, Failure> {
        let path = self.pgdata(context).join("global").join("pg_control");
        let mut bytes = [0; 8];
        let read = File::open(&path).and_then(|mut file| file.read_exact(&mut bytes));
        read.map_err(|error| {
            Failure::new(Code::Usage, format!("{}: cannot be read", path.display()))
                .cause(error.to_string())
                .hint("run it in the data directory, as archive_command and restore_command do, or name it with --pgdata")
        })?;
        Ok(u64::from_ne_bytes(bytes).to_string())
    }
}

/// The name of a file of the log, from its path.
fn name_of(path: &Path) -> Result<WalName, Failure> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(name.parse()?)
}
