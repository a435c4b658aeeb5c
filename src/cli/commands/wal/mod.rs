//! `git pggit wal`: the WAL archive in the store.

mod check;
mod fetch;
mod push;
mod receive;

use std::path::{Path, PathBuf};

use clap::Subcommand;

use crate::cli::Context;
use crate::failure::Failure;
use crate::store::Store;
use crate::wal;
use crate::workspace::store;

/// Archive, fetch and check WAL
///
/// With archived WAL a physical backup can be recovered to any point in time after
/// its end.
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

/// The cluster and the store of the WAL
#[derive(Debug, clap::Args)]
struct WalArgs {
    /// The store: a directory or a URL; by default the configured one
    #[arg(long, value_name = "URL")]
    store: Option<String>,

    /// The data directory of the server; by default the current directory, as PostgreSQL sets it
    #[arg(long, value_name = "DIR")]
    pgdata: Option<PathBuf>,
}

impl WalArgs {
    fn open(&self, context: &Context) -> Result<Store, Failure> {
        Ok(store::open(context, self.store.as_deref())?)
    }

    fn pgdata(&self, context: &Context) -> PathBuf {
        context.cwd().join(self.pgdata.as_deref().unwrap_or(Path::new("")))
    }

    fn system_identifier(&self, context: &Context) -> Result<String, Failure> {
        Ok(wal::system_identifier(&self.pgdata(context))?)
    }
}
