//! The tables in which migration tools record what they have applied.

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

/// The state table of a tool.
#[derive(Debug, Clone, Copy)]
pub struct StateTable {
    /// The tool.
    pub tool: Tool,
    /// The usual name of the table.
    pub name: &'static str,
    /// The schema, if it is always the same.
    pub schema: Option<&'static str>,
    /// Columns that the table has.
    columns: &'static [&'static str],
    /// Columns that the table of another tool with the same name has.
    not_columns: &'static [&'static str],
    /// Selects version, name, checksum (or NULL) and success of each migration, as texts and `t` or
    /// `f`. `{table}` stands for the table.
    query: &'static str,
}

/// The state tables of all tools.
pub const STATE_TABLES: &[StateTable] = &[
    StateTable {
        tool: Tool::Sqlx,
        name: "_sqlx_migrations",
        schema: None,
        columns: &["version", "description", "checksum", "success"],
        not_columns: &[],
        query: "SELECT version::text, description::text, encode(checksum, 'hex'), success FROM {table}",
    },
    StateTable {
        tool: Tool::Refinery,
        name: "refinery_schema_history",
        schema: None,
        columns: &["version", "name", "checksum"],
        not_columns: &[],
        query: "SELECT version::text, name::text, checksum::text, true FROM {table}",
    },
    StateTable {
        tool: Tool::Diesel,
        name: "__diesel_schema_migrations",
        schema: None,
        columns: &["version", "run_on"],
        not_columns: &[],
        query: "SELECT version::text, ''::text, NULL::text, true FROM {table}",
    },
    StateTable {
        tool: Tool::Goose,
        name: "goose_db_version",
        schema: None,
        columns: &["id", "version_id", "is_applied"],
        not_columns: &[],
        // The newest row of a version counts. Version 0 marks the creation of the table.
        query: "SELECT version, '', NULL::text, true FROM (SELECT DISTINCT ON (version_id) version_id::text AS \
                version, is_applied FROM {table} WHERE version_id <> 0 ORDER BY version_id, id DESC) newest \
                WHERE is_applied",
    },
    StateTable {
        tool: Tool::GolangMigrate,
        name: "schema_migrations",
        schema: None,
        columns: &["version", "dirty"],
        not_columns: &[],
        query: "SELECT version::text, ''::text, NULL::text, NOT dirty FROM {table}",
    },
    StateTable {
        tool: Tool::Ecto,
        name: "schema_migrations",
        schema: None,
        columns: &["version", "inserted_at"],
        not_columns: &[],
        query: "SELECT version::text, ''::text, NULL::text, true FROM {table}",
    },
    StateTable {
        tool: Tool::Supabase,
        name: "schema_migrations",
        schema: Some("supabase_migrations"),
        columns: &["version", "statements"],
        not_columns: &[],
        query: "SELECT version::text, coalesce(name::text, ''), NULL::text, true FROM {table}",
    },
    // Rails and dbmate have the same table. `ar_internal_metadata` beside it is that of Rails.
    StateTable {
        tool: Tool::Rails,
        name: "schema_migrations",
        schema: None,
        columns: &["version"],
        not_columns: &["dirty", "inserted_at", "statements"],
        query: "SELECT version::text, ''::text, NULL::text, true FROM {table}",
    },
    StateTable {
        tool: Tool::Dbmate,
        name: "schema_migrations",
        schema: None,
        columns: &["version"],
        not_columns: &["dirty", "inserted_at", "statements"],
        query: "SELECT version::text, ''::text, NULL::text, true FROM {table}",
    },
    StateTable {
        tool: Tool::Tern,
        name: "schema_version",
        schema: None,
        columns: &["version"],
        not_columns: &["installed_rank", "dirty"],
        query: "SELECT version::text, ''::text, NULL::text, true FROM {table} WHERE version > 0",
    },
    StateTable {
        tool: Tool::Flyway,
        name: "flyway_schema_history",
        schema: None,
        columns: &["installed_rank", "version", "script", "checksum", "success"],
        not_columns: &[],
        // The newest row of a version or of a repeatable script counts. A row of type UNDO takes the
        // version back; those of the types SCHEMA and DELETE are no migrations.
        query: "SELECT coalesce(version, ''), description, checksum::text, success FROM (SELECT DISTINCT ON \
                (coalesce(version, script)) version::text AS version, description::text AS description, checksum, \
                success, type FROM {table} WHERE type <> 'SCHEMA' ORDER BY coalesce(version, script), \
                installed_rank DESC) newest WHERE type NOT LIKE 'UNDO%' AND type <> 'DELETE'",
    },
    StateTable {
        tool: Tool::Liquibase,
        name: "databasechangelog",
        schema: None,
        columns: &["id", "author", "filename", "md5sum", "exectype"],
        not_columns: &[],
        query: "SELECT author::text || ':' || id::text || ':' || filename::text, author::text || ':' || id::text, \
                NULL::text, exectype IN ('EXECUTED', 'RERAN', 'MARK_RAN') FROM {table}",
    },
    StateTable {
        tool: Tool::Atlas,
        name: "atlas_schema_revisions",
        schema: None,
        columns: &["version", "applied", "total", "error"],
        not_columns: &[],
        query: "SELECT version::text, description::text, NULL::text, applied = total AND coalesce(error, '') = '' \
                FROM {table} WHERE version NOT LIKE '.%'",
    },
    StateTable {
        tool: Tool::Sqitch,
        name: "changes",
        schema: Some("sqitch"),
        columns: &["change_id", "change", "project", "script_hash"],
        not_columns: &[],
        query: "SELECT change::text, change::text, NULL::text, true FROM {table}",
    },
    StateTable {
        tool: Tool::Prisma,
        name: "_prisma_migrations",
        schema: None,
        columns: &["migration_name", "checksum", "finished_at", "rolled_back_at"],
        not_columns: &[],
        query: "SELECT migration_name::text, migration_name::text, checksum::text, finished_at IS NOT NULL FROM \
                {table} WHERE rolled_back_at IS NULL",
    },
    StateTable {
        tool: Tool::Drizzle,
        name: "__drizzle_migrations",
        schema: None,
        columns: &["hash", "created_at"],
        not_columns: &[],
        query: "SELECT created_at::text, ''::text, hash::text, true FROM {table}",
    },
    StateTable {
        tool: Tool::GraphileMigrate,
        name: "migrations",
        schema: Some("graphile_migrate"),
        columns: &["hash", "previous_hash", "filename"],
        not_columns: &[],
        query: "SELECT filename::text, filename::text, NULL::text, true FROM {table}",
    },
    StateTable {
        tool: Tool::NodePgMigrate,
        name: "pgmigrations",
        schema: None,
        columns: &["name", "run_on"],
        not_columns: &[],
        query: "SELECT name::text, name::text, NULL::text, true FROM {table}",
    },
    StateTable {
        tool: Tool::Django,
        name: "django_migrations",
        schema: None,
        columns: &["app", "name", "applied"],
        not_columns: &[],
        query: "SELECT app::text || '.' || name::text, app::text || '.' || name::text, NULL::text, true FROM {table}",
    },
    StateTable {
        tool: Tool::Alembic,
        name: "alembic_version",
        schema: None,
        columns: &["version_num"],
        not_columns: &[],
        query: "SELECT version_num::text, ''::text, NULL::text, true FROM {table}",
    },
    StateTable {
        tool: Tool::TypeOrm,
        name: "migrations",
        schema: None,
        columns: &["timestamp", "name"],
        not_columns: &["batch", "hash"],
        query: "SELECT \"timestamp\"::text, name::text, NULL::text, true FROM {table}",
    },
    StateTable {
        tool: Tool::Knex,
        name: "knex_migrations",
        schema: None,
        columns: &["name", "batch"],
        not_columns: &[],
        query: "SELECT name::text, name::text, NULL::text, true FROM {table}",
    },
    StateTable {
        tool: Tool::SeaOrm,
        name: "seaql_migrations",
        schema: None,
        columns: &["version", "applied_at"],
        not_columns: &[],
        query: "SELECT version::text, version::text, NULL::text, true FROM {table}",
    },
];

