//! The comparison of the migrations of a commit with those that a database has applied.

use std::collections::{BTreeMap, BTreeSet};

use super::history::MigrationHistory;
use super::migration::{Kind, MigrationFile};
use super::state::{Applied, AppliedMigration};
use super::tool::Tool;
use super::version::{compare_versions, key_version};
use crate::domain::named_enum;

named_enum! {
    /// The state of a migration in a database.
    State("state of a migration") {
        /// It is applied.
        Applied = "applied",
        /// It is not applied.
        Pending = "pending",
        /// It is applied, and its file has another checksum now.
        Changed = "changed",
        /// It is applied, and the commit does not have it.
        Unknown = "unknown",
        /// It has failed, or is not complete.
        Incomplete = "incomplete",
    }
}

/// A migration with its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationState {
    /// The version.
    pub version: String,
    /// The name.
    pub name: String,
    /// The path of the file, if the commit has it.
    pub path: Option<String>,
    /// The purpose, if the commit has the migration.
    pub kind: Option<Kind>,
    /// The state.
    pub state: State,
}

/// The migrations of a commit with their states in a database, and those that only the database has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The migrations, in the order in which the tool runs them.
    pub migrations: Vec<MigrationState>,
    /// True if each applied migration was compared with its file by a checksum.
    pub by_checksum: bool,
}

impl Comparison {
    /// Returns the migrations in a state.
    pub fn in_state(&self, state: State) -> impl Iterator<Item = &MigrationState> {
        self.migrations.iter().filter(move |migration| migration.state == state)
    }

    /// Returns true if the database has exactly the migrations of the commit.
    pub fn is_equal(&self) -> bool {
        self.migrations.iter().all(|migration| migration.state == State::Applied)
    }
}

impl MigrationHistory {
    /// Returns true if the history has the migration that a database says is applied.
    pub fn has(&self, version: &str, name: &str) -> bool {
        let wanted = match version {
            "" => format!("R {name}"),
            version => key_version(self.tool, version),
        };
        self.migrations.iter().any(|migration| key(self.tool, migration) == wanted)
    }
}

/// Compares the migrations of a commit, whose contents were read, with those that a database has applied
/// by the same tool.
pub fn compare(history: &MigrationHistory, applied: &Applied) -> Comparison {
    let tool = history.tool;
    let is_ours =
        |row: &&AppliedMigration| tool.scope(&row.version).is_none_or(|scope| history.scopes.contains(scope));
    let rows = applied.migrations.iter().filter(is_ours);
    let mut rows: BTreeMap<String, &AppliedMigration> = rows.map(|row| (row_key(tool, row), row)).collect();
    let implied = Implied::of(history, applied);
    let mut migrations = Vec::with_capacity(history.migrations.len());
    let mut by_checksum = true;
    for migration in &history.migrations {
        let state = match rows.remove(&key(tool, migration)) {
            Some(row) if !row.is_complete => State::Incomplete,
            Some(row) => match &row.checksum {
                Some(checksum) if !migration.checksums.is_empty() => changed_or_applied(migration, checksum),
                _ => {
                    by_checksum = false;
                    State::Applied
                }
            },
            None if implied.includes(migration) => {
                by_checksum = false;
                State::Applied
            }
            // A baseline runs only in a new database.
            None if migration.kind == Kind::Baseline && !applied.migrations.is_empty() => continue,
            None => State::Pending,
        };
        migrations.push(MigrationState {
            version: migration.version.clone(),
            name: migration.name.clone(),
            path: Some(migration.path.clone()),
            kind: Some(migration.kind),
            state,
        });
    }
    // Flyway begins in an existing database with a baseline that has no file.
    let unknown = rows.into_values().filter(|row| tool != Tool::Flyway || !row.stands_for_earlier);
    migrations.extend(unknown.map(|row| MigrationState {
        version: row.version.clone(),
        name: row.name.clone(),
        path: None,
        kind: None,
        state: if row.is_complete { State::Unknown } else { State::Incomplete },
    }));
    by_checksum &= migrations.iter().any(|it| it.state == State::Applied);
    Comparison { migrations, by_checksum }
}

fn changed_or_applied(migration: &MigrationFile, checksum: &String) -> State {
    match (migration.checksums.contains(checksum), migration.kind) {
        (true, _) => State::Applied,
        // A changed repeatable migration runs again.
        (false, Kind::Repeatable) => State::Pending,
        (false, _) => State::Changed,
    }
}

/// The migrations that are applied although no row names them, because a row stands for earlier ones, or
/// because the tool records only the heads.
struct Implied {
    /// The versions that the heads follow.
    keys: BTreeSet<String>,
    /// The last version that stands for earlier ones.
    last: Option<String>,
}

impl Implied {
    fn of(history: &MigrationHistory, applied: &Applied) -> Self {
        let last = applied.migrations.iter().filter(|row| row.stands_for_earlier);
        let last = last.max_by(|a, b| compare_versions(&a.version, &b.version));
        let keys = match history.tool {
            Tool::Alembic => heads(history, applied.migrations.iter().map(|row| row.version.as_str())),
            _ => BTreeSet::new(),
        };
        // An incomplete one has a row of its own, and is no version before itself.
        Self { keys, last: last.map(|row| row.version.clone()) }
    }

