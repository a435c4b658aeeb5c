//! The tables in which migration tools record what they have applied.

use std::collections::BTreeMap;

use super::names::{numbered_version, stem};
use super::tool::Tool;
use super::version::key_version;

/// A table of a database, as the catalogue describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueTable {
    /// The schema.
    pub schema: String,
    /// The name.
    pub name: String,
    /// The names of the columns.
    pub columns: Vec<String>,
}

/// The values of a row in the order of [`StateTable::columns`], as the output functions of their types
/// write them.
pub type StateRow = Vec<Option<String>>;

/// The table in which a tool records what it has applied.
#[derive(Debug, Clone, Copy)]
pub struct StateTable {
    /// The tool.
    pub tool: Tool,
    /// The usual name of the table.
    name: &'static str,
    /// The schema, if it is always the same.
    schema: Option<&'static str>,
    /// The columns to read.
    pub columns: &'static [&'static str],
    /// Further columns that the table has.
    also: &'static [&'static str],
    /// Columns of the table of another tool with the same name.
    not: &'static [&'static str],
}

/// The state tables of all tools.
const STATE_TABLES: &[StateTable] = &[
    StateTable::new(Tool::Sqlx, "_sqlx_migrations", &["version", "description", "checksum", "success"]),
    StateTable::new(Tool::Refinery, "refinery_schema_history", &["version", "name", "checksum"]),
    StateTable::new(Tool::Diesel, "__diesel_schema_migrations", &["version"]).with(&["run_on"]),
    StateTable::new(Tool::Goose, "goose_db_version", &["id", "version_id", "is_applied"]),
    StateTable::new(Tool::GolangMigrate, "schema_migrations", &["version", "dirty"]),
    StateTable::new(Tool::Ecto, "schema_migrations", &["version"]).with(&["inserted_at"]),
    StateTable::new(Tool::Supabase, "schema_migrations", &["version"])
        .with(&["statements"])
        .within("supabase_migrations"),
    StateTable::new(Tool::Rails, "schema_migrations", &["version"]).without(OTHER_SCHEMA_MIGRATIONS),
    StateTable::new(Tool::Dbmate, "schema_migrations", &["version"]).without(OTHER_SCHEMA_MIGRATIONS),
    StateTable::new(Tool::Tern, "schema_version", &["version"]).without(&["installed_rank", "dirty"]),
    StateTable::new(
        Tool::Flyway,
        "flyway_schema_history",
        &["installed_rank", "version", "description", "type", "checksum", "success"],
    ),
    StateTable::new(Tool::Liquibase, "databasechangelog", &["author", "id", "filename", "exectype"])
        .with(&["md5sum"]),
    StateTable::new(
        Tool::Atlas,
        "atlas_schema_revisions",
        &["version", "description", "type", "applied", "total", "error"],
    ),
    StateTable::new(Tool::Sqitch, "changes", &["project", "change"])
        .with(&["change_id", "script_hash"])
        .within("sqitch"),
    StateTable::new(
        Tool::Prisma,
        "_prisma_migrations",
        &["migration_name", "checksum", "finished_at", "rolled_back_at"],
    ),
    StateTable::new(Tool::Drizzle, "__drizzle_migrations", &["created_at", "hash"]),
    StateTable::new(Tool::GraphileMigrate, "migrations", &["hash", "filename"])
        .with(&["previous_hash"])
        .within("graphile_migrate"),
    StateTable::new(Tool::NodePgMigrate, "pgmigrations", &["name"]).with(&["run_on"]),
    StateTable::new(Tool::Django, "django_migrations", &["app", "name"]).with(&["applied"]),
    StateTable::new(Tool::Alembic, "alembic_version", &["version_num"]),
    StateTable::new(Tool::TypeOrm, "migrations", &["timestamp", "name"]).without(&["batch", "hash"]),
    StateTable::new(Tool::Knex, "knex_migrations", &["name"]).with(&["batch"]),
    StateTable::new(Tool::SeaOrm, "seaql_migrations", &["version"]).with(&["applied_at"]),
];

