//! The repository of a command and its parts: configuration, ledger, stores, queue and connections.
//!
//! A [`Workspace`] opens each part at its first use, and keeps it. It prints nothing: messages go to a
//! [`Reporter`].

mod error;
mod factory;

pub mod artifacts;
pub mod connect;
pub mod derived_commit;
pub mod migration_state;
pub mod migrations;
pub mod places;
pub mod queue;
pub mod setup;
pub mod store;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::clock::Clock;
use crate::config::{COMMITTED_FILE, Config, Environment, Setting};
use crate::domain::{CommitId, Line, Timestamp};
use crate::git::config::{self as git_config, GitProgram, Snapshot};
use crate::git::{Error as GitError, Repository};
use crate::ledger::{Ledger, Overview};
use crate::store::{Keyring, Root};
use crate::tools::Programs;

pub use error::Error;
pub use factory::Factory;

/// Receives the messages of a workspace.
pub trait Reporter: Send + Sync {
    /// Reports a problem that does not stop the work.
    fn warning(&self, text: &str);

    /// Reports a remedy for the last warning.
    fn hint(&self, text: &str);

    /// Reports an action or other information.
    fn status(&self, text: &str);

    /// Receives the value of `color.ui` after git's configuration has been read.
    fn color_setting(&self, _: Option<&str>) {}
}

/// A repository and its configuration, ledger, stores, queue and connections.
pub struct Workspace {
    reporter: Arc<dyn Reporter>,
    /// The environment of the process.
    pub environment: Environment,
    clock: Arc<dyn Clock>,
    cwd: PathBuf,
    repository: OnceCell<Result<Repository, Missing>>,
    /// The repository of the ledger; `None` if it is that of the schema history.
    beside: OnceCell<Option<Repository>>,
    git_config: OnceCell<Snapshot>,
    config: OnceCell<Config>,
    host: OnceCell<Line>,
    /// The keys of encrypted stores.
    keyring: OnceCell<Keyring>,
    /// Places of the command line from which bytes may be read.
    from: OnceCell<Vec<Root>>,
    /// The backups at the time of the first decision based on them.
    snapshot: OnceCell<Overview>,
}

/// The reason why there is no repository. Some commands work without one.
struct Missing {
    dir: PathBuf,
    message: String,
}

impl Workspace {
    /// Returns the workspace of a command that runs in the directory `cwd`.
    pub fn new(
        reporter: Arc<dyn Reporter>,
        environment: Environment,
        clock: Arc<dyn Clock>,
        cwd: PathBuf,
    ) -> Self {
        Self {
            reporter,
            environment,
            clock,
            cwd,
            repository: OnceCell::new(),
            beside: OnceCell::new(),
            git_config: OnceCell::new(),
            config: OnceCell::new(),
            host: OnceCell::new(),
            keyring: OnceCell::new(),
            from: OnceCell::new(),
            snapshot: OnceCell::new(),
        }
    }

    /// Returns the working directory of the command.
    pub fn cwd(&self) -> &Path {
        &self.cwd
    }

    /// Returns the current time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns the clock, for long work.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// Returns the repository of the schema history. Fails if there is none.
    pub fn repository(&self) -> Result<&Repository, Error> {
        match self.look_for_repository()? {
            Ok(repository) => Ok(repository),
            Err(Missing { dir, message }) => {
                Err(GitError::NotARepository { path: dir.clone(), message: message.clone() }.into())
            }
        }
    }

    /// Returns the repository of the schema history, or `None` if there is none. Fails if it cannot be
    /// opened.
    pub fn existing_repository(&self) -> Result<Option<&Repository>, Error> {
        Ok(self.look_for_repository()?.as_ref().ok())
    }

    /// Returns the repository of the ledger: `pggit.repository`, or else that of the schema history.
    /// Fails if it cannot be opened or used.
    pub fn ledger_repository(&self) -> Result<&Repository, Error> {
        Ok(self.beside()?.map_or(self.repository()?, |beside| beside))
    }

    /// Returns the repository of the ledger if it differs from that of the schema history. Fails if it
    /// cannot be opened or used.
    pub fn beside(&self) -> Result<Option<&Repository>, Error> {
        if let Some(found) = self.beside.get() {
            return Ok(found.as_ref());
        }
        // Committed configuration cannot set this key, so it is not read.
        let schema = self.repository()?;
        let config = Config::load(self.git_config()?.section("pggit"), [], &self.environment);
        let found =
            match config.repository(&schema.top())? {
                Some(Setting { value, origin }) => Some(self.open_beside(&value).map_err(|source| {
                    Error::Setting { origin: origin.to_string(), source: Box::new(source) }
                })?),
                None => None,
            };
        Ok(self.beside.get_or_init(|| found).as_ref())
    }

    /// Returns the path that `value` as `pggit.repository` stands for. Fails if `value` is empty or
    /// invalid.
    pub fn place_beside(&self, value: &OsStr) -> Result<PathBuf, Error> {
        let variables = self.environment.iter().filter(|(name, _)| *name != "PGGIT_REPOSITORY");
        let variables = variables.chain([(OsStr::new("PGGIT_REPOSITORY"), value)]).collect();
        let found = Config::load([], [], &variables).repository(&self.repository()?.top())?;
        found.map(|setting| setting.value).ok_or(Error::NoDirectory)
    }

