//! `git pggit backup release`

use crate::cli::Context;
use crate::domain::{EventId, Line, Released};
use crate::failure::{Code, Failure};
use crate::output::backup::{print_changed, title};

use super::select::One;

/// Release holds of a backup
///
/// Without --hold all current holds are released; a hold that is added at the same
/// time is kept.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    one: One,

    /// The reason of the release
    #[arg(short, long, value_name = "TEXT", default_value = "")]
    reason: String,

    /// Only this hold, by the id of its event; may be given several times
    #[arg(long, value_name = "EVENT")]
    hold: Vec<String>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup release nightly --reason 'audit is over'
    git pggit backup release nightly --hold 0193f1a2-7c1e-7a30-a139-0dfc0e59e1a5";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let reason: Line = args.reason.parse()?;
    let named: Vec<EventId> = args.hold.iter().map(|hold| hold.parse()).collect::<Result<_, _>>()?;
    let found = args.one.find(context)?;
    let has: Vec<EventId> = found.backup.holds.iter().map(|hold| hold.id).collect();
    let not_found =
        |what: String| Failure::new(Code::NotFound, format!("backup {} has no {what}", found.backup.id));
    if has.is_empty() {
        return Err(not_found("holds".to_owned()));
    }
    if let Some(unknown) = named.iter().find(|hold| !has.contains(hold)) {
        return Err(not_found(format!("hold {unknown}")).hint("'git pggit backup show' lists its holds"));
    }
    let released = Released { holds: if named.is_empty() { has } else { named }, reason };
    let entry = context
        .ledger()?
        .append_at(&found.backup.commit, found.backup.id, |_| Ok(released.clone().into()))?;
    let left = match entry.backup.holds.len() {
        0 => "no longer held".to_owned(),
        1 => "1 hold left".to_owned(),
        n => format!("{n} holds left"),
    };
    Ok(print_changed(&entry, &format!("released {}: {left}", title(&entry.backup)), &context.ui)?)
}
