//! The migrations that lead from one commit to another.

use std::collections::BTreeMap;

use super::history::MigrationHistory;
use super::migration::{Kind, MigrationFile, Problem};
use super::tool::Tool;
use super::version::{compare_versions, key_version};

/// The reason why the migrations of one commit do not lead to those of another one. The paths are those of
/// the files in the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Divergence {
    /// A migration of the old commit has another content in the new one.
    Changed(String),
    /// A migration of the old commit is missing in the new one.
    Removed(String),
    /// A new migration has a lower version than one of the old commit, and the tool does not run it.
    OutOfOrder(String),
    /// A file that differs between the commits is not understood.
    Problem(Problem),
}

/// Compares the content of a migration in the old commit with that in the new one. Returns true if the tool
/// takes them for the same.
pub type IsSame<'a> = &'a dyn Fn(&MigrationFile, &MigrationFile) -> bool;

impl MigrationHistory {
    /// Returns the migrations that this history has and `old` does not have, in the order in which the tool
    /// runs them. A repeatable migration whose content has changed is one of them. `is_unchanged` returns true
    /// if the file of a problem is the same in both commits.
    ///
    /// # Errors
    /// If running these migrations would not lead from the old commit to this one.
    pub fn pending_after(
        &self,
        old: &Self,
        is_same: IsSame<'_>,
        is_unchanged: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<&MigrationFile>, Divergence> {
        let mut problems = old.problems.iter().chain(&self.problems);
        if let Some(problem) = problems.find(|problem| !is_unchanged(&problem.path)) {
            return Err(Divergence::Problem(problem.clone()));
        }
        let mut known: BTreeMap<Key, &MigrationFile> =
            old.migrations.iter().map(|migration| (self.key(migration), migration)).collect();
        let mut pending = Vec::new();
        for migration in &self.migrations {
            match known.remove(&self.key(migration)) {
                Some(before) if is_same(before, migration) => {}
                Some(_) if migration.kind == Kind::Repeatable => pending.push(migration),
                Some(_) => return Err(Divergence::Changed(migration.path.clone())),
                // A baseline runs only in a new database.
                None if migration.kind == Kind::Baseline && !old.migrations.is_empty() => {}
                None => pending.push(migration),
            }
        }
        // Nothing undoes a migration. A baseline has not run if there are migrations before it.
        if let Some(removed) = known.into_values().find(|migration| migration.kind != Kind::Baseline) {
            return Err(Divergence::Removed(removed.path.clone()));
        }
        if let Some(migration) = self.out_of_order(old, &pending) {
            return Err(Divergence::OutOfOrder(migration.path.clone()));
        }
        Ok(if old.migrations.is_empty() { from_nothing(pending) } else { pending })
    }

    /// Returns the migrations that the tool runs in an empty database, in order.
    pub fn in_empty_database(&self) -> Vec<&MigrationFile> {
        from_nothing(self.migrations.iter().collect())
    }

    fn key(&self, migration: &MigrationFile) -> Key {
        let version = key_version(self.tool, &migration.version);
        let name = if version.is_empty() { migration.name.clone() } else { String::new() };
        (migration.kind == Kind::Baseline, version, name)
    }

    /// Returns the first new migration that the tool would not run, because a later one has run.
    fn out_of_order<'a>(&self, old: &Self, pending: &[&'a MigrationFile]) -> Option<&'a MigrationFile> {
        if self.tool.runs_out_of_order() {
            return None;
        }
        // Migrations of refinery whose names begin with U run in any order.
        let file = |path: &str| path.rsplit('/').next().unwrap_or_default().starts_with('U');
        let may_be_late = |migration: &MigrationFile| self.tool == Tool::Refinery && file(&migration.path);
        let is_versioned = |migration: &&MigrationFile| !migration.version.is_empty();
        let versioned = old.migrations.iter().filter(is_versioned);
        let last = versioned.max_by(|a, b| compare_versions(&a.version, &b.version))?;
        let is_before =
            |migration: &&MigrationFile| compare_versions(&migration.version, &last.version).is_lt();
        let mut pending = pending.iter().copied().filter(is_versioned);
        pending.find(|migration| is_before(migration) && !may_be_late(migration))
    }
}

/// The identity of a migration: true for a baseline, the version, and the name if there is no version.
type Key = (bool, String, String);

/// Leaves out the migrations that the newest baseline stands for, and the older baselines.
fn from_nothing(migrations: Vec<&MigrationFile>) -> Vec<&MigrationFile> {
    let baselines = migrations.iter().filter(|migration| migration.kind == Kind::Baseline);
    let newest = baselines.max_by(|a, b| compare_versions(&a.version, &b.version)).copied();
    let Some(newest) = newest else { return migrations };
    let is_run = |migration: &&MigrationFile| {
        let is_later = compare_versions(&migration.version, &newest.version).is_gt();
        *migration == newest || migration.kind == Kind::Repeatable || is_later
    };
    migrations.into_iter().filter(is_run).collect()
}

