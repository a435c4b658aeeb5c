//! Rows of a restored table that are put back into the live table.
//!
//! The restored table is in another database of any server. Its rows go into a temporary table beside the live
//! table, and are compared by the primary key. Everything is one transaction of the live database, in which no other
//! session can write to the table.

use std::sync::mpsc;
use std::thread;

use crate::domain::TableName;
use crate::pg::{Client, ConnInfo, Halt, quote_ident, quote_literal};

use super::Error;

const APPLICATION: &str = "git-pggit";
/// The name of the temporary table with the restored rows.
const RESTORED: &str = "pg_temp.pggit_restored_rows";
/// The number of chunks of rows that are in memory between the two databases.
const CHUNKS: usize = 64;
/// The number of keys that are shown.
const KEYS_MAX: usize = 10;

/// A table whose rows are put back.
pub struct RowsBack<'a> {
    /// The database with the restored table.
    pub restored: &'a ConnInfo,
    /// The live database.
    pub live: &'a ConnInfo,
    /// The table, which has the same name in both.
    pub table: &'a TableName,
    /// A SQL condition for the restored rows; `None` for all rows.
    pub condition: Option<&'a str>,
    /// True if live rows that differ are overwritten. Otherwise they stay, and only missing rows are inserted.
    pub overwrite: bool,
    /// True if nothing is changed.
    pub dry_run: bool,
}

/// The rows that were put back, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowsDifference {
    /// The live table, with its schema.
    pub table: String,
    /// The columns of the key by which rows were compared.
    pub key: Vec<String>,
    /// The number of restored rows.
    pub restored: u64,
    /// The number of restored rows that the live table lacks.
    pub missing: u64,
    /// The number of restored rows that are in the live table with other values.
    pub differing: u64,
    /// The keys of the first missing rows, as text.
    pub missing_keys: Vec<String>,
    /// The keys of the first differing rows, as text.
    pub differing_keys: Vec<String>,
    /// The columns that only one of the two tables has. They are not compared; missing rows get the defaults.
    pub columns_left_out: Vec<String>,
    /// The number of rows that were inserted.
    pub inserted: u64,
    /// The number of rows that were overwritten.
    pub updated: u64,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Column {
    name: String,
    /// The type, as SQL.
    kind: String,
    /// True if its values are generated from other columns.
    is_generated: bool,
    /// True if it is an identity column that only `OVERRIDING SYSTEM VALUE` sets.
    is_always_identity: bool,
}

/// A table with its columns.
struct Described {
    /// The quoted name with its schema.
    name: String,
    columns: Vec<Column>,
}

