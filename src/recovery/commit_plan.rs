//! The path from the commit of a backup to the wanted commit: the migrations to run, and the expected
//! schema.

use std::collections::HashMap;
use std::rc::Rc;

use super::Error;
use super::migrate_command::MigrateCommand;
use super::migration_diff::{Judged, Listing, MigrationDiff, all_migrations, judge, one_direction};
use super::pending::MigrationConflict;
use super::post_restore::{Expected, MigrationPlan, MigrationRunner};
use super::unsupported::UnsupportedFile;
use crate::config::{Config, DatabaseConfig};
use crate::domain::DatabaseName;
use crate::git::{Directory, Oid, PathPatterns, Repository};
use crate::ledger::{Entry, Ledger};
use crate::tools::Migration;

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
    allow_unproved: bool,
}

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
            allow_unproved: false,
        }
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
        if let Some(way) = self.by_command(&database) {
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
        self.by_files(entry, &database, recorded)
    }

    /// Returns the path by a program of the user, if one is configured.
    fn by_command(&self, database: &DatabaseConfig) -> Option<MigrationRunner> {
        let migrate = database.migrate.as_ref()?;
        Some(MigrationRunner::Command(MigrateCommand {
            words: migrate.value.clone(),
            git_dir: self.repository.common_dir(),
            database: database.name.clone(),
            deadline: database.migrate_timeout.value,
        }))
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
        let others = self.others(from, database, directory)?;
        let between = MigrationDiff { directory, old: (*old).as_ref(), new: (*new).as_ref(), others };
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
        let forward =
            Some(MigrationPlan { commit: self.commit.to_commit(), way: MigrationRunner::Files(run) });
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
            return Ok(Ok(Expected::Built(MigrationRunner::Files(all.clone()))));
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

    fn read(&self, names: &[String], listing: Option<&Listing<Oid>>) -> Result<Vec<Migration>, Error> {
        let repository = self.repository;
        let listed = names.iter().filter_map(|name| Some((name, listing?.get(name)?.1)));
        listed.map(|(name, id)| Ok(Migration { name: name.clone(), sql: repository.blob(id)? })).collect()
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

    /// Returns the files that count as schema and differ from the wanted commit. Files in the
    /// migrations directory are left out.
    fn others(&self, from: Oid, database: &DatabaseConfig, directory: &str) -> Result<Vec<String>, Error> {
        let (repository, paths) = (self.repository, self.config.schema_paths(&database.name)?);
        let below = format!("{directory}/");
        let mut differ = Vec::new();
        let (old, new) = (repository.commit(from)?.tree, repository.commit(self.commit)?.tree);
        repository.differs_where(Some(old), Some(new), &mut |path| {
            let counts = path == directory || PathPatterns::any_matches(&paths, path);
            if counts && !path.starts_with(&below) {
                differ.push(path.to_owned());
            }
            false
        })?;
        Ok(differ)
    }
}

fn listing(files: Directory) -> Listing<Oid> {
    files.into_iter().map(|(path, entry)| (path, (entry.kind(), entry.id))).collect()
}
