//! The comparison of the migrations of a commit with those that a database has applied.

use std::collections::{BTreeMap, BTreeSet};

use super::checksum::is_checksum_of;
use super::history::MigrationHistory;
use super::layout::Read;
use super::migration::{Kind, MigrationFile};
use super::state::{Applied, AppliedMigration};
use super::tool::Tool;
use super::version::{compare_versions, key_version};
use crate::domain::words;

words! {
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

    /// Returns true if the database has only migrations of the commit, so that the pending ones lead to
    /// it.
    pub fn is_behind(&self) -> bool {
        self.migrations.iter().all(|it| matches!(it.state, State::Applied | State::Pending))
    }
}

/// Compares the migrations of a commit with those that a database has applied by the same tool. Reads
/// the files with `read` where the tool records checksums.
pub fn compare(history: &MigrationHistory, applied: &Applied, read: Read<'_>) -> Comparison {
    let tool = history.layout.tool;
    let mut rows: BTreeMap<String, &AppliedMigration> =
        applied.migrations.iter().map(|row| (row_key(tool, row), row)).collect();
    let reached = Reached::of(history, applied);
    let baseline = baseline(history, &rows);
    let mut migrations = Vec::with_capacity(history.migrations.len());
    let (mut compared, mut counted) = (0_usize, 0_usize);
    for migration in &history.migrations {
        let row = rows.remove(&key(tool, migration));
        let state = match row {
            Some(row) if !row.is_complete => State::Incomplete,
            Some(row) => {
                counted += 1;
                match matches(tool, row, migration, read) {
                    Some(true) => {
                        compared += 1;
                        State::Applied
                    }
                    Some(false) => {
                        compared += 1;
                        // A changed repeatable migration runs again.
                        if migration.kind == Kind::Repeatable { State::Pending } else { State::Changed }
                    }
                    None => State::Applied,
                }
            }
            None if reached.includes(migration) => {
                counted += 1;
                State::Applied
            }
            None => State::Pending,
        };
        migrations.push(MigrationState {
            version: migration.version.clone(),
            name: migration.name.clone(),
            path: Some(migration.path.clone()),
            state,
        });
    }
    skip_replaced(history, baseline.as_deref(), &mut migrations);
    let unknown = rows.into_values().filter(|row| !reached.explains(row)).map(|row| MigrationState {
        version: row.version.clone(),
        name: row.name.clone(),
        path: None,
        state: if row.is_complete { State::Unknown } else { State::Incomplete },
    });
    migrations.extend(unknown);
    Comparison { migrations, by_checksum: compared > 0 && compared == counted }
}

/// Leaves out what a baseline replaces: in a database that began with it, the migrations up to its
/// version; in any other, the baseline.
fn skip_replaced(
    history: &MigrationHistory,
    applied_baseline: Option<&str>,
    states: &mut Vec<MigrationState>,
) {
    let is_baseline = |at: usize| history.migrations.get(at).is_some_and(|it| it.kind == Kind::Baseline);
    let mut at = 0;
    states.retain(|state| {
        let (this, pending) = (at, state.state == State::Pending);
        at += 1;
        match applied_baseline {
            Some(version) => {
                !(pending && compare_versions(&state.version, version).is_le() && !state.version.is_empty())
            }
            None => !(pending && is_baseline(this)),
        }
    });
}

/// Returns the version of the newest baseline that is applied.
fn baseline(history: &MigrationHistory, rows: &BTreeMap<String, &AppliedMigration>) -> Option<String> {
    let applied = |it: &&MigrationFile| rows.contains_key(&key(history.layout.tool, it));
    let baselines = history.migrations.iter().filter(|it| it.kind == Kind::Baseline).filter(applied);
    // A version that has both a baseline and a versioned migration does not tell which of them ran.
    let has_other = |version: &str| {
        history.migrations.iter().any(|it| it.kind == Kind::Versioned && it.version == version)
    };
    baselines
        .map(|it| it.version.clone())
        .filter(|version| !has_other(version))
        .max_by(|a, b| compare_versions(a, b))
}

/// Returns true if the checksum of a row is that of the file, or `None` if there is none to compare.
fn matches(tool: Tool, row: &AppliedMigration, migration: &MigrationFile, read: Read<'_>) -> Option<bool> {
    let stored = row.checksum.as_deref()?;
    if migration.checksum.as_deref() == Some(stored) {
        return Some(true);
    }
    if migration.kind == Kind::Code {
        return None;
    }
    let content = read(&migration.path).ok()?;
    Some(is_checksum_of(tool, stored, &migration.version, &migration.name, &content))
}

/// The migrations that are applied although no row names them, because the tool records only the last
/// one or only the heads.
struct Reached {
    /// The versions that the heads follow.
    keys: BTreeSet<String>,
    /// The last version, and whether it is complete.
    last: Option<(String, bool)>,
    tool: Tool,
}

