//! The coverage of branches and commits: which of them can be restored, and from which backups.

use std::collections::{BTreeSet, HashMap};

use crate::config::Config;
use crate::domain::{BackupId, DatabaseName};
use crate::git::{Branch as GitBranch, Oid, PathPatterns, Repository, Walk};
use crate::ledger::{Ledger, Overview, Row};
use crate::recovery::{CommitPlan, CommitPlanner, Error, MigrationConflict, MigrationPlan, Search, rank};
use crate::report::{BackupIndex, Branch, Coverage, State};
use crate::workspace::Workspace;

use super::nearest::nearest;
use super::records::records_of_database;

/// Determines the coverage of commits. With several databases the one counts that is covered worst.
pub struct CoverageQuery<'a> {
    repository: &'a Repository,
    ledger: Ledger<'a>,
    config: &'a Config,
    /// The backups of each database. The name is `None` if the backups of all databases count together.
    databases: Vec<(Option<DatabaseName>, BackupIndex<Oid>)>,
    /// The databases that are configured or have backups.
    known: BTreeSet<DatabaseName>,
    overview: &'a Overview,
}

/// The largest number of backups that are examined for a commit to which the nearest one does not lead.
const OTHERS_MAX: usize = 8;

impl<'a> CoverageQuery<'a> {
    /// Prepares the query for `database`, or else for all configured databases. If fewer than two are
    /// configured, all backups count. The bytes of the backups in `missing` are unavailable.
    ///
    /// # Errors
    /// Fails if the repository, its configuration or the ledger cannot be opened.
    pub fn new(
        workspace: &'a Workspace,
        database: Option<&DatabaseName>,
        overview: &'a Overview,
        missing: &BTreeSet<BackupId>,
    ) -> Result<Self, Error> {
        let config = workspace.config()?;
        let names = match database {
            Some(name) => vec![Some(name.clone())],
            None => match config.databases() {
                several if several.len() > 1 => several.into_iter().map(Some).collect(),
                _ => vec![None],
            },
        };
        let index = |name: Option<DatabaseName>| {
            let index = records_of_database(overview, missing, name.as_ref());
            (name, index)
        };
        Ok(Self {
            repository: workspace.repository()?,
            ledger: workspace.ledger()?,
            config,
            databases: names.into_iter().map(index).collect(),
            known: config
                .databases()
                .into_iter()
                .chain(overview.rows().filter_map(|row| row.database().parse().ok()))
                .collect(),
            overview,
        })
    }

    /// Returns the coverage of branches. Fails if the history or a record cannot be read.
    pub fn branches(&self, branches: &[GitBranch]) -> Result<Vec<Branch>, Error> {
        let tips: Vec<Oid> = branches.iter().map(|branch| branch.tip).collect();
        let mut worst: Vec<Option<Branch>> = vec![None; branches.len()];
        for (database, index) in &self.databases {
            let nearest = nearest(&tips, index, self.repository)?;
            for ((branch, nearest), worst) in branches.iter().zip(nearest).zip(&mut worst) {
                let tip = index.coverage(branch.tip);
                let tip = match nearest {
                    Some((commit, _)) if tip.state != State::Ok => self.by_migrations(tip, index, commit)?,
                    _ => tip,
                };
                let (nearest, commits_since) = nearest.unzip();
                let found = Branch {
                    branch: branch.name.clone(),
                    database: database.clone(),
                    tip: tip.named(Oid::to_commit),
                    nearest: nearest.map(Oid::to_commit),
                    commits_since,
                };
                if worst.as_ref().is_none_or(|known| found.tip.state < known.tip.state) {
                    *worst = Some(found);
                }
            }
        }
        Ok(worst.into_iter().flatten().collect())
    }

