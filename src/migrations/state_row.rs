//! The row by which a tool records a migration that it has run.

use super::files::relative_to;
use super::migration::{Kind, MigrationFile};
use super::tool::Tool;

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateValue {
    /// A text, or a number or a checksum in the text form of its type.
    Text(String),
    /// A list of texts.
    List(Vec<String>),
    /// A SQL expression. `$table` in it stands for the state table.
    Expression(&'static str),
}

/// The change of a state table by which a tool records a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    /// True if the row replaces all rows of the table.
    pub replaces: bool,
    /// The columns with their values. The other columns have defaults.
    pub values: Vec<(&'static str, StateValue)>,
}

/// The facts about a run of a migration that its file does not have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFacts<'a> {
    /// The directory of the migrations.
    pub directory: &'a str,
    /// True if the column `version` has the type `bigint`.
    pub has_wide_version: bool,
    /// The statements of the migration.
    pub statements: Vec<String>,
    /// The path that Liquibase records for the file.
    pub recorded_path: Option<String>,
}

impl StateChange {
    /// Returns the change that records a migration as complete. The checksums of the file must have been
    /// computed.
    ///
    /// # Errors
    /// If the values of the row are not known: the reason.
    pub fn of(tool: Tool, migration: &MigrationFile, run: &RunFacts<'_>) -> Result<Self, String> {
        use StateValue::{Expression, List, Text};
        let version = || Text(migration.version.clone());
        let name = || Text(migration.name.clone());
        let checksum = || match migration.checksums.first() {
            Some(checksum) => Ok(checksum.clone()),
            None => Err(format!("the checksum of {} is not known", migration.path)),
        };
        let insert = |values| Ok(Self { replaces: false, values });
        let replace = |values| Ok(Self { replaces: true, values });
        match tool {
            Tool::Sqlx => insert(vec![
                ("version", version()),
                ("description", name()),
                ("success", Expression("true")),
                ("checksum", Text(format!("\\x{}", checksum()?))),
                ("execution_time", Expression(ELAPSED_NS)),
            ]),
            Tool::Refinery => insert(vec![
                ("version", version()),
                ("name", name()),
                ("applied_on", Expression(NOW_RFC_3339)),
                ("checksum", Text(refinery_checksum(migration, run.has_wide_version)?)),
            ]),
            Tool::Diesel | Tool::Dbmate => insert(vec![("version", version())]),
            Tool::Goose => insert(vec![("version_id", version()), ("is_applied", Expression("true"))]),
            Tool::GolangMigrate => replace(vec![("version", version()), ("dirty", Expression("false"))]),
            Tool::Tern => replace(vec![("version", version())]),
            Tool::Flyway => insert(flyway(migration, checksum()?, run.directory)),
            Tool::Liquibase => {
                let path = run.recorded_path.clone();
                let path = path.ok_or_else(|| {
                    format!("the path that Liquibase records for {} is not known", migration.path)
                })?;
                insert(liquibase(migration, path))
            }
            Tool::Prisma => insert(vec![
                ("id", Expression("pg_catalog.gen_random_uuid()::text")),
                ("checksum", Text(checksum()?)),
                ("started_at", Expression("pg_catalog.now()")),
                ("finished_at", Expression("pg_catalog.clock_timestamp()")),
                ("migration_name", name()),
                ("applied_steps_count", Text("1".to_owned())),
            ]),
            Tool::Drizzle => insert(vec![("hash", Text(checksum()?)), ("created_at", version())]),
            Tool::NodePgMigrate => insert(vec![("name", name()), ("run_on", Expression("pg_catalog.now()"))]),
            Tool::Supabase => insert(vec![
                ("version", version()),
                ("name", name()),
                ("statements", List(run.statements.clone())),
            ]),
            _ => Err(format!("the rows of {tool} are not written")),
        }
    }
}

