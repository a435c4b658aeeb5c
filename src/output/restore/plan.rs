//! A planned restore as JSON and as text.

use super::{PlannedDestination, RestorePlanOutput};
use crate::git::Oid;
use crate::recovery::restore::{Destination, Estimate, RestorePlan, Target};
use crate::recovery::{Effect, Error, PlannedStep};
use crate::terminal::message::ErrorMessage;
use crate::terminal::text::human_duration;
use crate::terminal::{OutputError, Ui};

impl RestorePlanOutput {
    /// Describes a plan. `refusals` are the errors that prevent the restore. Fails if the server of a
    /// database cannot be determined.
    pub fn new(
        plan: &RestorePlan<'_>,
        steps: Vec<PlannedStep>,
        estimate: Option<&Estimate>,
        refusals: Vec<ErrorMessage>,
    ) -> Result<Self, Error> {
        let Target { entry, commit, .. } = plan.target();
        let backup = &entry.backup;
        Ok(Self {
            backup: backup.id,
            backup_commit: backup.commit.clone(),
            commit: commit.to_commit(),
            tool: backup.tool.name.clone(),
            size_bytes: backup.size_bytes,
            into: destination(plan)?,
            steps: steps.into_iter().map(Into::into).collect(),
            estimate_s: estimate.map(|it| it.duration.as_secs_f64().round()),
            estimate_from: estimate.map(|it| it.from.clone()),
            refusals,
        })
    }
}

fn destination(plan: &RestorePlan<'_>) -> Result<PlannedDestination, Error> {
    Ok(match &plan.request().destination {
        Destination::Database(database) => {
            PlannedDestination::Database { database: database.name.clone(), server: plan.server()?.to_url() }
        }
        Destination::Directory(directory) => {
            PlannedDestination::Directory { directory: directory.path.to_string_lossy().into_owned() }
        }
    })
}

/// Prints a plan as text. Fails if standard output cannot be written.
pub fn print_plan(
    target: &Target,
    steps: &[PlannedStep],
    estimate: Option<&Estimate>,
    ui: &Ui,
) -> Result<(), OutputError> {
    let Target { entry, commit, .. } = target;
    let backup = &entry.backup;
    let (name, id, tool, short) = (&backup.name, backup.id, &backup.tool.name, backup.commit.short());
    let text = format!("backup {name} ({id}) by {tool} on {short}");
    ui.line(match Oid::from(&backup.commit) == *commit {
        true => text,
        false => format!("{text}, to commit {}", commit.short()),
    })?;
    print_steps(steps, estimate, ui)
}

fn print_steps(steps: &[PlannedStep], estimate: Option<&Estimate>, ui: &Ui) -> Result<(), OutputError> {
    for (number, step) in steps.iter().enumerate() {
        ui.line(format!("{}. {}", number + 1, step.what))?;
        if let Some(argv) = &step.argv {
            // The line is quoted for a shell; no argument contains a NUL.
            let line = shlex::try_join(argv.iter().map(String::as_str)).unwrap_or_else(|_| argv.join(" "));
            ui.line(format!("      {line}"))?;
        }
    }
    for undo in undoings(steps) {
        ui.line(undo)?;
    }
    if let Some(Estimate { duration, from }) = estimate {
        ui.line(format!("takes about {}, as {from}", human_duration(*duration)))?;
    }
    Ok(())
}

/// Returns the ways to undo the steps, in words.
fn undoings(steps: &[PlannedStep]) -> Vec<&'static str> {
    let mut said: Vec<&str> = Vec::new();
    for step in steps.iter().filter(|step| step.effect != Effect::Reads) {
        if !said.contains(&step.effect.undo()) {
            said.push(step.effect.undo());
        }
    }
    said
}