impl RowsBack<'_> {
    /// Compares the rows, and puts them back unless it is a dry run. If anything fails, nothing is changed.
    ///
    /// # Errors
    /// If one of the databases does not have the table, if the live table has no primary key, if a column has
    /// another type, or if a constraint of the live table refuses a row.
    pub fn run(&self) -> Result<RowsDifference, Error> {
        let source = Client::connect(self.restored, APPLICATION)?;
        let live = Client::connect(self.live, APPLICATION)?;
        // Names without a schema, and the operators of the types of keys, are found as by other sessions.
        source.reset_search_path()?;
        live.reset_search_path()?;
        let (from, to) = (self.describe(&source, "restored")?, self.describe(&live, "live")?);
        drop(source);
        let (common, columns_left_out) = self.common(&from.columns, &to.columns)?;
        let key = self.key(&live, &to, &common)?;
        live.execute("BEGIN; SET LOCAL row_security = off; SET LOCAL lock_timeout = '60s'")?;
        if !self.dry_run {
            // Readers go on; writers wait until the rows are there.
            live.execute(&format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", to.name))?;
        }
        let names = list(&common, "");
        live.execute(&format!(
            "CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {names} FROM ONLY {} WITH NO DATA",
            RESTORED.trim_start_matches("pg_temp."),
            to.name
        ))?;
        self.copy(&from.name, &names, &live)?;
        live.execute(&format!("ANALYZE {RESTORED}"))?;
        let mut found = self.compare(&live, &to.name, &common, &key)?;
        found.columns_left_out = columns_left_out;
        if self.dry_run {
            live.execute("ROLLBACK")?;
            return Ok(found);
        }
        found.inserted = self.number(&live, &insert(&to.name, &common, &key))?;
        if self.overwrite {
            found.updated = self.number(&live, &update(&to.name, &common, &key))?;
        }
        let updates = if self.overwrite { found.differing } else { 0 };
        if (found.inserted, found.updated) != (found.missing, updates) {
            // Dropping the connection rolls back.
            let reason = format!(
                "{} of {} rows were inserted and {} of {updates} changed; a trigger or a rule of the table \
                 changes what is written",
                found.inserted, found.missing, found.updated
            );
            return Err(self.refuse(reason));
        }
        live.execute("COMMIT")?;
        Ok(found)
    }

    /// Returns the number that a statement gives.
    fn number(&self, client: &Client, sql: &str) -> Result<u64, Error> {
        let value = client.query(sql)?.into_iter().flatten().next().flatten();
        let number = value.and_then(|text| text.parse().ok());
        number.ok_or_else(|| self.refuse("the server did not tell the number of rows".to_owned()))
    }

    fn refuse(&self, reason: String) -> Error {
        Error::RowsNotBack { table: self.table.to_string(), reason }
    }

    fn describe(&self, client: &Client, which: &str) -> Result<Described, Error> {
        let name = match &self.table.schema {
            Some(schema) => format!("{}.{}", quote_ident(schema), quote_ident(&self.table.name)),
            None => quote_ident(&self.table.name),
        };
        let oid = format!(
            "SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.oid = pg_catalog.to_regclass({}) AND c.relkind = 'r'",
            quote_literal(&name)
        );
        let row = client.query(&oid)?.into_iter().next();
        let Some((oid, name)) = row.and_then(|row| {
            let mut row = row.into_iter();
            Some((row.next()??, row.next()??))
        }) else {
            return Err(self.refuse(format!("the {which} database has no ordinary table of that name")));
        };
        let columns = format!(
            "SELECT attname, pg_catalog.format_type(atttypid, atttypmod), attgenerated <> '', attidentity = 'a' \
             FROM pg_catalog.pg_attribute WHERE attrelid = {oid} AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        );
        let columns = client.query(&columns)?.into_iter().map(|row| {
            let text = |at: usize| row.get(at).cloned().flatten().unwrap_or_default();
            Column {
                name: text(0),
                kind: text(1),
                is_generated: text(2) == "t",
                is_always_identity: text(3) == "t",
            }
        });
        Ok(Described { name, columns: columns.collect() })
    }

    /// Returns the columns that both tables have and whose values can be set, and the names of those that only
    /// one has.
    fn common(&self, from: &[Column], to: &[Column]) -> Result<(Vec<Column>, Vec<String>), Error> {
        let mut common = Vec::new();
        let mut left_out = Vec::new();
        for column in to {
            match from.iter().find(|other| other.name == column.name) {
                None if column.is_generated => {}
                None => left_out.push(column.name.clone()),
                Some(other) if other.kind != column.kind => {
                    let name = &column.name;
                    let (old, new) = (&other.kind, &column.kind);
                    return Err(
                        self.refuse(format!("column {name} has the type {old} in the backup and {new} now"))
                    );
                }
                Some(_) if column.is_generated => {}
                Some(_) => common.push(column.clone()),
            }
        }
        let is_known = |column: &&Column| to.iter().any(|other| other.name == column.name);
        left_out.extend(from.iter().filter(|it| !is_known(it)).map(|column| column.name.clone()));
        Ok((common, left_out))
    }

    /// Returns the columns of the primary key.
    fn key(&self, client: &Client, table: &Described, common: &[Column]) -> Result<Vec<Column>, Error> {
        let sql = format!(
            "SELECT a.attname FROM pg_catalog.pg_index i \
             JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) \
             WHERE i.indisprimary AND i.indrelid = {}::regclass ORDER BY a.attnum",
            quote_literal(&table.name)
        );
        let names: Vec<String> = client.query(&sql)?.into_iter().flatten().flatten().collect();
        if names.is_empty() {
            return Err(self.refuse("it has no primary key, by which rows could be compared".to_owned()));
        }
        let column = |name: &String| {
            let found = common.iter().find(|column| column.name == *name).cloned();
            found.ok_or_else(|| {
                self.refuse(format!("the backup has no column {name}, which is in the primary key"))
            })
        };
        names.iter().map(column).collect()
    }

    /// Copies the restored rows into the temporary table.
    fn copy(&self, from: &str, names: &str, live: &Client) -> Result<(), Error> {
        let condition = self.condition.map(|condition| format!(" WHERE ({condition}\n)")).unwrap_or_default();
        let read = format!("COPY (SELECT {names} FROM ONLY {from}{condition}) TO STDOUT");
        let (sender, receiver) = mpsc::sync_channel::<Vec<u8>>(CHUNKS);
        let copied = thread::scope(|scope| {
            let reader = scope.spawn(move || -> Result<(), Error> {
                let source = Client::connect(self.restored, APPLICATION)?;
                source.reset_search_path()?;
                source.execute("SET default_transaction_read_only = on; SET row_security = off")?;
                // A failed receiver has its own error.
                source.copy_out(&read, |row| drop(sender.send(row.to_vec())))?;
                Ok(())
            });
            let write = format!("COPY {RESTORED} ({names}) FROM STDIN");
            let mut next = || Ok::<_, Error>(receiver.recv().ok());
            let stop = || crate::process::interrupt::requested().is_some();
            let written = live.copy_in(&write, &mut next, &stop);
            drop(receiver);
            (reader.join(), written)
        });
        match copied {
            (Ok(Err(error)), _) => Err(error),
            (Err(_), _) => Err(self.refuse("the reader of the restored rows has crashed".to_owned())),
            (Ok(Ok(())), Ok(())) => Ok(()),
            (Ok(Ok(())), Err(Halt::Refused(refusal))) => Err(self.refuse(refusal.message.clone())),
            (Ok(Ok(())), Err(Halt::Stopped)) => Err(self.refuse("it was interrupted".to_owned())),
            (Ok(Ok(())), Err(Halt::Data(error))) => Err(error),
            (Ok(Ok(())), Err(Halt::Failed(error))) => Err(error.into()),
        }
    }

    fn compare(
        &self,
        live: &Client,
        to: &str,
        common: &[Column],
        key: &[Column],
    ) -> Result<RowsDifference, Error> {
        let (missing, differing) = (missing(to, key), differing(to, common, key));
        let keys = |rows: &str| -> Result<Vec<String>, Error> {
            let shown = list(key, "r.");
            let sql =
                format!("SELECT ROW({shown})::pg_catalog.text {rows} ORDER BY {shown} LIMIT {KEYS_MAX}");
            Ok(live.query(&sql)?.into_iter().flatten().flatten().collect())
        };
        let count = |rows: &str| self.number(live, &format!("SELECT pg_catalog.count(*) {rows}"));
        Ok(RowsDifference {
            table: to.to_owned(),
            key: key.iter().map(|column| column.name.clone()).collect(),
            restored: count(&format!("FROM {RESTORED} r"))?,
            missing: count(&missing)?,
            differing: count(&differing)?,
            missing_keys: keys(&missing)?,
            differing_keys: keys(&differing)?,
            columns_left_out: Vec::new(),
            inserted: 0,
            updated: 0,
        })
    }
}

fn list(columns: &[Column], prefix: &str) -> String {
    let names = columns.iter().map(|column| format!("{prefix}{}", quote_ident(&column.name)));
    names.collect::<Vec<_>>().join(", ")
}

fn same_key(key: &[Column]) -> String {
    let same = key.iter().map(|column| {
        let name = quote_ident(&column.name);
        format!("t.{name} = r.{name}")
    });
    same.collect::<Vec<_>>().join(" AND ")
}

/// Two rows are compared by the output of their types, which every type has, and which calls no function of an
/// owner.
fn differs(common: &[Column]) -> String {
    let row = |prefix: &str| format!("ROW({})::pg_catalog.text", list(common, prefix));
    format!("{} IS DISTINCT FROM {}", row("r."), row("t."))
}

/// Returns the restored rows that the live table lacks, as `FROM ... WHERE ...`.
fn missing(to: &str, key: &[Column]) -> String {
    format!("FROM {RESTORED} r WHERE NOT EXISTS (SELECT FROM ONLY {to} t WHERE {})", same_key(key))
}

/// Returns the restored rows that are in the live table with other values, as `FROM ... WHERE ...`.
fn differing(to: &str, common: &[Column], key: &[Column]) -> String {
    format!("FROM {RESTORED} r JOIN ONLY {to} t ON {} WHERE {}", same_key(key), differs(common))
}

fn insert(to: &str, common: &[Column], key: &[Column]) -> String {
    let names = list(common, "");
    let (values, rows) = (list(common, "r."), missing(to, key));
    format!(
        "WITH done AS (INSERT INTO {to} ({names}) OVERRIDING SYSTEM VALUE SELECT {values} {rows} RETURNING 1) \
         SELECT pg_catalog.count(*) FROM done"
    )
}

fn update(to: &str, common: &[Column], key: &[Column]) -> String {
    let is_set = |column: &&Column| !key.contains(column) && !column.is_always_identity;
    let set: Vec<String> = common
        .iter()
        .filter(is_set)
        .map(|column| {
            let name = quote_ident(&column.name);
            format!("{name} = r.{name}")
        })
        .collect();
    if set.is_empty() {
        return "SELECT 0".to_owned();
    }
    format!(
        "WITH done AS (UPDATE ONLY {to} t SET {} FROM {RESTORED} r WHERE {} AND {} RETURNING 1) \
         SELECT pg_catalog.count(*) FROM done",
        set.join(", "),
        same_key(key),
        differs(common)
    )
}