impl Tool {
    /// Returns true if the tool runs a new migration whose version is lower than that of an applied one. The
    /// others refuse it, or take it for applied, unless an option says otherwise.
    fn runs_out_of_order(self) -> bool {
        use Tool::{
            Atlas, Drizzle, Flyway, GolangMigrate, Goose, Knex, NodePgMigrate, Refinery, Supabase, Tern,
        };
        !matches!(
            self,
            Atlas
                | Drizzle
                | Flyway
                | GolangMigrate
                | Goose
                | Knex
                | NodePgMigrate
                | Refinery
                | Supabase
                | Tern
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn file(version: &str, path: &str, kind: Kind) -> MigrationFile {
        MigrationFile {
            version: version.into(),
            name: path.into(),
            kind,
            path: path.into(),
            checksums: Vec::new(),
            after: Vec::new(),
        }
    }

    fn history(tool: Tool, files: &[(&str, &str, Kind)]) -> MigrationHistory {
        let migrations = files.iter().map(|(version, path, kind)| file(version, path, *kind)).collect();
        MigrationHistory {
            tool,
            layouts: Vec::new(),
            migrations,
            problems: Vec::new(),
            scopes: BTreeSet::new(),
        }
    }

    fn pending(tool: Tool, old: &[&str], new: &[&str]) -> Result<Vec<String>, Divergence> {
        let of = |versions: &[&str]| {
            let files: Vec<_> =
                versions.iter().map(|version| (*version, *version, Kind::Versioned)).collect();
            history(tool, &files)
        };
        let (old, new) = (of(old), of(new));
        let pending = new.pending_after(&old, &|_, _| true, &|_| false)?;
        Ok(pending.into_iter().map(|migration| migration.path.clone()).collect())
    }

    #[test]
    fn new_migrations_are_pending_in_the_order_of_the_tool() {
        assert_eq!(pending(Tool::Sqlx, &["1", "3"], &["1", "2", "3", "4"]).unwrap(), ["2", "4"]);
        assert_eq!(pending(Tool::Sqlx, &["1"], &["1"]).unwrap(), Vec::<String>::new());
        // Two spellings of one version are the same migration.
        assert_eq!(pending(Tool::Goose, &["01"], &["1", "2"]).unwrap(), ["2"]);
    }

    #[test]
    fn commits_that_diverge_lead_nowhere() {
        let removed = Err(Divergence::Removed("2".to_owned()));
        assert_eq!(pending(Tool::Sqlx, &["1", "2"], &["1"]), removed);
        let late = Err(Divergence::OutOfOrder("2".to_owned()));
        for tool in [Tool::Flyway, Tool::Goose, Tool::GolangMigrate, Tool::Tern, Tool::Supabase] {
            assert_eq!(pending(tool, &["1", "3"], &["1", "2", "3"]), late, "{tool}");
        }
        let one = history(Tool::Sqlx, &[("1", "1", Kind::Versioned)]);
        let changed = one.pending_after(&one, &|_, _| false, &|_| false);
        assert_eq!(changed, Err(Divergence::Changed("1".to_owned())));
        let problem = Problem { path: "x".into(), reason: "a reason".into() };
        let bad = MigrationHistory { problems: vec![problem.clone()], ..one.clone() };
        let differs = bad.pending_after(&one, &|_, _| true, &|_| false);
        assert_eq!(differs, Err(Divergence::Problem(problem)));
        assert_eq!(bad.pending_after(&one, &|_, _| true, &|_| true), Ok(Vec::new()));
    }

    #[test]
    fn repeatable_and_baseline_migrations_run_as_flyway_runs_them() {
        let old = history(Tool::Flyway, &[("1", "V1", Kind::Versioned), ("", "R", Kind::Repeatable)]);
        let new = history(
            Tool::Flyway,
            &[
                ("1", "V1", Kind::Versioned),
                ("2", "B2", Kind::Baseline),
                ("2", "V2", Kind::Versioned),
                ("3", "V3", Kind::Versioned),
                ("", "R", Kind::Repeatable),
            ],
        );
        let paths = |pending: Vec<&MigrationFile>| -> Vec<String> {
            pending.into_iter().map(|migration| migration.path.clone()).collect()
        };
        let changed = |_: &MigrationFile, it: &MigrationFile| it.kind != Kind::Repeatable;
        let pending = new.pending_after(&old, &changed, &|_| false).unwrap();
        assert_eq!(paths(pending), ["V2", "V3", "R"]);
        assert_eq!(paths(new.in_empty_database()), ["B2", "V3", "R"]);
        let nothing = history(Tool::Flyway, &[]);
        let pending = new.pending_after(&nothing, &changed, &|_| false).unwrap();
        assert_eq!(paths(pending), ["B2", "V3", "R"]);
    }

    #[test]
    fn refinery_runs_only_unversioned_migrations_late() {
        let old = history(Tool::Refinery, &[("3", "m/V3__c.sql", Kind::Versioned)]);
        let with = |path: &str| {
            history(Tool::Refinery, &[("2", path, Kind::Versioned), ("3", "m/V3__c.sql", Kind::Versioned)])
        };
        let pending =
            |new: &MigrationHistory| new.pending_after(&old, &|_, _| true, &|_| false).map(|it| it.len());
        assert_eq!(pending(&with("m/U2__b.sql")), Ok(1));
        assert!(pending(&with("m/V2__b.sql")).is_err());
    }
}
