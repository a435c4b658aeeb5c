//! `git pggit sync`

use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::ledger::{SkippedRef, SyncOptions};
use crate::output::repository::SyncOutput;

/// Bring the ledger of this repository and that of a remote together
///
/// Fetches the records of the remote, merges those that were changed on both
/// sides, and pushes the result; never by force. Everybody ends with the same
/// records, in whatever order they synchronise. Notes are regenerated, and what
/// people wrote into them is kept. Plain 'git fetch' and 'git push' leave the
/// ledger alone.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The remote; without it, the one that git would use
    remote: Option<String>,

    /// Take, but do not give
    #[arg(long, conflicts_with = "push_only")]
    fetch_only: bool,

    /// Give, but do not take
    #[arg(long)]
    push_only: bool,

    /// Only say what would be done
    #[arg(short = 'n', long)]
    dry_run: bool,
}

const EXAMPLES: &str = "\
A record whose history the remote has rewritten, or which there has events removed,
altered, or dated far into the future, is left alone and named, and the command ends
with 1: in a log that can be trusted, events are only added.

EXAMPLES
    git pggit sync
    git pggit sync origin --dry-run";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let repository = context.ledger_repository()?;
    let remote = match &args.remote {
        Some(remote) => named(remote, &repository.remotes())?,
        None => repository.default_remote().ok_or_else(|| no_remote(&repository.remotes()))?,
    };
    let direction = SyncOptions {
        fetch: !args.push_only,
        push: !args.fetch_only,
        dry_run: args.dry_run,
        unattended: None,
    };
    let synced = context.ledger()?.sync(&remote, direction)?;
    for left in &synced.skipped {
        context.ui.warning(&format!("{}: {}", left.reference, left.reason));
    }
    let output = SyncOutput::new(&remote, &synced);
    match context.ui.wants_json() {
        true => context.ui.json(&output)?,
        false => context.ui.status(&output.summary(args.dry_run)),
    }
    match synced.skipped.len() {
        0 => Ok(()),
        count => {
            let failure =
                Failure::new(Code::Negative, format!("{count} of the records could not be synchronised"));
            let any = |is: fn(&SkippedRef) -> bool| synced.skipped.iter().any(is);
            let failure = match any(|left| left.rewritten) {
                true => failure.hint(
                    "find out who rewrote the history of the remote; docs/trust.md says what it should forbid",
                ),
                false => failure,
            };
            Err(match any(|left| left.refused) {
                true => failure.hint(
                    "find out who pushed that; docs/trust.md says how the ref of the remote is put right",
                ),
                false => failure,
            })
        }
    }
}

fn named(remote: &str, known: &[String]) -> Result<String, Failure> {
    if known.iter().any(|name| name == remote) {
        return Ok(remote.to_owned());
    }
    Err(Failure::new(Code::NotFound, format!("'{remote}' is no remote of this repository"))
        .hint("'git remote -v' lists them"))
}

fn no_remote(known: &[String]) -> Failure {
    match known {
        [] => Failure::new(Code::NotFound, "this repository has no remote")
            .hint("add one with 'git remote add <name> <url>'"),
        _ => Failure::new(Code::Ambiguous, "there are several remotes")
            .hint(format!("name one of {}", known.join(", "))),
    }
}
