//! Puts into the queue what schedules and branches want, and notices what is
//! missing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::Chore;
use super::notifier::Notifier;
use super::run::in_a_line;
use crate::automation::{self, BackupJob, ScheduledRule};
use crate::config::Occasion;
use crate::domain::{self, DatabaseName, Timestamp};
use crate::notify::{Message, tell_once};
use crate::queue::{Filter, Queue};
use crate::workspace::{self, Factory, Workspace, queue};

/// The longest time between two looks.
const LOOK: Duration = Duration::from_secs(60);
/// How often branches are looked at: hooks see most of what happens.
const RECONCILE_S: i64 = 300;

/// Looks at schedules and branches, again and again.
pub(super) struct Scheduler {
    workspaces: Factory,
    queue: Arc<dyn Queue>,
    notifier: Arc<Notifier>,
    reconciled: Option<Timestamp>,
    /// What is wrong with the settings of a database, as far as it was told.
    told: BTreeMap<DatabaseName, String>,
}

impl Scheduler {
    /// One that puts jobs into `queue`.
    pub(super) fn new(workspaces: Factory, queue: Arc<dyn Queue>, notifier: Arc<Notifier>) -> Self {
        Self { workspaces, queue, notifier, reconciled: None, told: BTreeMap::new() }
    }

    fn look(&mut self) -> Result<Duration, workspace::Error> {
        let workspace = self.workspaces.open();
        let known = self.queue.list(&Filter::default())?.jobs;
        let now = workspace.now();
        let overview = workspace.ledger()?.overview()?;
        let tables = automation::timetables(workspace.config()?, &overview, &known, now);
        for (database, error) in tables.problems {
            self.complain(database, error.to_string());
        }
        for planned in tables.rules.iter().filter(|planned| planned.state.due) {
            self.enqueue(automation::scheduled_job(planned), &workspace);
        }
        for planned in &tables.rules {
            self.miss(planned, &workspace)?;
        }
        // A clock that was set back must not keep us from looking.
        let age = self.reconciled.map(|at| now.seconds_since(at));
        if age.is_none_or(|age| !(0..RECONCILE_S).contains(&age)) {
            self.reconcile(&known, &overview, &workspace)?;
            self.reconciled = Some(now);
        }
        let next = tables.rules.iter().filter_map(|planned| planned.state.next).min();
        let wait = next.map_or(LOOK.as_secs(), |next| next.seconds_since(now).max(0).unsigned_abs() + 1);
        Ok(Duration::from_secs(wait).min(LOOK))
    }

    fn reconcile(
        &mut self,
        known: &[domain::Job],
        overview: &crate::ledger::Overview,
        workspace: &Workspace,
    ) -> Result<(), workspace::Error> {
        let mut wrong = Vec::new();
        let rules = automation::branch_rules(workspace.config()?, |problem| wrong.push(problem));
        wrong.iter().for_each(|problem| warn!("{problem}"));
        for wanted in automation::missing_backups(workspace.repository()?, &rules, overview, known)? {
            self.enqueue(automation::merge_job(&wanted), workspace);
        }
        Ok(())
    }

    /// Puts a job into the queue. What is wrong with one database is no business
    /// of the others.
    fn enqueue(&mut self, job: BackupJob, workspace: &Workspace) {
        let BackupJob { database, reason, wish } = job;
        let new = queue::backup_job(workspace, &database, wish);
        match new.and_then(|new| Ok(self.queue.enqueue(new)?)) {
            Ok(enqueued) if enqueued.is_new => {
                info!(job = %enqueued.job.id, %database, reason, "queued a backup");
            }
            Ok(_) => {}
            Err(error) => self.complain(database, in_a_line(&error)),
        }
    }

    /// Tells that a backup is not there; once, whatever becomes of this process.
    /// What is only being queued now, or was not long ago, may still come.
    fn miss(&self, planned: &ScheduledRule, workspace: &Workspace) -> Result<(), workspace::Error> {
        let Some(slot) = planned.state.missed.filter(|_| !planned.state.due) else { return Ok(()) };
        let waited = planned.facts.attempted.map(|at| workspace.now().seconds_since(at));
        if waited.is_some_and(|waited| waited < i64::try_from(planned.grace.as_secs()).unwrap_or(i64::MAX)) {
            return Ok(());
        }
        let ScheduledRule { database, rule, .. } = planned;
        let told = workspace.ledger_repository()?.common_dir().join("pggit/told");
        match tell_once(&told, &format!("missed-{database}-{}", rule.key()), slot) {
            Ok(false) => return Ok(()),
            Ok(true) => {}
            Err(error) => warn!(dir = %told.display(), %error, "cannot note that it was told"),
        }
        warn!(%database, planned_for = %slot, "a backup is missing");
        let mut message = Message::new(Occasion::Missed, database.clone(), workspace.now());
        message.id = format!("missed-{database}-{}-{slot}", rule.key());
        message.slot = Some(slot);
        message.tool = Some(planned.tool.clone());
        self.notifier.send(message);
        Ok(())
    }

    /// Warns of the same thing only once.
    fn complain(&mut self, database: DatabaseName, problem: String) {
        if self.told.get(&database) != Some(&problem) {
            warn!(%database, problem, "nothing is planned");
            self.told.insert(database, problem);
        }
    }
}

impl Chore for Scheduler {
    fn name(&self) -> &'static str {
        "planner"
    }

    fn run(&mut self) -> Result<Duration, String> {
        self.look().map_err(|error| in_a_line(&error))
    }
}
