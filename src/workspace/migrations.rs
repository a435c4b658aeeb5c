//! The migrations of a commit and of a database.

use std::collections::{BTreeMap, BTreeSet};

use super::Error;
use super::migration_state::{DatabaseState, state_of};
use crate::config::{DatabaseConfig, Origin};
use crate::git::{Directory, Oid, Repository, matches_path};
use crate::migrations::{
    Ambiguous, Applied, Comparison, Files, Layout, MigrationHistory, MigrationSettings, State, Tool, compare,
    detect,
};
use crate::pg::Client;

/// Directories of third-party code, or of files generated from the commit.
const NOT_SEARCHED: [&str; 6] = ["node_modules", "vendor", "third_party", "target", "dist", "_build"];

/// The files of a commit.
pub(super) struct CommitFiles<'a> {
    repository: &'a Repository,
    commit: Oid,
    files: Directory,
}

impl<'a> CommitFiles<'a> {
    pub(super) fn of(commit: Oid, repository: &'a Repository) -> Result<Self, Error> {
        let enters = |path: &str| !NOT_SEARCHED.contains(&path.rsplit('/').next().unwrap_or(path));
        Ok(Self { repository, commit, files: repository.files_where(commit, enters)? })
    }

    /// Returns the files below the directories of layouts.
    pub(super) fn below(commit: Oid, layouts: &[Layout], repository: &'a Repository) -> Result<Self, Error> {
        if layouts.iter().any(|layout| layout.directory.is_empty()) {
            return Self::of(commit, repository);
        }
        let mut files = Directory::new();
        for Layout { directory, .. } in layouts {
            let below = repository.files_below(commit, directory)?.unwrap_or_default();
            files.extend(below.into_iter().map(|(path, entry)| (format!("{directory}/{path}"), entry)));
        }
        Ok(Self { repository, commit, files })
    }

    /// Returns the migrations of layouts; `None` if there are no layouts.
    pub(super) fn history_of(&self, layouts: &[Layout]) -> Option<MigrationHistory> {
        MigrationHistory::of(layouts, &self.kinds(), &|path| self.read(path))
    }

    fn kinds(&self) -> Files {
        self.files.iter().map(|(path, entry)| (path.clone(), entry.kind())).collect()
    }

    /// Returns the content of a file, or the reason why there is none.
    pub(super) fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let entry = self.files.get(path).ok_or("the commit does not have it")?;
        self.repository.blob(entry.id).map_err(|error| error.to_string())
    }

    /// Finds the migrations. `tool` is the tool if it is already known.
    pub(super) fn history(
        &self,
        database: Option<&DatabaseConfig>,
        tool: Option<Tool>,
    ) -> Result<Option<MigrationHistory>, Error> {
        let configured = database.and_then(|database| database.migration_tool.value);
        let wanted = MigrationSettings { tool: configured.or(tool), directories: self.directories(database) };
        let layouts =
            detect(&self.kinds(), &wanted, &|path| self.read(path)).map_err(|ambiguous: Ambiguous| {
                Error::AmbiguousMigrations { commit: self.commit.to_commit(), ambiguous }
            })?;
        Ok(self.history_of(&layouts))
    }

    /// Returns the directories to search; an empty list means all. The default directory is included
    /// only if the commit has it.
    fn directories(&self, database: Option<&DatabaseConfig>) -> Vec<String> {
        let Some(database) = database else { return Vec::new() };
        let exists = |directory: &str| {
            let below = format!("{directory}/");
            self.files.range(below.clone()..).next().is_some_and(|(path, _)| path.starts_with(&below))
        };
        let mut directories = Vec::new();
        for setting in &database.migrations {
            if setting.value.contains('*') {
                directories.extend(self.matching(&setting.value));
            } else if setting.origin != Origin::Default || exists(&setting.value) {
                directories.push(setting.value.clone());
            }
        }
        directories
    }

    /// Returns the directories that match a pattern. The pattern itself, if none does, so that no other
    /// directory is taken.
    fn matching(&self, pattern: &str) -> Vec<String> {
        let parents = |path: &'_ String| -> Vec<String> {
            path.match_indices('/').map(|(at, _)| path[..at].to_owned()).collect()
        };
        let all: BTreeSet<String> = self.files.keys().flat_map(parents).collect();
        let found: Vec<String> = all.into_iter().filter(|path| matches_path(pattern, path)).collect();
        if found.is_empty() { vec![pattern.to_owned()] } else { found }
    }
}

/// The migrations of a commit, and access to its files.
pub struct CommitMigrations<'a> {
    files: CommitFiles<'a>,
    /// The migrations.
    pub history: MigrationHistory,
}

impl<'a> CommitMigrations<'a> {
    /// Finds the migrations of a commit for a database. `tool` is the tool if it is known otherwise. Returns
    /// `None` if the commit has none.
    ///
    /// # Errors
    /// Fails if the files of the commit match several tools or directories, or cannot be read.
    pub fn of(
        commit: Oid,
        database: &DatabaseConfig,
        tool: Option<Tool>,
        repository: &'a Repository,
    ) -> Result<Option<Self>, Error> {
        let files = CommitFiles::of(commit, repository)?;
        Ok(files.history(Some(database), tool)?.map(|history| Self { files, history }))
    }

    /// Returns the content of a file, or the reason why there is none.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.files.read(path)
    }

    /// Returns true if the commit has a file at the path.
    pub fn has_file(&self, path: &str) -> bool {
        self.files.files.contains_key(path)
    }

    /// Returns the id of the content of a file.
    pub fn id_of(&self, path: &str) -> Option<Oid> {
        Some(self.files.files.get(path)?.id)
    }

    /// Returns the migrations with the checksums of their files. A file that the tool would refuse is a problem.
    pub fn with_checksums(&self) -> MigrationHistory {
        let mut history = self.history.clone();
        history.read_contents(&|path| self.read(path));
        history
    }
}

