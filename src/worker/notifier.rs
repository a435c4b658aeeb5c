//! Sends notifications about jobs.
//!
//! A thread of its own sends the notifications, so that a slow or unreachable receiver does not
//! delay jobs. The queue keeps a pending notification with the job until it was sent (an outbox).
//! If a worker crashes before, the next one sends it. So a notification may arrive twice, with the
//! same id, but it does arrive.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::{debug, info, warn};

use super::events::{Event, Listener};
use super::run::one_line;
use super::{NotifyOnSuccess, PeriodicTask};
use crate::automation::is_recovery;
use crate::config::{Notifications, Occasion};
use crate::domain::{DatabaseName, Job, JobKind, JobState, Owner, Work};
use crate::notify::{self, DeliveryPolicy, Message};
use crate::process::crash_point;
use crate::queue::{self, Filter, Queue};
use crate::workspace::{self, Factory};

/// The time that a stopping worker waits for pending notifications.
const FINISH_TIMEOUT: Duration = Duration::from_secs(30);

/// The first and the longest interval between two searches for pending notifications of other
/// workers. It doubles in between, because most are found after the start.
const FIRST_LOOK: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_secs(60);

/// A request to the thread.
enum SenderTask {
    Message(Box<Message>),
    /// A job that has ended, and the size of the backup in bytes, if known. The thread finds out if
    /// it is the first success after failures.
    Job(Box<Job>, Option<u64>),
}

/// Passes notifications to the thread that sends them.
pub(super) struct NotificationSender {
    sender: Mutex<Option<Sender<SenderTask>>>,
    done: Mutex<Receiver<()>>,
    queue: Arc<dyn Queue>,
    me: Option<Owner>,
}

impl NotificationSender {
    /// Starts the thread.
    pub(super) fn start(workspaces: Factory, queue: Arc<dyn Queue>) -> std::io::Result<Self> {
        let (sender, receiver) = channel();
        let (finished, done) = channel();
        let jobs = Arc::clone(&queue);
        std::thread::Builder::new().name("notify".to_owned()).spawn(move || {
            // Dropped when the thread exits, even by a panic.
            let _finished: Sender<()> = finished;
            if let Err(error) = work(&workspaces, jobs.as_ref(), &receiver) {
                warn!(error, "notifications are disabled");
            }
        })?;
        let me = Owner::current().ok();
        Ok(Self { sender: Mutex::new(Some(sender)), done: Mutex::new(done), queue, me })
    }

    /// Sends the pending notifications of other workers. Fails if the queue cannot be read.
    pub(super) fn send_pending(&self) -> Result<(), queue::Error> {
        for job in self.queue.claim_notifications(self.me.as_ref())? {
            info!(job = %job.id, database = %job.work.database(), "resending pending notification");
            self.submit(SenderTask::Job(Box::new(job), None));
        }
        Ok(())
    }

    /// Sends a message in the background.
    pub(super) fn send(&self, message: Message) {
        self.submit(SenderTask::Message(Box::new(message)));
    }

    fn submit(&self, request: SenderTask) {
        if let Some(sender) = self.sender.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            let _ = sender.send(request);
        }
    }

    /// Waits until all notifications are sent, at most half a minute.
    pub(super) fn finish(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if done.recv_timeout(FINISH_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
            warn!("stopped before all notifications were sent");
        }
    }
}

impl Listener for NotificationSender {
    fn on(&self, event: &Event) {
        match event {
            // Without a pending notification, no receiver is configured for it.
            Event::Succeeded { job, measured, .. } if job.pending_notification.is_some() => {
                self.submit(SenderTask::Job(job.clone(), measured.size_bytes));
            }
            Event::FailedForGood { job, .. } => self.submit(SenderTask::Job(job.clone(), None)),
            _ => {}
        }
    }
}

/// The periodic task that sends pending notifications of other workers.
pub(super) struct OutboxTask {
    notifier: Arc<NotificationSender>,
    wait: Duration,
}

impl OutboxTask {
    /// Creates the task for `notifier`.
    pub(super) fn of(notifier: Arc<NotificationSender>) -> Self {
        Self { notifier, wait: FIRST_LOOK }
    }
}

impl PeriodicTask for OutboxTask {
    fn name(&self) -> &'static str {
        "outbox"
    }

    fn run(&mut self) -> Result<Duration, String> {
        self.notifier.send_pending().map_err(|error| one_line(&error))?;
        let next = (self.wait * 2).min(LOOK);
        Ok(std::mem::replace(&mut self.wait, next))
    }
}