/// Columns of the tables `schema_migrations` of golang-migrate, Ecto and Supabase.
const OTHER_SCHEMA_MIGRATIONS: &[&str] = &["dirty", "inserted_at", "statements"];
/// The table by which the `schema_migrations` of Rails is told from that of dbmate.
const RAILS_METADATA: &str = "ar_internal_metadata";

impl StateTable {
    const fn new(tool: Tool, name: &'static str, columns: &'static [&'static str]) -> Self {
        Self { tool, name, schema: None, columns, also: &[], not: &[] }
    }

    const fn with(self, also: &'static [&'static str]) -> Self {
        Self { also, ..self }
    }

    const fn without(self, not: &'static [&'static str]) -> Self {
        Self { not, ..self }
    }

    const fn within(self, schema: &'static str) -> Self {
        Self { schema: Some(schema), ..self }
    }

    /// Returns the names of all tables that [`StateTable::among`] takes into account.
    pub fn names() -> Vec<&'static str> {
        let mut names: Vec<&str> = STATE_TABLES.iter().map(|table| table.name).collect();
        names.push(RAILS_METADATA);
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Returns the state tables among the tables of a database, each with its tool.
    pub fn among(tables: &[CatalogueTable]) -> Vec<(&'static Self, &CatalogueTable)> {
        let rails = tables.iter().any(|table| table.name == RAILS_METADATA);
        let fits = |state: &Self| match state.tool {
            Tool::Rails => rails,
            Tool::Dbmate => !rails,
            _ => true,
        };
        let of = |table| {
            let states = STATE_TABLES.iter().filter(move |state| state.is(table) && fits(state));
            states.map(move |state| (state, table))
        };
        tables.iter().flat_map(of).collect()
    }

    fn is(&self, table: &CatalogueTable) -> bool {
        let has = |column: &&str| table.columns.iter().any(|known| known == column);
        self.name == table.name
            && self.schema.is_none_or(|schema| schema == table.schema)
            && self.columns.iter().chain(self.also).all(has)
            && !self.not.iter().any(has)
    }

    /// Returns the migrations that the rows record as applied.
    pub fn migrations(&self, rows: &[StateRow]) -> Vec<AppliedMigration> {
        let mut newest: BTreeMap<String, Record> = BTreeMap::new();
        let mut changes: BTreeMap<String, usize> = BTreeMap::new();
        for row in rows {
            let mut record = Record::of(self.tool, row);
            if self.tool == Tool::Sqitch {
                // A change that was reworked has a row for each of its scripts.
                let number = changes.entry(record.key.clone()).or_default();
                record.migration.version = numbered_version(&record.migration.version, *number);
                record.key = key_version(self.tool, &record.migration.version);
                *number += 1;
            }
            let known = newest.get(&record.key);
            let is_older = known.is_some_and(|known| {
                // Without a rank, a failed run counts more than a complete one.
                (record.rank, known.migration.is_complete) < (known.rank, record.migration.is_complete)
            });
            if !is_older {
                newest.insert(record.key.clone(), record);
            }
        }
        newest.into_values().filter(|record| record.counts).map(|record| record.migration).collect()
    }
}

/// A row of a state table.
struct Record {
    /// Equal for rows about the same migration.
    key: String,
    /// Of rows with the same key, the one with the greatest rank counts.
    rank: i64,
    /// False if the row records that the migration is not applied, or is about none.
    counts: bool,
    migration: AppliedMigration,
}

/// The values of a row.
struct Values<'a>(&'a [Option<String>]);

