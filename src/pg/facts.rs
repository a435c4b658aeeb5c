//! Facts about a server and a database.

use super::{Client, Error, Result};
use crate::domain::Setting;

/// Facts about a server and the database of the session. A fact that the role may not read is
/// `None`, and `notes` has the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    /// The version as a number, such as `150018`.
    pub version_num: u32,
    /// The version as the server writes it: `15.18 (Debian 15.18-0+deb12u1)`.
    pub version_text: String,
    /// The major version.
    pub major: u32,
    /// The system identifier of the cluster. It is a text, because it does not fit a JSON number.
    pub system_identifier: Option<String>,
    /// The timeline of the server.
    pub timeline: Option<u32>,
    /// True if the server is a standby or still in recovery.
    pub in_recovery: bool,
    /// The WAL position at which the server writes, or up to which it has replayed.
    pub current_lsn: Option<String>,
    /// The size of the database on disk, in bytes.
    pub database_size_bytes: u64,
    /// Encoding of the database.
    pub encoding: String,
    /// `LC_COLLATE` of the database.
    pub collate: String,
    /// `LC_CTYPE` of the database.
    pub ctype: String,
    /// `libc`, `icu` or `builtin`; `None` before PostgreSQL 15, which has one per database only.
    pub locale_provider: Option<String>,
    /// The locale of the provider `icu` or `builtin`.
    pub locale: Option<String>,
    /// Collation rules of the provider `icu`.
    pub icu_rules: Option<String>,
    /// The format of amounts of type money in sessions of this database.
    pub lc_monetary: String,
    /// The settings of the database that may influence migrations.
    pub settings: Vec<Setting>,
    /// True if the role is a superuser.
    pub is_superuser: bool,
    /// True if the role may read the hashes of passwords, as a dump of all globals needs.
    pub can_read_role_passwords: bool,
    /// True if data pages have checksums.
    pub data_checksums: bool,
    /// `max_connections`.
    pub max_connections: u32,
    /// `minimal`, `replica` or `logical`.
    pub wal_level: String,
    /// The transactions that were committed at this time, in the format of `pg_current_snapshot()`;
    /// PostgreSQL 13 and later. While it is the same, no database of the server has changed.
    pub snapshot: Option<String>,
    /// The reasons for missing facts.
    pub notes: Vec<String>,
}

const PROBE: &str = "SELECT pg_catalog.current_setting('server_version_num'), \
    pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'execute'), \
    pg_catalog.has_function_privilege('pg_catalog.pg_control_checkpoint()', 'execute'), \
    pg_catalog.pg_is_in_recovery()";

const SYSTEM_ID: &str = "(SELECT system_identifier::pg_catalog.text FROM pg_catalog.pg_control_system())";

/// On a primary, the timeline is part of the name of the current WAL file.
const TIMELINE_PRIMARY: &str = "(('x' OPERATOR(pg_catalog.||) pg_catalog.substr(\
    pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))::pg_catalog.bit(32)::pg_catalog.int8)";

const TIMELINE_STANDBY: &str = "(SELECT timeline_id FROM pg_catalog.pg_control_checkpoint())";

/// Settings that influence the text of a dumped schema and are not set by pg_dump, with the
/// required values.
const SCHEMA_TEXT_SETTINGS: [(&str, &str); 4] = [
    ("bytea_output", "hex"),
    ("quote_all_identifiers", "off"),
    ("standard_conforming_strings", "on"),
    ("xmlbinary", "base64"),
];

impl Client {
    /// Returns the settings with which a session in this database has to begin, so that equal
    /// schemas are dumped as equal text whatever the defaults of the server, the database and the
    /// role. Settings that have the required value already are left out, because a pooler may
    /// reject them.
    pub fn settings_of_schema(&self) -> Result<Vec<(&'static str, &'static str)>> {
        let rows = self.query("SELECT name, reset_val FROM pg_catalog.pg_settings")?;
        let is = |name: &str, value: &str| {
            rows.iter().any(|row| matches!(row.as_slice(), [Some(n), Some(v)] if n == name && v == value))
        };
        Ok(SCHEMA_TEXT_SETTINGS.into_iter().filter(|(name, value)| !is(name, value)).collect())
    }

