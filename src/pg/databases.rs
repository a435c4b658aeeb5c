//! Creating, renaming and dropping databases.

use std::time::Duration;

use backon::{BlockingRetryable as _, ConstantBuilder};

use super::{Client, Error, Result, ServerFacts, quote_ident, quote_literal};

/// The maximum length of a name, in bytes. PostgreSQL truncates longer names silently, so they are
/// refused.
pub const NAME_BYTES_MAX: usize = 63;

/// The encoding and locale of a new database. `None` means that of `template0`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    /// The encoding, such as `UTF8`.
    pub encoding: Option<String>,
    /// `LC_COLLATE`.
    pub collate: Option<String>,
    /// `LC_CTYPE`.
    pub ctype: Option<String>,
    /// `libc`, `icu` or `builtin`; since PostgreSQL 15.
    pub provider: Option<String>,
    /// The locale of the provider `icu` or `builtin`.
    pub locale: Option<String>,
    /// Collation rules of the provider `icu`; since PostgreSQL 16.
    pub icu_rules: Option<String>,
    /// The format of amounts of type money in sessions (`lc_monetary`). It is not set if the server
    /// does not have that locale.
    pub monetary: Option<String>,
}

impl Template {
    /// Returns the settings of the database in which the facts were read.
    pub fn like(facts: &ServerFacts) -> Self {
        Self {
            encoding: Some(facts.encoding.clone()),
            collate: Some(facts.collate.clone()),
            ctype: Some(facts.ctype.clone()),
            provider: facts.locale_provider.clone(),
            locale: facts.locale.clone(),
            icu_rules: facts.icu_rules.clone(),
            monetary: Some(facts.lc_monetary.clone()),
        }
    }

    fn clauses(&self) -> String {
        let locale = match self.provider.as_deref() {
            Some("icu") => "ICU_LOCALE",
            _ => "BUILTIN_LOCALE",
        };
        let clauses = [
            ("ENCODING", &self.encoding),
            ("LC_COLLATE", &self.collate),
            ("LC_CTYPE", &self.ctype),
            ("LOCALE_PROVIDER", &self.provider),
            (locale, &self.locale),
            ("ICU_RULES", &self.icu_rules),
        ];
        let given = clauses.iter().filter_map(|(keyword, value)| Some((keyword, value.as_deref()?)));
        given.map(|(keyword, value)| format!(" {keyword} {}", quote_literal(value))).collect()
    }
}

/// The properties of a database that no dump of it contains. Names of roles are quoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Properties {
    owner: String,
    connection_limit: String,
    /// The privileges, each with its grantee; `None` if they are the default.
    grants: Option<Vec<(String, String)>>,
    /// The settings: role (`None` for all roles), name, value.
    settings: Vec<(Option<String>, String, String)>,
}

impl Properties {
    /// Returns these properties with `commit` as the commit recorded in the database.
    #[must_use]
    pub fn with_mark(mut self, commit: &str) -> Self {
        self.settings.retain(|(role, name, _)| role.is_some() || !super::mark::is_mark(name));
        self.settings.push((None, super::mark::PARAMETER.to_owned(), commit.to_owned()));
        self
    }
}

impl Client {
    /// Returns true if there is a database with this name.
    pub fn database_exists(&self, name: &str) -> Result<bool> {
        let found = self.about_database(name, "'t'")?;
        Ok(found.is_some())
    }

    /// Returns the oid of a database, which does not change with its name.
    pub fn database_oid(&self, name: &str) -> Result<Option<u32>> {
        Ok(self.about_database(name, "oid")?.and_then(|oid| oid.parse().ok()))
    }

    /// Creates an empty database from `template0`. Fails if the name is in use or invalid.
    pub fn create_database(&self, name: &str, template: &Template) -> Result<()> {
        self.create(name, template, "")
    }

    /// Like [`Client::create_database`]. Nobody can connect to the database until [`Client::open_privately`].
    ///
    /// # Errors
    /// If the name is in use or invalid, or the server fails.
    pub fn create_closed_database(&self, name: &str, template: &Template) -> Result<()> {
        self.create(name, template, " ALLOW_CONNECTIONS false")
    }

