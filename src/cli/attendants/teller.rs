//! Tells what became of jobs to whoever is configured to hear it.
//!
//! Messages are sent by a thread of their own: neither a slow receiver nor one
//! that is not there keeps a worker from its jobs.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::{debug, warn};

use super::{Seed, in_a_line};
use crate::automation::is_recovery;
use crate::cli::Failure;
use crate::config::{Notifications, Occasion};
use crate::domain::{Job, JobKind, Work};
use crate::notify::{Message, Notifier, Patience};
use crate::queue::{Filter, Queue};
use crate::worker::events::{Event, Listener};

/// How long a worker that ends waits for what is still to be told.
const LAST_WORDS: Duration = Duration::from_secs(30);

/// What is handed to the thread.
enum Told {
    Message(Box<Message>),
    /// A backup was completed: whether it is the first for a while is found out
    /// there.
    Succeeded(Box<Job>, Box<Message>),
}

/// Takes what is to be told.
pub(crate) struct Teller {
    sender: Mutex<Option<Sender<Told>>>,
    done: Mutex<Receiver<()>>,
}

impl Teller {
    /// Starts the thread.
    pub(crate) fn start(seed: Seed, queue: Arc<dyn Queue>) -> std::io::Result<Self> {
        let (sender, told) = channel();
        let (finished, done) = channel();
        std::thread::Builder::new().name("notify".to_owned()).spawn(move || {
            // Dropped at the end, whatever that is.
            let _finished: Sender<()> = finished;
            if let Err(error) = work(&seed, queue.as_ref(), &told) {
                warn!(error, "nobody can be told");
            }
        })?;
        Ok(Self { sender: Mutex::new(Some(sender)), done: Mutex::new(done) })
    }

    /// Tells it, soon.
    pub(crate) fn tell(&self, message: Message) {
        self.hand(Told::Message(Box::new(message)));
    }

    fn hand(&self, told: Told) {
        if let Some(sender) = self.sender.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            let _ = sender.send(told);
        }
    }

    /// Waits until everything is told, or for a while.
    pub(crate) fn finish(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if done.recv_timeout(LAST_WORDS) == Err(RecvTimeoutError::Timeout) {
            warn!("not everybody could be told");
        }
    }
}

impl Listener for Teller {
    fn on(&self, event: &Event) {
        match event {
            Event::Succeeded { job, took, measured } if job.work.kind() == JobKind::Backup => {
                let mut message = about(Occasion::Success, job);
                message.size_bytes = measured.size_bytes;
                message.duration_s = Some(took.as_secs_f64());
                self.hand(Told::Succeeded(job.clone(), Box::new(message)));
            }
            Event::FailedForGood { job, error, .. } => {
                let occasion = match job.work.kind() {
                    JobKind::Verify => Occasion::Verification,
                    _ => Occasion::Failure,
                };
                let mut message = about(occasion, job);
                message.error = Some(error.clone());
                self.tell(message);
            }
            _ => {}
        }
    }
}

fn about(occasion: Occasion, job: &Job) -> Message {
    let mut message = Message::new(occasion, job.work.database().clone(), job.updated_at);
    message.job = Some(job.id.to_string());
    message.backup = Some(job.work.backup().to_string());
    message.attempts = Some(job.attempts);
    message.tool = job.work.tool().cloned();
    if let Work::Backup(work) = &job.work {
        message.commit = work.commit.as_ref().map(ToString::to_string);
    }
    message
}

/// Tells everything until nothing is left to be told.
fn work(seed: &Seed, queue: &dyn Queue, told: &Receiver<Told>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let notifier = Notifier::new(Patience::default(), crate::process::host());
    let notifier = notifier.map_err(|error| error.to_string())?;
    while let Ok(told) = told.recv() {
        let message = match told {
            Told::Message(message) => message,
            Told::Succeeded(job, message) => recovered(queue, &job, message),
        };
        let to = match receivers(seed, &message) {
            Ok(to) => to,
            Err(failure) => {
                warn!(database = %message.database, error = in_a_line(&failure), "nobody can be told");
                continue;
            }
        };
        let message = chosen(&to, *message);
        for delivery in runtime.block_on(notifier.send(&to, &message)) {
            let (to, event) = (&delivery.to, message.occasion.as_str());
            match delivery.result {
                Ok(()) => debug!(to, event, database = %message.database, "told"),
                Err(error) => warn!(to, event, database = %message.database, %error, "could not be told"),
            }
        }
    }
    Ok(())
}

fn receivers(seed: &Seed, message: &Message) -> Result<Notifications, Failure> {
    Ok(seed.context().config()?.notifications(&message.database)?)
}

fn recovered(queue: &dyn Queue, job: &Job, mut message: Box<Message>) -> Box<Message> {
    let filter = Filter { database: Some(job.work.database().clone()), ..Filter::default() };
    let others = queue.list(&filter).map(|listing| listing.jobs).unwrap_or_default();
    if is_recovery(job, &others) {
        message.occasion = Occasion::Recovered;
    }
    message
}

/// Who wants to hear of every success need not also want to hear of this one.
fn chosen(to: &Notifications, mut message: Message) -> Message {
    if message.occasion == Occasion::Recovered
        && !to.occasions.contains(&Occasion::Recovered)
        && to.occasions.contains(&Occasion::Success)
    {
        message.occasion = Occasion::Success;
    }
    message
}
