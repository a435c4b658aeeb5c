//! The path from the commit of a backup to the wanted commit: the migrations to run, and the expected
//! schema.

use std::collections::HashMap;
use std::rc::Rc;

use super::Error;
use super::migrate_command::MigrateCommand;
use super::migration_diff::{Judged, Listing, MigrationDiff, all_migrations, judge, one_direction};
use super::pending::MigrationConflict;
use super::post_restore::{Expected, MigrationPlan, MigrationRunner};
use super::tool_command::usual_command;
use super::tool_migrations::{ToolMigrations, is_same, scripts};
use super::unsupported::{UnsupportedFile, UnsupportedReason};
use crate::config::{Config, DatabaseConfig, Origin};
use crate::domain::DatabaseName;
use crate::git::{Directory, EntryKind, Oid, PathPatterns, Repository};
use crate::ledger::{Entry, Ledger};
use crate::migrations::{
    Divergence, MigrationFile, MigrationHistory, RecordedState, Tool, is_note, relative_to, unix_lines,
};
use crate::tools::Migration;
use crate::workspace::Error as WorkspaceError;
use crate::workspace::migrations::CommitMigrations;

/// The plan for a restored database, from the commit of its backup to the wanted commit.
#[derive(Debug)]
pub struct CommitPlan {
    /// The migrations to run; `None` if the backup is of the wanted commit.
    pub forward: Option<MigrationPlan>,
    /// The expected schema.
    pub expected: Expected,
    /// Files that count as schema and differ, but are not examined.
    pub unseen: Vec<String>,
    /// The reason why the schema of the commit is not known, if that is allowed.
    pub unproved: Option<String>,
}

/// Plans the paths from backups to one commit. Shared inputs are read once.
pub struct CommitPlanner<'a> {
    commit: Oid,
    repository: &'a Repository,
    ledger: Ledger<'a>,
    config: &'a Config,
    listings: HashMap<(Oid, String), Files>,
    built: HashMap<DatabaseName, Built>,
    histories: HashMap<(Oid, DatabaseName, Option<Tool>), Found<'a>>,
    allow_unproved: bool,
    to_execute: bool,
}

/// The migrations of a commit, or the reason why they cannot be determined.
type Found<'a> = Rc<Result<Option<CommitMigrations<'a>>, String>>;

/// The files of a directory; `None` if there is no such directory.
type Files = Rc<Option<Listing<Oid>>>;

/// All migrations of the commit, or the files that cannot be run.
type Built = Rc<Result<Vec<Migration>, Vec<UnsupportedFile>>>;

impl<'a> CommitPlanner<'a> {
    /// Returns a planner for the wanted `commit`.
    pub fn to(commit: Oid, repository: &'a Repository, ledger: Ledger<'a>, config: &'a Config) -> Self {
        Self {
            commit,
            repository,
            ledger,
            config,
            listings: HashMap::new(),
            built: HashMap::new(),
            histories: HashMap::new(),
            allow_unproved: false,
            to_execute: false,
        }
    }

    /// Plans paths that are executed. Other paths lack the checksums of migrations, whose files would have to be
    /// read.
    pub fn to_execute(mut self) -> Self {
        self.to_execute = true;
        self
    }

    /// Allows plans without a schema to compare the result with. Then no program of the user builds one.
    pub fn allow_unproved(mut self, allow: bool) -> Self {
        self.allow_unproved = allow;
        self
    }

    /// Returns the path from the backup of `entry`, or the reason why there is none.
    pub fn from(&mut self, entry: &Entry) -> Result<Result<CommitPlan, MigrationConflict>, Error> {
        let from = Oid::from(&entry.backup.commit);
        let database = self.config.database(&entry.backup.database)?;
        let recorded = self.recorded(entry)?;
        if from == self.commit {
            let expected = recorded.unwrap_or(Expected::Unknown);
            return Ok(Ok(CommitPlan { forward: None, expected, unseen: Vec::new(), unproved: None }));
        }
        let command = match self.by_command(&database) {
            Some(command) => Some(command),
            None => self.by_usual_command(entry, &database)?,
        };
        if let Some(way) = command {
            // The program only migrates forward. Its effect on a newer schema is unknown.
            if !self.repository.is_ancestor(from, self.commit)? {
                return Ok(Err(MigrationConflict::NotAncestor {
                    from: from.to_commit(),
                    commit: self.commit.to_commit(),
                }));
            }
            let commit = self.commit.to_commit();
            let (expected, unproved) = match recorded {
                Some(recorded) => (recorded, None),
                None if self.allow_unproved => {
                    let reason = "no backup of the commit has recorded it";
                    let text = format!("the schema of commit {} is unknown: {reason}", commit.short());
                    (Expected::Unknown, Some(text))
                }
                None => (Expected::Built(way.clone()), None),
            };
            let forward = Some(MigrationPlan { commit, way });
            return Ok(Ok(CommitPlan { forward, expected, unseen: Vec::new(), unproved }));
        }
        match self.by_tool(entry, &database, recorded.clone())? {
            Some(plan) => Ok(plan),
            None => self.by_files(entry, &database, recorded),
        }
    }

