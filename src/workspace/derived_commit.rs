//! The commit of a database by the migrations that are applied in it.

use std::collections::{HashMap, HashSet};

use super::Error;
use super::migration_state::DatabaseState;
use super::migrations::{CommitFiles, examine_state};
use crate::config::DatabaseConfig;
use crate::git::{Oid, Repository};
use crate::migrations::{Applied, Layout, MigrationHistory, compare};

/// The largest number of commits that are searched.
const COMMITS_MAX: usize = 20_000;
/// The largest number of different directories of migrations that are compared.
const DIRECTORIES_MAX: usize = 2_000;
/// The largest number of commits without the directory in which the migrations are searched elsewhere.
const DETECTIONS_MAX: usize = 16;
/// The largest number of commits that are compared as a whole.
const CONFIRMATIONS_MAX: usize = 100;

/// Searches the history of `tip` for the newest commit whose migrations are exactly those that are applied.
/// The commits of the branch itself, which are the first parents, count before those that were merged
/// into it. Returns the reason if no such commit is found.
///
/// # Errors
/// Fails if the files of `tip` match several tools or directories, or if the repository cannot be read.
pub fn derive_commit(
    applied: &Applied,
    database: &DatabaseConfig,
    tip: Oid,
    repository: &Repository,
) -> Result<Result<Oid, String>, Error> {
    let files = CommitFiles::of(tip, repository)?;
    let Some(history) = files.history(Some(database), Some(applied.tool))? else {
        let reason = format!("commit {} has no migrations of {}", tip.to_commit().short(), applied.tool);
        return Ok(Err(reason));
    };
    let mut search = Search {
        applied,
        database,
        layouts: history.layouts.clone(),
        tip: history,
        repository,
        seen: HashSet::new(),
        detections: 0,
        confirmations: 0,
        doubt: None,
    };
    let commits = branch_first(tip, repository)?;
    let is_all = commits.len() < COMMITS_MAX;
    for commit in commits {
        if search.is_equal(commit)? {
            return Ok(Ok(commit));
        }
        if search.seen.len() == DIRECTORIES_MAX {
            let newest = format!("the newest {DIRECTORIES_MAX} versions of the migrations");
            return Ok(Err(format!("none of {newest} is exactly the applied one")));
        }
    }
    let of =
        if is_all { "no commit".to_owned() } else { format!("none of the newest {COMMITS_MAX} commits") };
    let none =
        format!("{of} in the history of {} has exactly the applied migrations", tip.to_commit().short());
    Ok(Err(search.doubt.map_or(none.clone(), |doubt| format!("{none}; {doubt}"))))
}

/// Returns the newest commits in the history of `tip`: first the commits of the branch, then the others.
fn branch_first(tip: Oid, repository: &Repository) -> Result<Vec<Oid>, Error> {
    let graph = repository.recent(tip, COMMITS_MAX)?;
    let parent: HashMap<Oid, Option<Oid>> =
        graph.iter().map(|(commit, parents)| (*commit, parents.first().copied())).collect();
    let mut commits = Vec::with_capacity(graph.len());
    let mut at = Some(tip);
    while let Some(commit) = at.filter(|commit| parent.contains_key(commit)) {
        commits.push(commit);
        at = parent[&commit];
    }
    let of_branch: HashSet<Oid> = commits.iter().copied().collect();
    commits.extend(graph.iter().map(|(commit, _)| *commit).filter(|commit| !of_branch.contains(commit)));
    Ok(commits)
}

struct Search<'a> {
    applied: &'a Applied,
    database: &'a DatabaseConfig,
    /// The migrations of the newest commit.
    tip: MigrationHistory,
    /// The directories of the commit that was compared last.
    layouts: Vec<Layout>,
    repository: &'a Repository,
    /// The trees of the directories that were compared.
    seen: HashSet<Vec<Option<Oid>>>,
    /// The number of commits in which the migrations were searched elsewhere.
    detections: usize,
    /// The number of commits that were compared as a whole.
    confirmations: usize,
    /// The first reason why a commit could not be compared.
    doubt: Option<String>,
}

impl Search<'_> {
    /// Returns true if the migrations of a commit are the applied ones. Returns false if its directories were
    /// compared before.
    fn is_equal(&mut self, commit: Oid) -> Result<bool, Error> {
        let mut trees = self.trees(commit)?;
        if trees.iter().all(Option::is_none) && self.moves_to(commit)? {
            trees = self.trees(commit)?;
        }
        if trees.iter().all(Option::is_none) || self.seen.contains(&trees) {
            return Ok(false);
        }
        let files = CommitFiles::below(commit, &self.layouts, self.repository)?;
        let Some(mut history) = files.history_of(&self.layouts) else { return Ok(false) };
        history.add_scopes(&self.tip);
        // The versions are compared first, because everything else takes longer to read.
        if history.problems.is_empty() && !compare(&history, self.applied).is_equal() {
            self.seen.insert(trees);
            return Ok(false);
        }
        // Another commit with these directories may differ in others, so they are not seen yet.
        self.confirmations += 1;
        if self.confirmations > CONFIRMATIONS_MAX {
            self.doubt(commit, &format!("{CONFIRMATIONS_MAX} commits were compared as a whole before it"));
            self.seen.insert(trees);
            return Ok(false);
        }
        self.is_confirmed(commit)
    }

    /// Returns true if the migrations of a commit are the applied ones. They are detected again, because the
    /// commit may have other directories than the newest one.
    fn is_confirmed(&mut self, commit: Oid) -> Result<bool, Error> {
        let state = DatabaseState::Applied(self.applied.clone());
        let comparison = match examine_state(&state, self.database, commit, self.repository) {
            Ok(examination) => examination.map(|examination| examination.comparison),
            Err(error @ Error::AmbiguousMigrations { .. }) => Some(Err(error.to_string())),
            Err(error) => return Err(error),
        };
        match comparison {
            Some(Ok(comparison)) => Ok(comparison.is_equal()),
            Some(Err(reason)) => {
                self.doubt(commit, &reason);
                Ok(false)
            }
            None => Ok(false),
        }
    }

    fn trees(&self, commit: Oid) -> Result<Vec<Option<Oid>>, Error> {
        let tree = |layout: &Layout| Ok(self.repository.tree_at(commit, &layout.directory)?);
        self.layouts.iter().map(tree).collect()
    }

    /// Finds the migrations of a commit that has none of the directories. Returns false if the commit has
    /// no migrations.
    fn moves_to(&mut self, commit: Oid) -> Result<bool, Error> {
        if self.detections == DETECTIONS_MAX {
            self.doubt(commit, "its migrations are in another directory");
            return Ok(false);
        }
        self.detections += 1;
        let files = CommitFiles::of(commit, self.repository)?;
        match files.history(Some(self.database), Some(self.applied.tool)) {
            Ok(Some(history)) => {
                self.layouts = history.layouts;
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(error @ Error::AmbiguousMigrations { .. }) => {
                self.doubt(commit, &error.to_string());
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn doubt(&mut self, commit: Oid, reason: &str) {
        let doubt = || format!("commit {} cannot be compared: {reason}", commit.to_commit().short());
        self.doubt.get_or_insert_with(doubt);
    }
}