    /// Returns the coverage of a commit whose nearest commit with a restorable backup is `from`. If that backup
    /// does not lead to the commit, other backups are examined as `backup find` does.
    fn by_migrations(
        &self,
        tip: Coverage<Oid>,
        index: &BackupIndex<Oid>,
        from: Oid,
    ) -> Result<Coverage<Oid>, Error> {
        let source = index.coverage(from);
        let Some(backup) = source.restorable_from else { return Ok(tip) };
        let mut planner = CommitPlanner::to(tip.commit, self.repository, self.ledger, self.config);
        match self.planned(&mut planner, backup)? {
            Some((state, migrations)) => {
                let state = state.max(tip.state);
                Ok(tip.covered(state, source, migrations))
            }
            None => self.by_others(tip, index, &mut planner, backup),
        }
    }

    /// Returns the coverage of a commit by another backup than `unfit`.
    fn by_others(
        &self,
        tip: Coverage<Oid>,
        index: &BackupIndex<Oid>,
        planner: &mut CommitPlanner<'_>,
        unfit: BackupId,
    ) -> Result<Coverage<Oid>, Error> {
        let is_usable = |row: &Row<'_>| row.id() != unfit && index.chain(row.id()).is_ok();
        let rows: Vec<Row<'_>> = self.overview.rows().filter(is_usable).collect();
        let search = Search {
            commit: tip.commit,
            repository: self.repository,
            ledger: self.ledger,
            config: self.config,
            allow_unproved: false,
        };
        let mut candidates = search.related(&rows)?;
        rank(&mut candidates);
        candidates.truncate(OTHERS_MAX);
        candidates.extend(search.elsewhere(&rows)?);
        for candidate in candidates.iter().take(OTHERS_MAX) {
            if let Some((state, migrations)) = self.planned(planner, candidate.backup)? {
                let source = index.coverage(Oid::from(&candidate.commit));
                let source = Coverage { restorable_from: Some(candidate.backup), ..source };
                let state = state.max(tip.state);
                return Ok(tip.covered(state, source, migrations));
            }
        }
        Ok(tip)
    }

    /// Returns the state of the commit of the planner by a backup, and the number of migrations that a restore
    /// runs. Returns `None` if the backup does not lead there.
    fn planned(
        &self,
        planner: &mut CommitPlanner<'_>,
        backup: BackupId,
    ) -> Result<Option<(State, Option<usize>)>, Error> {
        Ok(match planner.from(&self.ledger.by_id(backup)?)? {
            Ok(CommitPlan { forward, unseen, .. }) => {
                Some(match forward.map(|MigrationPlan { way, .. }| way) {
                    Some(way) if way.count() == Some(0) && unseen.is_empty() => (State::Ok, Some(0)),
                    Some(way) => (State::Reachable, way.count()),
                    None => (State::Reachable, None),
                })
            }
            Err(MigrationConflict::NoProof { .. }) => Some((State::Unproven, None)),
            Err(_) => None,
        })
    }

    /// Returns the coverage of the commits of a range, the newest first. A commit without a backup is covered by
    /// the backup that covers one of its parents, if migrations lead from that backup to the commit.
    ///
    /// # Errors
    /// Fails if the history cannot be read, or a setting is wrong.
    pub fn commits(&self, tip: Oid, hidden: Option<Oid>) -> Result<Vec<Coverage<Oid>>, Error> {
        let commits = self.repository.walk(&[tip], hidden.as_slice(), Walk::default())?;
        let mut worst: HashMap<Oid, Coverage<Oid>> = HashMap::with_capacity(commits.len());
        for (database, index) in &self.databases {
            let mut range = Range {
                query: self,
                index,
                paths: self.schema_paths(database.as_ref())?,
                known: HashMap::with_capacity(commits.len()),
                unchanged: HashMap::new(),
            };
            // Parents are behind their children.
            for commit in commits.iter().rev() {
                let coverage = range.coverage(*commit)?;
                let is_worse = |other: &Coverage<Oid>| coverage.state < other.state;
                if worst.get(commit).is_none_or(is_worse) {
                    worst.insert(*commit, coverage.clone());
                }
                range.known.insert(*commit, coverage);
            }
        }
        Ok(commits.iter().filter_map(|commit| worst.remove(commit)).collect())
    }