    /// Returns the path by a program of the user, if one is configured.
    fn by_command(&self, database: &DatabaseConfig) -> Option<MigrationRunner> {
        let migrate = database.migrate.as_ref()?;
        Some(MigrationRunner::Command(MigrateCommand {
            words: migrate.value.clone(),
            git_dir: self.repository.common_dir(),
            database: database.name.clone(),
            deadline: database.migrate_timeout.value,
            directory: String::new(),
        }))
    }

    /// Returns the path by the usual command of the migration tool, if the user's own configuration names the
    /// tool, and only the tool itself runs its migrations.
    fn by_usual_command(
        &mut self,
        entry: &Entry,
        database: &DatabaseConfig,
    ) -> Result<Option<MigrationRunner>, Error> {
        let Some(tool) = database.migration_tool.value else { return Ok(None) };
        if tool.is_run_here() || database.migration_tool.origin == Origin::Committed {
            return Ok(None);
        }
        let found = self.migrations_at(self.commit, database, Some(tool))?;
        let Ok(Some(new)) = found.as_ref() else { return Ok(None) };
        let [layout] = new.history.layouts.as_slice() else { return Ok(None) };
        let Some(command) = usual_command(layout, &|path| new.has_file(path)) else { return Ok(None) };
        // Without a new migration the program has nothing to do, and need not exist.
        let old = self.migrations_at(Oid::from(&entry.backup.commit), database, Some(tool))?;
        if let Ok(Some(old)) = old.as_ref()
            && is_unchanged(old, new)
        {
            return Ok(None);
        }
        Ok(Some(MigrationRunner::Command(MigrateCommand {
            words: command.words,
            git_dir: self.repository.common_dir(),
            database: database.name.clone(),
            deadline: database.migrate_timeout.value,
            directory: command.directory,
        })))
    }

    /// Returns the path by the migrations of the team's migration tool. Returns `None` if the migrations are SQL
    /// files of no tool.
    fn by_tool(
        &mut self,
        entry: &Entry,
        database: &DatabaseConfig,
        recorded: Option<Expected>,
    ) -> Result<Option<Result<CommitPlan, MigrationConflict>>, Error> {
        let state = RecordedState::of(&entry.backup.metadata);
        let tool = database.migration_tool.value.or(state.and_then(|state| state.tool));
        if tool == Some(Tool::Plain) {
            return Ok(None);
        }
        let found = self.migrations_at(self.commit, database, tool)?;
        let new = match found.as_ref() {
            Ok(Some(new)) if new.history.tool != Tool::Plain => new,
            Ok(_) => return Ok(None),
            // Files in the configured directory may be of no tool.
            Err(_) if tool.is_none() && self.has_directory(database)? => return Ok(None),
            Err(reason) => return Ok(Some(Err(MigrationConflict::Ambiguous(reason.clone())))),
        };
        let tool = new.history.tool;
        // A team that runs the files of Atlas in another way has no table of Atlas.
        if tool == Tool::Atlas && state.is_none() {
            return Ok(None);
        }
        let from = Oid::from(&entry.backup.commit);
        if state.is_some_and(|state| state.at_commit == Some(false)) {
            return Ok(Some(Err(MigrationConflict::NotAtCommit { tool, commit: from.to_commit() })));
        }
        let before = self.migrations_at(from, database, Some(tool))?;
        let nothing = MigrationHistory::empty(tool);
        let old = match before.as_ref() {
            Ok(old) => old.as_ref(),
            Err(reason) => return Ok(Some(Err(MigrationConflict::Ambiguous(reason.clone())))),
        };
        let old_history = old.map_or(&nothing, |old| &old.history);
        let steps = match pending(old, old_history, new) {
            Ok(steps) => steps,
            Err(conflict) => return Ok(Some(Err(conflict))),
        };
        if let Some(first) = steps.first().filter(|_| !tool.is_run_here()) {
            return Ok(Some(Err(MigrationConflict::OnlyByTool { path: first.path.clone(), tool })));
        }
        let run = match scripts(tool, steps, &|path| new.read(path)) {
            Ok(run) => run,
            Err(refused) => return Ok(Some(Err(MigrationConflict::UnsupportedFile(by_tool(refused))))),
        };
        let is_nothing = run.is_empty();
        let expected = match recorded {
            Some(recorded) => Ok(recorded),
            None => self.expected_by_tool(entry, new, is_nothing)?,
        };
        let (expected, unproved) = match expected {
            Ok(expected) => (expected, None),
            Err(conflict) if self.allow_unproved => (Expected::Unknown, Some(conflict.to_string())),
            Err(conflict) => return Ok(Some(Err(conflict))),
        };
        let unseen = self.others_than(from, database, &new.history)?;
        let migrations = ToolMigrations {
            history: if self.to_execute { new.with_checksums() } else { new.history.clone() },
            run,
            is_first: old_history.migrations.is_empty(),
        };
        let way = MigrationRunner::Tool(Box::new(migrations));
        let forward = Some(MigrationPlan { commit: self.commit.to_commit(), way });
        Ok(Some(Ok(CommitPlan { forward, expected, unseen, unproved })))
    }

