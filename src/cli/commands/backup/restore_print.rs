//! The output of `git pggit backup plan` and `git pggit backup restore`.

use crate::cli::Context;
use crate::cli::restores::{recorded, warn_not_marked, warn_of_difference};
use crate::domain::RecoveryTarget;
use crate::domain::human_bytes;
use crate::failure::Failure;
use crate::git::Oid;
use crate::output::restore::{
    PlannedDestination, RestorePlanOutput, RestoredDatabase, RestoredDirectory, RestoredRoles, StartedServer,
};
use crate::recovery::restore::{
    Description, Destination, Estimate, Made, MadeDatabase, MadeDirectory, RestoreOutcome, RestorePlan,
    SchemaComparison, Target,
};
use crate::recovery::{Archiving, Effect, Forward, PlannedStep, Started, Way};
use crate::terminal::text::human_duration;

/// Prints a plan. What prevents the restore is the result.
pub(super) fn plan(
    plan: &RestorePlan<'_>,
    description: Description,
    context: &Context,
) -> Result<(), Failure> {
    let estimate = plan.estimate()?;
    let Description { steps, refusals } = description;
    let refusals: Vec<Failure> = refusals.into_iter().map(Failure::from).collect();
    let Target { entry, commit, .. } = plan.target();
    let backup = &entry.backup;
    if context.ui.wants_json() {
        context.ui.json(&RestorePlanOutput {
            backup: backup.id,
            backup_commit: backup.commit.clone(),
            commit: commit.to_commit(),
            tool: backup.tool.name.clone(),
            size_bytes: backup.size_bytes,
            into: place(plan)?,
            steps: steps.into_iter().map(Into::into).collect(),
            estimate_s: estimate.as_ref().map(|it| it.duration.as_secs_f64().round()),
            estimate_from: estimate.as_ref().map(|it| it.from.clone()),
            refusals: refusals.iter().map(Failure::output).collect(),
        })?;
    } else {
        let (name, id, tool, short) = (&backup.name, backup.id, &backup.tool.name, backup.commit.short());
        let text = format!("backup {name} ({id}) by {tool} on {short}");
        context.ui.line(match Oid::from(&backup.commit) == *commit {
            true => text,
            false => format!("{text}, to commit {}", commit.short()),
        })?;
        lines(&steps, estimate.as_ref(), context)?;
    }
    let Some((first, rest)) = refusals.split_first() else { return Ok(()) };
    rest.iter().for_each(|other| context.ui.failure(&other.output()));
    Err(first.clone())
}

/// Returns the destination of a plan.
fn place(plan: &RestorePlan<'_>) -> Result<PlannedDestination, Failure> {
    Ok(match &plan.request().destination {
        Destination::Database(database) => {
            PlannedDestination::Database { database: database.name.clone(), server: plan.server()?.to_url() }
        }
        Destination::Directory(directory) => {
            PlannedDestination::Directory { directory: directory.path.to_string_lossy().into_owned() }
        }
    })
}

fn lines(steps: &[PlannedStep], estimate: Option<&Estimate>, context: &Context) -> Result<(), Failure> {
    for (number, step) in steps.iter().enumerate() {
        context.ui.line(format!("{}. {}", number + 1, step.what))?;
        if let Some(argv) = &step.argv {
            // As a shell takes it; no word has a NUL.
            let line = shlex::try_join(argv.iter().map(String::as_str)).unwrap_or_else(|_| argv.join(" "));
            context.ui.line(format!("      {line}"))?;
        }
    }
    for undo in undoings(steps) {
        context.ui.line(undo)?;
    }
    if let Some(Estimate { duration, from }) = estimate {
        context.ui.line(format!("takes about {}, as {from}", human_duration(*duration)))?;
    }
    Ok(())
}

/// Returns how the steps are undone, in words.
fn undoings(steps: &[PlannedStep]) -> Vec<&'static str> {
    let mut said: Vec<&str> = Vec::new();
    for step in steps.iter().filter(|step| step.effect != Effect::Reads) {
        if !said.contains(&step.effect.undo()) {
            said.push(step.effect.undo());
        }
    }
    said
}

/// Records a restore that has succeeded, and prints it.
pub(super) fn outcome(
    plan: &RestorePlan<'_>,
    outcome: RestoreOutcome,
    context: &Context,
) -> Result<(), Failure> {
    recorded(plan.record(&outcome), context);
    warn_of_difference(outcome.schema.as_ref(), context);
    let target = plan.target();
    match &outcome.made {
        Made::Database(made) => {
            warn_not_marked(made.info.dbname(), made.not_marked.as_deref(), context);
            match context.ui.wants_json() {
                true => context.ui.json(&database_output(target, &outcome, made))?,
                false => database(target, &outcome, made, context),
            }
        }
        Made::Directory(made) if context.ui.wants_json() => {
            context.ui.json(&directory_output(target, &outcome, made))?;
        }
        Made::Directory(made) => directory(target, &outcome, made, context)?,
    }
    match outcome.made {
        Made::Directory(MadeDirectory { path, server: Some(Err(error)), .. }) => {
            let path = path.display();
            Err(Failure::from(error).hint(format!("all that was wanted is in {path}: start a server on it")))
        }
        _ => Ok(()),
    }
}

