//! The selection of a part of a database, and the check that the part was copied completely.

use std::collections::BTreeSet;

use super::super::Error;
use crate::domain::TableName;
use crate::pg::{Client, quote_ident, quote_literal};

/// A part of a database: schemas, or tables with their dependent objects. If both lists are empty, it
/// is the whole database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// The names of the schemas.
    pub schemas: Vec<String>,
    /// The names of the tables. A name without a schema selects the tables of that name in all
    /// schemas.
    pub tables: Vec<TableName>,
}

/// The objects that a selection matches in a database.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    /// The tables with their partitions; empty if schemas are selected.
    pub(super) tables: Vec<TableName>,
    /// The schemas of the tables.
    pub(super) schemas: BTreeSet<String>,
}

impl Selection {
    /// Returns true if the whole database is selected.
    pub fn is_all(&self) -> bool {
        self.schemas.is_empty() && self.tables.is_empty()
    }

    /// Returns a description of the selection.
    pub fn words(&self) -> String {
        let schemas = self.schemas.iter().map(|name| format!("schema {}", quote_ident(name)));
        let tables = self.tables.iter().map(|table| format!("table {table}"));
        schemas.chain(tables).collect::<Vec<_>>().join(", ")
    }

    /// Finds the selected objects, with the partitions of tables. Fails if an object does not exist.
    pub(super) fn resolve(&self, client: &Client) -> Result<Resolved, Error> {
        for schema in &self.schemas {
            let sql =
                format!("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = {}", quote_literal(schema));
            if client.query(&sql)?.is_empty() {
                return Err(Error::NotInBackup { what: format!("schema {}", quote_ident(schema)) });
            }
        }
        let mut resolved = Resolved::default();
        for table in &self.tables {
            let place = match &table.schema {
                Some(schema) => format!("n.nspname = {}", quote_literal(schema)),
                None => "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'".to_owned(),
            };
            let sql = format!(
                "WITH RECURSIVE one AS (SELECT c.oid FROM pg_catalog.pg_class AS c \
                 JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
                 WHERE c.relname = {} AND {place} AND c.relkind IN ('r', 'p', 'm', 'v', 'f') \
                 UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i JOIN one ON one.oid = i.inhparent) \
                 SELECT n.nspname, c.relname FROM one JOIN pg_catalog.pg_class AS c USING (oid) \
                 JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace",
                quote_literal(&table.name)
            );
            let found = client.query(&sql)?;
            if found.is_empty() {
                return Err(Error::NotInBackup { what: format!("table {table}") });
            }
            for mut row in found {
                let (Some(Some(name)), Some(Some(schema))) = (row.pop(), row.pop()) else { continue };
                resolved.schemas.insert(schema.clone());
                resolved.tables.push(TableName { schema: Some(schema), name });
            }
        }
        Ok(resolved)
    }

    /// Returns the schema and the name of each selected table and materialized view, and whether it
    /// has rows.
    pub(super) fn filled(
        &self,
        resolved: &Resolved,
        client: &Client,
    ) -> Result<Vec<(String, String, bool)>, Error> {
        let names = |all: &mut dyn Iterator<Item = String>| all.collect::<Vec<_>>().join(", ");
        let which = match self.schemas.is_empty() {
            true => {
                let pair = |table: &TableName| {
                    let schema = table.schema.as_deref().unwrap_or_default();
                    format!("({}, {})", quote_literal(schema), quote_literal(&table.name))
                };
                format!("(n.nspname, c.relname) IN ({})", names(&mut resolved.tables.iter().map(pair)))
            }
            false => {
                format!("n.nspname IN ({})", names(&mut self.schemas.iter().map(|name| quote_literal(name))))
            }
        };
        let sql = format!(
            "SELECT n.nspname, c.relname, c.relispopulated FROM pg_catalog.pg_class AS c \
             JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'm') AND {which} ORDER BY 1, 2"
        );
        let mut all = Vec::new();
        for mut row in client.query(&sql)? {
            // A materialized view that is not populated cannot be read.
            let is_populated = row.pop().flatten().as_deref() == Some("t");
            let (Some(Some(name)), Some(Some(schema))) = (row.pop(), row.pop()) else { continue };
            let one = format!("{}.{}", quote_ident(&schema), quote_ident(&name));
            let has_rows =
                is_populated && !client.query(&format!("SELECT 1 FROM ONLY {one} LIMIT 1"))?.is_empty();
            all.push((schema, name, has_rows));
        }
        Ok(all)
    }

    /// Returns the tables of `source` that are missing in `target`, or are empty only there. No count
    /// is necessary, because `COPY` loads all rows of a table or none.
    pub(super) fn missing(
        &self,
        resolved: &Resolved,
        source: &Client,
        target: &Client,
    ) -> Result<Vec<String>, Error> {
        let there = self.filled(resolved, target)?;
        let is_there = |(schema, name, rows): &(String, String, bool)| {
            there.iter().any(|(s, n, r)| (s, n) == (schema, name) && (*r || !*rows))
        };
        let wanted = self.filled(resolved, source)?;
        let missing = wanted.iter().filter(|one| !is_there(one));
        Ok(missing
            .map(|(schema, name, _)| format!("{}.{}", quote_ident(schema), quote_ident(name)))
            .collect())
    }
}