impl Tool {
    /// Returns the other tables that the tool creates in the schema of its table.
    pub fn companions(self) -> &'static [&'static str] {
        match self {
            Self::Liquibase => &["databasechangeloglock"],
            Self::Supabase => &["seed_files"],
            _ => &[],
        }
    }

    /// Returns the statements by which the tool creates its table in an empty database; `None` if this program
    /// does not create it. `is_wide` is true if a version needs the type `bigint`.
    pub fn state_table_sql(self, is_wide: bool) -> Option<String> {
        let sql = match self {
            Self::Sqlx => {
                "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
                 installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), success BOOLEAN NOT NULL, \
                 checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL)"
            }
            Self::Refinery if is_wide => {
                "CREATE TABLE refinery_schema_history (version INT8 PRIMARY KEY, name VARCHAR(255), \
                 applied_on VARCHAR(255), checksum VARCHAR(255))"
            }
            Self::Refinery => {
                "CREATE TABLE refinery_schema_history (version INT4 PRIMARY KEY, name VARCHAR(255), \
                 applied_on VARCHAR(255), checksum VARCHAR(255))"
            }
            Self::Diesel => {
                "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL, \
                 run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)"
            }
            Self::Goose => {
                "CREATE TABLE goose_db_version (id integer PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, \
                 version_id bigint NOT NULL, is_applied boolean NOT NULL, \
                 tstamp timestamp NOT NULL DEFAULT now()); \
                 INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, true)"
            }
            Self::GolangMigrate => {
                "CREATE TABLE schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL)"
            }
            Self::Dbmate => "CREATE TABLE schema_migrations (version varchar PRIMARY KEY)",
            Self::Tern => {
                "CREATE TABLE public.schema_version (version int4 NOT NULL PRIMARY KEY); \
                 INSERT INTO public.schema_version (version) VALUES (0)"
            }
            Self::Flyway => {
                "CREATE TABLE flyway_schema_history (installed_rank INT NOT NULL, version VARCHAR(50), \
                 description VARCHAR(200) NOT NULL, type VARCHAR(20) NOT NULL, script VARCHAR(1000) NOT NULL, \
                 checksum INTEGER, installed_by VARCHAR(100) NOT NULL, \
                 installed_on TIMESTAMP NOT NULL DEFAULT now(), execution_time INTEGER NOT NULL, \
                 success BOOLEAN NOT NULL, CONSTRAINT flyway_schema_history_pk PRIMARY KEY (installed_rank)); \
                 CREATE INDEX flyway_schema_history_s_idx ON flyway_schema_history (success)"
            }
            Self::Prisma => {
                "CREATE TABLE _prisma_migrations (id VARCHAR(36) PRIMARY KEY NOT NULL, \
                 checksum VARCHAR(64) NOT NULL, finished_at TIMESTAMPTZ, migration_name VARCHAR(255) NOT NULL, \
                 logs TEXT, rolled_back_at TIMESTAMPTZ, started_at TIMESTAMPTZ NOT NULL DEFAULT now(), \
                 applied_steps_count INTEGER NOT NULL DEFAULT 0)"
            }
            Self::Drizzle => {
                "CREATE SCHEMA IF NOT EXISTS drizzle; CREATE TABLE drizzle.__drizzle_migrations \
                 (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at bigint)"
            }
            Self::NodePgMigrate => {
                "CREATE TABLE public.pgmigrations (id SERIAL PRIMARY KEY, name varchar(255) NOT NULL, \
                 run_on timestamp NOT NULL)"
            }
            Self::Supabase => {
                "CREATE SCHEMA IF NOT EXISTS supabase_migrations; \
                 CREATE TABLE supabase_migrations.schema_migrations (version text NOT NULL PRIMARY KEY, \
                 statements text[], name text)"
            }
            _ => return None,
        };
        Some(sql.to_owned())
    }
}

/// The time since the transaction began, in nanoseconds.
const ELAPSED_NS: &str = "(EXTRACT(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.transaction_timestamp()) * 1000000000)::bigint";
/// The time since the transaction began, in milliseconds.
const ELAPSED_MS: &str =
    "(EXTRACT(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.transaction_timestamp()) * 1000)::integer";
/// The time in the format of RFC 3339, in UTC.
const NOW_RFC_3339: &str =
    "pg_catalog.to_char(pg_catalog.now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";

/// refinery hashes the version in the type of the column.
fn refinery_checksum(migration: &MigrationFile, is_wide: bool) -> Result<String, String> {
    let unknown = || format!("the checksum of {} is not known", migration.path);
    match (migration.checksums.as_slice(), is_wide) {
        ([narrow, _], false) => Ok(narrow.clone()),
        ([.., wide], true) => Ok(wide.clone()),
        _ => Err(unknown()),
    }
}

/// Flyway, JdbcTableSchemaHistory: the rank is the next number, and the script is the path below the location.
fn flyway(migration: &MigrationFile, checksum: String, directory: &str) -> Vec<(&'static str, StateValue)> {
    use StateValue::{Expression, Text};
    let script = relative_to(directory, &migration.path).unwrap_or(&migration.path);
    let kind = if migration.kind == Kind::Baseline { "SQL_BASELINE" } else { "SQL" };
    let mut values = vec![
        ("installed_rank", Expression("(SELECT COALESCE(max(installed_rank), 0) + 1 FROM $table)")),
        ("description", Text(migration.name.clone())),
        ("type", Text(kind.to_owned())),
        ("script", Text(script.to_owned())),
        ("checksum", Text(checksum)),
        ("installed_by", Expression("CURRENT_USER")),
        ("execution_time", Expression(ELAPSED_MS)),
        ("success", Expression("true")),
    ];
    if migration.kind != Kind::Repeatable {
        values.push(("version", Text(migration.version.clone())));
    }
    values
}

/// Liquibase fills in a checksum that is missing when it runs next.
fn liquibase(migration: &MigrationFile, path: String) -> Vec<(&'static str, StateValue)> {
    use StateValue::{Expression, Text};
    let (author, id) = migration.name.split_once(':').unwrap_or(("", &migration.name));
    vec![
        ("id", Text(id.to_owned())),
        ("author", Text(author.to_owned())),
        ("filename", Text(path)),
        ("dateexecuted", Expression("pg_catalog.now()")),
        ("orderexecuted", Expression("(SELECT COALESCE(max(orderexecuted), 0) + 1 FROM $table)")),
        ("exectype", Text("EXECUTED".to_owned())),
        ("description", Text("sql".to_owned())),
        ("comments", Text(String::new())),
        ("liquibase", Expression("(SELECT max(liquibase) FROM $table)")),
    ]
}