    fn includes(&self, migration: &MigrationFile) -> bool {
        let order = |last: &String| compare_versions(&migration.version, last);
        let is_earlier = self.last.as_ref().is_some_and(|last| order(last).is_le());
        (is_earlier && migration.kind != Kind::Repeatable) || self.keys.contains(&migration.version)
    }
}

/// Returns the versions of the heads and of all migrations that they follow.
fn heads<'a>(history: &MigrationHistory, heads: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let after: BTreeMap<&str, &Vec<String>> =
        history.migrations.iter().map(|it| (it.version.as_str(), &it.after)).collect();
    let mut open: Vec<&str> = heads.collect();
    let mut reached = BTreeSet::new();
    while let Some(version) = open.pop() {
        if reached.insert(version.to_owned()) {
            open.extend(after.get(version).into_iter().flat_map(|after| after.iter().map(String::as_str)));
        }
    }
    reached
}

fn key(tool: Tool, migration: &MigrationFile) -> String {
    match migration.kind {
        Kind::Repeatable => format!("R {}", migration.name),
        Kind::Baseline => format!("B {}", key_version(tool, &migration.version)),
        _ => key_version(tool, &migration.version),
    }
}

fn row_key(tool: Tool, row: &AppliedMigration) -> String {
    match tool {
        Tool::Flyway if row.version.is_empty() => format!("R {}", row.name),
        Tool::Flyway if row.stands_for_earlier => format!("B {}", key_version(tool, &row.version)),
        _ => key_version(tool, &row.version),
    }
}

#[cfg(test)]
mod tests {
    use super::super::checksum::checksums;
    use super::super::{Files, Layout};
    use super::*;
    use crate::git::EntryKind;

    fn history(tool: Tool, paths: &[&str]) -> MigrationHistory {
        let files: Files = paths.iter().map(|path| ((*path).to_owned(), EntryKind::File)).collect();
        let layout = Layout { tool, directory: "m".into(), evidence: String::new() };
        let mut history = MigrationHistory::of(&[layout], &files, &content).unwrap();
        history.read_contents(&content);
        assert_eq!(history.problems, [], "{paths:?}");
        history
    }

    /// The content of a file is its path.
    fn content(path: &str) -> Result<Vec<u8>, String> {
        Ok(format!("-- +goose Up\n{path}").into_bytes())
    }

    fn sum(tool: Tool, version: &str, name: &str, path: &str) -> Option<String> {
        checksums(tool, version, name, &content(path).unwrap()).into_iter().next()
    }

    fn row(version: &str) -> AppliedMigration {
        AppliedMigration {
            version: version.into(),
            name: version.into(),
            checksum: None,
            is_complete: true,
            stands_for_earlier: false,
        }
    }

    fn states(history: &MigrationHistory, rows: &[AppliedMigration]) -> Vec<(String, State)> {
        let applied = Applied { tool: history.tool, table: "public.t".into(), migrations: rows.to_vec() };
        let comparison = compare(history, &applied);
        comparison.migrations.into_iter().map(|it| (it.version, it.state)).collect()
    }

    fn pairs(all: &[(&str, State)]) -> Vec<(String, State)> {
        all.iter().map(|(version, state)| ((*version).to_owned(), *state)).collect()
    }

    #[test]
    fn each_migration_has_its_state() {
        use State::{Applied, Changed, Incomplete, Pending, Unknown};
        let of = history(Tool::Sqlx, &["m/1_a.sql", "m/2_b.sql", "m/3_c.sql", "m/10_d.sql"]);
        let mut first = row("1");
        first.checksum = sum(Tool::Sqlx, "1", "a", "m/1_a.sql");
        let mut second = row("2");
        second.checksum = Some("00".into());
        let mut third = row("3");
        third.is_complete = false;
        let found = states(&of, &[first, second, third, row("7")]);
        let expected = [("1", Applied), ("2", Changed), ("3", Incomplete), ("10", Pending), ("7", Unknown)];
        assert_eq!(found, pairs(&expected));
    }

    #[test]
    fn a_tool_that_records_one_version_has_applied_all_before() {
        use State::{Applied, Incomplete, Pending};
        let paths = ["m/1_a.up.sql", "m/1_a.down.sql", "m/2_b.up.sql", "m/3_c.up.sql"];
        let of = history(Tool::GolangMigrate, &paths);
        let row = |version| AppliedMigration { stands_for_earlier: true, ..row(version) };
        assert_eq!(states(&of, &[row("2")]), pairs(&[("1", Applied), ("2", Applied), ("3", Pending)]));
        let dirty = AppliedMigration { is_complete: false, ..row("2") };
        assert_eq!(states(&of, &[dirty]), pairs(&[("1", Applied), ("2", Incomplete), ("3", Pending)]));
        assert_eq!(states(&of, &[row("9")]).last(), Some(&("9".to_owned(), State::Unknown)));
    }

