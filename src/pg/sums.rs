//! The number of rows of each table, and a checksum that depends neither on the order of rows nor
//! on that of columns.

use super::{Client, Error, Result, quote_ident, quote_literal};
use crate::domain::Digest;

/// A table of a user.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Table {
    /// The schema.
    pub schema: String,
    /// The name.
    pub name: String,
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", quote_ident(&self.schema), quote_ident(&self.name))
    }
}

/// The number and the checksum of the rows of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSum {
    /// The number of rows.
    pub rows: u64,
    /// The sum of the hashes of all rows, in hexadecimal.
    pub sum: String,
}

impl Client {
    /// Returns the permanent tables of users that this role may read, including partitions; only
    /// those in `schemas` if it is not empty. Tables of extensions are left out. Fails if the query
    /// fails.
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

    /// Sets the output formats of the session, so that rows are written the same way with any
    /// defaults of the role, the database and the server, and checksums can be compared.
    pub fn set_row_format(&self) -> Result<()> {
        self.execute(
            "SET client_encoding = 'UTF8'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; \
             SET timezone = 'UTC'; SET extra_float_digits = 1; SET bytea_output = 'hex'; \
             SET lc_monetary = 'C'; SET xmloption = 'content'; SET quote_all_identifiers = off; \
             SET row_security = off",
        )
    }

    /// Returns the checksum of a table. It reads the table with `COPY`, which calls only the output
    /// functions of its types. A query would let the planner evaluate expressions of indexes and
    /// constraints, and with them call functions of the owner of the table with the rights of this
    /// role. Fails if the table cannot be read.
    pub fn table_sum(&self, table: &Table) -> Result<TableSum> {
        let columns: Vec<String> = self.columns(table)?.iter().map(|name| quote_ident(name)).collect();
        let columns = if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
        let (mut rows, mut sum) = (0, 0_u128);
        self.copy_out(&format!("COPY {table}{columns} TO STDOUT"), |row| {
            rows += 1;
            sum = sum.wrapping_add(Digest::number_of(row));
        })?;
        Ok(TableSum { rows, sum: format!("{sum:032x}") })
    }

    /// Returns the columns of a table, sorted by name. Generated columns are left out, as in a
    /// dump.
    fn columns(&self, table: &Table) -> Result<Vec<String>> {
        let sql = format!(
            "SELECT a.attname FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid \
             JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = {} AND c.relname = {} \
             AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attname COLLATE \"C\"",
            quote_literal(&table.schema),
            quote_literal(&table.name)
        );
        Ok(self.query(&sql)?.into_iter().flatten().flatten().collect())
    }

    /// Begins a transaction with a snapshot that another session has exported. Fails if that
    /// session has ended it.
    pub fn begin_in_snapshot(&self, snapshot: &str) -> Result<()> {
        self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        self.execute(&format!("SET TRANSACTION SNAPSHOT {}", quote_literal(snapshot)))
    }
}