    /// Returns the schema of the wanted commit if none is recorded, or [`MigrationConflict::NoProof`].
    fn expected_by_tool(
        &self,
        entry: &Entry,
        new: &CommitMigrations<'_>,
        nothing_to_run: bool,
    ) -> Result<Result<Expected, MigrationConflict>, Error> {
        let (tool, history) = (new.history.tool, &new.history);
        let all = match history.problems.first() {
            Some(problem) => Err(by_tool(vec![(problem.path.clone(), problem.reason.clone())])),
            None => scripts(tool, history.in_empty_database(), &|path| new.read(path)).map_err(by_tool),
        };
        if let Ok(run) = &all
            && !run.is_empty()
        {
            let all = ToolMigrations { history: history.clone(), run: run.clone(), is_first: true };
            return Ok(Ok(Expected::Built(MigrationRunner::Tool(Box::new(all)))));
        }
        if let Some(same) = self.as_backed_up(entry, nothing_to_run)? {
            return Ok(Ok(same));
        }
        let unfit = all.err().unwrap_or_default();
        Ok(Err(MigrationConflict::NoProof { commit: self.commit.to_commit(), unfit }))
    }

    /// Returns true if the commit has the configured directory of migrations.
    fn has_directory(&mut self, database: &DatabaseConfig) -> Result<bool, Error> {
        let Some(directory) = database.migrations_directory() else { return Ok(false) };
        Ok(self.files(self.commit, directory)?.is_some())
    }

