//! How many rows tables have, and a sum over them that does not depend on their
//! order.

use super::{Client, Error, Result, quote_ident, quote_literal};

/// A table of a user.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Table {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", quote_ident(&self.schema), quote_ident(&self.name))
    }
}

/// The rows of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub rows: u64,
    /// The sum of a hash of each, as a decimal number.
    pub sum: String,
}

impl Client {
    /// The permanent tables of users that this role may read, also those that are
    /// a partition; in `schemas` when some are named. What belongs to an extension
    /// is not the user's.
    pub fn tables(&self, schemas: &[&str]) -> Result<Vec<Table>> {
        let within = match schemas {
            [] => String::new(),
            names => {
                let names: Vec<String> = names.iter().map(|name| quote_literal(name)).collect();
                format!("AND n.nspname IN ({})", names.join(", "))
            }
        };
        let sql = format!(
            "SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
             WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname !~ '^pg_' \
             AND n.nspname <> 'information_schema' AND has_table_privilege(c.oid, 'select') {within} \
             AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass \
             AND d.objid = c.oid AND d.deptype = 'e') ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\""
        );
        let row = |row: Vec<Option<String>>| match <[Option<String>; 2]>::try_from(row) {
            Ok([Some(schema), Some(name)]) => Ok(Table { schema, name }),
            _ => Err(Error::unexpected("a list of tables")),
        };
        self.query(&sql)?.into_iter().map(row).collect()
    }

    /// Lets rows be written the same way whatever the role, the database and the
    /// server are set to, so that sums can be compared.
    pub fn write_rows_alike(&self) -> Result<()> {
        self.execute(
            "SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; SET timezone = 'UTC'; \
             SET extra_float_digits = 1; SET bytea_output = 'hex'; SET lc_monetary = 'C'; \
             SET xmloption = 'content'; SET row_security = off",
        )
    }

    /// Reads all of a table.
    pub fn sum_of(&self, table: &Table) -> Result<Sum> {
        let sql = format!(
            "SELECT count(*), coalesce(sum(hashtextextended((r.*)::text COLLATE \"C\", 0)), 0) FROM ONLY {table} AS r"
        );
        let row = self.query(&sql)?.into_iter().next().unwrap_or_default();
        match <[Option<String>; 2]>::try_from(row) {
            Ok([Some(rows), Some(sum)]) => {
                Ok(Sum { rows: rows.parse().map_err(|_| Error::unexpected("a count"))?, sum })
            }
            _ => Err(Error::unexpected("a count and a sum")),
        }
    }

    /// Reads inside of the moment that another session has exported.
    pub fn begin_in_snapshot(&self, snapshot: &str) -> Result<()> {
        self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        self.execute(&format!("SET TRANSACTION SNAPSHOT {}", quote_literal(snapshot)))
    }
}
