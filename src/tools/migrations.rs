//! Runs migrations that are plain SQL files.
//!
//! Each file runs in a session and a transaction of its own, so that its settings do not affect the
//! next file. A file with statements that PostgreSQL does not allow in a transaction (`CREATE INDEX
//! CONCURRENTLY`, `VACUUM`, ...), or that begins or ends transactions itself, runs statement by
//! statement.

use super::Error;
use super::lexer::words;
use super::session::{ScriptLimits, Session, bad, client_encoding, fault_of};
use super::splitter::{BadScript, Piece, Skip, SplitError, Splitter};
use crate::pg::ConnInfo;

const BOM: &[u8] = b"\xef\xbb\xbf";
/// Comments at the beginning of a file by which other tools (sqlx, Atlas) run it without a
/// transaction.
const NO_TRANSACTION: [&str; 2] = ["no-transaction", "atlas:txmode none"];
/// Statements that must not run inside a transaction of this program.
const ALONE: [&str; 7] = ["vacuum", "begin", "start", "commit", "end", "abort", "rollback"];
/// More such statements, by their first two words. Most of them act outside the database.
const ALONE_PAIRS: [(&str, &str); 12] = [
    ("create", "database"),
    ("drop", "database"),
    ("create", "tablespace"),
    ("drop", "tablespace"),
    ("alter", "system"),
    ("reindex", "database"),
    ("reindex", "schema"),
    ("reindex", "system"),
    ("create", "subscription"),
    ("drop", "subscription"),
    ("discard", "all"),
    ("prepare", "transaction"),
];

/// The first words of statements that with CONCURRENTLY must not run inside a transaction.
const BUILDS: [&str; 4] = ["create", "drop", "reindex", "alter"];

/// One migration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Migration {
    /// The file name.
    pub name: String,
    /// The content of the file.
    pub sql: Vec<u8>,
    /// True if the migration tool runs the file without a transaction, whatever its statements are.
    pub no_transaction: bool,
    /// The statements of the migration tool before those of the file. They set its session settings.
    pub settings: Vec<String>,
    /// The statement that records the migration as applied. It runs after those of the file, and in the same
    /// transaction if there is one.
    pub record: Option<String>,
}

impl Migration {
    /// Returns a migration of no tool: it is a file, and nothing records it.
    pub fn of_file(name: String, sql: Vec<u8>) -> Self {
        Self { name, sql, ..Self::default() }
    }

    /// Returns the statements of the file, in a session with `standard_conforming_strings`.
    ///
    /// # Errors
    /// If the file cannot be split into statements.
    pub fn statements(&self) -> Result<Vec<String>, Error> {
        let fault = |fault: SplitError| fault_of(&self.name, fault);
        let mut pieces = Splitter::new(self.text(), Skip::Dump, true);
        let mut statements = Vec::new();
        while let Some(piece) = pieces.next().map_err(fault)? {
            statements.push(String::from_utf8_lossy(&piece.sql).into_owned());
            while piece.data && pieces.data().map_err(fault)?.is_some() {}
        }
        Ok(statements)
    }

    /// Returns true if the file runs without a transaction around it, in a session with this value of
    /// `standard_conforming_strings`.
    fn runs_alone(&self, standard_strings: bool) -> bool {
        let mut pieces = Splitter::new(self.text(), Skip::Dump, standard_strings);
        let mut alone = self.no_transaction || self.says_so();
        // A script that cannot be split is refused elsewhere.
        while let (false, Ok(Some(piece))) = (alone, pieces.next()) {
            alone = takes_no_transaction(&piece.sql);
            while piece.data && pieces.data().is_ok_and(|data| data.is_some()) {}
        }
        alone
    }

    /// Returns true if a comment before the first statement disables the transaction.
    fn says_so(&self) -> bool {
        let text = String::from_utf8_lossy(self.text());
        let head = text.lines().map(str::trim).take_while(|line| line.is_empty() || line.starts_with("--"));
        let mut comments = head.map(|line| line.trim_start_matches('-').trim());
        comments.any(|comment| NO_TRANSACTION.contains(&comment))
    }

    /// Returns the content without a byte order mark.
    fn text(&self) -> &[u8] {
        self.sql.strip_prefix(BOM).unwrap_or(&self.sql)
    }

    /// Fails if the file cannot be run in any database.
    pub fn check(&self) -> Result<(), Error> {
        // The session decides on `standard_conforming_strings`, so the file is accepted if either value
        // works.
        self.check_as(true).or_else(|error| self.check_as(false).map_err(|_| error))
    }

    fn check_as(&self, standard_strings: bool) -> Result<(), Error> {
        let text = self.text();
        let line_of = |at: usize| 1 + text[..at].iter().filter(|b| **b == b'\n').count() as u64;
        let refuse = |line, reason: &str| Err(bad(&self.name, BadScript { line, reason: reason.to_owned() }));
        if let Err(error) = std::str::from_utf8(text) {
            return refuse(line_of(error.valid_up_to()), "it is not UTF-8");
        }
        if let Some(at) = text.iter().position(|b| *b == 0) {
            return refuse(line_of(at), "a NUL");
        }
        let mut pieces = Splitter::new(text, Skip::Dump, standard_strings);
        let fault = |fault: SplitError| fault_of(&self.name, fault);
        while let Some(Piece { sql, line, data }) = pieces.next().map_err(fault)? {
            if !text.is_ascii() && client_encoding(&sql).is_some_and(|encoding| encoding != "UTF8") {
                return refuse(line, "another client_encoding, in a file that is UTF-8");
            }
            while data && pieces.data().map_err(fault)?.is_some() {}
        }
        Ok(())
    }