    /// Returns the migrations of a commit.
    fn migrations_at(
        &mut self,
        commit: Oid,
        database: &DatabaseConfig,
        tool: Option<Tool>,
    ) -> Result<Found<'a>, Error> {
        let key = (commit, database.name.clone(), tool);
        if let Some(known) = self.histories.get(&key) {
            return Ok(Rc::clone(known));
        }
        let found = match CommitMigrations::of(commit, database, tool, self.repository) {
            Ok(found) => Ok(found),
            Err(error @ WorkspaceError::AmbiguousMigrations { .. }) => Err(error.to_string()),
            Err(error) => return Err(error.into()),
        };
        let found = Rc::new(found);
        self.histories.insert(key, Rc::clone(&found));
        Ok(found)
    }

    /// Returns the files that count as schema, differ from the wanted commit, and are in no directory of its
    /// migrations.
    fn others_than(
        &self,
        from: Oid,
        database: &DatabaseConfig,
        history: &MigrationHistory,
    ) -> Result<Vec<String>, Error> {
        let is_in = |path: &String| {
            history.layouts.iter().any(|layout| relative_to(&layout.directory, path).is_some())
        };
        let mut others = self.differing(from, database, None)?;
        others.retain(|path| !is_in(path) && !is_note(path.rsplit('/').next().unwrap_or(path)));
        Ok(others)
    }

    /// Returns the path by files that this program runs.
    fn by_files(
        &mut self,
        entry: &Entry,
        database: &DatabaseConfig,
        recorded: Option<Expected>,
    ) -> Result<Result<CommitPlan, MigrationConflict>, Error> {
        let Some(directory) = database.migrations_directory() else {
            return Ok(Err(MigrationConflict::SeveralDirectories));
        };
        let from = Oid::from(&entry.backup.commit);
        let (old, new) = (self.files(from, directory)?, self.files(self.commit, directory)?);
        let others = self.differing(from, database, Some(directory))?;
        let old = self.with_line_ends_of(&old, &new)?;
        let between = MigrationDiff { directory, old: old.as_ref(), new: (*new).as_ref(), others };
        let Judged { run, unseen } = match judge(between) {
            Ok(judged) => judged,
            Err(gap) => return Ok(Err(gap)),
        };
        let run = self.read(&run, (*new).as_ref())?;
        if let Err(unfit) = one_direction(directory, &run) {
            return Ok(Err(MigrationConflict::UnsupportedFile(unfit)));
        }
        let expected = match recorded {
            Some(recorded) => Ok(recorded),
            None => self.expected(entry, database, directory, run.is_empty())?,
        };
        let (expected, unproved) = match expected {
            Ok(expected) => (expected, None),
            Err(conflict) if self.allow_unproved => (Expected::Unknown, Some(conflict.to_string())),
            Err(conflict) => return Ok(Err(conflict)),
        };
        let forward = Some(MigrationPlan { commit: self.commit.to_commit(), way: of_files(run, database) });
        Ok(Ok(CommitPlan { forward, expected, unseen, unproved }))
    }

    /// Returns the schema of the wanted commit if none is recorded, or [`MigrationConflict::NoProof`].
    fn expected(
        &mut self,
        entry: &Entry,
        database: &DatabaseConfig,
        directory: &str,
        nothing_to_run: bool,
    ) -> Result<Result<Expected, MigrationConflict>, Error> {
        let built = self.built(database, directory)?;
        if let Ok(all) = built.as_ref()
            && !all.is_empty()
        {
            return Ok(Ok(Expected::Built(of_files(all.clone(), database))));
        }
        if let Some(same) = self.as_backed_up(entry, nothing_to_run)? {
            return Ok(Ok(same));
        }
        let unfit = built.as_ref().as_ref().err().cloned().unwrap_or_default();
        Ok(Err(MigrationConflict::NoProof { commit: self.commit.to_commit(), unfit }))
    }

    /// Returns the schema that was recorded with a backup of the wanted commit. If `entry` is of
    /// that commit, only its own schema counts.
    fn recorded(&self, entry: &Entry) -> Result<Option<Expected>, Error> {
        let ledger = self.ledger;
        let others = match Oid::from(&entry.backup.commit) == self.commit {
            true => vec![entry.clone()],
            false => ledger.at_commit(&self.commit.to_commit())?.entries,
        };
        let of_database = |other: &&Entry| {
            other.backup.database == entry.backup.database && other.backup.completed_at.is_some()
        };
        let Some(other) = others.iter().rev().find(of_database) else { return Ok(None) };
        let schema = ledger.schema(other)?;
        Ok(schema.map(|schema| Expected::Recorded { backup: other.backup.id, schema }))
    }

    /// Returns the schema of the backup if no migration has to run.
    fn as_backed_up(&self, entry: &Entry, nothing_to_run: bool) -> Result<Option<Expected>, Error> {
        if !nothing_to_run {
            return Ok(None);
        }
        let schema = self.ledger.schema(entry)?;
        Ok(schema.map(|schema| Expected::Recorded { backup: entry.backup.id, schema }))
    }

    /// Returns all migrations of the commit, or the files that cannot be run.
    fn built(&mut self, database: &DatabaseConfig, directory: &str) -> Result<Built, Error> {
        if let Some(known) = self.built.get(&database.name) {
            return Ok(Rc::clone(known));
        }
        let files = self.files(self.commit, directory)?;
        let nothing = Listing::new();
        let listing = (*files).as_ref().unwrap_or(&nothing);
        let built = match all_migrations(directory, listing) {
            Ok(names) => {
                let all = self.read(&names, Some(listing))?;
                one_direction(directory, &all).map(|()| all)
            }
            Err(unfit) => Err(unfit),
        };
        let built = Rc::new(built);
        self.built.insert(database.name.clone(), Rc::clone(&built));
        Ok(built)
    }

    /// Returns the files of the old commit, in which a file that differs from the new one only by its line ends is
    /// the new one. Statements have the same meaning with both, except for text of several lines, which the schema
    /// comparison notices.
    fn with_line_ends_of(&self, old: &Files, new: &Files) -> Result<Option<Listing<Oid>>, Error> {
        let (Some(old), Some(new)) = (&**old, &**new) else { return Ok((**old).clone()) };
        let mut same = old.clone();
        for (path, (kind, id)) in &mut same {
            let Some((_, other)) = new.get(path).filter(|now| now.0 == *kind && now.1 != *id) else {
                continue;
            };
            if *kind == EntryKind::File
                && unix_lines(&self.repository.blob(*id)?) == unix_lines(&self.repository.blob(*other)?)
            {
                *id = *other;
            }
        }
        Ok(Some(same))
    }

    fn read(&self, names: &[String], listing: Option<&Listing<Oid>>) -> Result<Vec<Migration>, Error> {
        let repository = self.repository;
        let listed = names.iter().filter_map(|name| Some((name, listing?.get(name)?.1)));
        listed.map(|(name, id)| Ok(Migration::of_file(name.clone(), repository.blob(id)?))).collect()
    }

    /// Returns the files below a directory at a commit.
    fn files(&mut self, commit: Oid, directory: &str) -> Result<Files, Error> {
        let key = (commit, directory.to_owned());
        if let Some(known) = self.listings.get(&key) {
            return Ok(Rc::clone(known));
        }
        let files = self.repository.files_below(commit, directory)?;
        let files = Rc::new(files.map(listing));
        self.listings.insert(key, Rc::clone(&files));
        Ok(files)
    }

    /// Returns the files that count as schema and differ from the wanted commit. Files below `directory`
    /// are left out.
    fn differing(
        &self,
        from: Oid,
        database: &DatabaseConfig,
        directory: Option<&str>,
    ) -> Result<Vec<String>, Error> {
        let (repository, paths) = (self.repository, self.config.schema_paths(&database.name)?);
        let is_below = |path: &str| directory.is_some_and(|directory| relative_to(directory, path).is_some());
        let mut differ = Vec::new();
        let (old, new) = (repository.commit(from)?.tree, repository.commit(self.commit)?.tree);
        repository.differs_where(Some(old), Some(new), &mut |path| {
            let counts = directory == Some(path) || PathPatterns::any_matches(&paths, path);
            if counts && !is_below(path) {
                differ.push(path.to_owned());
            }
            false
        })?;
        Ok(differ)
    }
}

