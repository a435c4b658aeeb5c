//! The state that the migration tool of a database has recorded in it.

use super::Error;
use crate::migrations::{Applied, CatalogueTable, StateTable, Tool};
use crate::pg::{Client, Table};

/// The largest state table that is read.
const STATE_BYTES_MAX: usize = 16 << 20;

/// The state that the migration tool of a database has recorded in it.
#[derive(Debug)]
pub enum DatabaseState {
    /// No table of a migration tool exists.
    None,
    /// The migrations that are applied.
    Applied(Applied),
    /// The table exists and was not read: the reason.
    Unreadable(String),
}

/// The table in which a migration tool has recorded its state.
#[derive(Debug)]
pub struct FoundTable {
    state: &'static StateTable,
    may_read: bool,
    /// The table with its columns.
    pub table: CatalogueTable,
}

impl FoundTable {
    /// Finds the table of a migration tool in the database. With `tool`, only its table is looked for.
    ///
    /// # Errors
    /// Fails if the database has the tables of several tools, or the server fails.
    pub fn find(client: &Client, tool: Option<Tool>) -> Result<Option<Self>, Error> {
        let tables = catalogue(client)?;
        let catalogued: Vec<CatalogueTable> = tables.iter().map(|(table, _)| table.clone()).collect();
        let mut states = StateTable::among(&catalogued);
        states.retain(|(state, _)| tool.is_none_or(|tool| tool == state.tool));
        match states.as_slice() {
            [] => Ok(None),
            [(state, table)] => {
                let may_read = tables.iter().any(|(known, may_read)| known == *table && *may_read);
                Ok(Some(Self { state, may_read, table: (*table).clone() }))
            }
            several => {
                let table = |(state, table): &(&StateTable, &CatalogueTable)| {
                    format!("{}.{} ({})", table.schema, table.name, state.tool)
                };
                Err(Error::SeveralStateTables { tables: several.iter().map(table).collect() })
            }
        }
    }

    /// Returns the tool.
    pub fn tool(&self) -> Tool {
        self.state.tool
    }

    /// Reads the migrations that are applied.
    ///
    /// # Errors
    /// Fails if the server fails.
    pub fn read(&self, client: &Client) -> Result<DatabaseState, Error> {
        let name = format!("{}.{}", self.table.schema, self.table.name);
        if !self.may_read {
            return Ok(DatabaseState::Unreadable(format!("the role may not read all rows of {name}")));
        }
        let source = Table { schema: self.table.schema.clone(), name: self.table.name.clone() };
        Ok(match client.copy_rows(&source, self.state.columns, STATE_BYTES_MAX)? {
            Some(rows) => DatabaseState::Applied(Applied {
                tool: self.state.tool,
                table: name,
                migrations: self.state.migrations(&rows),
            }),
            None => DatabaseState::Unreadable(format!("{name} is larger than {} MiB", STATE_BYTES_MAX >> 20)),
        })
    }
}

/// Reads the state that a migration tool has recorded in the database. Anybody who may create a table may
/// have made it, so it is read by [`Client::copy_rows`]. With `tool`, only its table is looked for.
///
/// # Errors
/// Fails if the database has the tables of several tools, or the server fails.
pub fn state_of(client: &Client, tool: Option<Tool>) -> Result<DatabaseState, Error> {
    client.set_row_format()?;
    // A migration that runs at this moment may hold a lock on the table.
    client.execute("SET statement_timeout = '30s'")?;
    match FoundTable::find(client, tool)? {
        Some(found) => found.read(client),
        None => Ok(DatabaseState::None),
    }
}

/// Returns the ordinary tables that have the name of a state table, each with whether the role may read
/// it.
fn catalogue(client: &Client) -> Result<Vec<(CatalogueTable, bool)>, Error> {
    let names: Vec<String> = StateTable::names().iter().map(|name| format!("'{name}'")).collect();
    let sql = format!(
        "SELECT n.nspname, c.relname, a.attname, has_table_privilege(c.oid, 'SELECT') \
         AND NOT row_security_active(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         WHERE c.relkind = 'r' AND c.relname IN ({}) ORDER BY n.nspname, c.relname, a.attnum",
        names.join(", ")
    );
    let mut tables: Vec<(CatalogueTable, bool)> = Vec::new();
    for row in client.query(&sql)? {
        let [Some(schema), Some(name), Some(column), may_read] = row.as_slice() else { continue };
        match tables.last_mut().filter(|(last, _)| last.schema == *schema && last.name == *name) {
            Some((table, _)) => table.columns.push(column.clone()),
            None => {
                let table = CatalogueTable {
                    schema: schema.clone(),
                    name: name.clone(),
                    columns: vec![column.clone()],
                };
                tables.push((table, may_read.as_deref() == Some("t")));
            }
        }
    }
    Ok(tables)
}
