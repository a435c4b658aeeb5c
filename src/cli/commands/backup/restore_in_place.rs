//! `git pggit backup restore --in-place`, `restore list`, `resume`, `abort` and `finish`.

use super::restore::{Unfinished, Which};
use super::{restore_print, view};
use crate::cli::restores::{failed, recorded, warn_not_marked, warn_of_difference, watch_signals};
use crate::cli::{Context, logging};
use crate::failure::{Code, Failure};
use crate::output::restore::{FinishedRestore, RestoreStatusOutput, UnfinishedRestores};
use crate::recovery::in_place::{Place, Stage};
use crate::recovery::restore::replace::{Replaced, Replacement, RestoreStatus, UnfinishedRestore};
use crate::recovery::restore::{Made, Refusal, RestoreRequest};
use crate::terminal::Table;
use crate::terminal::bar;

/// Shows what would be done.
pub(super) fn show(request: RestoreRequest, context: &Context) -> Result<(), Failure> {
    let (plan, description) = Replacement::new(request, context)?.describe()?;
    restore_print::plan(&plan, description, context)
}

/// Replaces what is there.
pub(super) fn run(request: RestoreRequest, force: bool, context: &Context) -> Result<(), Failure> {
    let replacement = Replacement::new(request, context)?;
    if !force {
        let message = format!("--in-place replaces {}", replacement.place());
        return Err(Failure::new(Code::Usage, message)
            .hint("--force says that you mean it; 'git pggit backup plan' shows what it does"));
    }
    let old = replacement.check()?;
    confirm(&replacement, context)?;
    go_on(replacement.begin(old)?, context)
}

/// On a terminal, somebody has to type what is to be replaced.
fn confirm(replacement: &Replacement<'_>, context: &Context) -> Result<(), Failure> {
    let place = replacement.place();
    let word = match &place {
        Place::Database { dbname, .. } => dbname.clone(),
        Place::Directory { path, .. } => path.display().to_string(),
    };
    let backup = &replacement.entry().backup;
    let (name, id, aside) = (&backup.name, backup.id, place.aside());
    let question = format!(
        "backup {name} ({id}) is going to take the place of {place}, which becomes {aside}\ntype {word} to go on: "
    );
    match context.ui.typed(&question)? {
        Some(answer) if answer != word => Err(crate::recovery::Error::from(Refusal::NotConfirmed).into()),
        _ => Ok(()),
    }
}

/// Creates the new one, puts it in place, and prints that.
fn go_on(restore: UnfinishedRestore<'_>, context: &Context) -> Result<(), Failure> {
    watch_signals()?;
    logging::begin_with_warnings(context);
    let progress = bar::progress(&context.ui);
    let replaced = restore.go_on(progress.as_ref()).map_err(failed)?;
    drop(progress);
    let Replaced { id, place, backup, commit, made, status, recorded: result } = replaced;
    if let Some(outcome) = made {
        warn_of_difference(outcome.schema.as_ref(), context);
        if let Made::Database(made) = &outcome.made {
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
        return Ok(context.ui.json(&output(&status))?);
    }
    context.ui.status(&format!("{place} is now backup {backup} at commit {}", commit.short()));
    context.ui.status(&format!("what was there before is {}", place.aside()));
    if let Place::Directory { .. } = place {
        context.ui.hint("start its server and look at it");
    }
    context.ui.hint(&format!("'git pggit backup restore finish {id}' removes the old one"));
    context.ui.hint(&format!("'git pggit backup restore abort {id}' puts it back"));
    Ok(())
}

/// Lists the restores that are not over, or does what is asked for one of them.
pub(super) fn settle(asked: &Unfinished, context: &Context) -> Result<(), Failure> {
    let open = |which: &Which| {
        UnfinishedRestore::open(which.restore.as_deref(), which.disconnect, context).map_err(Failure::from)
    };
    match asked {
        Unfinished::List => list(context),
        Unfinished::Resume(which) => go_on(open(which)?, context),
        Unfinished::Abort(which) => {
            let place = open(which)?.abort()?;
            over(&place, "is as it was before; nothing is left of the restore", context)
        }
        Unfinished::Finish(which) => {
            let (place, tablespaces) = open(which)?.finish()?;
            for tablespace in tablespaces {
                context.ui.hint(&format!("its tablespace {} is still there", tablespace.display()));
            }
            over(&place, "is what was restored; what was there before is removed", context)
        }
    }
}

fn over(place: &Place, what: &str, context: &Context) -> Result<(), Failure> {
    if context.ui.wants_json() {
        return Ok(context.ui.json(&FinishedRestore { place: place.clone() })?);
    }
    context.ui.status(&format!("{place} {what}"));
    Ok(())
}

fn output(status: &RestoreStatus) -> RestoreStatusOutput {
    let RestoreStatus { id, journal, is_busy, positions } = status;
    let known = positions.as_ref().ok();
    RestoreStatusOutput {
        id: id.clone(),
        backup: journal.backup,
        commit: journal.commit.clone(),
        begun_at: journal.begun_at,
        place: journal.place.clone(),
        stage: journal.stage,
        busy: *is_busy,
        in_place: known.map(|positions| positions.in_place.to_owned()),
        old: known.map(|positions| positions.old),
        new: known.map(|positions| positions.new),
        error: positions.as_ref().err().map(ToString::to_string),
    }
}

fn list(context: &Context) -> Result<(), Failure> {
    let all = RestoreStatus::all(context)?;
    if context.ui.wants_json() {
        return Ok(context.ui.json(&UnfinishedRestores { restores: all.iter().map(output).collect() })?);
    }
    let mut table = Table::new(["ID", "PLACE", "BEGUN", "COMMIT", "IN PLACE", "STATE"]);
    for RestoreStatus { id, journal, is_busy, positions } in &all {
        table.cell(id);
        table.cell(&journal.place.to_string());
        table.cell(&view::time(journal.begun_at));
        table.cell(journal.commit.short());
        table.cell(&match positions {
            Ok(positions) => positions.in_place.to_owned(),
            Err(error) => format!("? {error}"),
        });
        table.cell(match (is_busy, journal.stage) {
            (true, _) => "at work",
            (_, Stage::Making) => "interrupted while it was made",
            (_, Stage::Ready) => "interrupted before it was in place",
            (_, Stage::Replaced) => "in place",
            (_, Stage::Aborting) => "interrupted while it was undone",
            (_, Stage::Finishing) => "interrupted while the old one was removed",
        });
    }
    Ok(context.ui.table(&table)?)
}