    /// Opens the repository at `place`. Fails if it cannot hold the records of the schema history.
    pub fn open_beside(&self, place: &Path) -> Result<Repository, Error> {
        let refused =
            |reason: &str| Error::RecordsRepository { place: place.to_owned(), reason: reason.to_owned() };
        let beside = match Repository::open(place) {
            Ok(beside) => beside,
            Err(GitError::NotARepository { message, .. }) => return Err(refused(&message)),
            Err(other) => return Err(other.into()),
        };
        let schema = self.repository()?;
        if beside.is_same(schema) {
            return Err(refused("it is the repository of the schema history itself"));
        }
        if !beside.has_hash_of(schema) {
            return Err(refused("its objects are named by another hash than the schema commits"));
        }
        Ok(beside.with_parameters(self.environment.get("GIT_CONFIG_PARAMETERS")))
    }

    /// Selects the ledger at `place` for this workspace. Fails if the repository cannot be opened or
    /// used.
    pub fn choose_beside(&self, place: &Path) -> Result<(), Error> {
        let chosen = self.open_beside(place)?;
        self.beside.get_or_init(|| Some(chosen));
        Ok(())
    }

    /// Returns the configuration of the repository of the ledger. Fails if it cannot be read.
    pub fn ledger_git_config(&self) -> Result<Cow<'_, Snapshot>, Error> {
        match self.beside()? {
            Some(beside) => {
                let parameters = self.environment.get("GIT_CONFIG_PARAMETERS");
                Ok(Cow::Owned(beside.config(parameters)?))
            }
            None => Ok(Cow::Borrowed(self.git_config()?)),
        }
    }

    /// Returns the ledger. Fails if its repository cannot be opened or used.
    pub fn ledger(&self) -> Result<Ledger<'_>, Error> {
        let host = self.host.get_or_init(crate::process::host);
        let ledger = Ledger::new(self.ledger_repository()?, self.clock.as_ref(), host);
        Ok(match self.beside()? {
            Some(_) => ledger.beside(self.repository()?),
            None => ledger,
        })
    }

    /// Returns the state of all backups. Damaged records are reported.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn overview(&self) -> Result<Overview, Error> {
        let overview = self.ledger()?.overview()?;
        for damage in &overview.damaged {
            let text = format!("{}:{} is damaged: {}", damage.reference, damage.file, damage.reason);
            self.reporter.warning(&text);
        }
        Ok(overview)
    }

    /// Returns the state of all backups at the time of the first call, so that all decisions about a
    /// restore use the same state.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn snapshot(&self) -> Result<&Overview, Error> {
        if let Some(known) = self.snapshot.get() {
            return Ok(known);
        }
        let overview = self.overview()?;
        Ok(self.snapshot.get_or_init(|| overview))
    }

    /// Returns the client programs of PostgreSQL.
    ///
    /// # Errors
    /// If the setting is wrong.
    pub fn programs(&self) -> Result<Programs, Error> {
        Ok(Programs::new(self.config()?.pgbin()?.map(|pgbin| pgbin.value)))
    }

    /// Returns the receiver of messages.
    pub fn reporter(&self) -> &dyn Reporter {
        self.reporter.as_ref()
    }

    /// Returns the schema commit that a revision names. A full commit id that only records know is
    /// accepted, too. Fails if the revision is unknown.
    pub fn schema_commit(&self, revision: &str) -> Result<CommitId, Error> {
        match (self.repository()?.resolve_commit(revision), revision.parse::<CommitId>()) {
            (Ok(commit), _) => Ok(commit.to_commit()),
            (Err(_), Ok(commit)) if self.ledger()?.knows(&commit)? => Ok(commit),
            (Err(error), _) => Err(error.into()),
        }
    }

    /// Returns git's configuration, inside or outside of a repository. Fails if it cannot be read.
    pub fn git_config(&self) -> Result<&Snapshot, Error> {
        if let Some(snapshot) = self.git_config.get() {
            return Ok(snapshot);
        }
        let parameters = self.environment.get("GIT_CONFIG_PARAMETERS");
        let snapshot = match self.look_for_repository()? {
            Ok(repository) => repository.config(parameters)?,
            Err(_) => Snapshot::without_repository(parameters)?,
        };
        self.reporter.color_setting(snapshot.text("color.ui"));
        Ok(self.git_config.get_or_init(|| snapshot))
    }

    /// Returns the configuration of git-pggit. The first call reports ignored settings. Fails if git's
    /// configuration cannot be read or has retired keys.
    pub fn config(&self) -> Result<&Config, Error> {
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
        config.warnings().iter().for_each(|warning| self.reporter.warning(&warning.to_string()));
        config.check_retired()?;
        Ok(self.config.get_or_init(|| config))
    }

    /// Returns the program `git`, run in the working directory of the command.
    pub fn git_program(&self) -> GitProgram {
        GitProgram { dir: self.cwd.clone() }
    }

    /// Adds places from which the bytes of backups are read. Only the first call has an effect.
    pub fn read_also_from(&self, roots: Vec<Root>) {
        let _ = self.from.set(roots);
    }

    fn look_for_repository(&self) -> Result<&Result<Repository, Missing>, Error> {
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
