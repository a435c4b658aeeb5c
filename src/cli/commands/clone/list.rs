//! `git pggit clone list`

use crate::cli::Context;
use crate::failure::Failure;
use crate::output::database::CloneList;
use crate::recovery::clones;

use super::Server;

/// List the clones on a server
///
/// 'git pggit with' drops its clone when its program exits. Clones of crashed
/// processes are dropped when the next clone is created.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    server: Server,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit clone list
    git pggit clone list --server postgresql://db2/postgres --json";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let clones = clones(&args.server.connect(context)?)?;
    Ok(context.ui.result(&CloneList { clones: clones.iter().map(Into::into).collect() })?)
}