fn database_output(target: &Target, outcome: &RestoreOutcome, made: &MadeDatabase) -> RestoredDatabase {
    let backup = &target.entry.backup;
    RestoredDatabase {
        backup: backup.id,
        commit: target.commit.to_commit(),
        backup_commit: backup.commit.clone(),
        database: made.info.dbname().to_owned(),
        size_bytes: outcome.bytes,
        duration_s: outcome.duration.as_secs_f64(),
        schema_compared_with: outcome.schema.as_ref().map(|schema| schema.with.clone()),
        schema_difference: outcome.schema.as_ref().and_then(|schema| schema.difference.clone()),
        left_out: made.left_out.clone(),
        not_marked: made.not_marked.clone(),
        roles: made.roles.as_ref().map(|roles| RestoredRoles {
            made: roles.made.clone(),
            kept: roles.kept.clone(),
            left_out: roles.left_out.clone(),
        }),
    }
}

fn database(target: &Target, outcome: &RestoreOutcome, made: &MadeDatabase, context: &Context) {
    if let Some(roles) = &made.roles {
        let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        context.ui.status(&format!("created roles: {}", list(&roles.made)));
        context.ui.status(&format!("left as they are: {}", list(&roles.kept)));
        roles.left_out.iter().for_each(|what| context.ui.warning(what));
    }
    for what in &made.left_out {
        context.ui.warning(&format!("left out, since it needs what is not restored: {what}"));
    }
    let (size, backup, dbname) = (human_bytes(outcome.bytes), &target.entry.backup, made.info.dbname());
    let (name, short) = (&backup.name, backup.commit.short());
    context.ui.status(&format!("restored backup {name} ({size}, commit {short}) into database {dbname}"));
    schema(target, outcome.schema.as_ref(), context);
}

fn directory_output(target: &Target, outcome: &RestoreOutcome, made: &MadeDirectory) -> RestoredDirectory {
    let backup = &target.entry.backup;
    let started = made.server.as_ref().and_then(|server| server.as_ref().ok());
    let text = |path: &std::path::PathBuf| path.to_string_lossy().into_owned();
    RestoredDirectory {
        backup: backup.id,
        commit: target.commit.to_commit(),
        backup_commit: backup.commit.clone(),
        backups: made.members.clone(),
        directory: text(&made.path),
        tablespaces: made.tablespaces.iter().map(text).collect(),
        archive_mode: if made.archiving == Archiving::Off { "off" } else { "preserve" }.to_owned(),
        size_bytes: outcome.bytes,
        until: made.until.clone(),
        recovered: made.is_recovered,
        schema_compared_with: outcome.schema.as_ref().map(|schema| schema.with.clone()),
        schema_difference: outcome.schema.as_ref().and_then(|schema| schema.difference.clone()),
        server: started.map(|started| StartedServer {
            url: started.url.clone(),
            stop: started.stop.clone(),
            user: started.user.clone(),
        }),
        duration_s: outcome.duration.as_secs_f64(),
    }
}

fn directory(
    target: &Target,
    outcome: &RestoreOutcome,
    made: &MadeDirectory,
    context: &Context,
) -> Result<(), Failure> {
    let (backup, ui) = (&target.entry.backup, &context.ui);
    let (size, name, short) = (human_bytes(outcome.bytes), &backup.name, backup.commit.short());
    let path = made.path.display();
    ui.status(&format!("restored backup {name} ({size}, commit {short}) into data directory {path}"));
    schema(target, outcome.schema.as_ref(), context);
    if let Some(version) = backup.postgres.as_ref().and_then(|postgres| postgres.version.as_ref()) {
        let major = version.as_str().split('.').next().unwrap_or_default();
        ui.status(&format!("it takes a server of PostgreSQL {major}"));
    }
    if !made.is_recovered && made.until != RecoveryTarget::Immediate {
        ui.status(&format!("a server that is started on it replays the log up to {}", made.until));
    }
    match made.archiving {
        Archiving::Off => ui.status("archive_mode is off in its postgresql.auto.conf"),
        Archiving::Preserve if made.is_recovered => {
            ui.warning("what the migrations have written is in no archive: make a backup once it runs");
        }
        Archiving::Preserve => {}
    }
    let Some(Ok(Started { url, stop, user })) = &made.server else { return Ok(()) };
    let who = user.as_ref().map_or(String::new(), |user| format!(", as user {user}"));
    ui.status(&format!("a server runs on it; this stops it{who}: {}", stop.join(" ")));
    Ok(ui.line(url)?)
}

/// Prints how the database got to its commit, and the comparison of its schema.
fn schema(target: &Target, schema: Option<&SchemaComparison>, context: &Context) {
    let equal = schema.filter(|schema| schema.is_equal());
    if let Some(forward) = &target.forward {
        context.ui.status(&arrival(forward, equal.is_some()));
    }
    if let Some(SchemaComparison { with, .. }) = equal {
        context.ui.status(&format!("its schema equals {with}"));
    }
}

/// Describes how a database got to another commit than that of its backup. If nothing was run, only
/// an equal schema shows that it is there.
fn arrival(forward: &Forward, is_equal: bool) -> String {
    let commit = forward.commit.short();
    match &forward.way {
        Way::Files(none) if none.is_empty() && is_equal => {
            format!("it is at commit {commit}, too: no migration differs between the two commits")
        }
        Way::Files(none) if none.is_empty() => {
            format!("nothing was run: no migration differs between its commit and {commit}")
        }
        Way::Files(_) | Way::Command(_) => format!("migrated it to commit {commit}"),
    }
}
