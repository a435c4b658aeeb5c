//! The scheduler: enqueues the backups of schedules and branches, and reports missed ones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::PeriodicTask;
use super::notifier::NotificationSender;
use super::run::one_line;
use crate::automation::{self, BackupJob, ScheduledRule};
use crate::config::Occasion;
use crate::domain::{self, DatabaseName, Timestamp};
use crate::notify::{Message, mark_reported};
use crate::queue::{Filter, Queue};
use crate::workspace::{self, Factory, Workspace, queue};

/// The longest interval between two runs.
const INTERVAL_MAX: Duration = Duration::from_secs(60);
/// The interval between two checks of branches, in seconds. Hooks notice most changes immediately.
const RECONCILE_S: i64 = 300;

/// The scheduler, a periodic task.
pub(super) struct Scheduler {
    workspaces: Factory,
    queue: Arc<dyn Queue>,
    notifier: Arc<NotificationSender>,
    reconciled: Option<Timestamp>,
    /// The last problem of each database that was logged.
    logged: BTreeMap<DatabaseName, String>,
}

impl Scheduler {
    /// Creates a scheduler for `queue`.
    pub(super) fn new(workspaces: Factory, queue: Arc<dyn Queue>, notifier: Arc<NotificationSender>) -> Self {
        Self { workspaces, queue, notifier, reconciled: None, logged: BTreeMap::new() }
    }

    fn run_once(&mut self) -> Result<Duration, workspace::Error> {
        let workspace = self.workspaces.open();
        let known = self.queue.list(&Filter::default())?.jobs;
        let now = workspace.now();
        let overview = workspace.ledger()?.overview()?;
        let tables = automation::timetables(workspace.config()?, &overview, &known, now);
        for (database, error) in tables.problems {
            self.warn_once(database, error.to_string());
        }
        for planned in tables.rules.iter().filter(|planned| planned.state.due) {
            self.enqueue(automation::scheduled_job(planned), &workspace);
        }
        for planned in &tables.rules {
            self.report_missed(planned, &workspace)?;
        }
        // Also check if the clock was set back.
        let age = self.reconciled.map(|at| now.seconds_since(at));
        if age.is_none_or(|age| !(0..RECONCILE_S).contains(&age)) {
            self.reconcile(&known, &overview, &workspace)?;
            self.reconciled = Some(now);
        }
        let next = tables.rules.iter().filter_map(|planned| planned.state.next).min();
        let wait =
            next.map_or(INTERVAL_MAX.as_secs(), |next| next.seconds_since(now).max(0).unsigned_abs() + 1);
        Ok(Duration::from_secs(wait).min(INTERVAL_MAX))
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

    /// Enqueues a job. An error of one database does not affect the others.
    fn enqueue(&mut self, job: BackupJob, workspace: &Workspace) {
        let BackupJob { database, reason, wish } = job;
        let new = queue::backup_job(workspace, &database, wish);
        match new.and_then(|new| Ok(self.queue.enqueue(new)?)) {
            Ok(enqueued) if enqueued.is_new => {
                info!(job = %enqueued.job.id, %database, reason, "scheduler enqueued a backup");
            }
            Ok(_) => {}
            Err(error) => self.warn_once(database, one_line(&error)),
        }
    }

    /// Sends a notification about a missed backup, only once, even across restarts. Backups that
    /// are due or were attempted within the grace period may still come.
    fn report_missed(&self, planned: &ScheduledRule, workspace: &Workspace) -> Result<(), workspace::Error> {
        let Some(slot) = planned.state.missed.filter(|_| !planned.state.due) else { return Ok(()) };
        let waited = planned.facts.attempted.map(|at| workspace.now().seconds_since(at));
        if waited.is_some_and(|waited| waited < i64::try_from(planned.grace.as_secs()).unwrap_or(i64::MAX)) {
            return Ok(());
        }
        let ScheduledRule { database, rule, .. } = planned;
        let markers = workspace.ledger_repository()?.common_dir().join("pggit/told");
        match mark_reported(&markers, &format!("missed-{database}-{}", rule.key()), slot) {
            Ok(false) => return Ok(()),
            Ok(true) => {}
            Err(error) => {
                warn!(dir = %markers.display(), %error, "could not mark the missed backup as reported");
            }
        }
        warn!(%database, planned_for = %slot, "a backup is missing");
        let mut message = Message::new(Occasion::Missed, database.clone(), workspace.now());
        message.id = format!("missed-{database}-{}-{slot}", rule.key());
        message.slot = Some(slot);
        message.tool = Some(planned.tool.clone());
        self.notifier.send(message);
        Ok(())
    }

    /// Logs a problem of a database, unless it is the same as the last one.
    fn warn_once(&mut self, database: DatabaseName, problem: String) {
        if self.logged.get(&database) != Some(&problem) {
            warn!(%database, problem, "scheduler cannot enqueue backups");
            self.logged.insert(database, problem);
        }
    }
}

impl PeriodicTask for Scheduler {
    fn name(&self) -> &'static str {
        "scheduler"
    }

    fn run(&mut self) -> Result<Duration, String> {
        self.run_once().map_err(|error| one_line(&error))
    }
}
