//! `git pggit clone`: clones of databases at commits.

mod list;
mod remove;

use clap::Subcommand;

use crate::cli::Context;
use crate::failure::Failure;
use crate::pg::Client;
use crate::workspace::connect;

/// List and drop clones of databases
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    List(list::Args),
    Remove(remove::Args),
}

pub(super) fn run(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::List(args) => list::run(&args, context),
        Command::Remove(args) => remove::run(&args, context),
    }
}

/// The server of the clones
#[derive(Debug, clap::Args)]
struct Server {
    /// The server of this configured database
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,

    /// The server, as a psql connection string
    #[arg(long, value_name = "URL", conflicts_with = "database")]
    server: Option<String>,
}

impl Server {
    fn connect(&self, context: &Context) -> Result<Client, Failure> {
        let info = match &self.server {
            Some(server) => connect::server(context, server)?,
            None => {
                let database = context.config()?.selected(self.database.as_deref())?;
                connect::conninfo(context, &database)?.with_dbname("postgres")
            }
        };
        Ok(Client::connect(&info, connect::APPLICATION)?)
    }
}
