//! The properties of a database that are in an archive of pg_dump, and that only `pg_restore --create` restores:
//! owner, comment, settings (also those of roles in the database), connection limit and privileges.

use std::io::Read;
use std::ops::Range;
use std::time::Duration;

use super::lexer::{Token, next_token};
use super::session::fault_of;
use super::splitter::{Piece, Skip, Splitter};
use super::{Error, Format, PgTools, Program};
use crate::pg::quote_ident;
use crate::process::Cmd;

const PROGRAM: Program = Program::PgRestore;
/// The time limit. Only the table of contents is read.
const DEADLINE: Duration = Duration::from_secs(600);
/// The maximum size of the schema of a dump, in bytes.
const SCHEMA_MAX: usize = 1 << 30;

/// The properties that are left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct PropertiesSpec {
    /// True if the owner is left out.
    pub no_owner: bool,
    /// True if privileges are left out.
    pub no_privileges: bool,
}

/// The properties of a dumped database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatabaseProperties {
    /// The statements that set them, with the name of the dumped database.
    statements: Vec<Vec<u8>>,
}

impl DatabaseProperties {
    /// Returns the statements that give the database `dbname` the properties except for the comment. The commit
    /// recorded in the database is not one of them.
    pub fn statements(&self, dbname: &str) -> Vec<String> {
        let is_comment = |sql: &&Vec<u8>| beginning(sql).first().is_some_and(|(_, word)| word == "comment");
        let others = self.statements.iter().filter(|sql| !is_comment(sql));
        others.filter_map(|sql| renamed(sql, dbname)).collect()
    }

    /// Returns the comment of the database, if it has one.
    pub fn comment(&self) -> Option<String> {
        let is_comment = |sql: &&Vec<u8>| beginning(sql).first().is_some_and(|(_, word)| word == "comment");
        let sql = self.statements.iter().find(is_comment)?;
        let mut at = 0;
        while at < sql.len() {
            let (token, end) = next_token(sql, at);
            if let Token::Literal { content, escapes: false } = token {
                return Some(String::from_utf8_lossy(&sql[content]).replace("''", "'"));
            }
            at = end;
        }
        None
    }

    /// Returns the properties that a script of `pg_restore --create` sets.
    fn of_script(script: &[u8]) -> Result<Self, Error> {
        let fault = |fault| fault_of("pg_restore --create", fault);
        let mut pieces = Splitter::new(script, Skip::Globals, true);
        let mut statements = Vec::new();
        while let Some(Piece { sql, .. }) = pieces.next().map_err(fault)? {
            pieces.skip_data().map_err(fault)?;
            if renamed(&sql, "").is_some() {
                statements.push(sql);
            }
        }
        Ok(Self { statements })
    }
}

impl PgTools {
    /// Returns the properties of the dumped database of an archive, which is read from `input`.
    ///
    /// # Errors
    /// If pg_restore fails, or writes a script that cannot be split.
    pub fn database_properties(
        &self,
        format: Format,
        spec: PropertiesSpec,
        input: &mut (dyn Read + Send),
    ) -> Result<DatabaseProperties, Error> {
        let failed = |error| Error::of(PROGRAM, error);
        let cmd = self.properties_cmd(format, spec)?;
        let script = cmd.run_with(input).map_err(failed)?.success().map_err(failed)?.stdout;
        DatabaseProperties::of_script(&script)
    }

    fn properties_cmd(&self, format: Format, spec: PropertiesSpec) -> Result<Cmd, Error> {
        let mut cmd = self.cmd(PROGRAM)?.args(["--create", "--schema-only", "--file=-"]);
        cmd = cmd.arg(format!("--format={format}")).deadline(DEADLINE).stdout_limit(SCHEMA_MAX);
        if spec.no_owner {
            cmd = cmd.arg("--no-owner");
        }
        if spec.no_privileges {
            cmd = cmd.arg("--no-privileges");
        }
        Ok(cmd)
    }
}

/// The number of names and words at the beginning of a statement that are examined.
const WORDS_MAX: usize = 24;

/// Returns a statement about a property of a database with `dbname` as the name of the database; `None` for other
/// statements.
fn renamed(sql: &[u8], dbname: &str) -> Option<String> {
    let words = beginning(sql);
    let word = |at: usize| words.get(at).map_or("", |(_, word)| word.as_str());
    let at = match word(0) {
        "alter" if word(1) == "database" => 1,
        "comment" if word(1) == "on" && word(2) == "database" => 2,
        "alter" | "grant" | "revoke" => {
            // `ALTER ROLE ... IN DATABASE`, `GRANT ... ON DATABASE`.
            let is_it = |at: &usize| word(*at) == "database" && ["in", "on"].contains(&word(*at - 1));
            (1..words.len()).find(is_it)?
        }
        _ => return None,
    };
    // The commit recorded in the database is not that of the restored one.
    if words.iter().any(|(_, word)| word == "\"pggit.commit\"") {
        return None;
    }
    let (name, _) = words.get(at + 1)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (before, after) = (text(&sql[..name.start]), text(&sql[name.end..]));
    Some(format!("{before}{}{after}", quote_ident(dbname)))
}

/// Returns the first words and quoted names of a statement, each with its place. Words are in lower case, and names
/// keep their quotes.
fn beginning(sql: &[u8]) -> Vec<(Range<usize>, String)> {
    let (mut words, mut at) = (Vec::new(), 0);
    while at < sql.len() && words.len() < WORDS_MAX {
        let (token, end) = next_token(sql, at);
        let text = String::from_utf8_lossy(&sql[at..end]);
        match token {
            Token::Word => words.push((at..end, text.to_ascii_lowercase())),
            Token::Quoted => words.push((at..end, text.into_owned())),
            _ => {}
        }
        at = end;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_about_the_database_get_its_new_name() {
        let script = "SET client_encoding = 'UTF8';\nSELECT pg_catalog.set_config('search_path', '', false);\n\
            CREATE DATABASE shop WITH TEMPLATE = template0;\nALTER DATABASE shop OWNER TO app;\n\
            \\connect shop\n\
            COMMENT ON DATABASE shop IS 'it''s on database x';\n\
            ALTER DATABASE shop CONNECTION LIMIT = 7;\n\
            ALTER DATABASE shop SET \"pggit.commit\" TO 'x';\n\
            ALTER ROLE \"in\" IN DATABASE \"Shop \"\"1\"\"\" SET search_path TO 'a', 'b c';\n\
            CREATE TABLE public.t (a int);\nCOMMENT ON TABLE public.t IS 'x';\nALTER TABLE public.t OWNER TO app;\n\
            GRANT SELECT ON TABLE public.database TO app;\n\
            REVOKE CONNECT,TEMPORARY ON DATABASE shop FROM PUBLIC;\nGRANT CONNECT ON DATABASE shop TO ro;\n";
        let properties = DatabaseProperties::of_script(script.as_bytes()).unwrap();
        assert_eq!(properties.comment().as_deref(), Some("it's on database x"));
        let found = properties.statements("new\"one");
        let name = "\"new\"\"one\"";
        let expected = [
            format!("ALTER DATABASE {name} OWNER TO app"),
            format!("ALTER DATABASE {name} CONNECTION LIMIT = 7"),
            format!("ALTER ROLE \"in\" IN DATABASE {name} SET search_path TO 'a', 'b c'"),
            format!("REVOKE CONNECT,TEMPORARY ON DATABASE {name} FROM PUBLIC"),
            format!("GRANT CONNECT ON DATABASE {name} TO ro"),
        ];
        assert_eq!(found, expected);
    }
}
