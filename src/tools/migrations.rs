//! Running migrations that are plain SQL files.
//!
//! As many as possible run in one transaction. What PostgreSQL does not allow in
//! one (`CREATE INDEX CONCURRENTLY`, `VACUUM`, ...), and what begins and ends
//! transactions itself, runs alone, between the others.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::lexer::words;
use super::{Connection, Error, PgTools, Program};
use crate::process::Stdout;

/// Statements that take no transaction around them.
const ALONE: [&str; 5] = ["vacuum", "begin", "start", "commit", "end"];
/// Statements that are about things outside of databases, by their first two words.
const ALONE_PAIRS: [(&str, &str); 6] = [
    ("create", "database"),
    ("drop", "database"),
    ("create", "tablespace"),
    ("drop", "tablespace"),
    ("alter", "system"),
    ("reindex", "database"),
];

/// One migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// The name of its file.
    pub name: String,
    /// What is in it.
    pub sql: Vec<u8>,
}

impl Migration {
    /// Whether it runs without a transaction around it.
    pub fn runs_alone(&self) -> bool {
        let mut first = String::new();
        for (begins, word) in words(&self.sql) {
            let pair = (first.as_str(), word.as_str());
            if word == "concurrently" || (begins && ALONE.contains(&pair.1)) || ALONE_PAIRS.contains(&pair) {
                return true;
            }
            first = if begins { word } else { String::new() };
        }
        false
    }
}

/// Migrations in their order, in groups that run together.
pub fn batches(migrations: &[Migration]) -> Vec<&[Migration]> {
    migrations.chunk_by(|one, next| !one.runs_alone() && !next.runs_alone()).collect()
}

/// Where migrations run.
#[derive(Debug, Clone)]
pub struct MigrateSpec {
    /// The database.
    pub connection: Connection,
    /// A directory for their files while they run; it exists.
    pub directory: PathBuf,
    /// When to give up.
    pub deadline: Option<Duration>,
}

impl PgTools {
    /// Runs migrations in their order with psql. Those of one batch are all in
    /// force, or none of them is.
    pub fn migrate(&self, spec: &MigrateSpec, migrations: &[Migration]) -> Result<(), Error> {
        for (number, batch) in batches(migrations).into_iter().enumerate() {
            self.run_batch(spec, number, batch)?;
        }
        Ok(())
    }

    fn run_batch(&self, spec: &MigrateSpec, number: usize, batch: &[Migration]) -> Result<(), Error> {
        let program = Program::Psql;
        let alone = batch.iter().any(Migration::runs_alone);
        let mut cmd = spec.connection.apply(self.cmd(program)?).cwd(&spec.directory).stdout(Stdout::Null);
        cmd = cmd.deadline(spec.deadline).args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]);
        if !alone {
            cmd = cmd.arg("--single-transaction");
        }
        for (at, migration) in batch.iter().enumerate() {
            // Names come from a repository; the files that psql sees have names of ours.
            let name = format!("{number:04}-{at:04}.sql");
            write(&spec.directory.join(&name), &migration.sql)?;
            cmd = cmd.arg(format!("--file={name}"));
        }
        let ran = cmd.run().map(drop).map_err(|error| Error::of(program, error));
        ran.map_err(|error| named(error, number, batch))
    }
}

fn write(path: &Path, sql: &[u8]) -> Result<(), Error> {
    fs::write(path, sql).map_err(|source| Error::Write { program: Program::Psql, source })
}

/// Says which migration it was in the words that its author knows.
fn named(error: Error, number: usize, batch: &[Migration]) -> Error {
    let Error::Failed { program, kind, status, mut stderr } = error else { return error };
    for (at, migration) in batch.iter().enumerate() {
        stderr = stderr.replace(&format!("{number:04}-{at:04}.sql"), &migration.name);
    }
    Error::Failed { program, kind, status, stderr }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migration(name: &str, sql: &str) -> Migration {
        Migration { name: name.to_owned(), sql: sql.as_bytes().to_vec() }
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
        ] {
            assert!(migration("1", alone).runs_alone(), "{alone}");
        }
        for together in [
            "",
            "create table t (a int); -- not concurrently",
            "comment on table t is 'create index concurrently';",
            "create function f() returns int language plpgsql as $$ begin return 1; end $$;",
            "create table \"concurrently\" (a int)",
            "create table begin_end (a int); select case when true then 1 end;",
        ] {
            assert!(!migration("1", together).runs_alone(), "{together}");
        }
    }

    #[test]
    fn batches_keep_the_order() {
        let all = [
            migration("1", "create table a ()"),
            migration("2", "create table b ()"),
            migration("3", "create index concurrently i on a (x)"),
            migration("4", "create index concurrently j on a (x)"),
            migration("5", "create table c ()"),
        ];
        let names: Vec<Vec<&str>> = batches(&all)
            .into_iter()
            .map(|batch| batch.iter().map(|one| one.name.as_str()).collect())
            .collect();
        assert_eq!(names, [vec!["1", "2"], vec!["3"], vec!["4"], vec!["5"]]);
    }
}
