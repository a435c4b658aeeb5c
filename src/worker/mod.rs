//! The worker: claims jobs from the queue and runs them.
//!
//! [`run`] claims jobs, runs each through a [`Runner`], sends heartbeats, and records the result in
//! the queue. Its events go to the [`events::Hub`]; recurring work is a [`PeriodicTask`]. On SIGTERM and
//! SIGINT it claims no more jobs, gives running ones some time, and returns the unfinished ones to
//! the queue.
//!
//! A crash of this process at any moment loses nothing. The job becomes free when its lease
//! expires, or immediately if its worker is known to be gone, and is retried under the same backup
//! id.

mod attempt;
mod event_log;
pub mod events;
mod health;
pub mod http;
pub mod job;
mod notifier;
mod periodic;
mod run;
mod runner;
mod scheduler;
mod start;
mod systemd;

pub use event_log::EventLogger;
pub use periodic::PeriodicTask;
pub use run::{Deadline, Error, Mode, NotifyOnSuccess, OnCrash, Settings, Summary, Worker, run};
pub use runner::{Answer, Finished, Processes, Runner};
pub use start::{Options, WorkerResult, start};
