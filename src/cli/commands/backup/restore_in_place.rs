//! `git pggit backup restore --in-place`, `restore list`, `resume`, `abort` and `finish`.

use super::restore_args::{Unfinished, Which};
use crate::cli::restores::{
    failed, print_proof, recorded, warn_not_marked, warn_of_difference, warn_of_state, watch_signals,
};
use crate::cli::{Context, logging};
use crate::failure::{Code, Failure};
use crate::output::restore::{FinishedRestore, RestoreStatusOutput, UnfinishedRestores};
use crate::recovery::in_place::ReplacedObject;
use crate::recovery::restore::replace::{Replaced, Replacement, RestoreStatus, UnfinishedRestore};
use crate::recovery::restore::{Created, Refusal, RestoreRequest};
use crate::terminal::bar;

/// Replaces the existing database or data directory. Fails without `force`.
pub(super) fn replace(request: RestoreRequest, force: bool, context: &Context) -> Result<(), Failure> {
    let replacement = Replacement::new(request, context)?;
    if !force {
        let message = format!("--in-place replaces {}", replacement.place());
        return Err(Failure::new(Code::Usage, message)
            .hint("confirm with --force; 'git pggit backup plan' shows the steps"));
    }
    let old = replacement.check()?;
    confirm(&replacement, context)?;
    go_on(replacement.begin(old)?, context)
}

/// Asks the user on a terminal to type the name of the database or directory to replace.
fn confirm(replacement: &Replacement<'_>, context: &Context) -> Result<(), Failure> {
    let place = replacement.place();
    let word = match &place {
        ReplacedObject::Database { dbname, .. } => dbname.clone(),
        ReplacedObject::Directory { path, .. } => path.display().to_string(),
    };
    let backup = &replacement.entry().backup;
    let (name, id, aside) = (&backup.name, backup.id, place.aside());
    let question = format!(
        "backup {name} ({id}) is going to replace {place}, which is renamed to {aside}\ntype {word} to continue: "
    );
    match context.ui.typed(&question)? {
        Some(answer) if answer != word => Err(crate::recovery::Error::from(Refusal::NotConfirmed).into()),
        _ => Ok(()),
    }
}

/// Continues a restore until the new database or directory is in place, and prints the result.
fn go_on(restore: UnfinishedRestore<'_>, context: &Context) -> Result<(), Failure> {
    watch_signals()?;
    logging::begin_with_warnings(context);
    let progress = bar::progress(&context.ui);
    let replaced = restore.go_on(progress.as_ref()).map_err(failed)?;
    drop(progress);
    let Replaced { id, place, backup, commit, made, status, recorded: result } = replaced;
    if let Some(outcome) = made {
        warn_of_difference(outcome.schema.as_ref(), context);
        warn_of_state(&outcome, context);
        print_proof(&outcome.proof, !outcome.ran.is_empty(), context);
        if let Created::Database(made) = &outcome.made {
            warn_not_marked(made.info.dbname(), made.not_marked.as_deref(), context);
        }
    }
    if let Some(result) = result {
        recorded(result, context);
    }
    if context.ui.wants_json() {
        if let Err(error) = status.positions {
            return Err(error.into());
        }
        return Ok(context.ui.json(&RestoreStatusOutput::from(&status))?);
    }
    context.ui.status(&format!("{place} is now backup {backup} at commit {}", commit.short()));
    context.ui.status(&format!("the old one is kept as {}", place.aside()));
    if let ReplacedObject::Directory { .. } = place {
        context.ui.hint("start its server and check the data");
    }
    context.ui.hint(&format!("'git pggit backup restore finish {id}' removes the old one"));
    context.ui.hint(&format!("'git pggit backup restore abort {id}' puts it back"));
    Ok(())
}

/// Lists the unfinished in-place restores, or resumes, aborts or finishes one of them.
pub(super) fn settle(asked: &Unfinished, context: &Context) -> Result<(), Failure> {
    let open = |which: &Which| {
        UnfinishedRestore::open(which.restore.as_deref(), which.disconnect, context).map_err(Failure::from)
    };
    match asked {
        Unfinished::List => {
            let all = RestoreStatus::all(context)?;
            Ok(context.ui.result(&UnfinishedRestores { restores: all.iter().map(Into::into).collect() })?)
        }
        Unfinished::Resume(which) => go_on(open(which)?, context),
        Unfinished::Abort(which) => {
            let place = open(which)?.abort()?;
            over(&place, "is as it was before; the restore was undone", context)
        }
        Unfinished::Finish(which) => {
            let (place, tablespaces) = open(which)?.finish()?;
            for tablespace in tablespaces {
                context.ui.hint(&format!("its tablespace {} still exists", tablespace.display()));
            }
            over(&place, "is the restored one; the old one is removed", context)
        }
    }
}

fn over(place: &ReplacedObject, what: &str, context: &Context) -> Result<(), Failure> {
    if context.ui.wants_json() {
        return Ok(context.ui.json(&FinishedRestore { place: place.clone() })?);
    }
    context.ui.status(&format!("{place} {what}"));
    Ok(())
}
