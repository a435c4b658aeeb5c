//! A restore that is shown and not done.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::ui::text::human_duration;
use crate::cli::{Context, Failure};
use crate::domain::{Backup, Line, Status, VerificationKind};
use crate::git::Oid;
use crate::ledger::{Entry, Filter};
use crate::recovery::{self, Effect, PlannedStep};

use super::snapshot;

/// What follows a restore that is shown, and what stands against that.
#[derive(Debug, Default)]
pub(crate) struct Then {
    pub(crate) steps: Vec<PlannedStep>,
    pub(crate) refusals: Vec<recovery::Error>,
}

/// What would be done.
pub(crate) struct Shown<'a> {
    /// The backup.
    pub(crate) entry: &'a Entry,
    /// The commit that it leads to.
    pub(crate) commit: Oid,
    /// Where to, as JSON says it.
    pub(crate) place: Value,
    /// The steps, in order.
    pub(crate) steps: Vec<PlannedStep>,
    /// What stands against it now.
    pub(crate) refusals: Vec<recovery::Error>,
}

impl Shown<'_> {
    /// The same, and what follows it.
    pub(crate) fn then(mut self, then: Then) -> Self {
        self.steps.extend(then.steps);
        self.refusals.extend(then.refusals);
        self
    }

    /// Shows it. What stands against it is how this ends.
    pub(crate) fn show(self, context: &Context) -> Result<(), Failure> {
        let estimate = estimate(&self.entry.backup, context)?;
        let refusals: Vec<Failure> = self.refusals.into_iter().map(Failure::from).collect();
        let backup = &self.entry.backup;
        if context.ui.wants_json() {
            let step = |step: &PlannedStep| {
                let mut value = json!(step);
                value["undo"] = step.effect.undo().into();
                value
            };
            context.ui.json(&json!({
                "backup": backup.id,
                "backup_commit": backup.commit,
                "commit": self.commit.to_commit(),
                "tool": backup.tool.name,
                "size_bytes": backup.size_bytes,
                "into": self.place,
                "steps": self.steps.iter().map(step).collect::<Vec<_>>(),
                "estimate_s": estimate.as_ref().map(|it| it.duration.as_secs_f64().round()),
                "estimate_from": estimate.as_ref().map(|it| &it.from),
                "refusals": refusals.iter().map(Failure::as_json).collect::<Vec<_>>(),
            }))?;
        } else {
            let (name, id, tool, short) = (&backup.name, backup.id, &backup.tool.name, backup.commit.short());
            let text = format!("backup {name} ({id}) by {tool} on {short}");
            context.ui.line(match Oid::from(&backup.commit) == self.commit {
                true => text,
                false => format!("{text}, to commit {}", self.commit.short()),
            })?;
            lines(&self.steps, estimate.as_ref(), context)?;
        }
        let Some((first, rest)) = refusals.split_first() else { return Ok(()) };
        rest.iter().for_each(|other| context.ui.failure(other));
        Err(first.clone())
    }
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

/// How the steps are undone, in words.
fn undoings(steps: &[PlannedStep]) -> Vec<&'static str> {
    let mut said: Vec<&str> = Vec::new();
    for step in steps.iter().filter(|step| step.effect != Effect::Reads) {
        if !said.contains(&step.effect.undo()) {
            said.push(step.effect.undo());
        }
    }
    said
}

/// How long it is going to take.
struct Estimate {
    duration: Duration,
    from: String,
}

/// What the last backup of the same database and tool took whose restore test was
/// measured, by its size.
fn estimate(backup: &Backup, context: &Context) -> Result<Option<Estimate>, Failure> {
    /// So many of the newest ones are looked at.
    const LOOKED_AT: usize = 10;
    let filter = Filter {
        databases: vec![backup.database.clone()],
        statuses: vec![Status::Completed],
        tools: vec![Line::lossy(backup.tool.name.as_str())],
        ..Filter::default()
    };
    let overview = snapshot(context)?;
    let rows = overview.select(&filter);
    for row in rows.iter().rev().filter(|row| row.is_verified()).take(LOOKED_AT) {
        let other = context.ledger()?.entry(row)?.backup;
        let test = other.last_verification(VerificationKind::RestoreTest);
        let seconds = test.and_then(|test| test.details.as_map().get("rto_s")?.as_f64());
        let (Some(seconds), Some(size), Some(of)) = (seconds, other.size_bytes, backup.size_bytes) else {
            continue;
        };
        let scaled = seconds * of as f64 / size.max(1) as f64;
        let Ok(duration) = Duration::try_from_secs_f64(scaled) else { continue };
        return Ok(Some(Estimate { duration, from: format!("the restore test of {} was", other.name) }));
    }
    Ok(None)
}
