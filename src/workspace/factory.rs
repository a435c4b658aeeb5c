//! Opens the same workspace again, for another thread and a later time.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Reporter, Workspace};
use crate::clock::Clock;
use crate::config::Environment;

/// Opens workspaces in the directory and the environment of another one. Each of them reads the
/// configuration and the records again, like a command that has just started.
#[derive(Clone)]
pub struct Factory {
    environment: Environment,
    clock: Arc<dyn Clock>,
    cwd: PathBuf,
}

/// A reporter that discards all messages: a thread beside a command writes log lines instead.
struct Silent;

impl Reporter for Silent {
    fn warning(&self, _: &str) {}

    fn hint(&self, _: &str) {}

    fn status(&self, _: &str) {}
}

impl Factory {
    /// Returns a factory of workspaces like this one.
    pub fn like(workspace: &Workspace) -> Self {
        Self {
            environment: workspace.environment.clone(),
            clock: workspace.clock(),
            cwd: workspace.cwd().to_owned(),
        }
    }

    /// Returns a new workspace.
    pub fn open(&self) -> Workspace {
        let clock = Arc::clone(&self.clock);
        Workspace::new(Arc::new(Silent), self.environment.clone(), clock, self.cwd.clone())
    }
}
