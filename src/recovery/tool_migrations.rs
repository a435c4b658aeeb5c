//! Migrations of the team's migration tool that this program runs, and records as the tool does.
//!
//! The table of the tool in the restored database decides: it has to agree with the plan before the first
//! migration runs, and with the wanted commit after the last one.

use crate::migrations::{
    Comparison, Kind, MigrationFile, MigrationHistory, Read, RunFacts, Script, State, StateChange,
    StateValue, Tool, compare, liquibase_path, relative_to,
};
use crate::pg::{Client, ConnInfo, Table, quote_ident, quote_literal};
use crate::tools::{Migration, run_migrations};
use crate::workspace::migration_state::{DatabaseState, FoundTable};

use super::Error;

const APPLICATION: &str = "git-pggit";
/// The number of migrations that an error names.
const NAMED_MAX: usize = 3;
/// The largest size of all paths of Liquibase that are read, in bytes.
const PATHS_BYTES_MAX: usize = 16 << 20;

/// Migrations of a migration tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolMigrations {
    /// All migrations of the wanted commit. Those of a path that is executed have the checksums of their files.
    pub history: MigrationHistory,
    /// The migrations to run, in order.
    pub run: Vec<ToolMigration>,
    /// True if nothing was applied at the commit of the backup, so that the tool would create its table.
    pub is_first: bool,
}

/// A migration to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolMigration {
    /// The migration.
    pub file: MigrationFile,
    /// The part of the file that goes forward.
    pub script: Script,
}

impl ToolMigration {
    /// Returns the name for messages: the path of the file, and the id of a change set in it.
    pub fn label(&self, tool: Tool) -> String {
        match tool {
            Tool::Liquibase => format!("{} ({})", self.file.path, self.file.name),
            _ => self.file.path.clone(),
        }
    }

    /// Returns the migration without a record.
    pub(super) fn migration(&self, tool: Tool) -> Migration {
        Migration {
            no_transaction: self.script.no_transaction,
            ..Migration::of_file(self.label(tool), self.script.sql.clone().into_bytes())
        }
    }
}

impl ToolMigrations {
    /// Returns the tool.
    pub fn tool(&self) -> Tool {
        self.history.tool
    }

    /// Returns the migrations without records.
    pub(super) fn migrations(&self) -> Vec<Migration> {
        self.run.iter().map(|one| one.migration(self.tool())).collect()
    }

    /// Runs the migrations in a restored database, and records them in the table of the tool. A database
    /// without the table keeps none, unless nothing was applied yet.
    pub(super) fn run(&self, target: &ConnInfo) -> Result<(), Error> {
        if self.run.is_empty() {
            return Ok(());
        }
        let client = Client::connect(target, APPLICATION)?;
        let Some(table) = self.table(&client)? else {
            return run_migrations(target, &self.with_settings("public")).map_err(Error::from);
        };
        self.expect_plan(&client, &table)?;
        let known = self.known(&client, &table)?;
        drop(client);
        for one in &self.run {
            let record = self.record(one, &table, &known)?;
            let migration = Migration {
                settings: session_settings(self.tool(), &table.table.schema),
                record: Some(record),
                ..one.migration(self.tool())
            };
            run_migrations(target, &[migration])?;
        }
        let client = Client::connect(target, APPLICATION)?;
        let comparison = self.comparison(&client, &table)?;
        match comparison.is_equal() {
            true => Ok(()),
            false => Err(self.differs(&table, &comparison)),
        }
    }

    fn with_settings(&self, schema: &str) -> Vec<Migration> {
        let settings = session_settings(self.tool(), schema);
        let with = |migration| Migration { settings: settings.clone(), ..migration };
        self.migrations().into_iter().map(with).collect()
    }

    /// Runs the migrations in an empty database, to get their schema. The table of the tool is created by
    /// `state_table` in its schema, if it is known.
    pub(super) fn build(
        &self,
        target: &ConnInfo,
        state_table: Option<&(String, Migration)>,
    ) -> Result<(), Error> {
        let schema = match state_table {
            Some((schema, create)) => {
                run_migrations(target, std::slice::from_ref(create))?;
                schema
            }
            None => "public",
        };
        Ok(run_migrations(target, &self.with_settings(schema))?)
    }

