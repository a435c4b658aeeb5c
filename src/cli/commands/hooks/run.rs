//! `git pggit hooks run`: the command that git's hooks run.
//!
//! The command never makes git fail, and does little without a matching rule, because it runs after
//! every commit. Its messages go to standard output, which git shows. Standard error is not used.

use std::io::Read as _;

use super::hook;
use crate::automation;
use crate::cli::Context;
use crate::failure::Failure;
use crate::git::hooks::Hook;
use crate::workspace::queue;

/// Enqueue backups for branches that have just moved; git's hooks run this command
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The hook that is running
    #[arg(value_parser = hook, value_name = "HOOK")]
    hook: Hook,

    /// The arguments from git
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARG")]
    arguments: Vec<String>,
}

pub(super) fn run(args: &Args, context: &Context) {
    let say = |text: &str| drop(context.ui.line(format!("git pggit: {text}")));
    if let Err(failure) = react(args, context, &say) {
        say(&format!("no backup was queued: {}", failure.message()));
        failure.causes().iter().for_each(|cause| say(&format!("because: {cause}")));
        say("'git pggit schedule catch-up' enqueues missed backups");
    }
}

fn react(args: &Args, context: &Context, say: &dyn Fn(&str)) -> Result<(), Failure> {
    let rules = automation::branch_rules(context.config()?, |problem| say(&format!("warning: {problem}")));
    if rules.is_empty() {
        return Ok(());
    }
    let mut input = Vec::new();
    if args.hook.reads_stdin() {
        // Unreadable input counts as empty.
        let _ = std::io::stdin().lock().read_to_end(&mut input);
    }
    let repository = context.repository()?;
    let moves = automation::branch_moves(repository, args.hook, &args.arguments, &input)?;
    let wanted = automation::wanted_backups(repository, &rules, &moves)?;
    if wanted.is_empty() {
        return Ok(());
    }
    let queue = queue::open(context)?;
    for wanted in wanted {
        let (database, branch) = (&wanted.database, &wanted.branch);
        let job = queue::backup_job(context, database, automation::merge_job(&wanted).wish);
        match job.and_then(|job| Ok(queue.enqueue(job)?)) {
            Ok(enqueued) if enqueued.is_new => {
                say(&format!("queued a backup of {database} for {branch} at {}", wanted.commit.short()));
            }
            Ok(_) => {}
            Err(error) => say(&format!("no backup of {database} was queued: {error}")),
        }
    }
    Ok(())
}
