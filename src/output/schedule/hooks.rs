//! Hooks and the branches that they watch, as JSON and as text.

use std::path::Path;

use super::{HookStatus, HooksStatus, MergeRule};
use crate::git::hooks::{Hook, HookState, Hooks};
use crate::policy::BranchRule;
use crate::terminal::{OutputError, Style, Table, Ui};

impl HooksStatus {
    /// Describes the hooks in the directory `dir` and the rules.
    pub fn new(dir: &Path, states: &[(Hook, HookState)], rules: &[BranchRule]) -> Self {
        let hook = |(hook, state): &(Hook, HookState)| HookStatus {
            hook: hook.name().to_owned(),
            state: state.as_str().to_owned(),
        };
        Self {
            directory: dir.to_string_lossy().into_owned(),
            hooks: states.iter().map(hook).collect(),
            rules: rules.iter().map(Into::into).collect(),
        }
    }
}

impl From<&BranchRule> for MergeRule {
    fn from(rule: &BranchRule) -> Self {
        Self {
            database: rule.database.clone(),
            branches: branches(rule),
            paths: rule.paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            tool: rule.tool.clone(),
            kind: rule.kind,
            priority: rule.priority,
        }
    }
}

/// Prints the states of hooks and the rules as text. Fails if standard output cannot be written.
pub fn print_status(
    hooks: &Hooks,
    states: &[(Hook, HookState)],
    rules: &[BranchRule],
    ui: &Ui,
) -> Result<(), OutputError> {
    let mut table = Table::new(["HOOK", "STATE", "FILE"]).whole(0).whole(1).paint(1, |state| match state {
        "installed" => Style::Good,
        _ => Style::Attention,
    });
    for (hook, state) in states {
        let file = hooks.file(*hook).display().to_string();
        table.row([hook.name().to_owned(), state.as_str().to_owned(), file]);
    }
    ui.table(&table)?;
    rules.iter().try_for_each(|rule| ui.line(format!("{}: {}", rule.database, branches(rule))))
}

fn branches(rule: &BranchRule) -> String {
    rule.branches.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