    #[test]
    fn repeatable_and_baseline_migrations_count_as_flyway_counts_them() {
        use State::{Applied, Pending};
        let of = history(Tool::Flyway, &["m/R__view.sql", "m/V1__a.sql", "m/B2__base.sql", "m/V3__c.sql"]);
        let view = |sum: Option<String>| AppliedMigration { name: "view".into(), checksum: sum, ..row("") };
        let current = || view(sum(Tool::Flyway, "", "view", "m/R__view.sql"));
        // A database that began before the baseline has no row for it.
        let found = states(&of, &[row("1"), row("3"), current()]);
        assert_eq!(found, pairs(&[("1", Applied), ("3", Applied), ("", Applied)]));
        let baseline = |version| AppliedMigration { stands_for_earlier: true, ..row(version) };
        let found = states(&of, &[baseline("2"), view(Some("7".into()))]);
        assert_eq!(found, pairs(&[("1", Applied), ("2", Applied), ("3", Pending), ("", Pending)]));
        // The command `baseline` has no file. A baseline and a migration may have the same version.
        let of = history(Tool::Flyway, &["m/V1__a.sql", "m/V2__b.sql", "m/B2__base.sql"]);
        assert_eq!(states(&of, &[baseline("1")]), pairs(&[("1", Applied), ("2", Pending)]));
        assert_eq!(states(&of, &[row("1"), row("2")]), pairs(&[("1", Applied), ("2", Applied)]));
    }

    #[test]
    fn rows_of_other_packages_do_not_count_and_rows_without_a_file_do() {
        use State::{Applied, Unknown};
        let django = history(Tool::Django, &["m/migrations/0001_a.py", "m/migrations/__init__.py"]);
        let found = states(&django, &[row("m.0001_a"), row("auth.0001_initial")]);
        assert_eq!(found, pairs(&[("m.0001_a", Applied)]));
        assert_eq!(states(&django, &[row("m.0001_a"), row("m.0002_b")])[1].1, Unknown);
        let knex = history(Tool::Knex, &["m/2024_a.ts"]);
        assert_eq!(states(&knex, &[row("2024_a")]), pairs(&[("2024_a", Applied)]));
    }

    #[test]
    fn equal_by_checksum_is_said_only_of_checksums() {
        let compared = |tool, row: AppliedMigration| {
            let applied = super::Applied { tool, table: String::new(), migrations: vec![row] };
            compare(&history(tool, &["m/1_a.sql"]), &applied).by_checksum
        };
        let summed = AppliedMigration { checksum: sum(Tool::Sqlx, "1", "a", "m/1_a.sql"), ..row("1") };
        assert!(compared(Tool::Sqlx, summed));
        assert!(!compared(Tool::Sqlx, row("1")) && !compared(Tool::Goose, row("1")));
    }

    #[test]
    fn the_heads_of_alembic_stand_for_what_they_follow() {
        use State::{Applied, Pending};
        let texts = [
            ("m/a.py", "revision = 'a'\ndown_revision = None\n"),
            ("m/b.py", "revision: str = 'b'\ndown_revision: Union[str, None] = 'a'\n"),
            ("m/c.py", "revision = 'c'\ndown_revision = ('a', 'b')\n"),
            ("m/d.py", "revision = 'd'\ndown_revision = 'a'\n"),
        ];
        let read = |path: &str| {
            let text = texts.iter().find(|(known, _)| *known == path).map(|(_, text)| *text);
            Ok(text.unwrap_or_default().as_bytes().to_vec())
        };
        let file = |(path, _): &(&str, &str)| ((*path).to_owned(), EntryKind::File);
        let layout = Layout { tool: Tool::Alembic, directory: "m".into(), evidence: String::new() };
        let of = MigrationHistory::of(&[layout], &texts.iter().map(file).collect(), &read).unwrap();
        assert_eq!(of.problems, []);
        let found = states(&of, &[row("c")]);
        let state = |version: &str| found.iter().find(|(known, _)| known == version).unwrap().1;
        assert_eq!([state("a"), state("b"), state("c"), state("d")], [Applied, Applied, Applied, Pending]);
    }

    #[test]
    fn versions_are_equal_as_the_tool_compares_them() {
        let diesel =
            history(Tool::Diesel, &["m/2024-01-02-000000_a/up.sql", "m/2024-01-02-000000_a/down.sql"]);
        assert_eq!(states(&diesel, &[row("20240102000000")])[0].1, State::Applied);
        let flyway = history(Tool::Flyway, &["m/V1_1__a.sql", "m/V002__b.sql"]);
        let found = states(&flyway, &[row("1.1"), row("2.0")]);
        assert!(found.iter().all(|(_, state)| *state == State::Applied), "{found:?}");
        let goose = history(Tool::Goose, &["m/00001_a.sql"]);
        assert_eq!(states(&goose, &[row("1")])[0].1, State::Applied);
    }
}