    /// Returns the patterns of the files that count as schema, with the directories of the migrations.
    fn schema_paths(&self, database: Option<&DatabaseName>) -> Result<Vec<PathPatterns>, Error> {
        let databases = match database {
            Some(name) => vec![name.clone()],
            None => self.known.iter().cloned().collect(),
        };
        let mut paths = Vec::new();
        for name in &databases {
            paths.extend(self.config.schema_paths(name)?);
            for directory in self.config.database(name)?.migrations {
                let pattern = format!("/{}/", directory.value);
                paths.extend(pattern.parse::<PathPatterns>().ok());
            }
        }
        Ok(paths)
    }
}

/// The commits of a range, examined from the oldest to the newest.
struct Range<'q, 'a> {
    query: &'q CoverageQuery<'a>,
    index: &'q BackupIndex<Oid>,
    /// The files that count as schema.
    paths: Vec<PathPatterns>,
    /// The coverage of the commits that were examined, and of their parents outside of the range.
    known: HashMap<Oid, Coverage<Oid>>,
    /// The coverage of the first commit after the one of a backup that changes no file of the schema. It is the
    /// same for all such commits.
    unchanged: HashMap<BackupId, (State, Option<usize>)>,
}

impl Range<'_, '_> {
    /// Returns the coverage of a commit whose parents are known, if they are in the range.
    fn coverage(&mut self, commit: Oid) -> Result<Coverage<Oid>, Error> {
        let mut best = self.index.coverage(commit);
        if best.state == State::Ok {
            return Ok(best);
        }
        let own = best.clone();
        let data = self.query.repository.commit(commit)?;
        for parent in data.parents {
            let found = self.by_parent(&own, data.tree, parent)?;
            if found.state > best.state {
                best = found;
            }
        }
        Ok(best)
    }

    /// Returns the coverage of a commit by the backup that covers one of its parents.
    fn by_parent(&mut self, own: &Coverage<Oid>, tree: Oid, parent: Oid) -> Result<Coverage<Oid>, Error> {
        let before = self.of_parent(parent)?;
        let (Some(backup), Some(from)) = (before.restorable_from, before.restorable_at) else {
            return Ok(own.clone());
        };
        if before.state < State::Unproven {
            return Ok(own.clone());
        }
        let old = self.query.repository.commit(parent)?.tree;
        let is_schema = &mut |path: &str| PathPatterns::any_matches(&self.paths, path);
        let is_changed = self.query.repository.differs_where(Some(old), Some(tree), is_schema)?;
        if is_changed {
            return self.query.by_migrations(own.clone(), self.index, from);
        }
        if from != parent {
            let (state, migrations) = (before.state.max(own.state), before.migrations);
            return Ok(own.clone().covered(state, before, migrations));
        }
        if let Some((state, migrations)) = self.unchanged.get(&backup) {
            return Ok(own.clone().covered((*state).max(own.state), before, *migrations));
        }
        let found = self.query.by_migrations(own.clone(), self.index, from)?;
        if found.restorable_from == Some(backup) {
            self.unchanged.insert(backup, (found.state, found.migrations));
        }
        Ok(found)
    }

    /// Returns the coverage of a parent. One outside of the range is covered by the nearest backup.
    fn of_parent(&mut self, parent: Oid) -> Result<Coverage<Oid>, Error> {
        if let Some(known) = self.known.get(&parent) {
            return Ok(known.clone());
        }
        let own = self.index.coverage(parent);
        let nearest = match own.state {
            State::Ok => None,
            _ => nearest(&[parent], self.index, self.query.repository)?.into_iter().next().flatten(),
        };
        let coverage = match nearest {
            Some((from, _)) => self.query.by_migrations(own, self.index, from)?,
            None => own,
        };
        self.known.insert(parent, coverage.clone());
        Ok(coverage)
    }
}
