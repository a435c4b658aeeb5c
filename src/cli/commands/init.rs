//! `git pggit init`

use std::path::PathBuf;

use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::git::setup::{ConfigChange, SetupPlan, plan};
use crate::output::repository::InitOutput;
use crate::workspace::setup;

/// Set the repository up, so that plain git shows and fetches backups
///
/// Makes 'git log' show the notes of backups, keeps them on commits that are
/// rewritten, and makes 'git fetch' bring the records of every remote into a
/// namespace of their own (refs/pggit/remotes/), where they cannot overwrite
/// those of this repository. Only the configuration of this repository is
/// changed, and settings of yours are kept. It may be run again at any time:
/// after a remote was added or renamed it must be.
///
/// 'git log --graph --all --oneline' shows the records as commits of their own,
/// without the names of their refs, which would repeat the commit in 40 digits;
/// '--decorate-refs=refs/backups/*' shows these, too.
///
/// With --repository the records are kept in another repository on this machine,
/// which is made if it is missing, and this one stays as it is. 'git pggit ledger
/// export' and 'import' move records that are here already.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only say what is missing; fails with 'negative' if anything is
    #[arg(long)]
    check: bool,

    /// Keep the records in this repository beside the schema history
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
            context.ui.status(&format!("made {}", directory.path.display()));
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
        true => Err(Failure::new(Code::Negative, "")),
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
            context.ui.hint(&format!("take it out with: {remedy}"));
        }
    }
    for remote in &plan.unusable {
        context.ui.warning(&setup::unusable_remote(remote));
    }
}
