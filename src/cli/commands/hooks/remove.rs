//! `git pggit hooks remove`

use super::{hook, meant, place};
use crate::cli::Context;
use crate::failure::Failure;
use crate::git::hooks::{Hook, HookEdit};
use crate::output::schedule::{ChangedHook, ChangedHooks, HookChange};

/// Take our lines out of git's hooks
///
/// Yours stay as they are; a hook that was put aside is put back, and one that
/// was only ours is removed.
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
            HookEdit::Restored => (HookChange::PutBack, format!("put {} back as it was", file.display())),
            HookEdit::LinesRemoved => {
                (HookChange::TakenOut, format!("took our lines out of {}", file.display()))
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
        context.ui.status("there is nothing of ours");
    }
    Ok(())
}
