//! `git pggit hooks status`

use super::{place, program};
use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::git::hooks::{Hook, HookState};
use crate::output::schedule::{HookStatus, HooksStatus, MergeRule};
use crate::policy::BranchRule;
use crate::terminal::{Style, Table};

/// Show the hooks and the branches that they watch
///
/// Fails with 'negative' if a branch is watched and a hook is not installed.
/// STATE is 'installed', 'missing', 'foreign' (there is one without our lines),
/// 'outdated' (it calls another program than this one) or 'disabled' (our lines
/// are there, but git does not run the file).
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
    if context.ui.wants_json() {
        context.ui.json(&output(&hooks.dir, &states, &rules))?;
    } else {
        let mut table =
            Table::new(["HOOK", "STATE", "FILE"]).whole(0).whole(1).paint(1, |state| match state {
                "installed" => Style::Good,
                _ => Style::Attention,
            });
        for (hook, state) in &states {
            let file = hooks.file(*hook).display().to_string();
            table.row([hook.name().to_owned(), state.as_str().to_owned(), file]);
        }
        context.ui.table(&table)?;
        for rule in &rules {
            context.ui.line(format!("{}: {}", rule.database, branches(rule)))?;
        }
    }
    match rules.is_empty() || states.iter().all(|(_, state)| *state == HookState::Installed) {
        true => Ok(()),
        false => Err(Failure::new(Code::Negative, "")),
    }
}

fn branches(rule: &BranchRule) -> String {
    rule.branches.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn output(dir: &std::path::Path, states: &[(Hook, HookState)], rules: &[BranchRule]) -> HooksStatus {
    let hook = |(hook, state): &(Hook, HookState)| HookStatus {
        hook: hook.name().to_owned(),
        state: state.as_str().to_owned(),
    };
    let rule = |rule: &BranchRule| MergeRule {
        database: rule.database.clone(),
        branches: branches(rule),
        paths: rule.paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        tool: rule.tool.clone(),
        kind: rule.kind,
        priority: rule.priority,
    };
    HooksStatus {
        directory: dir.to_string_lossy().into_owned(),
        hooks: states.iter().map(hook).collect(),
        rules: rules.iter().map(rule).collect(),
    }
}
