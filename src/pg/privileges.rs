//! What the role of a connection may do, as far as backups need it.

use super::{Client, Error, Result, quote_literal};

/// How many names are told.
const NAMES_MAX: usize = 5;

/// What the role may do in the current database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Privileges {
    /// May it record the mark?
    pub may_mark: bool,
    /// Tables and sequences that a dump needs and that it may not read.
    pub unreadable: Relations,
    /// Tables of which row level security hides rows from it: a dump refuses those.
    pub filtered: Relations,
}

/// A number of things, and the names of the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relations {
    /// How many there are.
    pub count: usize,
    /// Quoted names with their schema.
    pub first: Vec<String>,
}

/// From PostgreSQL 15 on, a setting that no module knows needs a grant; before,
/// a superuser.
fn may_mark(version_num: u32) -> &'static str {
    const SUPERUSER: &str = "pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on'";
    const GRANTED: &str = "pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on' \
        OR (pg_catalog.pg_has_role(d.datdba, 'USAGE') \
        AND pg_catalog.has_parameter_privilege('pggit.commit', 'SET'))";
    if version_num >= 150_000 { GRANTED } else { SUPERUSER }
}

impl Client {
    /// Reads what the role may do. With `schemas`, only the tables in these count.
    pub fn privileges(&self, schemas: &[&str]) -> Result<Privileges> {
        let version = self.value("SELECT pg_catalog.current_setting('server_version_num')", "the version")?;
        let version: u32 = version
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| Error::unexpected("a version that is not a number"))?;
        let sql = format!(
            "SELECT {} FROM pg_catalog.pg_database AS d \
             WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()",
            may_mark(version)
        );
        let may_mark = self.value(&sql, "the catalog of databases")?.as_deref() == Some("t");
        let unreadable = "NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE') OR NOT CASE c.relkind \
            WHEN 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT') \
            ELSE pg_catalog.has_table_privilege(c.oid, 'SELECT') END";
        let filtered = "c.relrowsecurity AND pg_catalog.row_security_active(c.oid)";
        Ok(Privileges {
            may_mark,
            unreadable: self.relations(unreadable, schemas)?,
            filtered: self.relations(filtered, schemas)?,
        })
    }

    /// The tables and sequences that a dump reads and that meet `condition`.
    fn relations(&self, condition: &str, schemas: &[&str]) -> Result<Relations> {
        let named: Vec<String> = schemas.iter().map(|schema| quote_literal(schema)).collect();
        let wanted = match named.is_empty() {
            true => String::new(),
            false => format!("AND n.nspname OPERATOR(pg_catalog.=) ANY (ARRAY[{}]) ", named.join(", ")),
        };
        let sql = format!(
            "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class AS c \
             JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
             WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence OPERATOR(pg_catalog.<>) 't' \
             AND n.nspname OPERATOR(pg_catalog.!~) '^pg_' \
             AND n.nspname OPERATOR(pg_catalog.<>) 'information_schema' {wanted}\
             AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend AS e \
             WHERE e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
             AND e.objid OPERATOR(pg_catalog.=) c.oid AND e.deptype OPERATOR(pg_catalog.=) 'e') \
             AND ({condition}) ORDER BY 1"
        );
        let rows = self.query_for(&sql, "the catalog of tables")?;
        let names = rows.iter().filter_map(|row| row.first().cloned().flatten());
        Ok(Relations { count: rows.len(), first: names.take(NAMES_MAX).collect() })
    }
}
