//! The workspace of a command and its output.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Environment;
use crate::failure::Failure;
use crate::terminal::Ui;
use crate::workspace::{Reporter, Workspace};

/// Everything that a command uses.
pub struct Context {
    /// Prints.
    pub ui: Arc<Ui>,
    workspace: Workspace,
}

impl Context {
    /// The context of a command that runs in the directory `cwd`.
    pub fn new(ui: Arc<Ui>, environment: Environment, clock: Arc<dyn Clock>, cwd: PathBuf) -> Self {
        let reporter: Arc<dyn Reporter> = Arc::clone(&ui) as _;
        let workspace = Workspace::new(reporter, environment, clock, cwd);
        Self { ui, workspace }
    }

    /// Sends the results that follow through the user's pager.
    pub fn page(&self) -> Result<(), Failure> {
        let core_pager = self.git_config()?.text("core.pager");
        self.ui.page(core_pager);
        Ok(())
    }
}

impl Deref for Context {
    type Target = Workspace;

    fn deref(&self) -> &Workspace {
        &self.workspace
    }
}

impl Reporter for Ui {
    fn warning(&self, text: &str) {
        Self::warning(self, text);
    }

    fn hint(&self, text: &str) {
        Self::hint(self, text);
    }

    fn status(&self, text: &str) {
        Self::status(self, text);
    }

    fn color_setting(&self, setting: Option<&str>) {
        self.configure_color(setting);
    }
}