impl Reached {
    fn of(history: &MigrationHistory, applied: &Applied) -> Self {
        let tool = history.layout.tool;
        let last = match tool.records_one_version() || tool == Tool::Drizzle {
            true => applied.migrations.iter().max_by(|a, b| compare_versions(&a.version, &b.version)),
            false => None,
        };
        let keys = match tool {
            Tool::Alembic => heads(history, applied.migrations.iter().map(|row| row.version.as_str())),
            _ => BTreeSet::new(),
        };
        Self { keys, last: last.map(|row| (row.version.clone(), row.is_complete)), tool }
    }

    fn includes(&self, migration: &MigrationFile) -> bool {
        let before = self.last.as_ref().is_some_and(|(last, is_complete)| {
            let order = compare_versions(&migration.version, last);
            order.is_lt() || (order.is_eq() && *is_complete)
        });
        before || self.keys.contains(&migration.version)
    }

    /// Returns true if the row need not be a file: drizzle compares only the newest one.
    fn explains(&self, row: &AppliedMigration) -> bool {
        self.tool == Tool::Drizzle && self.last.as_ref().is_some_and(|(last, _)| *last != row.version)
    }
}

/// Returns the revisions up to the heads. The migrations are in an order with parents first, and the
/// order of a line of revisions is that of the list.
fn heads<'a>(history: &MigrationHistory, heads: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let mut open: Vec<&str> = heads.collect();
    let mut reached = BTreeSet::new();
    while let Some(version) = open.pop() {
        if reached.insert(version.to_owned()) {
            let migration = history.migrations.iter().find(|it| it.version == version);
            open.extend(migration.into_iter().flat_map(|it| it.after.iter().map(String::as_str)));
        }
    }
    reached
}

fn key(tool: Tool, migration: &MigrationFile) -> String {
    match (migration.kind, tool) {
        (Kind::Repeatable, _) => format!("R {}", migration.name),
        (_, Tool::NodePgMigrate | Tool::Knex | Tool::GraphileMigrate) => migration.name.clone(),
        _ => key_version(tool, &migration.version),
    }
}

fn row_key(tool: Tool, row: &AppliedMigration) -> String {
    match tool {
        Tool::Flyway if row.version.is_empty() => format!("R {}", row.name),
        _ => key_version(tool, &row.version),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{EntryKind, File, Files, Layout, checksum::checksum};
    use super::*;

    fn history(tool: Tool, paths: &[&str]) -> MigrationHistory {
        let file =
            |path: &&str| ((*path).to_owned(), File { kind: EntryKind::File, content: (*path).to_owned() });
        let files: Files = paths.iter().map(file).collect();
        let layout = Layout { tool, directory: "m".into(), evidence: String::new() };
        let history = MigrationHistory::of(&layout, &files, &content);
        assert_eq!(history.problems, [], "{paths:?}");
        history
    }

    /// The content of a file is its path.
    fn content(path: &str) -> Result<Vec<u8>, String> {
        Ok(path.as_bytes().to_vec())
    }

    fn row(version: &str) -> AppliedMigration {
        AppliedMigration { version: version.into(), name: version.into(), checksum: None, is_complete: true }
    }

    fn states(history: &MigrationHistory, rows: &[AppliedMigration]) -> Vec<(String, State)> {
        let applied =
            Applied { tool: history.layout.tool, table: "public.t".into(), migrations: rows.to_vec() };
        let comparison = compare(history, &applied, &content);
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
        first.checksum = checksum(Tool::Sqlx, "1", "a", b"m/1_a.sql");
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
        assert_eq!(states(&of, &[row("2")]), pairs(&[("1", Applied), ("2", Applied), ("3", Pending)]));
        let dirty = AppliedMigration { is_complete: false, ..row("2") };
        assert_eq!(states(&of, &[dirty]), pairs(&[("1", Applied), ("2", Incomplete), ("3", Pending)]));
        assert_eq!(states(&of, &[row("9")]).last(), Some(&("9".to_owned(), State::Unknown)));
    }

    #[test]
    fn repeatable_and_baseline_migrations_count_as_flyway_counts_them() {
        use State::{Applied, Pending};
        let of = history(Tool::Flyway, &["m/R__view.sql", "m/V1__a.sql", "m/B2__base.sql", "m/V3__c.sql"]);
        let view = |sum: &str| AppliedMigration {
            version: String::new(),
            name: "view".into(),
            checksum: Some(sum.to_owned()),
            is_complete: true,
        };
        let sum = checksum(Tool::Flyway, "", "view", b"m/R__view.sql").unwrap();
        // A database that began before the baseline has no row for it.
        let found = states(&of, &[row("1"), row("3"), view(&sum)]);
        assert_eq!(found, pairs(&[("1", Applied), ("3", Applied), ("", Applied)]));
        let found = states(&of, &[row("2"), view("7")]);
        assert_eq!(found, pairs(&[("2", Applied), ("3", Pending), ("", Pending)]));
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
        let file = |(path, _): &(&str, &str)| {
            ((*path).to_owned(), File { kind: EntryKind::File, content: (*path).to_owned() })
        };
        let layout = Layout { tool: Tool::Alembic, directory: "m".into(), evidence: String::new() };
        let of = MigrationHistory::of(&layout, &texts.iter().map(file).collect(), &read);
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
