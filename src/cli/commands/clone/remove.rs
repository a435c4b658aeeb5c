//! `git pggit clone remove`

use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::output::database::DroppedClones;
use crate::recovery::{clones, drop_clone};

use super::Server;

/// Drop clones
///
/// Sessions in the clones are terminated. Only databases whose comment identifies
/// them as clones are dropped.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The names of the clones
    #[arg(value_name = "DATABASE", required_unless_present = "all")]
    names: Vec<String>,

    /// Drop all clones that no running process uses
    #[arg(long, conflicts_with = "names")]
    all: bool,

    #[command(flatten)]
    server: Server,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit clone remove shop_1f2e3d4c5b
    git pggit clone remove --all";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let client = args.server.connect(context)?;
    let known = clones(&client)?;
    let names: Vec<String> = match args.all {
        false => args.names.clone(),
        true => known.into_iter().filter(|one| !one.is_in_use()).map(|one| one.dbname).collect(),
    };
    for name in &names {
        if !drop_clone(&client, name)? {
            return Err(Failure::new(
                Code::NotFound,
                format!("database \"{name}\" is not a clone, or does not exist"),
            )
            .hint("'git pggit clone list' shows all clones on the server"));
        }
        context.ui.status(&format!("dropped {name}"));
    }
    if context.ui.wants_json() {
        context.ui.json(&DroppedClones { dropped: names })?;
    }
    Ok(())
}
