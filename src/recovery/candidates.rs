//! Candidates for a restore to a commit: the backups of the nearest commits in the history, and the
//! way from each of them to the commit.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use super::commit_plan::CommitPlanner;
use super::distance::{MEASURED_MAX, distances};
use super::migration_diff::may_run;
use super::post_restore::{MigrationPlan, MigrationRunner};
use super::{Candidate, Error, Relation};
use crate::config::Config;
use crate::domain::{DatabaseName, InvalidDatabaseName};
use crate::git::{Directory, Graph, Oid, Repository, Walk};
use crate::ledger::{Ledger, Row};

/// A search for the backups from which a commit can be restored.
pub struct Search<'a> {
    /// The wanted commit.
    pub commit: Oid,
    /// The repository of the schema history.
    pub repository: &'a Repository,
    /// The records.
    pub ledger: Ledger<'a>,
    /// The migrations directory of each database.
    pub config: &'a Config,
    /// True if the schema of the commit need not be known.
    pub allow_unproved: bool,
}

impl Search<'_> {
    /// Returns the candidates among `rows`: the backups of the commit itself and of the nearest commits in
    /// its history.
    ///
    /// # Errors
    /// If the history cannot be read, or a setting is wrong.
    pub fn related(&self, rows: &[Row<'_>]) -> Result<Vec<Candidate>, Error> {
        let (commit, repository) = (self.commit, self.repository);
        let (behind, seen) = ancestors(commit, rows, repository)?;
        let mut by_commit: HashMap<Oid, Vec<&Row<'_>>> =
            behind.iter().map(|oid| (*oid, Vec::new())).collect();
        for row in rows {
            if let Some(its) = by_commit.get_mut(&row.commit_oid()) {
                its.push(row);
            }
        }
        let (mut candidates, mut nearness) = (Vec::new(), Nearness { search: self, entries: HashMap::new() });
        for (oid, seen) in behind.iter().zip(distances(&seen, &behind)) {
            let commits = seen.map_or_else(|| distance(*oid, commit, repository), Ok)?;
            for row in by_commit.remove(oid).into_iter().flatten() {
                let relation = match commits {
                    0 => Relation::Exact,
                    commits => Relation::Ancestor { commits, migrations: nearness.migrations(row)? },
                };
                candidates.push(candidate(row, relation));
            }
        }
        Ok(candidates)
    }

    /// Returns the newest backups among `rows` whose commits are not in the history of the commit. They can be
    /// used if they have no migration that the commit lacks.
    ///
    /// # Errors
    /// If the history cannot be read.
    pub fn elsewhere(&self, rows: &[Row<'_>]) -> Result<Vec<Candidate>, Error> {
        /// The maximum number of commits that are examined.
        const COMMITS_MAX: usize = 8;
        let (commit, repository) = (self.commit, self.repository);
        let mut relations: HashMap<Oid, Option<Relation>> = HashMap::new();
        let mut candidates = Vec::new();
        for row in rows.iter().rev().filter(|row| repository.has_commit(row.commit_oid())) {
            let its = row.commit_oid();
            let relation = match relations.get(&its) {
                Some(known) => *known,
                None if relations.len() == COMMITS_MAX => break,
                None => {
                    let has = |tip: Oid, old: Oid| repository.is_ancestor(old, tip);
                    let relation = if has(commit, its)? {
                        None
                    } else if has(its, commit)? {
                        let commits = distance(commit, its, repository)?;
                        Some(Relation::Newer { commits, migrations: None })
                    } else {
                        Some(Relation::Side { migrations: None })
                    };
                    relations.insert(its, relation);
                    relation
                }
            };
            candidates.extend(relation.map(|relation| candidate(row, relation)));
        }
        Ok(candidates)
    }

    /// Plans the way from each usable candidate to the commit, or records the reason why there is
    /// none.
    ///
    /// # Errors
    /// If a record or the history cannot be read, or a setting is wrong.
    pub fn plan(&self, candidates: &mut [Candidate]) -> Result<(), Error> {
        let mut planner = CommitPlanner::to(self.commit, self.repository, self.ledger, self.config)
            .allow_unproved(self.allow_unproved);
        for candidate in candidates.iter_mut().filter(|candidate| candidate.unusable.is_none()) {
            if candidate.relation == Relation::Exact {
                continue;
            }
            match (planner.from(&self.ledger.by_id(candidate.backup)?)?, &mut candidate.relation) {
                (Ok(plan), relation) => {
                    let way = plan.forward.map(|MigrationPlan { way, .. }| way);
                    if let Some(MigrationRunner::Command(command)) = &way {
                        candidate.command = Some(command.shown());
                    }
                    let count = way.and_then(|way| way.count());
                    match relation {
                        Relation::Exact => {}
                        Relation::Ancestor { migrations, .. } => *migrations = count.unwrap_or(*migrations),
                        Relation::Newer { migrations, .. } | Relation::Side { migrations } => {
                            *migrations = count;
                        }
                    }
                }
                (Err(gap), Relation::Exact | Relation::Ancestor { .. } | Relation::Side { .. }) => {
                    candidate.unusable = Some(gap.to_string());
                    candidate.gap = Some(gap);
                }
                // Migrations are not undone.
                (Err(_), Relation::Newer { .. }) => {}
            }
        }
        Ok(())
    }
}

/// Returns the nearest commits with a backup in the history of `commit`, itself included, and the
/// known part of the history.
fn ancestors(commit: Oid, rows: &[Row<'_>], repository: &Repository) -> Result<(Vec<Oid>, Graph), Error> {
    /// The numbers of commits that are searched first. If none of them has a backup, the whole
    /// history is searched.
    const NEAR: [usize; 2] = [128, 4096];
    let mut graph = Graph::new();
    for near in NEAR {
        graph = repository.recent(commit, near)?;
        let mut with_backup: HashMap<Oid, bool> = graph.iter().map(|(oid, _)| (*oid, false)).collect();
        for row in rows {
            with_backup.entry(row.commit_oid()).and_modify(|has| *has = true);
        }
        let found = graph.iter().map(|(oid, _)| *oid).filter(|oid| with_backup.get(oid) == Some(&true));
        let found: Vec<Oid> = found.take(MEASURED_MAX).collect();
        let is_all = graph.len() < near;
        if is_all || found.len() == MEASURED_MAX || (near == NEAR[1] && !found.is_empty()) {
            return Ok((found, graph));
        }
    }
    let known: HashSet<Oid> = rows.iter().map(Row::commit_oid).collect();
    let all = repository.walk(&[commit], &[], Walk::default())?;
    Ok((all.into_iter().filter(|oid| known.contains(oid)).take(MEASURED_MAX).collect(), graph))
}

/// Returns the number of commits that `newer` has and `older` lacks.
fn distance(older: Oid, newer: Oid, repository: &Repository) -> Result<usize, Error> {
    match older == newer {
        true => Ok(0),
        false => Ok(repository.walk(&[newer], &[older], Walk::default())?.len()),
    }
}

/// An estimate of the number of migrations between each commit and the wanted commit. It reads only
/// the migrations directory. It serves only to rank the candidates.
struct Nearness<'a> {
    search: &'a Search<'a>,
    /// The entries of the migrations directory by commit.
    entries: HashMap<(Oid, String), Rc<Directory>>,
}

impl Nearness<'_> {
    fn entries(&mut self, commit: Oid, directory: &str) -> Result<Rc<Directory>, Error> {
        let key = (commit, directory.to_owned());
        if let Some(known) = self.entries.get(&key) {
            return Ok(Rc::clone(known));
        }
        let entries = self.search.repository.directory_at(commit, directory)?;
        let entries = Rc::new(entries.unwrap_or_default());
        self.entries.insert(key, Rc::clone(&entries));
        Ok(entries)
    }

    /// Returns the number of entries of the migrations directory that differ between the commit of a
    /// backup and the wanted commit. Entries that never run are not counted.
    fn migrations(&mut self, row: &Row<'_>) -> Result<usize, Error> {
        let name = |error: InvalidDatabaseName| Error::NotRestorable {
            backup: row.id().to_string(),
            reason: error.to_string(),
        };
        let database: DatabaseName = row.database().parse().map_err(name)?;
        let database = self.search.config.database(&database)?;
        let mut count = 0;
        for directory in database.migrations.iter().map(|setting| &setting.value) {
            let old = self.entries(row.commit_oid(), directory)?;
            let new = self.entries(self.search.commit, directory)?;
            let all: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            let differs = |name: &&&String| old.get(**name) != new.get(**name) && may_run(name);
            count += all.iter().filter(differs).count();
        }
        Ok(count)
    }
}

fn candidate(row: &Row<'_>, relation: Relation) -> Candidate {
    Candidate {
        backup: row.id(),
        name: row.name().to_owned(),
        commit: row.commit(),
        kind: row.kind(),
        tool: row.tool().to_owned(),
        completed_at: row.completed_at(),
        size_bytes: row.size_bytes(),
        verified: row.is_verified(),
        relation,
        unusable: None,
        gap: None,
        command: None,
    }
}