fn of_files(files: Vec<Migration>, database: &DatabaseConfig) -> MigrationRunner {
    MigrationRunner::Files { files, is_plain: database.migration_tool.value == Some(Tool::Plain) }
}

/// Returns the migrations that lead from the old commit to the new one.
fn pending<'n>(
    old: Option<&CommitMigrations<'_>>,
    old_history: &MigrationHistory,
    new: &'n CommitMigrations<'_>,
) -> Result<Vec<&'n MigrationFile>, MigrationConflict> {
    let tool = new.history.tool;
    let ids = |path: &str| (old.and_then(|old| old.id_of(path)), new.id_of(path));
    let is_same_file = |path: &str| matches!(ids(path), (Some(old), Some(new)) if old == new);
    let same = |before: &MigrationFile, now: &MigrationFile| {
        let id = old.and_then(|old| old.id_of(&before.path));
        if id.is_some() && id == new.id_of(&now.path) {
            return true;
        }
        let read_old = |path: &str| old.map_or_else(|| Err(String::new()), |old| old.read(path));
        is_same(tool, (before, &read_old), (now, &|path| new.read(path)))
    };
    let found = new.history.pending_after(old_history, &same, &is_same_file);
    // A callback of Flyway runs with every migration, and a changelog of Liquibase orders the others.
    let blocks = matches!(tool, Tool::Flyway | Tool::Liquibase);
    let found = found.and_then(|steps| match new.history.problems.first() {
        Some(problem) if blocks && !steps.is_empty() => Err(Divergence::Problem(problem.clone())),
        _ => Ok(steps),
    });
    found.map_err(|divergence| match divergence {
        Divergence::Changed(path) => MigrationConflict::Changed(path),
        Divergence::Removed(path) => MigrationConflict::Removed(path),
        Divergence::OutOfOrder(path) => MigrationConflict::OutOfOrder { path, tool },
        Divergence::Problem(problem) => {
            MigrationConflict::UnsupportedFile(by_tool(vec![(problem.path, problem.reason)]))
        }
    })
}

/// Returns true if two commits have the same migrations.
fn is_unchanged(old: &CommitMigrations<'_>, new: &CommitMigrations<'_>) -> bool {
    let files = |of: &CommitMigrations<'_>| -> Vec<(String, Option<Oid>)> {
        let migrations = of.history.migrations.iter();
        migrations.map(|migration| (migration.path.clone(), of.id_of(&migration.path))).collect()
    };
    old.history.problems.is_empty() && new.history.problems.is_empty() && files(old) == files(new)
}

fn by_tool(refused: Vec<(String, String)>) -> Vec<UnsupportedFile> {
    let one = |(path, reason)| UnsupportedFile { path, why: UnsupportedReason::ByTool(reason) };
    refused.into_iter().map(one).collect()
}

fn listing(files: Directory) -> Listing<Oid> {
    files.into_iter().map(|(path, entry)| (path, (entry.kind(), entry.id))).collect()
}