    /// Lets only the owner and superusers connect to a closed database. Between `CREATE DATABASE` and `REVOKE`
    /// everybody could connect to a database that is not closed.
    ///
    /// # Errors
    /// If the server fails.
    pub fn open_privately(&self, name: &str) -> Result<()> {
        self.set_public_connect(name, false)?;
        self.on_database(name, &format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", quote_ident(name)))
    }

    fn create(&self, name: &str, template: &Template, more: &str) -> Result<()> {
        check_name(name)?;
        let name_sql = quote_ident(name);
        let sql = format!("CREATE DATABASE {name_sql} TEMPLATE template0{}{more}", template.clauses());
        self.on_database(name, &sql)?;
        let Some(locale) = &template.monetary else { return Ok(()) };
        let sql =
            format!("ALTER DATABASE {} SET lc_monetary TO {}", quote_ident(name), quote_literal(locale));
        match self.on_database(name, &sql) {
            // The server does not have the locale. `reads_money` checks whether that matters.
            Err(Error::Query { sqlstate, .. }) if sqlstate == "22023" => Ok(()),
            other => other,
        }
    }

    /// Returns true if amounts of type money that were written under `locale` are read correctly in
    /// the current database: either its sessions use that locale, or it has no column of that type.
    pub fn reads_money(&self, locale: &str) -> Result<bool> {
        let sql = format!(
            "WITH RECURSIVE money AS (SELECT 'money'::regtype::oid AS type UNION \
             SELECT t.oid FROM pg_type AS t JOIN money ON money.type IN (t.typelem, t.typbasetype)) \
             SELECT current_setting('lc_monetary') = {} OR NOT EXISTS (SELECT FROM pg_attribute AS a \
             JOIN money ON money.type = a.atttypid WHERE a.attrelid >= 16384 AND NOT a.attisdropped)",
            quote_literal(locale)
        );
        Ok(self.value(&sql, "the catalog")?.as_deref() == Some("t"))
    }

    /// Drops a database and its subscriptions. The replication slots on the publishers are kept.
    /// With `force`, ends the sessions in the database.
    pub fn drop_database(&self, name: &str, force: bool) -> Result<()> {
        let force = if force { " WITH (FORCE)" } else { "" };
        let sql = format!("DROP DATABASE {}{force}", quote_ident(name));
        match self.on_database(name, &sql) {
            Err(Error::DatabaseInUse { .. }) if self.drop_subscriptions(name)? => {
                self.on_database(name, &sql)
            }
            other => other,
        }
    }

    /// Drops the subscriptions in a database, which prevent its removal. Returns true if there were
    /// any.
    fn drop_subscriptions(&self, name: &str) -> Result<bool> {
        let sql = format!(
            "SELECT subname FROM pg_subscription WHERE subdbid = \
             (SELECT oid FROM pg_database WHERE datname = {})",
            quote_literal(name)
        );
        let names: Vec<String> =
            self.query_for(&sql, "the list of subscriptions")?.into_iter().flatten().flatten().collect();
        if names.is_empty() {
            return Ok(false);
        }
        let inside = Self::connect(&self.conninfo().with_dbname(name), "git-pggit")?;
        for name in names.iter().map(|name| quote_ident(name)) {
            let what = format!("subscription {name}");
            // The replication slot is on another server and may be used by another subscription by
            // now.
            for action in ["DISABLE", "SET (slot_name = NONE)"] {
                inside.query_for(&format!("ALTER SUBSCRIPTION {name} {action}"), &what)?;
            }
            inside.query_for(&format!("DROP SUBSCRIPTION {name}"), &what)?;
        }
        Ok(true)
    }

    /// Renames a database. Fails if a session is connected to it, or if the new name is in use.
    pub fn rename_database(&self, from: &str, to: &str) -> Result<()> {
        check_name(to)?;
        let sql = format!("ALTER DATABASE {} RENAME TO {}", quote_ident(from), quote_ident(to));
        let result = self.on_database(from, &sql);
        result.map_err(|error| match error {
            Error::DatabaseExists { .. } => Error::DatabaseExists { dbname: to.to_owned() },
            other => other,
        })
    }

    /// Sets the comment of a database, or removes it.
    pub fn set_comment(&self, name: &str, comment: Option<&str>) -> Result<()> {
        let comment = comment.map_or_else(|| "NULL".to_owned(), quote_literal);
        self.on_database(name, &format!("COMMENT ON DATABASE {} IS {comment}", quote_ident(name)))
    }

    /// Returns the comment of a database.
    pub fn get_comment(&self, name: &str) -> Result<Option<String>> {
        self.about_database(name, "pg_catalog.shobj_description(oid, 'pg_database')")
    }

    /// Returns the databases whose comment begins with `start`, each with the rest of the comment.
    pub fn databases_with_comment(&self, start: &str) -> Result<Vec<(String, String)>> {
        let sql = format!(
            "SELECT datname, pg_catalog.substr(comment, {}) FROM (SELECT datname, \
             pg_catalog.shobj_description(oid, 'pg_database') AS comment FROM pg_catalog.pg_database) d \
             WHERE pg_catalog.starts_with(comment, {}) ORDER BY datname",
            start.chars().count() + 1,
            quote_literal(start)
        );
        let rows = self.query_for(&sql, "the list of databases")?;
        Ok(rows.into_iter().filter_map(|row| <[_; 2]>::try_from(row).ok()).filter_map(pair).collect())
    }

    /// Reads the properties of a database that no dump of it contains. Fails if it does not exist.
    pub fn properties(&self, name: &str) -> Result<Properties> {
        let of_this = format!("d.datname OPERATOR(pg_catalog.=) {}", quote_literal(name));
        let facts = format!(
            "SELECT pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(d.datdba)), d.datconnlimit::text, \
             (d.datacl IS NOT NULL)::text FROM pg_catalog.pg_database d WHERE {of_this}"
        );
        let Some([Some(owner), Some(connection_limit), restricted]) =
            self.query_for(&facts, "the database")?.pop().and_then(|row| <[_; 3]>::try_from(row).ok())
        else {
            return Err(Error::DatabaseMissing { dbname: name.to_owned() });
        };
        let grants = format!(
            "SELECT a.privilege_type, CASE WHEN a.grantee OPERATOR(pg_catalog.=) 0 THEN 'PUBLIC' \
             ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END || \
             CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END \
             FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) a WHERE {of_this}"
        );
        let grants = match restricted.as_deref() {
            Some("true") => {
                Some(self.query_for(&grants, "the privileges")?.into_iter().filter_map(text_pair).collect())
            }
            _ => None,
        };
        let settings = format!(
            "SELECT CASE WHEN s.setrole OPERATOR(pg_catalog.=) 0 THEN NULL ELSE \
             pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(s.setrole)) END, \
             pg_catalog.split_part(c, '=', 1), pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1) \
             FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d \
             ON d.oid OPERATOR(pg_catalog.=) s.setdatabase, pg_catalog.unnest(s.setconfig) c WHERE {of_this}"
        );
        let rows = self.query_for(&settings, "the settings")?.into_iter();
        let settings = rows.filter_map(|row| match <[_; 3]>::try_from(row) {
            Ok([role, Some(name), Some(value)]) => Some((role, name, value)),
            _ => None,
        });
        Ok(Properties { owner, connection_limit, grants, settings: settings.collect() })
    }

    /// Gives a database these properties and removes its other settings. If the role may not set
    /// the mark, everything else is set and the error of the server is returned.
    pub fn set_properties(&self, name: &str, properties: &Properties) -> Result<Option<Error>> {
        let target = quote_ident(name);
        let mut statements = vec![
            format!("ALTER DATABASE {target} OWNER TO {}", properties.owner),
            format!("ALTER DATABASE {target} CONNECTION LIMIT {}", properties.connection_limit),
            format!("ALTER DATABASE {target} RESET ALL"),
        ];
        if let Some(grants) = &properties.grants {
            statements.push(format!("REVOKE ALL ON DATABASE {target} FROM PUBLIC"));
            let grant = |(privilege, whom): &(String, String)| {
                format!("GRANT {privilege} ON DATABASE {target} TO {whom}")
            };
            statements.extend(grants.iter().map(grant));
        }
        statements.iter().try_for_each(|statement| self.on_database(name, statement))?;
        let mut not_marked = None;
        for (role, setting, value) in &properties.settings {
            let place = match role {
                Some(role) => format!("ROLE {role} IN DATABASE {target}"),
                None => format!("DATABASE {target}"),
            };
            let (parameter, value) = (quote_ident(setting), setting_literal(setting, value));
            match self.on_database(name, &format!("ALTER {place} SET {parameter} TO {value}")) {
                Err(error @ Error::PermissionDenied { .. }) if super::mark::is_mark(setting) => {
                    not_marked = Some(error);
                }
                other => other?,
            }
        }
        Ok(not_marked)
    }

    /// Allows every role to connect to a database, which is the default, or only its owner.
    pub fn set_public_connect(&self, name: &str, allow: bool) -> Result<()> {
        let (verb, preposition) = if allow { ("GRANT", "TO") } else { ("REVOKE", "FROM") };
        let database = quote_ident(name);
        let sql = format!("{verb} CONNECT, TEMPORARY ON DATABASE {database} {preposition} PUBLIC");
        self.on_database(name, &sql)
    }

    /// Ends all sessions that are connected to a database, and waits for their end, at most ten
    /// seconds each.
    pub fn end_sessions(&self, name: &str) -> Result<()> {
        let sql = format!(
            "SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(pid, 10000)) \
             FROM pg_catalog.pg_stat_activity WHERE {} AND pid <> pg_catalog.pg_backend_pid()",
            sessions_in(name)
        );
        self.query_for(&sql, "sessions").map(drop)
    }

    /// Returns the number of sessions that are connected to a database.
    pub fn connections_to(&self, name: &str) -> Result<u64> {
        let sql = format!(
            "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE {}",
            sessions_in(name)
        );
        let count = self.value(&sql, "the list of sessions")?.and_then(|count| count.parse().ok());
        count.ok_or_else(|| Error::unexpected("a count of sessions"))
    }

    /// Returns the number of sessions that stay connected to a database. The session of a client
    /// that has just disconnected ends a moment later, so this waits up to a second for the last
    /// one to end.
    pub fn lasting_connections_to(&self, name: &str) -> Result<u64> {
        let once = || match self.connections_to(name) {
            Ok(0) => Ok(0),
            Ok(sessions) => Err(Ok(sessions)),
            Err(error) => Err(Err(error)),
        };
        let patience = ConstantBuilder::new().with_delay(Duration::from_millis(50)).with_max_times(20);
        once.retry(patience).when(Result::is_ok).call().or_else(|last| last)
    }

    /// Returns true if the current database has no objects of users.
    pub fn is_empty(&self) -> Result<bool> {
        let user_made = "OPERATOR(pg_catalog.>=) 16384";
        let of = |catalog| format!("EXISTS (SELECT FROM pg_catalog.{catalog} WHERE oid {user_made})");
        let found = ["pg_class", "pg_proc", "pg_type", "pg_namespace", "pg_largeobject_metadata"]
            .map(of)
            .join(" OR ");
        let answer = self.value(&format!("SELECT {found}"), "the catalog")?;
        Ok(answer.as_deref() == Some("f"))
    }

    /// Takes an advisory lock on `name`, which is held until the session ends. Returns `false` if
    /// another session of this database holds it.
    pub fn try_lock(&self, name: &str) -> Result<bool> {
        let key = format!("pg_catalog.hashtextextended({}, 0)", quote_literal(name));
        let answer = self.value(&format!("SELECT pg_catalog.pg_try_advisory_lock({key})"), "a lock")?;
        Ok(answer.as_deref() == Some("t"))
    }

    /// Releases all locks of [`Client::try_lock`] immediately. The server notices the end of a
    /// session only a moment later.
    pub fn unlock_all(&self) -> Result<()> {
        self.query_for("SELECT pg_catalog.pg_advisory_unlock_all()", "a lock").map(drop)
    }

    fn about_database(&self, name: &str, expression: &str) -> Result<Option<String>> {
        let of_this = format!("datname OPERATOR(pg_catalog.=) {}", quote_literal(name));
        let sql = format!("SELECT {expression} FROM pg_catalog.pg_database WHERE {of_this}");
        if name.contains('\0') {
            return Ok(None);
        }
        self.value(&sql, "the list of databases")
    }

    fn on_database(&self, name: &str, sql: &str) -> Result<()> {
        if name.contains('\0') {
            return Err(Error::BadName { name: name.to_owned(), reason: "it contains a NUL" });
        }
        self.query_for(sql, &format!("database {name:?}"))
            .map(drop)
            .map_err(|error| with_database_name(error, name))
    }
}

/// Returns the condition for rows of `pg_stat_activity` that are sessions in a database. Autovacuum
/// workers, which have no role, and parallel workers are left out: the server ends the former by
/// itself when it needs exclusive access to the database, and the latter end with their leader.
fn sessions_in(name: &str) -> String {
    format!(
        "datname OPERATOR(pg_catalog.=) {} AND usesysid IS NOT NULL \
         AND backend_type IS DISTINCT FROM 'parallel worker'",
        quote_literal(name)
    )
}

/// Settings with a list of names as value.
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// Returns the value of a setting for `ALTER DATABASE ... SET`. A list has to be split into names:
/// a single string would be taken as one name.
fn setting_literal(setting: &str, value: &str) -> String {
    if !LISTS.iter().any(|list| list.eq_ignore_ascii_case(setting)) {
        return quote_literal(value);
    }
    let names: Vec<String> = split_names(value).iter().map(|name| quote_literal(name)).collect();
    if names.is_empty() { quote_literal("") } else { names.join(", ") }
}

/// Splits a list of names as the server writes it, with double quotes where a name needs them.
fn split_names(list: &str) -> Vec<String> {
    let (mut names, mut rest) = (Vec::new(), list.trim());
    while !rest.is_empty() {
        let (name, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (mut name, mut chars) = (String::new(), quoted.char_indices().peekable());
                let mut end = quoted.len();
                while let Some((at, c)) = chars.next() {
                    match c {
                        '"' if chars.next_if(|(_, next)| *next == '"').is_some() => name.push('"'),
                        '"' => {
                            end = at + 1;
                            break;
                        }
                        c => name.push(c),
                    }
                }
                (name, &quoted[end..])
            }
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].trim_end().to_owned(), &rest[end..])
            }
        };
        names.push(name);
        rest = after.trim_start().trim_start_matches(',').trim_start();
    }
    names
}

