//! `git pggit hooks remove`

use super::{hook, meant, place};
use crate::cli::Context;
use crate::failure::Failure;
use crate::git::hooks::{Hook, HookEdit};
use crate::output::schedule::{ChangedHook, ChangedHooks, HookChange};

/// Remove the lines of git-pggit from the git hooks
///
/// Your own lines are kept. A renamed hook gets its name back, and a hook without
/// other lines is removed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only these hooks; by default all
    #[arg(value_parser = hook, value_name = "HOOK")]
    hooks: Vec<Hook>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit hooks remove
    git pggit hooks remove post-commit";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let hooks = place(context)?;
    let mut rows: Vec<ChangedHook> = Vec::new();
    for hook in meant(&args.hooks) {
        let file = hooks.file(hook);
        let (done, text) = match hooks.remove(hook)? {
            HookEdit::Removed => (HookChange::Removed, format!("removed {}", file.display())),
            HookEdit::Restored => (HookChange::PutBack, format!("restored {}", file.display())),
            HookEdit::LinesRemoved => {
                (HookChange::TakenOut, format!("removed the lines of git-pggit from {}", file.display()))
            }
            _ => (HookChange::Unchanged, String::new()),
        };
        if !text.is_empty() {
            context.ui.status(&text);
        }
        rows.push(ChangedHook {
            hook: hook.name().to_owned(),
            file: file.to_string_lossy().into_owned(),
            done,
        });
    }
    if context.ui.wants_json() {
        return Ok(context.ui.json(&ChangedHooks { hooks: rows })?);
    }
    if rows.iter().all(|row| row.done == HookChange::Unchanged) {
        context.ui.status("no hook has lines of git-pggit");
    }
    Ok(())
}
