//! Making, renaming and dropping databases.

use super::{Client, Error, Result, ServerFacts, quote_ident, quote_literal};

/// PostgreSQL silently cuts longer names, so they are refused.
pub const NAME_BYTES_MAX: usize = 63;

/// How a new database shall sort and encode. What is `None` is left to the
/// server's `template0`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    /// `UTF8` and the like.
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
}

impl Template {
    /// One that gives a database like the one the facts were read in.
    pub fn like(facts: &ServerFacts) -> Self {
        Self {
            encoding: Some(facts.encoding.clone()),
            collate: Some(facts.collate.clone()),
            ctype: Some(facts.ctype.clone()),
            provider: facts.locale_provider.clone(),
            locale: facts.locale.clone(),
            icu_rules: facts.icu_rules.clone(),
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

impl Client {
    /// Is there a database of this name?
    pub fn database_exists(&self, name: &str) -> Result<bool> {
        let found = self.about_database(name, "'t'")?;
        Ok(found.is_some())
    }

    /// Makes an empty database from `template0`.
    pub fn create_database(&self, name: &str, template: &Template) -> Result<()> {
        check_name(name)?;
        let sql = format!("CREATE DATABASE {} TEMPLATE template0{}", quote_ident(name), template.clauses());
        self.on_database(name, &sql)
    }

    /// Drops a database. With `force`, whoever is connected to it is thrown out.
    pub fn drop_database(&self, name: &str, force: bool) -> Result<()> {
        let force = if force { " WITH (FORCE)" } else { "" };
        self.on_database(name, &format!("DROP DATABASE {}{force}", quote_ident(name)))
    }

    /// Renames a database nobody is connected to.
    pub fn rename_database(&self, from: &str, to: &str) -> Result<()> {
        check_name(to)?;
        let sql = format!("ALTER DATABASE {} RENAME TO {}", quote_ident(from), quote_ident(to));
        let result = self.on_database(from, &sql);
        result.map_err(|error| match error {
            Error::DatabaseExists { .. } => Error::DatabaseExists { dbname: to.to_owned() },
            other => other,
        })
    }

    /// Writes the comment of a database, or removes it.
    pub fn set_comment(&self, name: &str, comment: Option<&str>) -> Result<()> {
        let comment = comment.map_or_else(|| "NULL".to_owned(), quote_literal);
        self.on_database(name, &format!("COMMENT ON DATABASE {} IS {comment}", quote_ident(name)))
    }

    /// The comment of a database.
    pub fn get_comment(&self, name: &str) -> Result<Option<String>> {
        self.about_database(name, "pg_catalog.shobj_description(oid, 'pg_database')")
    }

    /// How many sessions are connected to a database.
    pub fn connections_to(&self, name: &str) -> Result<u64> {
        let of_this = format!("datname OPERATOR(pg_catalog.=) {}", quote_literal(name));
        let sql = format!("SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE {of_this}");
        let count = self.value(&sql, "the list of sessions")?.and_then(|count| count.parse().ok());
        count.ok_or_else(|| Error::unexpected("a count of sessions"))
    }

    /// Does the current database hold no object of a user?
    pub fn is_empty(&self) -> Result<bool> {
        let user_made = "OPERATOR(pg_catalog.>=) 16384";
        let of = |catalog| format!("EXISTS (SELECT FROM pg_catalog.{catalog} WHERE oid {user_made})");
        let found = ["pg_class", "pg_proc", "pg_type", "pg_namespace", "pg_largeobject_metadata"]
            .map(of)
            .join(" OR ");
        let answer = self.value(&format!("SELECT {found}"), "the catalog")?;
        Ok(answer.as_deref() == Some("f"))
    }

    /// Takes a lock on `name` among the sessions of this database, until the
    /// session ends. `false` when another session has it.
    pub fn try_lock(&self, name: &str) -> Result<bool> {
        let key = format!("pg_catalog.hashtextextended({}, 0)", quote_literal(name));
        let answer = self.value(&format!("SELECT pg_catalog.pg_try_advisory_lock({key})"), "a lock")?;
        Ok(answer.as_deref() == Some("t"))
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
        self.query_for(sql, &format!("database {name:?}")).map(drop).map_err(|error| name_it(error, name))
    }
}

/// Turns what a server says about one database into an error with its name.
pub(super) fn name_it(error: Error, name: &str) -> Error {
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

/// Refuses a name that no database can have.
pub fn check_name(name: &str) -> Result<()> {
    let reason = match name {
        "" => "it is empty",
        name if name.contains('\0') => "it contains a NUL",
        name if name.len() > NAME_BYTES_MAX => "it is longer than 63 bytes",
        _ => return Ok(()),
    };
    Err(Error::BadName { name: name.to_owned(), reason })
}
