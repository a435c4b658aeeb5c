//! `git pggit hooks status`

use super::{place, program};
use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::git::hooks::{Hook, HookState};
use crate::output::schedule::{HooksStatus, print_status};
use crate::policy::BranchRule;

/// Show the hooks and the branches that they watch
///
/// Fails with 'negative' if a branch is watched and a hook is not installed.
/// STATE is 'installed', 'missing', 'foreign' (a hook without lines of git-pggit),
/// 'outdated' (the hook calls another program than this one) or 'disabled' (the
/// hook is installed, but git does not run the file).
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit hooks status
    git pggit hooks status --json";

pub(super) fn run(_: &Args, context: &Context) -> Result<(), Failure> {
    let hooks = place(context)?;
    let program = program()?;
    let config = context.config()?;
    let rules: Vec<BranchRule> = config
        .databases()
        .iter()
        .filter_map(|name| config.merge_rule(name).transpose())
        .collect::<Result<_, _>>()?;
    let mut states = Vec::new();
    for hook in Hook::ALL {
        states.push((hook, hooks.state(hook, &program)?));
    }
    match context.ui.wants_json() {
        true => context.ui.json(&HooksStatus::new(&hooks.dir, &states, &rules))?,
        false => print_status(&hooks, &states, &rules, &context.ui)?,
    }
    match rules.is_empty() || states.iter().all(|(_, state)| *state == HookState::Installed) {
        true => Ok(()),
        false => Err(Failure::new(Code::CheckFailed, "")),
    }
}
