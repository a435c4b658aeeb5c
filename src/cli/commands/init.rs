//! `git pggit init`

use std::path::PathBuf;

use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::git::setup::{ConfigChange, SetupPlan, plan};
use crate::output::repository::InitOutput;
use crate::workspace::setup;

/// Set up the repository so that plain git shows and fetches backups
///
/// Configures git so that 'git log' shows the notes of backups, rewritten commits
/// keep their notes, and 'git fetch' fetches the records of every remote into the
/// namespace refs/pggit/remotes/, where they cannot overwrite the records of this
/// repository. Only the configuration of this repository is changed, and your own
/// settings are kept. Run the command again after a remote was added or renamed.
///
/// 'git log --graph --all --oneline' shows the records as commits, without the
/// names of their refs, which repeat the commit in 40 digits;
/// '--decorate-refs=refs/backups/*' shows the names, too.
///
/// With --repository the records are kept in another repository on this machine,
/// which is created if it is missing; this repository gets no records. 'git pggit
/// ledger export' and 'import' move existing records.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only print the missing settings; fails with 'negative' if there are any
    #[arg(long)]
    check: bool,

    /// Keep the records in this repository, separate from the schema history
    #[arg(long, value_name = "DIR", conflicts_with = "check")]
    repository: Option<PathBuf>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit init
    git pggit init --check
    git pggit init --repository ../shop-backups.git";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    if let Some(directory) = &args.repository {
        setup::keep_records_in(directory, context)?;
    }
    let repository = context.ledger_repository()?;
    let config = context.ledger_git_config()?;
    let plan = plan(&config, &setup::NAMES);
    let directory = repository.missing_own_directory(&config);
    let path = directory.as_ref().map(|directory| directory.path.display().to_string());
    let changes = plan.steps.len() + usize::from(directory.is_some());
    if !args.check {
        if let Some(directory) = &directory {
            directory.create()?;
            context.ui.status(&format!("created {}", directory.path.display()));
        }
        for step in &plan.steps {
            step.apply(repository)?;
            context.ui.status(&done(step));
        }
    }
    context.ui.result(&InitOutput::new(&plan, path, !args.check, setup::remedy))?;
    warn(&plan, context);
    if changes == 0 {
        context.ui.status("already set up");
    }
    if context.config()?.databases().is_empty() {
        context
            .ui
            .hint("no database is configured; add one with 'git pggit database add <name> --url <url>'");
    }
    match args.check && changes > 0 {
        true => Err(Failure::new(Code::CheckFailed, "")),
        false => Ok(()),
    }
}

fn done(step: &ConfigChange) -> String {
    match step {
        ConfigChange::Add { key, value } => format!("set {key} = {value}"),
        ConfigChange::Remove { key, value } => format!("removed {key} = {value}"),
    }
}

fn warn(plan: &SetupPlan, context: &Context) {
    for danger in &plan.unsafe_refspecs {
        context.ui.warning(&setup::danger_text(danger));
        if let Some(remedy) = setup::remedy(danger) {
            context.ui.hint(&format!("remove the refspec: {remedy}"));
        }
    }
    for remote in &plan.unusable {
        context.ui.warning(&setup::unusable_remote(remote));
    }
}