impl StateTable {
    /// The SQL that lists the tables of a database that may be state tables: schema, name, and the
    /// names of the columns as an array.
    pub fn catalogue_query() -> String {
        let mut names: Vec<&str> = STATE_TABLES.iter().map(|table| table.name).collect();
        names.push("ar_internal_metadata");
        names.sort_unstable();
        names.dedup();
        let list: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
        format!(
            "SELECT n.nspname, c.relname, string_agg(a.attname, ',' ORDER BY a.attnum), \
             pg_catalog.has_table_privilege(c.oid, 'SELECT') \
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
             WHERE c.relkind IN ('r', 'p') AND c.relname IN ({}) GROUP BY n.nspname, c.relname, c.oid \
             ORDER BY n.nspname, c.relname",
            list.join(", ")
        )
    }

    /// Returns the state tables among the tables of a database, each with its tool.
    pub fn among(tables: &[CatalogueTable]) -> Vec<(&'static Self, &CatalogueTable)> {
        let rails = tables.iter().any(|table| table.name == "ar_internal_metadata");
        let mut found = Vec::new();
        for table in tables {
            for state in STATE_TABLES.iter().filter(|state| state.is(table)) {
                match state.tool {
                    Tool::Rails if !rails => {}
                    Tool::Dbmate if rails => {}
                    // The table of Supabase has all columns that others look for.
                    Tool::Rails | Tool::Dbmate if table.schema == "supabase_migrations" => {}
                    _ => found.push((state, table)),
                }
            }
        }
        found
    }

