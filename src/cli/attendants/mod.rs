//! What accompanies a worker: who plans, who tells, and who answers questions.
//!
//! Each of them looks at the world anew every time, as a command does that has
//! just been started, so that a changed configuration counts at once.

mod monitor;
mod planner;
mod teller;

use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use monitor::Monitor;
pub(crate) use planner::Planner;
pub(crate) use teller::{Reminder, Teller, successes};

use super::ui::{Terminal, Ui, Wishes};
use super::{Context, Failure};
use crate::clock::Clock;
use crate::config::Environment;

/// What surroundings are made of, for another thread and another time.
#[derive(Clone)]
pub(crate) struct Seed {
    environment: Environment,
    clock: Arc<dyn Clock>,
    cwd: PathBuf,
}

impl Seed {
    /// The same surroundings as those of `context`.
    pub(crate) fn of(context: &Context) -> Self {
        Self {
            environment: context.environment.clone(),
            clock: context.clock(),
            cwd: context.cwd().to_owned(),
        }
    }

    /// Surroundings in which nothing is printed: the log is for that.
    fn context(&self) -> Context {
        let (ui, ..) = Ui::captured(Terminal::default(), Wishes::default(), &self.environment);
        Context::new(Arc::new(ui), self.environment.clone(), Arc::clone(&self.clock), self.cwd.clone())
    }
}

/// A failure in one line, for the log.
fn in_a_line(failure: &Failure) -> String {
    let causes = failure.causes().iter().map(|cause| format!(": {cause}"));
    format!("{}{}", failure.message(), causes.collect::<String>())
}
