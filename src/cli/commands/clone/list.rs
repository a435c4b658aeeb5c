//! `git pggit clone list`

use crate::cli::Context;
use crate::cli::commands::backup::view;
use crate::failure::Failure;
use crate::output::database::{CloneList, CloneOutput, CloneState};
use crate::process::{Liveness, is_alive};
use crate::recovery::{Clone, clones};
use crate::terminal::Table;

use super::Server;

/// List the copies on a server
///
/// Copies that 'git pggit with' made go with its process; those whose process has
/// died are dropped by the next one.
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
    if context.ui.wants_json() {
        let clone = |clone: &Clone| CloneOutput {
            dbname: clone.dbname.clone(),
            state: state(clone),
            clone: clone.note.clone(),
        };
        return Ok(context.ui.json(&CloneList { clones: clones.iter().map(clone).collect() })?);
    }
    if clones.is_empty() {
        context.ui.hint("there are no copies; 'git pggit checkout <commit>' makes one");
        return Ok(());
    }
    let header = ["NAME", "DATABASE", "COMMIT", "BACKUP", "MADE", "STATE"];
    let mut table = Table::new(header).paint(2, view::id_style).paint(3, view::id_style);
    for clone in &clones {
        table.cell(&clone.dbname);
        table.cell(clone.note.database.as_str());
        table.cell(clone.note.commit.short());
        table.shown(clone.note.backup);
        table.cell(&view::time(clone.note.at));
        table.cell(state(clone).as_str());
    }
    Ok(context.ui.table(&table)?)
}

/// Until when it stays.
fn state(clone: &Clone) -> CloneState {
    match clone.note.owner.as_ref().map(is_alive) {
        None => CloneState::Kept,
        Some(Liveness::Dead) => CloneState::Abandoned,
        Some(_) => CloneState::InUse,
    }
}
