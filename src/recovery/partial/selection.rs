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
    fn filled(&self, resolved: &Resolved, client: &Client) -> Result<Vec<(String, String, bool)>, Error> {
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
            "SELECT n.nspname, c.relname FROM pg_catalog.pg_class AS c \
             JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'm') AND {which} ORDER BY 1, 2"
        );
        let mut all = Vec::new();
        for mut row in client.query(&sql)? {
            let (Some(Some(name)), Some(Some(schema))) = (row.pop(), row.pop()) else { continue };
            let one = format!("{}.{}", quote_ident(&schema), quote_ident(&name));
            let has_rows = !client.query(&format!("SELECT 1 FROM ONLY {one} LIMIT 1"))?.is_empty();
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

/// The maximum length of a statement in a message.
const STATEMENT: usize = 160;

/// Returns the objects that `pg_restore` could not create, with its error messages. Returns `None` if
/// `pg_restore` stopped early.
pub(super) fn left_out(stderr: &str) -> Option<Vec<String>> {
    let mut found: Vec<(String, String)> = Vec::new();
    let (mut in_statement, mut ended) = (false, false);
    for line in stderr.lines() {
        if let Some(said) = line.strip_prefix("pg_restore: ") {
            in_statement = false;
            ended |= said.contains("errors ignored on restore");
            let Some((before, why)) = said.split_once("ERROR:") else { continue };
            let before = before.trim_start_matches("error: ").trim().trim_end_matches(':');
            let what = if before == "could not execute query" { "" } else { before };
            found.push((what.to_owned(), why.trim().to_owned()));
        } else if let (Some(sql), Some((what, _))) = (line.strip_prefix("Command was: "), found.last_mut()) {
            (in_statement, *what) = (true, sql.trim().to_owned());
        } else if let (true, Some((what, _))) = (in_statement, found.last_mut()) {
            let line = line.trim();
            if !line.is_empty() && what.len() < STATEMENT {
                what.push(' ');
                what.push_str(line);
            }
        }
    }
    // A new database has a schema `public` from the start, and may have extensions.
    let made = ["CREATE SCHEMA ", "CREATE EXTENSION "];
    found.retain(|(what, why)| {
        !(why.ends_with("already exists") && made.iter().any(|begin| what.starts_with(begin)))
    });
    let words = |(what, why): (String, String)| match what.char_indices().nth(STATEMENT) {
        _ if what.is_empty() => why,
        Some((cut, _)) => format!("{}…: {why}", &what[..cut]),
        None => format!("{}: {why}", what.trim_end_matches(';')),
    };
    ended.then(|| found.into_iter().map(words).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_named() {
        let said = "pg_restore: error: could not execute query: ERROR:  relation \"x\" does not exist\n\
                    Command was: ALTER TABLE ONLY public.b\n    ADD CONSTRAINT f FOREIGN KEY (i) REFERENCES x(i);\n\n\n\
                    pg_restore: error: could not execute query: ERROR:  schema \"public\" already exists\n\
                    Command was: CREATE SCHEMA public;\n\n\n\
                    pg_restore: error: COPY failed for table \"t\": ERROR:  division by zero\n\
                    CONTEXT:  COPY t, line 1: \"secret\"\n\
                    pg_restore: warning: errors ignored on restore: 3\n";
        assert_eq!(
            left_out(said).unwrap(),
            [
                "ALTER TABLE ONLY public.b ADD CONSTRAINT f FOREIGN KEY (i) REFERENCES x(i): \
                 relation \"x\" does not exist",
                "COPY failed for table \"t\": division by zero"
            ]
        );
        assert_eq!(left_out("pg_restore: error: could not read from input file: end of file\n"), None);
    }
}
