//! The same workspace, opened anew: for another thread and another time.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Reporter, Workspace};
use crate::clock::Clock;
use crate::config::Environment;

/// Opens workspaces in the directory and the environment of another one. Each of them reads the
/// configuration and the records anew, as a command does that has just been started.
#[derive(Clone)]
pub struct Factory {
    environment: Environment,
    clock: Arc<dyn Clock>,
    cwd: PathBuf,
}

/// Nothing is printed: whoever works beside a command has a log.
struct Silent;

impl Reporter for Silent {
    fn warning(&self, _: &str) {}

    fn hint(&self, _: &str) {}

    fn status(&self, _: &str) {}
}

impl Factory {
    /// A factory of workspaces like this one.
    pub fn like(workspace: &Workspace) -> Self {
        Self {
            environment: workspace.environment.clone(),
            clock: workspace.clock(),
            cwd: workspace.cwd().to_owned(),
        }
    }

    /// A new workspace.
    pub fn open(&self) -> Workspace {
        let clock = Arc::clone(&self.clock);
        Workspace::new(Arc::new(Silent), self.environment.clone(), clock, self.cwd.clone())
    }
}