impl Values<'_> {
    fn get(&self, at: usize) -> Option<&str> {
        self.0.get(at)?.as_deref()
    }

    fn text(&self, at: usize) -> String {
        self.get(at).unwrap_or_default().to_owned()
    }

    fn is_true(&self, at: usize) -> bool {
        self.get(at) == Some("t")
    }

    fn number(&self, at: usize) -> i64 {
        self.get(at).and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

impl Record {
    fn of(tool: Tool, row: &[Option<String>]) -> Self {
        let values = Values(row);
        let migration = AppliedMigration {
            version: values.text(0),
            name: String::new(),
            checksum: None,
            is_complete: true,
            stands_for_earlier: false,
        };
        let mut record = Self { key: String::new(), rank: 0, counts: true, migration };
        match tool {
            Tool::Goose => record.read_goose(&values),
            Tool::Flyway => record.read_flyway(&values),
            Tool::Atlas => record.read_atlas(&values),
            Tool::Prisma => record.read_prisma(&values),
            tool => record.migration.read(tool, &values),
        }
        // tern has a row from the beginning.
        record.counts &= tool != Tool::Tern || record.migration.version != "0";
        let Self { rank, counts, ref migration, .. } = record;
        record.key = match (counts, migration.version.is_empty()) {
            // Rows that do not count hide no other rows, except for those that take others back.
            (false, _) if rank == 0 => format!("- {}", migration.version),
            (_, true) => format!("R {}", migration.name),
            _ => key_version(tool, &migration.version),
        };
        record
    }

    fn read_goose(&mut self, values: &Values<'_>) {
        self.migration.version = values.text(1);
        self.rank = values.number(0);
        // Version 0 records the creation of the table.
        self.counts = values.is_true(2) && self.migration.version != "0";
    }

    fn read_flyway(&mut self, values: &Values<'_>) {
        let kind = values.text(3);
        self.rank = values.number(0);
        self.migration.version = values.text(1);
        self.migration.name = values.text(2);
        self.migration.checksum = values.get(4).map(str::to_owned);
        self.migration.is_complete = values.is_true(5);
        self.migration.stands_for_earlier = kind.ends_with("BASELINE");
        // After a failed undo, the state of the migration is unknown.
        let is_undone = kind.starts_with("UNDO") && self.migration.is_complete;
        self.counts = kind != "SCHEMA" && kind != "DELETE" && !is_undone;
    }

    fn read_atlas(&mut self, values: &Values<'_>) {
        self.migration.name = values.text(1);
        // The first bit is that of a baseline.
        self.migration.stands_for_earlier = values.number(2) & 1 == 1;
        self.migration.is_complete = values.get(3) == values.get(4) && values.text(5).is_empty();
        // `.atlas_cloud_identifier` is no migration.
        self.counts = !self.migration.version.starts_with('.');
    }

    fn read_prisma(&mut self, values: &Values<'_>) {
        self.migration.name = values.text(0);
        self.migration.checksum = values.get(1).map(str::to_owned);
        self.migration.is_complete = values.get(2).is_some();
        // It was rolled back.
        self.counts = values.get(3).is_none();
    }
}

impl AppliedMigration {
    /// Reads the row of a tool whose rows are about one migration each.
    fn read(&mut self, tool: Tool, values: &Values<'_>) {
        match tool {
            Tool::Sqlx => {
                self.name = values.text(1);
                // The output of `bytea` in the format `hex`.
                self.checksum = values.get(2).and_then(|hex| hex.strip_prefix("\\x")).map(str::to_owned);
                self.is_complete = values.is_true(3);
            }
            Tool::Refinery => {
                self.name = values.text(1);
                self.checksum = values.get(2).map(str::to_owned);
            }
            Tool::GolangMigrate => {
                self.is_complete = !values.is_true(1);
                self.stands_for_earlier = true;
            }
            Tool::Tern => self.stands_for_earlier = true,
            Tool::Liquibase => {
                let file = values.text(2);
                let file = file.rsplit('/').next().unwrap_or_default();
                self.name = format!("{}:{}", values.text(0), values.text(1));
                self.version = format!("{}:{file}", self.name);
                self.is_complete = matches!(values.get(3), Some("EXECUTED" | "RERAN" | "MARK_RAN"));
            }
            Tool::Sqitch => {
                self.name = values.text(1);
                self.version = format!("{}:{}", values.text(0), values.text(1));
            }
            Tool::Drizzle => self.checksum = values.get(1).map(str::to_owned),
            Tool::Django => {
                self.name = format!("{}.{}", values.text(0), values.text(1));
                self.version = self.name.clone();
            }
            Tool::TypeOrm | Tool::GraphileMigrate => self.name = values.text(1),
            // The name of the file, which may have been compiled to another type.
            Tool::Knex => {
                self.name = values.text(0);
                self.version = stem(&self.name).to_owned();
            }
            _ => self.name = values.text(0),
        }
    }
}

/// A migration that a database says is applied.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AppliedMigration {
    /// The version, as the tool records it.
    pub version: String,
    /// The name, if the tool records one.
    pub name: String,
    /// The checksum, if the tool records one that can be computed from the file.
    pub checksum: Option<String>,
    /// False if the migration has failed or is not finished.
    pub is_complete: bool,
    /// True if all migrations with smaller versions count as applied, too.
    pub stands_for_earlier: bool,
}

