//! The privileges of a role that backups need.

use super::{Client, Error, Result, quote_literal};

/// The maximum number of names in [`Relations`].
const NAMES_MAX: usize = 5;

/// The privileges of the role in the current database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Privileges {
    /// True if it may record a commit in the database.
    pub may_mark: bool,
    /// Tables and sequences that a dump needs and that the role may not read.
    pub unreadable: Relations,
    /// Tables with row-level security that hides rows from the role. pg_dump refuses them.
    pub filtered: Relations,
}

/// A number of relations, and the names of the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relations {
    /// The number of relations.
    pub count: usize,
    /// The quoted names with schema.
    pub first: Vec<String>,
}

/// Returns the condition for setting `pggit.commit`. PostgreSQL 15 and later require a grant for a
/// setting of an unknown module, older versions a superuser.
fn may_mark(version_num: u32) -> &'static str {
    const SUPERUSER: &str = "pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on'";
    const GRANTED: &str = "pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on' \
        OR (pg_catalog.pg_has_role(d.datdba, 'USAGE') \
        AND pg_catalog.has_parameter_privilege('pggit.commit', 'SET'))";
    if version_num >= 150_000 { GRANTED } else { SUPERUSER }
}

impl Client {
    /// Reads the privileges of the role. With `schemas`, only the tables in them count. Fails if a
    /// query fails.
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

    /// Returns the tables and sequences that a dump reads and that meet `condition`.
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
