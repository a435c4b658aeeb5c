//! The mark: the commit of the schema history that a database has, recorded in the database itself
//! as the setting `pggit.commit`.
//!
//! It is read from the catalog, not as a setting of the session, because a role or a connection
//! string can override the latter.

use super::{Client, Error, Result, quote_ident, quote_literal};

/// The name of the setting.
pub(super) const PARAMETER: &str = "pggit.commit";

/// Returns true if this is the name of the mark. Names of settings are case-insensitive.
pub(super) fn is_mark(setting: &str) -> bool {
    setting.eq_ignore_ascii_case(PARAMETER)
}

impl Client {
    /// Returns the commit recorded in the current database. Fails if it is not a full commit id.
    pub fn read_mark(&self) -> Result<Option<String>> {
        let sql = "SELECT pg_catalog.substr(entry, pg_catalog.strpos(entry, '=') + 1) \
             FROM pg_catalog.pg_db_role_setting AS s \
             JOIN pg_catalog.pg_database AS d ON d.oid OPERATOR(pg_catalog.=) s.setdatabase, \
             pg_catalog.unnest(s.setconfig) AS entry \
             WHERE s.setrole OPERATOR(pg_catalog.=) 0 \
             AND d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database() \
             AND pg_catalog.lower(entry) OPERATOR(pg_catalog.~~) 'pggit.commit=%'";
        let Some(value) = self.value(sql, "the settings of this database")? else { return Ok(None) };
        check(self.conninfo().dbname(), value).map(Some)
    }

    /// Records `commit`, a full commit id, in the database `dbname`. Fails if the role may not set
    /// it.
    pub fn set_mark(&self, dbname: &str, commit: &str) -> Result<()> {
        let commit = check(dbname, commit.to_owned())?;
        self.alter_mark(dbname, &format!("SET {PARAMETER} = {}", quote_literal(&commit)))
    }

    /// Returns the error if this role may not record a commit in the database `dbname`, or `None`
    /// if it may. The test is rolled back.
    pub fn mark_denial(&self, dbname: &str, commit: &str) -> Result<Option<Error>> {
        self.execute("BEGIN")?;
        let marked = self.set_mark(dbname, commit);
        self.execute("ROLLBACK")?;
        match marked {
            Err(error @ Error::PermissionDenied { .. }) => Ok(Some(error)),
            other => other.map(|()| None),
        }
    }

    /// Removes the recorded commit of the database `dbname`.
    pub fn clear_mark(&self, dbname: &str) -> Result<()> {
        self.alter_mark(dbname, &format!("RESET {PARAMETER}"))
    }

    fn alter_mark(&self, dbname: &str, action: &str) -> Result<()> {
        let what = format!("parameter \"{PARAMETER}\" of database {dbname:?}");
        let sql = format!("ALTER DATABASE {} {action}", quote_ident(dbname));
        self.query_for(&sql, &what)
            .map(drop)
            .map_err(|error| super::databases::with_database_name(error, dbname))
    }
}

fn check(dbname: &str, value: String) -> Result<String> {
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if matches!(value.len(), 40 | 64) && value.bytes().all(is_hex) {
        return Ok(value);
    }
    Err(Error::BadMark { dbname: dbname.to_owned(), value })
}