    fn is(&self, table: &CatalogueTable) -> bool {
        let has = |column: &&str| table.columns.iter().any(|known| known == column);
        self.name == table.name
            && self.schema.is_none_or(|schema| schema == table.schema)
            && self.columns.iter().all(has)
            && !self.not_columns.iter().any(has)
    }

    /// Returns the SQL that reads the table, whose name is quoted already.
    pub fn query(&self, table: &str) -> String {
        self.query.replace("{table}", table)
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
    /// False if the migration has failed or is not complete.
    pub is_complete: bool,
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
                let complete = if it.is_complete { "applied" } else { "incomplete" };
                let checksum = it.checksum.as_deref().unwrap_or("-");
                let version = key_version(self.tool, &it.version);
                format!("{}\t{}\t{checksum}\t{complete}\n", escaped(&version), escaped(&it.name))
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

    #[test]
    fn tables_of_the_same_name_are_told_apart_by_their_columns() {
        let schema_migrations = |columns| table("public", "schema_migrations", columns);
        assert_eq!(tools(&[schema_migrations("version dirty")]), [Tool::GolangMigrate]);
        assert_eq!(tools(&[schema_migrations("version inserted_at")]), [Tool::Ecto]);
        assert_eq!(tools(&[schema_migrations("version")]), [Tool::Dbmate]);
        let rails = table("public", "ar_internal_metadata", "key value");
        assert_eq!(tools(&[schema_migrations("version"), rails]), [Tool::Rails]);
        let supabase = table("supabase_migrations", "schema_migrations", "version statements name");
        assert_eq!(tools(&[supabase]), [Tool::Supabase]);
        assert_eq!(tools(&[table("public", "migrations", "id timestamp name")]), [Tool::TypeOrm]);
        assert_eq!(tools(&[table("public", "migrations", "id name")]), []);
        assert_eq!(tools(&[table("other", "changes", "change_id change project script_hash")]), []);
    }

    #[test]
    fn the_text_does_not_depend_on_the_order_of_rows() {
        let row = |version: &str| AppliedMigration {
            version: version.into(),
            name: "a\tb".into(),
            checksum: None,
            is_complete: true,
        };
        let applied = |versions: &[&str]| Applied {
            tool: Tool::Sqlx,
            table: "public._sqlx_migrations".into(),
            migrations: versions.iter().map(|version| row(version)).collect(),
        };
        assert_eq!(applied(&["1", "2"]).to_text(), applied(&["2", "1"]).to_text());
        assert_eq!(applied(&["01"]).to_text(), "tool\tsqlx\n1\ta\\tb\t-\tapplied\n");
    }
}
