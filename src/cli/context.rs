//! The workspace of a command and its output.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Environment;
use crate::failure::Failure;
use crate::terminal::{Render, Table, Ui};
use crate::workspace::{Reporter, Workspace};

/// The workspace and the output of a command.
pub struct Context {
    /// The printer of results and messages.
    pub ui: Arc<Ui>,
    workspace: Workspace,
}

impl Context {
    /// Returns the context of a command that runs in the directory `cwd`.
    pub fn new(ui: Arc<Ui>, environment: Environment, clock: Arc<dyn Clock>, cwd: PathBuf) -> Self {
        let reporter: Arc<dyn Reporter> = Arc::clone(&ui) as _;
        let workspace = Workspace::new(reporter, environment, clock, cwd);
        Self { ui, workspace }
    }

    /// Starts the user's pager for the following results. Fails if git's configuration cannot be read.
    pub fn page(&self) -> Result<(), Failure> {
        let core_pager = self.git_config()?.text("core.pager");
        self.ui.page(core_pager);
        Ok(())
    }

    /// Prints a result: with `--json` as JSON, otherwise as text through the user's pager. Fails if
    /// standard output cannot be written.
    pub fn paged(&self, result: &impl Render) -> Result<(), Failure> {
        if !self.ui.wants_json() {
            self.page()?;
        }
        Ok(self.ui.result(result)?)
    }

    /// Prints a table through the user's pager. Fails if standard output cannot be written.
    pub fn table(&self, table: &Table) -> Result<(), Failure> {
        self.page()?;
        Ok(self.ui.table(table)?)
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