/// Finds the migrations of a commit, for a database if it is given. Returns `None` if it has none.
///
/// # Errors
/// Fails if the files of the commit match several tools or directories, or cannot be read.
pub fn history_of(
    commit: Oid,
    database: Option<&DatabaseConfig>,
    repository: &Repository,
) -> Result<Option<MigrationHistory>, Error> {
    CommitFiles::of(commit, repository)?.history(database, None)
}

/// The migrations of a commit beside the state that a migration tool has recorded in a database.
#[derive(Debug)]
pub struct Examination {
    /// The migrations of the commit, if it has some.
    pub history: Option<MigrationHistory>,
    /// The state, if the database has the table of a migration tool that could be read.
    pub applied: Option<Applied>,
    /// The comparison of the two. The reason if there is none, or if it is not sure.
    pub comparison: Result<Comparison, String>,
}

/// Compares the migrations of a commit with the state that a migration tool has recorded in the database.
/// Returns `None` if the database has no table of a migration tool.
///
/// # Errors
/// Fails if the files of the commit match several tools or directories, if the database has the tables of
/// several tools, or if the server or the repository fails.
pub fn examine(
    client: &Client,
    database: &DatabaseConfig,
    commit: Oid,
    repository: &Repository,
) -> Result<Option<Examination>, Error> {
    // The settings of the session end with the transaction: a pooler may give the session to others.
    client.execute("BEGIN READ ONLY")?;
    let state = state_of(client, database.migration_tool.value)?;
    client.execute("ROLLBACK")?;
    examine_state(&state, database, commit, repository)
}

/// Like [`examine`], with a state that was read before.
///
/// # Errors
/// Fails if the files of the commit match several tools or directories, or cannot be read.
pub fn examine_state(
    state: &DatabaseState,
    database: &DatabaseConfig,
    commit: Oid,
    repository: &Repository,
) -> Result<Option<Examination>, Error> {
    let applied = match state {
        DatabaseState::None => return Ok(None),
        DatabaseState::Applied(applied) => Ok(applied.clone()),
        DatabaseState::Unreadable(reason) => Err(reason.clone()),
    };
    let files = CommitFiles::of(commit, repository)?;
    let mut history = files.history(Some(database), applied.as_ref().ok().map(|applied| applied.tool))?;
    if let Some(history) = &mut history {
        history.read_contents(&|path| files.read(path));
        if history.tool.has_scopes() {
            add_scopes_of_head(history, database, commit, repository)?;
        }
    }
    let comparison = match (&history, &applied) {
        (_, Err(reason)) => Err(reason.clone()),
        (None, Ok(applied)) => Err(format!("the commit has no migrations of {}", applied.tool)),
        (Some(history), Ok(applied)) => match history.problems.first() {
            Some(problem) => Err(problem.to_string()),
            None => Ok(compare(history, applied)),
        },
    };
    Ok(Some(Examination { history, applied: applied.ok(), comparison }))
}

/// The largest number of branches that are searched for a migration.
const BRANCHES_MAX: usize = 100;

impl Examination {
    /// Returns, for each migration that is applied and not in the commit, the branches whose tips have it.
    /// Returns `None` if there was no comparison, or if there are too many branches to search. A branch whose
    /// migrations are ambiguous has none.
    ///
    /// # Errors
    /// Fails if the repository cannot be read.
    pub fn branches(
        &self,
        database: &DatabaseConfig,
        repository: &Repository,
    ) -> Result<Option<UnknownMigrations>, Error> {
        match (&self.comparison, &self.applied) {
            (Ok(comparison), Some(applied)) => {
                branches_of_unknown(comparison, applied.tool, database, repository)
            }
            _ => Ok(None),
        }
    }
}

fn branches_of_unknown(
    comparison: &Comparison,
    tool: Tool,
    database: &DatabaseConfig,
    repository: &Repository,
) -> Result<Option<UnknownMigrations>, Error> {
    let mut found: UnknownMigrations = comparison
        .in_state(State::Unknown)
        .map(|migration| ((migration.version.clone(), migration.name.clone()), Vec::new()))
        .collect();
    if found.is_empty() {
        return Ok(Some(found));
    }
    let branches = repository.branches()?;
    if branches.len() > BRANCHES_MAX {
        return Ok(None);
    }
    for branch in branches {
        let history = match CommitMigrations::of(branch.tip, database, Some(tool), repository) {
            Ok(Some(found)) => found.history,
            Ok(None) | Err(Error::AmbiguousMigrations { .. }) => continue,
            Err(error) => return Err(error),
        };
        for ((version, name), branches) in &mut found {
            if history.has(version, name) {
                branches.push(branch.name.clone());
            }
        }
    }
    Ok(Some(found))
}

/// The branches that have a migration, by its version and name.
pub type UnknownMigrations = BTreeMap<(String, String), Vec<String>>;

/// Counts the packages of HEAD, too.
fn add_scopes_of_head(
    history: &mut MigrationHistory,
    database: &DatabaseConfig,
    commit: Oid,
    repository: &Repository,
) -> Result<(), Error> {
    let Some(head) = repository.head().ok().filter(|head| *head != commit) else { return Ok(()) };
    match CommitFiles::of(head, repository)?.history(Some(database), Some(history.tool)) {
        Ok(Some(other)) => history.add_scopes(&other),
        Ok(None) | Err(Error::AmbiguousMigrations { .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}
