//! The worker: claims jobs from the queue and runs them.
//!
//! [`run`] claims jobs, runs each through a [`Runner`], sends heartbeats, and records the result in
//! the queue. Its events go to the [`events::Hub`]; recurring work is a [`Chore`]. On SIGTERM and
//! SIGINT it claims no more jobs, gives running ones some time, and returns the unfinished ones to
//! the queue.
//!
//! A crash of this process at any moment loses nothing. The job becomes free when its lease
//! expires, or immediately if its worker is known to be gone, and is retried under the same backup
//! id.

mod attempt;
mod chores;
pub mod endpoint;
pub mod events;
mod health;
pub mod job;
mod log;
mod notifier;
mod run;
mod runner;
mod scheduler;
mod start;
mod systemd;

pub use chores::Chore;
pub use log::Log;
pub use run::{Deadline, Died, Error, Mode, Settings, Summary, Tells, Worker, run};
pub use runner::{Answer, Finished, Processes, Runner};
pub use start::{Ended, Options, start};