fn text_pair(row: Vec<Option<String>>) -> Option<(String, String)> {
    <[_; 2]>::try_from(row).ok().and_then(pair)
}

fn pair([name, rest]: [Option<String>; 2]) -> Option<(String, String)> {
    Some((name?, rest.unwrap_or_default()))
}

/// Converts an error of the server about a database into one with the name of the database.
pub(super) fn with_database_name(error: Error, name: &str) -> Error {
    let dbname = || name.to_owned();
    match error {
        Error::Query { sqlstate, message, hint, detail } => match sqlstate.as_str() {
            "3D000" => Error::DatabaseMissing { dbname: dbname() },
            "42P04" => Error::DatabaseExists { dbname: dbname() },
            "55006" => Error::DatabaseInUse { dbname: dbname(), detail: detail.unwrap_or(message) },
            _ => Error::Query { sqlstate, message, hint, detail },
        },
        other => other,
    }
}

/// Fails if `name` cannot be the name of a database.
pub fn check_name(name: &str) -> Result<()> {
    let reason = match name {
        "" => "it is empty",
        name if name.contains('\0') => "it contains a NUL",
        name if name.len() > NAME_BYTES_MAX => "it is longer than 63 bytes",
        _ => return Ok(()),
    };
    Err(Error::BadName { name: name.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lists_of_names_are_split() {
        let cases = [
            ("search_path", "\"$user\", public", "'$user', 'public'"),
            ("Search_Path", "\"a\"\"b, c\",d", "'a\"b, c', 'd'"),
            ("local_preload_libraries", "\"x y\", z", "'x y', 'z'"),
            ("temp_tablespaces", "", "''"),
            ("search_path", "\"\"", "''"),
            ("datestyle", "ISO, DMY", "'ISO, DMY'"),
            ("search_path", "\"open", "'open'"),
        ];
        for (setting, value, expected) in cases {
            assert_eq!(setting_literal(setting, value), expected, "{setting} {value}");
        }
    }
}