/// Returns the path that Liquibase records for a file, by the paths that it has recorded for other files:
/// they may begin in another directory than those of the repository.
pub fn liquibase_path(path: &str, known: &[String]) -> Option<String> {
    let of_known = |recorded: &String| {
        let recorded = recorded.as_str();
        // The same file.
        if path == recorded || path.ends_with(&format!("/{recorded}")) {
            return Some(recorded.to_owned());
        }
        let (recorded_directory, _) = recorded.rsplit_once('/').unwrap_or(("", recorded));
        let (directory, file) = path.rsplit_once('/').unwrap_or(("", path));
        let is_same_directory = recorded_directory.is_empty()
            || directory == recorded_directory
            || directory.ends_with(&format!("/{recorded_directory}"));
        is_same_directory.then(|| match recorded_directory {
            "" => file.to_owned(),
            recorded_directory => format!("{recorded_directory}/{file}"),
        })
    };
    let mut paths: Vec<String> = known.iter().filter_map(of_known).collect();
    paths.sort();
    paths.dedup();
    // Several answers are none.
    match paths.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migration(kind: Kind, version: &str, checksums: &[&str]) -> MigrationFile {
        MigrationFile {
            version: version.into(),
            name: "a:b".into(),
            kind,
            path: "db/m/V1__a.sql".into(),
            checksums: checksums.iter().map(|checksum| (*checksum).to_owned()).collect(),
            after: Vec::new(),
        }
    }

    fn text(change: &StateChange, column: &str) -> Option<String> {
        let (_, value) = change.values.iter().find(|(known, _)| *known == column)?;
        match value {
            StateValue::Text(text) => Some(text.clone()),
            other => Some(format!("{other:?}")),
        }
    }

    #[test]
    fn each_tool_gets_the_row_that_it_writes() {
        let of = |tool, run: &RunFacts<'_>| {
            StateChange::of(tool, &migration(Kind::Versioned, "1", &["aa", "bb"]), run).unwrap()
        };
        let nothing = RunFacts { directory: "db/m", ..RunFacts::default() };
        assert_eq!(text(&of(Tool::Sqlx, &nothing), "checksum").unwrap(), "\\xaa");
        assert_eq!(text(&of(Tool::Refinery, &nothing), "checksum").unwrap(), "aa");
        let wide = RunFacts { has_wide_version: true, ..RunFacts::default() };
        assert_eq!(text(&of(Tool::Refinery, &wide), "checksum").unwrap(), "bb");
        assert!(of(Tool::GolangMigrate, &nothing).replaces && of(Tool::Tern, &nothing).replaces);
        assert_eq!(text(&of(Tool::Flyway, &nothing), "script").unwrap(), "V1__a.sql");
        let liquibase = RunFacts { recorded_path: Some("m/V1__a.sql".into()), ..RunFacts::default() };
        assert_eq!(text(&of(Tool::Liquibase, &liquibase), "id").unwrap(), "b");
        let repeatable = migration(Kind::Repeatable, "", &["7"]);
        let row = StateChange::of(Tool::Flyway, &repeatable, &nothing).unwrap();
        assert_eq!(text(&row, "version"), None);
    }

    #[test]
    fn a_row_whose_values_are_not_known_is_not_written() {
        let without = migration(Kind::Versioned, "1", &[]);
        for tool in [
            Tool::Sqlx,
            Tool::Refinery,
            Tool::Flyway,
            Tool::Prisma,
            Tool::Drizzle,
            Tool::Liquibase,
            Tool::Atlas,
        ] {
            assert!(StateChange::of(tool, &without, &RunFacts::default()).is_err(), "{tool}");
        }
        // The version does not fit into the type of the column.
        let wide = migration(Kind::Versioned, "20240101000000", &["bb"]);
        assert!(StateChange::of(Tool::Refinery, &wide, &RunFacts::default()).is_err());
    }

    #[test]
    fn liquibase_records_a_path_as_it_did_for_other_files() {
        let path = |known: &[&str]| {
            let known: Vec<String> = known.iter().map(|path| (*path).to_owned()).collect();
            liquibase_path("db/changelog/2.sql", &known)
        };
        assert_eq!(path(&["changelog/1.sql"]).as_deref(), Some("changelog/2.sql"));
        assert_eq!(
            path(&["db/changelog/2.sql", "db/changelog/1.sql"]).as_deref(),
            Some("db/changelog/2.sql")
        );
        assert_eq!(path(&["1.sql"]).as_deref(), Some("2.sql"));
        assert_eq!(path(&["1.sql", "changelog/1.sql"]), None);
        assert_eq!(path(&["other/1.sql"]), None);
        assert_eq!(path(&[]), None);
    }
}
