//! The worker: takes jobs from the queue and does them.
//!
//! [`run`] claims, does the work through a [`Runner`], says that it is still
//! there, and tells the queue how it went. Of everything it does it tells the
//! [`events::Hub`]; what has to be done now and then is a [`Chore`]. It ends on
//! SIGTERM and SIGINT: it takes no more jobs, gives running ones some time, and
//! hands back what is not done by then.
//!
//! The death of this process at any moment loses nothing: the job is free when
//! its lease ends, or at once where its worker can be seen to be dead, and is
//! tried again under the same backup id.

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