/// The migrations that a database says are applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The tool.
    pub tool: Tool,
    /// The state table, with its schema.
    pub table: String,
    /// The migrations.
    pub migrations: Vec<AppliedMigration>,
}

impl Applied {
    /// Returns the list as text, one migration in each line in a fixed order: the form whose digest
    /// identifies the state.
    pub fn to_text(&self) -> String {
        let mut lines: Vec<String> = self
            .migrations
            .iter()
            .map(|it| {
                let result = match (it.is_complete, it.stands_for_earlier) {
                    (false, _) => "incomplete",
                    (true, true) => "applied with earlier",
                    (true, false) => "applied",
                };
                let checksum = it.checksum.as_deref().unwrap_or("-");
                let version = key_version(self.tool, &it.version);
                format!("{}\t{}\t{}\t{result}\n", escaped(&version), escaped(&it.name), escaped(checksum))
            })
            .collect();
        lines.sort_unstable();
        format!("tool\t{}\n{}", self.tool, lines.concat())
    }
}

/// Returns the text without characters that end a field or a line.
fn escaped(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(schema: &str, name: &str, columns: &str) -> CatalogueTable {
        let columns = columns.split(' ').map(str::to_owned).collect();
        CatalogueTable { schema: schema.into(), name: name.into(), columns }
    }

    fn tools(tables: &[CatalogueTable]) -> Vec<Tool> {
        StateTable::among(tables).into_iter().map(|(state, _)| state.tool).collect()
    }

    fn migrations(tool: Tool, rows: &[&str]) -> Vec<AppliedMigration> {
        let state = STATE_TABLES.iter().find(|state| state.tool == tool).unwrap();
        let value = |text: &str| (text != "-").then(|| text.to_owned());
        let rows: Vec<StateRow> = rows.iter().map(|row| row.split('|').map(value).collect()).collect();
        state.migrations(&rows)
    }

    /// The versions, each with `!` if it is not complete and `<` if it stands for earlier ones.
    fn versions(tool: Tool, rows: &[&str]) -> Vec<String> {
        let word = |it: AppliedMigration| {
            let version = if it.version.is_empty() { it.name } else { it.version };
            let mark = if it.is_complete { "" } else { "!" };
            format!("{version}{mark}{}", if it.stands_for_earlier { "<" } else { "" })
        };
        migrations(tool, rows).into_iter().map(word).collect()
    }

    #[test]
    fn tables_of_the_same_name_are_told_apart_by_their_columns() {
        let schema_migrations = |columns| table("public", "schema_migrations", columns);
        assert_eq!(tools(&[schema_migrations("version dirty")]), [Tool::GolangMigrate]);
        assert_eq!(tools(&[schema_migrations("version inserted_at")]), [Tool::Ecto]);
        assert_eq!(tools(&[schema_migrations("version")]), [Tool::Dbmate]);
        let rails = table("public", RAILS_METADATA, "key value");
        assert_eq!(tools(&[schema_migrations("version"), rails]), [Tool::Rails]);
        let supabase = table("supabase_migrations", "schema_migrations", "version statements name");
        assert_eq!(tools(&[supabase]), [Tool::Supabase]);
        assert_eq!(tools(&[table("public", "migrations", "id timestamp name")]), [Tool::TypeOrm]);
        assert_eq!(tools(&[table("public", "migrations", "id name")]), []);
        assert_eq!(tools(&[table("other", "changes", "change_id change project script_hash")]), []);
    }

    #[test]
    fn each_tool_records_its_results_in_its_own_way() {
        let checksum = migrations(Tool::Sqlx, &["1|a|\\x00ff|t"])[0].checksum.clone();
        assert_eq!(checksum.as_deref(), Some("00ff"));
        assert_eq!(versions(Tool::Sqlx, &["1|a|\\x00|t", "2|b|\\x00|f"]), ["1", "2!"]);
        assert_eq!(versions(Tool::GolangMigrate, &["7|t"]), ["7!<"]);
        assert_eq!(versions(Tool::Tern, &["0"]), [""; 0]);
        assert_eq!(versions(Tool::Tern, &["3"]), ["3<"]);
        // The newest row of a version counts, in whatever order the rows are.
        let goose = ["1|0|t", "2|1|t", "4|2|f", "3|2|t", "5|3|t"];
        assert_eq!(versions(Tool::Goose, &goose), ["1", "3"]);
        assert_eq!(versions(Tool::Prisma, &["a|x|2024|-", "b|x|-|-", "c|x|-|2024"]), ["a", "b!"]);
        // A run that was rolled back does not hide the next one of the same migration.
        assert_eq!(versions(Tool::Prisma, &["a|x|2024|-", "a|x|-|2023"]), ["a"]);
        assert_eq!(versions(Tool::Prisma, &["a|x|2024|-", "a|x|-|-"]), ["a!"]);
        assert_eq!(
            versions(
                Tool::Atlas,
                &["1|a|1|0|0|", "2|b|2|3|3|", "3|c|2|1|3|", "4|d|2|2|2|bad", ".x|y|2|0|0|"]
            ),
            ["1<", "2", "3!", "4!"]
        );
        assert_eq!(
            versions(Tool::Liquibase, &["ada|1|src/db/a.sql|EXECUTED", "ada|2|a.sql|FAILED"]),
            ["ada:1:a.sql", "ada:2:a.sql!"]
        );
        assert_eq!(versions(Tool::Sqitch, &["shop|users"]), ["shop:users"]);
        assert_eq!(versions(Tool::Django, &["shop|0001_initial"]), ["shop.0001_initial"]);
    }

    #[test]
    fn flyway_takes_migrations_back_and_begins_with_baselines() {
        let rows = [
            "0|-|<< schema >>|SCHEMA|-|t",
            "1|1|base|BASELINE|-|t",
            "2|2|b|SQL|5|t",
            "3|3|c|SQL|6|t",
            "4|3|c|UNDO_SQL|7|t",
            "5|4|d|SQL|8|t",
            "6|4|d|UNDO_SQL|9|f",
            "7|-|view|SQL|1|t",
            "8|-|view|SQL|2|t",
            "9|5|e|SQL|3|t",
            "10|5|e|DELETE|3|t",
        ];
        assert_eq!(versions(Tool::Flyway, &rows), ["1<", "2", "4!", "view"]);
        assert_eq!(migrations(Tool::Flyway, &rows)[3].checksum.as_deref(), Some("2"));
    }

    #[test]
    fn the_text_does_not_depend_on_the_order_of_rows() {
        let applied = |rows: &[&str]| Applied {
            tool: Tool::Sqlx,
            table: "public._sqlx_migrations".into(),
            migrations: migrations(Tool::Sqlx, rows),
        };
        let (one, two) = ("01|a\tb|\\x00|t", "2|c|-|f");
        assert_eq!(applied(&[one, two]).to_text(), applied(&[two, one]).to_text());
        assert_eq!(applied(&[one]).to_text(), "tool\tsqlx\n1\ta\\tb\t00\tapplied\n");
    }
}
