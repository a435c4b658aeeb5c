//! `git pggit hooks install`

use super::{hook, meant, place, program};
use crate::cli::Context;
use crate::failure::Failure;
use crate::git::hooks::{Hook, HookEdit};
use crate::output::schedule::{ChangedHook, ChangedHooks, HookChange};

/// Install the git hooks that enqueue backups
///
/// After a merge, a rebase or a push the hooks enqueue a backup of each database
/// with a matching rule (pggit.<database>.onMerge); a worker makes the backup. The
/// lines of git-pggit stand between two markers, before your own lines, and never
/// make git fail. A hook that is not a shell script is renamed to
/// <hook>.before-pggit, and the new hook runs it. 'git pggit hooks remove' reverts
/// all changes. Run the command again after this program was moved.
///
/// core.hooksPath is respected. In a bare repository on a server only the hook
/// post-receive takes effect.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only these hooks; by default all: post-merge, post-commit, post-rewrite, post-receive
    #[arg(value_parser = hook, value_name = "HOOK")]
    hooks: Vec<Hook>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git config pggit.shop.onMerge 'main release/*'
    git pggit hooks install
    git pggit hooks install post-receive";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let hooks = place(context)?;
    let program = program()?;
    let mut rows: Vec<ChangedHook> = Vec::new();
    for hook in meant(&args.hooks) {
        let installed = hooks.install(hook, &program)?;
        let file = hooks.file(hook);
        let (done, text) = match &installed {
            HookEdit::Created => (HookChange::Made, format!("created {}", file.display())),
            HookEdit::Renamed(aside) => {
                (HookChange::PutAside, format!("renamed {} to {}", file.display(), aside.display()))
            }
            HookEdit::Unchanged => (HookChange::Unchanged, String::new()),
            _ => (HookChange::Extended, format!("extended {}", file.display())),
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
    let unchanged = rows.iter().all(|row| row.done == HookChange::Unchanged);
    if context.ui.wants_json() {
        context.ui.json(&ChangedHooks { hooks: rows })?;
    } else if unchanged {
        context.ui.status("already installed");
    }
    if hooks.is_configured {
        let dir = hooks.dir.display();
        context
            .ui
            .warning(&format!("core.hooksPath is set: other repositories may use the hooks in {dir}, too"));
    }
    let config = context.config()?;
    let rules =
        config.databases().iter().map(|name| config.merge_rule(name)).collect::<Result<Vec<_>, _>>()?;
    if rules.iter().all(Option::is_none) {
        let name = config.databases().first().map_or("<database>".to_owned(), ToString::to_string);
        context.ui.hint(&format!("no branch is watched yet: git config pggit.{name}.onMerge main"));
    }
    Ok(())
}