    /// Finds the table of the tool, or creates it if the tool would have created it now.
    fn table(&self, client: &Client) -> Result<Option<FoundTable>, Error> {
        let tool = self.tool();
        if let Some(found) = FoundTable::find(client, Some(tool))? {
            return Ok(Some(found));
        }
        if !self.is_first {
            return Ok(None);
        }
        let versions = self.history.migrations.iter().map(|migration| migration.version.parse::<i32>());
        let is_wide = versions.into_iter().any(|version| version.is_err());
        let Some(sql) = tool.state_table_sql(is_wide) else {
            return Err(Error::NotRecordable { reason: format!("the database has no table of {tool} yet") });
        };
        client.reset_search_path()?;
        client.execute(&sql)?;
        Ok(FoundTable::find(client, Some(tool))?)
    }

    fn comparison(&self, client: &Client, table: &FoundTable) -> Result<Comparison, Error> {
        client.set_row_format()?;
        match table.read(client)? {
            DatabaseState::Applied(applied) => Ok(compare(&self.history, &applied)),
            DatabaseState::Unreadable(reason) => Err(Error::NotRecordable { reason }),
            DatabaseState::None => Err(Error::NotRecordable { reason: "its table is missing".to_owned() }),
        }
    }

    /// Fails unless exactly the planned migrations are pending.
    fn expect_plan(&self, client: &Client, table: &FoundTable) -> Result<(), Error> {
        let comparison = self.comparison(client, table)?;
        let planned = |path: Option<&str>, version: &str, name: &str| {
            let is_it = |one: &ToolMigration| {
                Some(one.file.path.as_str()) == path && one.file.version == version && one.file.name == name
            };
            self.run.iter().any(is_it)
        };
        let is_expected = comparison.migrations.iter().all(|it| {
            match (it.state, planned(it.path.as_deref(), &it.version, &it.name)) {
                (State::Applied, is_planned) => !is_planned,
                (State::Pending, is_planned) => is_planned,
                _ => false,
            }
        });
        if is_expected { Ok(()) } else { Err(self.differs(table, &comparison)) }
    }

    fn differs(&self, table: &FoundTable, comparison: &Comparison) -> Error {
        let is_planned = |version: &str| self.run.iter().any(|one| one.file.version == version);
        let unexpected = comparison.migrations.iter().filter(|it| match it.state {
            State::Applied => is_planned(&it.version),
            State::Pending => !is_planned(&it.version),
            _ => true,
        });
        let name =
            |version: &str, name: &str| if version.is_empty() { name.to_owned() } else { version.to_owned() };
        let mut all: Vec<String> =
            unexpected.map(|it| format!("{} is {}", name(&it.version, &it.name), it.state)).collect();
        let more = all.len().saturating_sub(NAMED_MAX);
        all.truncate(NAMED_MAX);
        if more > 0 {
            all.push(format!("and {more} more"));
        }
        Error::StateDiffers {
            tool: self.tool().to_string(),
            table: format!("{}.{}", table.table.schema, table.table.name),
            differences: all.join(", "),
        }
    }

    /// Returns what the records need to know of the table.
    fn known(&self, client: &Client, table: &FoundTable) -> Result<Known, Error> {
        let source = Table { schema: table.table.schema.clone(), name: table.table.name.clone() };
        let (schema, name) = (quote_literal(&source.schema), quote_literal(&source.name));
        let sql = format!(
            "SELECT a.atttypid = 'pg_catalog.int8'::regtype FROM pg_class c \
             JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid \
             WHERE n.nspname = {schema} AND c.relname = {name} AND a.attname = 'version'"
        );
        let has_wide_version = client.is_true(&sql)? == Some(true);
        let mut paths = Vec::new();
        if self.tool() == Tool::Liquibase {
            let rows = client.copy_rows(&source, &["filename"], PATHS_BYTES_MAX)?.unwrap_or_default();
            paths = rows.into_iter().flatten().flatten().collect();
            paths.sort();
            paths.dedup();
        }
        Ok(Known { has_wide_version, paths })
    }

    /// Returns the statement that records a migration.
    fn record(&self, one: &ToolMigration, table: &FoundTable, known: &Known) -> Result<String, Error> {
        let tool = self.tool();
        let is_of = |directory: &&str| relative_to(directory, &one.file.path).is_some();
        let directory = self.history.layouts.iter().map(|layout| layout.directory.as_str()).find(is_of);
        let facts = RunFacts {
            directory: directory.unwrap_or_default(),
            has_wide_version: known.has_wide_version,
            statements: if tool == Tool::Supabase { one.migration(tool).statements()? } else { Vec::new() },
            recorded_path: liquibase_path(&one.file.path, &known.paths),
        };
        // The history has the checksums.
        let is_it = |file: &&MigrationFile| file.path == one.file.path && file.name == one.file.name;
        let file = self.history.migrations.iter().find(is_it).unwrap_or(&one.file);
        let change = StateChange::of(tool, file, &facts).map_err(|reason| Error::NotRecordable { reason })?;
        Ok(statement(&change, table))
    }
}