    /// Runs the migration in a session of its own.
    fn run(&self, target: &ConnInfo, patience: ScriptLimits) -> Result<(), Error> {
        let mut session = Session::open(target, &self.name, patience)?;
        // Checks the whole file before its first statement runs.
        self.check_as(session.standard_strings())?;
        self.settings.iter().try_for_each(|setting| session.run(setting, 1))?;
        let alone = self.runs_alone(session.standard_strings());
        if !alone {
            session.run("BEGIN", 1)?;
        }
        let mut pieces = Splitter::new(self.text(), Skip::Dump, session.standard_strings());
        while let Some(piece) = pieces.next().map_err(|fault| session.fault(fault))? {
            session.send(&piece, &mut pieces)?;
        }
        let last = 1 + self.sql.trim_ascii_end().iter().filter(|b| **b == b'\n').count() as u64;
        session.is_as_expected(pieces.standard_strings(), last)?;
        if alone && session.is_in_transaction()? {
            let reason = "a transaction is begun, but not ended".to_owned();
            return Err(bad(&self.name, BadScript { line: last, reason }));
        }
        self.record.iter().try_for_each(|record| session.run(record, last))?;
        if alone { Ok(()) } else { session.run("COMMIT", last) }
    }
}

/// Returns true if a statement must not run inside a transaction of this program.
fn takes_no_transaction(sql: &[u8]) -> bool {
    let words: Vec<String> = words(sql).map(|(_, word)| word).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        // ROLLBACK TO a savepoint does not end the transaction.
        ["rollback", rest @ ..] if rest.contains(&"to") => false,
        [first, ..] if ALONE.contains(first) => true,
        [first, second, ..] if ALONE_PAIRS.contains(&(*first, *second)) => true,
        // REFRESH MATERIALIZED VIEW CONCURRENTLY runs in a transaction.
        [first, rest @ ..] => BUILDS.contains(first) && rest.contains(&"concurrently"),
        [] => false,
    }
}

/// Runs migrations in order in the database `target`. Each migration is atomic, unless it runs
/// without a transaction. Such a migration may be partially applied after a failure. Fails at the
/// first migration that fails.
pub fn run_migrations(target: &ConnInfo, migrations: &[Migration]) -> Result<(), Error> {
    let patience = ScriptLimits::new(None);
    migrations.iter().try_for_each(|migration| migration.run(target, patience))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migration(name: &str, sql: &str) -> Migration {
        Migration::of_file(name.to_owned(), sql.as_bytes().to_vec())
    }

    #[test]
    fn what_takes_no_transaction_is_known_by_its_words() {
        for alone in [
            "create index concurrently i on t (a);",
            "DROP INDEX CONCURRENTLY i",
            "select 1; vacuum t;",
            "begin; create table t (); commit;",
            "alter system set work_mem = '1MB'",
            "/* why */ create -- what\n database d",
            "begin; rollback",
            "insert into t values (1); rollback work; select 1",
            "rollback; to_something()",
            "abort",
            "prepare transaction 'x'",
            "\u{feff}vacuum",
            "copy t from stdin;\nit's; begin\n\\.\nvacuum",
            "drop subscription s",
            "reindex index concurrently i",
            "alter table t detach partition p concurrently",
        ] {
            assert!(migration("1", alone).runs_alone(true), "{alone}");
        }
        for together in [
            "",
            "create table t (a int); -- not concurrently",
            "comment on table t is 'create index concurrently';",
            "create function f() returns int language plpgsql as $$ begin return 1; end $$;",
            "create table \"concurrently\" (a int)",
            "savepoint a; select 1; rollback to a; rollback work to savepoint a; release a",
            "prepare q as select 1",
            "create function f() returns int begin atomic; select 1; end; select 1",
            "copy t from stdin;\n;vacuum;\n\\.\n",
            "create table begin_end (a int); select case when true then 1 end;",
            "refresh materialized view concurrently v",
        ] {
            assert!(!migration("1", together).runs_alone(true), "{together}");
        }
    }

    #[test]
    fn what_is_quoted_depends_on_the_session() {
        let file = migration("1", "select 'it\\'; vacuum; select ''");
        assert!(file.runs_alone(true) && !file.runs_alone(false));
    }

    #[test]
    fn a_file_may_say_that_it_takes_no_transaction() {
        for alone in ["-- no-transaction\nselect 1;", "\n-- x\n--atlas:txmode none\n\nselect 1"] {
            assert!(migration("1", alone).runs_alone(true), "{alone}");
        }
        for together in ["select 1;\n-- no-transaction", "-- about no-transaction\nselect 1"] {
            assert!(!migration("1", together).runs_alone(true), "{together}");
        }
    }

    #[test]
    fn files_that_cannot_be_run_are_refused() {
        let refused = |sql: &[u8]| {
            let migration = Migration::of_file("1.sql".into(), sql.to_vec());
            migration.check().unwrap_err().to_string()
        };
        assert_eq!(refused(b"select 1;\n\\c shop\n"), "1.sql:2: '\\c' is a psql command, not SQL");
        assert_eq!(refused(b"\n-- K\xf6ln\n"), "1.sql:2: it is not UTF-8");
        assert_eq!(refused(b"select 1;\n\n\0"), "1.sql:3: a NUL");
        assert_eq!(
            refused("set client_encoding = 'latin1'; select 'ä'".as_bytes()),
            "1.sql:1: another client_encoding, in a file that is UTF-8"
        );
        for fine in [
            "\u{feff}select 'ä';",
            "set client_encoding = 'utf-8'; select 'ä'",
            "set client_encoding = 'LATIN1'; select 'a'",
            "copy t from stdin;\n\\N\n\\.\n",
            "select 'it\\'s ; fine where the database says so'",
        ] {
            migration("1.sql", fine).check().unwrap();
        }
    }
}
