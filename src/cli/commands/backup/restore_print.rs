//! The output of `git pggit backup plan` and `git pggit backup restore`.

use super::restore_args::RestoreArgs;
use crate::cli::Context;
use crate::cli::restores::{print_proof, recorded, warn_not_marked, warn_of_difference, warn_of_state};
use crate::failure::{Code, Failure};
use crate::output::restore::{
    RestorePlanOutput, RestoredDatabase, RestoredDirectory, print_database, print_directory, print_plan,
};
use crate::recovery::restore::replace::Replacement;
use crate::recovery::restore::{Created, CreatedDirectory, Description, RestoreOutcome, RestorePlan};

/// Prints a plan. Fails with the first error that prevents the restore.
pub(super) fn plan(
    plan: &RestorePlan<'_>,
    description: Description,
    context: &Context,
) -> Result<(), Failure> {
    let estimate = plan.estimate()?;
    let Description { steps, refusals } = description;
    let refusals: Vec<Failure> = refusals.into_iter().map(Failure::from).collect();
    if context.ui.wants_json() {
        let errors = refusals.iter().map(Failure::output).collect();
        context.ui.json(&RestorePlanOutput::new(plan, steps, estimate.as_ref(), errors)?)?;
    } else {
        print_plan(plan.target(), &steps, estimate.as_ref(), &context.ui)?;
    }
    let Some((first, rest)) = refusals.split_first() else { return Ok(()) };
    rest.iter().for_each(|other| context.ui.failure(&other.output()));
    Err(first.clone())
}

/// Records and prints a successful restore.
pub(super) fn outcome(
    plan: &RestorePlan<'_>,
    outcome: RestoreOutcome,
    context: &Context,
) -> Result<(), Failure> {
    recorded(plan.record(&outcome), context);
    warn_of_difference(outcome.schema.as_ref(), context);
    warn_of_state(&outcome, context);
    let target = plan.target();
    match &outcome.made {
        Created::Database(made) => {
            // Without --keep-going the role may lack a privilege.
            if !plan.keeps_going() {
                warn_not_marked(made.info.dbname(), made.not_marked.as_deref(), context);
            }
            match context.ui.wants_json() {
                true => context.ui.json(&RestoredDatabase::new(target, &outcome, made))?,
                false => print_database(target, &outcome, made, &context.ui),
            }
        }
        Created::Directory(made) if context.ui.wants_json() => {
            context.ui.json(&RestoredDirectory::new(target, &outcome, made))?;
        }
        Created::Directory(made) => print_directory(target, &outcome, made, &context.ui)?,
    }
    // A part of a database is not expected to be at a commit.
    let is_part = matches!(&outcome.made, Created::Database(made) if made.part.is_some());
    if !is_part {
        print_proof(&outcome.proof, target.forward.is_some(), context);
    }
    match outcome.made {
        Created::Directory(CreatedDirectory { path, server: Some(Err(error)), .. }) => {
            let path = path.display();
            Err(Failure::from(error)
                .hint(format!("the restore into {path} is complete: start a server on it")))
        }
        Created::Database(made) if made.is_incomplete() => {
            let (count, dbname) = (made.left_out.len(), made.info.dbname());
            let message = format!("database {dbname} lacks {count} object(s) of the backup");
            Err(Failure::new(Code::CheckFailed, message)
                .hint("the other objects are restored; the warnings name the missing ones"))
        }
        Created::Database(made) if plan.keeps_going() => {
            let dbname = made.info.dbname();
            context.ui.hint(&format!("nothing is missing in {dbname}; 'git pggit mark' records its commit"));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Shows the plan of a restore.
pub(super) fn show(wanted: &RestoreArgs, context: &Context) -> Result<(), Failure> {
    wanted.from.apply(context)?;
    let request = wanted.request(context)?;
    if wanted.replaces() {
        let (described, description) = Replacement::new(request, context)?.describe()?;
        return plan(&described, description, context);
    }
    let described = RestorePlan::new(request, context)?;
    let description = described.describe()?;
    plan(&described, description, context)
}
