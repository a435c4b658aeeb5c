//! `git pggit clone list`

use serde_json::json;

use crate::cli::commands::backup::view;
use crate::cli::ui::Table;
use crate::cli::{Context, Failure};
use crate::process::{Liveness, is_alive};
use crate::recovery::{Clone, clones};

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
        let one =
            |clone: &Clone| json!({ "dbname": clone.dbname, "state": state(clone), "clone": clone.note });
        let list: Vec<_> = clones.iter().map(one).collect();
        return Ok(context.ui.json(&json!({ "clones": list }))?);
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
        table.cell(state(clone));
    }
    Ok(context.ui.table(&table)?)
}

/// Until when it stays.
fn state(clone: &Clone) -> &'static str {
    match clone.note.owner.as_ref().map(is_alive) {
        None => "kept",
        Some(Liveness::Dead) => "abandoned",
        Some(_) => "in use",
    }
}