/// Returns a function that decides, by the current configuration, if a receiver wants notifications
/// about completed jobs.
pub(super) fn notify_on_success(workspaces: Factory) -> NotifyOnSuccess {
    Box::new(move |job| {
        job.work.kind() == JobKind::Backup
            && receivers(&workspaces, job.work.database()).map_or(true, |to| {
                let wanted = [Occasion::Success, Occasion::Recovered];
                let reaches = !to.webhooks.is_empty() || !to.commands.is_empty();
                to.heartbeat.is_some() || (reaches && wanted.iter().any(|it| to.occasions.contains(it)))
            })
    })
}

fn about(job: &Job) -> Message {
    let occasion = match (job.state, job.work.kind()) {
        (JobState::Completed, _) => Occasion::Success,
        (_, JobKind::Verify) => Occasion::Verification,
        _ => Occasion::Failure,
    };
    let mut message = Message::new(occasion, job.work.database().clone(), job.updated_at);
    // Each end of a job has one message.
    message.id = format!("{}-{}", job.id, job.token);
    message.job = Some(job.id.to_string());
    message.backup = Some(job.work.backup().to_string());
    message.attempts = Some(job.attempts);
    message.tool = job.work.tool().cloned();
    message.error.clone_from(&job.last_error);
    if let Some(last) = job.history.last().filter(|_| occasion == Occasion::Success) {
        let took = last.ended_at.as_datetime() - last.started_at.as_datetime();
        message.duration_s = took.to_std().ok().map(|took| took.as_secs_f64());
    }
    if let Work::Backup(work) = &job.work {
        message.commit = work.commit.as_ref().map(ToString::to_string);
    }
    message
}

/// Sends notifications until the channel is closed.
fn work(workspaces: &Factory, queue: &dyn Queue, receiver: &Receiver<SenderTask>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let notifier = notify::Notifier::new(DeliveryPolicy::default(), crate::process::host());
    let notifier = notifier.map_err(|error| error.to_string())?;
    while let Ok(request) = receiver.recv() {
        let (message, job) = match request {
            SenderTask::Message(message) => (*message, None),
            SenderTask::Job(job, size) => (of_job(workspaces, queue, &job, size), Some(job)),
        };
        match receivers(workspaces, &message.database) {
            Ok(to) => {
                let message = adapted_to(&to, message);
                for delivery in runtime.block_on(notifier.send(&to, &message)) {
                    let (to, event) = (&delivery.to, message.occasion.as_str());
                    match delivery.result {
                        Ok(()) => debug!(to, event, database = %message.database, "notification sent"),
                        Err(error) => {
                            warn!(to, event, database = %message.database, %error, "notification failed");
                        }
                    }
                }
            }
            Err(error) => {
                warn!(database = %message.database, error = one_line(&error), "notification failed");
            }
        }
        crash_point("worker.sent");
        if let Some(job) = job.filter(|job| job.pending_notification.is_some())
            && let Err(error) = queue.mark_notified(job.id, job.token)
        {
            warn!(job = %job.id, %error, "could not mark notification as sent; it may be sent twice");
        }
    }
    Ok(())
}

fn receivers(workspaces: &Factory, database: &DatabaseName) -> Result<Notifications, workspace::Error> {
    Ok(workspaces.open().config()?.notifications(database)?)
}

/// Returns the message about a job.
fn of_job(workspaces: &Factory, queue: &dyn Queue, job: &Job, size: Option<u64>) -> Message {
    let mut message = about(job);
    if message.occasion == Occasion::Success {
        let recorded = || workspaces.open().ledger().ok()?.by_id(job.work.backup()).ok()?.backup.size_bytes;
        message.size_bytes = size.or_else(recorded);
        message = recovered(queue, job, message);
    }
    message
}

fn recovered(queue: &dyn Queue, job: &Job, mut message: Message) -> Message {
    let filter = Filter { database: Some(job.work.database().clone()), ..Filter::default() };
    let others = queue.list(&filter).map(|listing| listing.jobs).unwrap_or_default();
    if is_recovery(job, &others) {
        message.occasion = Occasion::Recovered;
    }
    message
}

/// Sends a recovery as a success to receivers that want only successes.
fn adapted_to(to: &Notifications, mut message: Message) -> Message {
    if message.occasion == Occasion::Recovered
        && !to.occasions.contains(&Occasion::Recovered)
        && to.occasions.contains(&Occasion::Success)
    {
        message.occasion = Occasion::Success;
    }
    message
}