/// Returns the statements with which the tool begins a session in which it runs migrations. `schema` is that of
/// its table.
fn session_settings(tool: Tool, schema: &str) -> Vec<String> {
    let path = |path: &str| vec![format!("SET search_path TO {path}")];
    match tool {
        // sqlx-postgres, connection/establish.rs; diesel, pg/connection/mod.rs.
        Tool::Sqlx | Tool::Diesel => vec!["SET TIME ZONE 'UTC'".to_owned()],
        // node-pg-migrate: the default of --schema.
        Tool::NodePgMigrate => path("\"public\""),
        // The schema of the connection string of Prisma.
        Tool::Prisma => path(&quote_ident(schema)),
        // Flyway, PostgreSQLConnection.java: its schema comes first.
        Tool::Flyway => vec![format!(
            "SELECT pg_catalog.set_config('search_path', pg_catalog.concat_ws(',', {}, \
             pg_catalog.current_setting('search_path')), false)",
            quote_literal(&quote_ident(schema))
        )],
        _ => Vec::new(),
    }
}

/// The facts about the table of the tool that its rows need.
struct Known {
    has_wide_version: bool,
    /// The paths that Liquibase has recorded.
    paths: Vec<String>,
}

/// Returns the statement that makes a change of a state table. Columns that the table lacks are left out:
/// older versions of a tool have fewer.
fn statement(change: &StateChange, table: &FoundTable) -> String {
    let name = format!("{}.{}", quote_ident(&table.table.schema), quote_ident(&table.table.name));
    let has = |column: &&(&str, StateValue)| table.table.columns.iter().any(|known| known == column.0);
    let (columns, values): (Vec<String>, Vec<String>) = change
        .values
        .iter()
        .filter(has)
        .map(|(column, value)| (quote_ident(column), value_sql(value, &name)))
        .unzip();
    let insert = format!("INSERT INTO {name} ({}) VALUES ({})", columns.join(", "), values.join(", "));
    if change.replaces { format!("DELETE FROM {name}; {insert}") } else { insert }
}

fn value_sql(value: &StateValue, table: &str) -> String {
    match value {
        StateValue::Text(text) => quote_literal(text),
        StateValue::List(texts) => {
            let texts: Vec<String> = texts.iter().map(|text| quote_literal(text)).collect();
            format!("ARRAY[{}]::text[]", texts.join(", "))
        }
        StateValue::Expression(sql) => sql.replace("$table", table),
    }
}

/// Returns the migrations with the parts of their files that go forward.
///
/// # Errors
/// If only the tool itself can run one of them: its path and the reason.
pub(super) fn scripts<'a>(
    tool: Tool,
    files: impl IntoIterator<Item = &'a MigrationFile>,
    read: Read<'_>,
) -> Result<Vec<ToolMigration>, Vec<(String, String)>> {
    let (mut scripts, mut refused) = (Vec::new(), Vec::new());
    for file in files {
        match Script::of(tool, file, read) {
            Ok(script) => scripts.push(ToolMigration { file: file.clone(), script }),
            Err(reason) => refused.push((file.path.clone(), reason)),
        }
    }
    if refused.is_empty() { Ok(scripts) } else { Err(refused) }
}

/// Returns true if the content of a migration is the same for the tool: by its checksums if it has some, or
/// by the part that goes forward.
pub(super) fn is_same(tool: Tool, old: (&MigrationFile, Read<'_>), new: (&MigrationFile, Read<'_>)) -> bool {
    if old.0.kind == Kind::Code || !tool.is_run_here() {
        return false;
    }
    let sums = |(file, read): (&MigrationFile, Read<'_>)| {
        let content = read(&file.path).ok()?;
        Some(file.checksums_of(tool, &content))
    };
    match (sums(old), sums(new)) {
        (Some(old), Some(new)) if !old.is_empty() => new.iter().any(|sum| old.contains(sum)),
        _ => {
            let script = |(file, read): (&MigrationFile, Read<'_>)| Script::of(tool, file, read);
            matches!((script(old), script(new)), (Ok(old), Ok(new)) if old.is_same(&new))
        }
    }
}
