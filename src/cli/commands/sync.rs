//! `git pggit sync`

use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::ledger::{SkippedRef, SyncOptions};
use crate::output::repository::SyncOutput;

/// Synchronise the ledger with a remote
///
/// Fetches the records of the remote, merges records that were changed on both
/// sides, and pushes the result; never by force. All clones end with the same
/// records, in whatever order they synchronise. Notes are regenerated; text that
/// people wrote into notes is kept. Plain 'git fetch' and 'git push' do not change
/// the ledger.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The remote; by default the one that git would use
    remote: Option<String>,

    /// Fetch, but do not push
    #[arg(long, conflicts_with = "push_only")]
    fetch_only: bool,

    /// Push, but do not fetch
    #[arg(long)]
    push_only: bool,

    /// Only print the changes that would be made
    #[arg(short = 'n', long)]
    dry_run: bool,
}

const EXAMPLES: &str = "\
A record whose history the remote has rewritten is skipped and reported, and the
command exits with 1. The same applies if the remote has removed or altered events of
the record, or dated them far into the future: in a trusted ledger, events are only
added.

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
                Failure::new(Code::CheckFailed, format!("{count} of the records could not be synchronised"));
            let any = |is: fn(&SkippedRef) -> bool| synced.skipped.iter().any(is);
            let failure = match any(|left| left.rewritten) {
                true => failure.hint(
                    "find out who rewrote the history of the remote; docs/trust.md lists the settings against it",
                ),
                false => failure,
            };
            Err(match any(|left| left.refused) {
                true => failure.hint(
                    "find out who pushed the change; docs/trust.md describes the repair of the ref of the remote",
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
    Err(Failure::new(Code::NotFound, format!("'{remote}' is not a remote of this repository"))
        .hint("'git remote -v' lists the remotes"))
}

fn no_remote(known: &[String]) -> Failure {
    match known {
        [] => Failure::new(Code::NotFound, "this repository has no remote")
            .hint("add one with 'git remote add <name> <url>'"),
        _ => Failure::new(Code::Ambiguous, "there are several remotes")
            .hint(format!("name one of {}", known.join(", "))),
    }
}