    /// Reads the facts, inside the transaction of a snapshot if one is open. Fails if a query
    /// fails.
    pub fn facts(&self) -> Result<ServerFacts> {
        let probe = Row::of(self.query(PROBE)?)?;
        let version_num = probe.number(0)?;
        let in_recovery = probe.flag(3);
        let may = |at, what| if probe.flag(at) { Ok(what) } else { Err("NULL") };
        let system_id = may(1, SYSTEM_ID);
        let timeline = if in_recovery { may(2, TIMELINE_STANDBY) } else { Ok(TIMELINE_PRIMARY) };
        let mut notes = Vec::new();
        if system_id.is_err() {
            notes.push(
                "no permission for function pg_control_system: the system identifier is unknown".to_owned(),
            );
        }
        if timeline.is_err() {
            notes
                .push("no permission for function pg_control_checkpoint: the timeline is unknown".to_owned());
        }
        let sql =
            facts_query(version_num, system_id.unwrap_or("NULL"), timeline.unwrap_or("NULL"), in_recovery);
        let row = Row::of(self.query(&sql)?)?;
        Ok(ServerFacts {
            version_num,
            version_text: row.text(0)?,
            major: version_num / 10_000,
            system_identifier: row.get(1),
            timeline: row.get(2).map(|_| row.number(2)).transpose()?,
            in_recovery,
            current_lsn: row.get(3),
            database_size_bytes: row.number(4)?,
            encoding: row.text(5)?,
            collate: row.text(6)?,
            ctype: row.text(7)?,
            locale_provider: row.get(8),
            locale: row.get(9),
            icu_rules: row.get(10),
            settings: self.database_settings(self.conninfo().dbname())?,
            is_superuser: row.flag(11),
            can_read_role_passwords: row.flag(12),
            data_checksums: row.flag(13),
            max_connections: row.number(14)?,
            wal_level: row.text(15)?,
            snapshot: row.get(16),
            lc_monetary: row.text(17)?,
            notes,
        })
    }
}

/// Returns the query for the facts. The columns of `pg_database` for locale providers differ
/// between PostgreSQL 14, 15, 16 and 17.
fn facts_query(version_num: u32, system_id: &str, timeline: &str, in_recovery: bool) -> String {
    let provider =
        "CASE d.datlocprovider WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' END";
    let (provider, locale, rules) = match version_num / 10_000 {
        ..=14 => ("NULL", "NULL", "NULL"),
        15 => (provider, "d.daticulocale", "NULL"),
        16 => (provider, "d.daticulocale", "d.daticurules"),
        _ => (provider, "d.datlocale", "d.daticurules"),
    };
    let snapshot = if version_num < 130_000 { "NULL" } else { "pg_catalog.pg_current_snapshot()" };
    let lsn = if in_recovery { "pg_last_wal_replay_lsn" } else { "pg_current_wal_lsn" };
    format!(
        "SELECT pg_catalog.current_setting('server_version'), {system_id}, {timeline}, pg_catalog.{lsn}(), \
         pg_catalog.pg_database_size(d.oid), pg_catalog.pg_encoding_to_char(d.encoding), \
         d.datcollate, d.datctype, {provider}, {locale}, {rules}, \
         pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on', \
         pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'select'), \
         pg_catalog.current_setting('data_checksums') OPERATOR(pg_catalog.=) 'on', \
         pg_catalog.current_setting('max_connections'), pg_catalog.current_setting('wal_level'), {snapshot}, \
         pg_catalog.current_setting('lc_monetary') \
         FROM pg_catalog.pg_database AS d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()"
    )
}

/// The only row of a result.
struct Row(Vec<Option<String>>);

impl Row {
    fn of(rows: Vec<Vec<Option<String>>>) -> Result<Self> {
        rows.into_iter().next().map(Self).ok_or_else(|| Error::unexpected("one row of facts"))
    }

    fn get(&self, at: usize) -> Option<String> {
        self.0.get(at).cloned().flatten()
    }

    fn text(&self, at: usize) -> Result<String> {
        self.get(at).ok_or_else(|| Error::unexpected(format!("fact {at} is missing")))
    }

    fn number<N: std::str::FromStr>(&self, at: usize) -> Result<N> {
        self.text(at)?.parse().map_err(|_| Error::unexpected(format!("fact {at} is not a number")))
    }

    fn flag(&self, at: usize) -> bool {
        self.get(at).as_deref() == Some("t")
    }
}
