//! What a command has at hand: the outputs, the time, the environment, and the
//! repository with its configuration, opened when they are first asked for.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::Failure;
use super::ui::Ui;
use crate::clock::Clock;
use crate::config::{COMMITTED_FILE, Config, Environment};
use crate::domain::{Line, Timestamp};
use crate::git::config::{self as git_config, GitProgram, Snapshot};
use crate::git::{Error as GitError, Repository};
use crate::ledger::Ledger;

/// The surroundings of one command.
pub struct Context {
    /// Prints.
    pub ui: Arc<Ui>,
    /// The environment of the process.
    pub environment: Environment,
    clock: Arc<dyn Clock>,
    cwd: PathBuf,
    repository: OnceCell<Result<Repository, Missing>>,
    git_config: OnceCell<Snapshot>,
    config: OnceCell<Config>,
    host: OnceCell<Line>,
}

/// There is no repository, and why: some commands can do without.
struct Missing {
    dir: PathBuf,
    message: String,
}

impl Context {
    /// Surroundings in the directory `cwd`.
    pub fn new(ui: Arc<Ui>, environment: Environment, clock: Arc<dyn Clock>, cwd: PathBuf) -> Self {
        Self {
            ui,
            environment,
            clock,
            cwd,
            repository: OnceCell::new(),
            git_config: OnceCell::new(),
            config: OnceCell::new(),
            host: OnceCell::new(),
        }
    }

    /// The directory the command works in.
    pub fn cwd(&self) -> &Path {
        &self.cwd
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The clock, for work that takes longer.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// The repository; a failure when there is none.
    pub fn repository(&self) -> Result<&Repository, Failure> {
        match self.look_for_repository()? {
            Ok(repository) => Ok(repository),
            Err(Missing { dir, message }) => {
                Err(GitError::NotARepository { path: dir.clone(), message: message.clone() }.into())
            }
        }
    }

    /// The ledger of the repository.
    pub fn ledger(&self) -> Result<Ledger<'_>, Failure> {
        let host = self.host.get_or_init(crate::process::host);
        Ok(Ledger::new(self.repository()?, self.clock.as_ref(), host))
    }

    /// git's configuration, inside or outside of a repository.
    pub fn git_config(&self) -> Result<&Snapshot, Failure> {
        if let Some(snapshot) = self.git_config.get() {
            return Ok(snapshot);
        }
        let parameters = self.environment.get("GIT_CONFIG_PARAMETERS");
        let snapshot = match self.look_for_repository()? {
            Ok(repository) => repository.config(parameters)?,
            Err(_) => Snapshot::without_repository(parameters)?,
        };
        self.ui.configure_color(snapshot.text("color.ui"));
        Ok(self.git_config.get_or_init(|| snapshot))
    }

    /// Our own configuration. Says what it had to ignore, once.
    pub fn config(&self) -> Result<&Config, Failure> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let git = self.git_config()?;
        let committed = match self.look_for_repository()? {
            Ok(repository) => repository.head_file(COMMITTED_FILE)?,
            Err(_) => None,
        };
        let committed = git_config::parse_blob(&committed.unwrap_or_default(), COMMITTED_FILE)?;
        let config = Config::load(git.section("pggit"), &committed, &self.environment);
        config.warnings().iter().for_each(|warning| self.ui.warning(&warning.to_string()));
        Ok(self.config.get_or_init(|| config))
    }

    /// Runs `git` where the command works.
    pub fn git_program(&self) -> GitProgram {
        GitProgram { dir: self.cwd.clone() }
    }

    /// Sends the results that follow through the user's pager.
    pub fn page(&self) -> Result<(), Failure> {
        let core_pager = self.git_config()?.text("core.pager");
        self.ui.page(core_pager);
        Ok(())
    }

    fn look_for_repository(&self) -> Result<&Result<Repository, Missing>, Failure> {
        if let Some(found) = self.repository.get() {
            return Ok(found);
        }
        let found = match Repository::discover(&self.cwd) {
            Ok(repository) => Ok(repository.with_parameters(self.environment.get("GIT_CONFIG_PARAMETERS"))),
            Err(GitError::NotARepository { path, message }) => Err(Missing { dir: path, message }),
            Err(other) => return Err(other.into()),
        };
        Ok(self.repository.get_or_init(|| found))
    }
}
