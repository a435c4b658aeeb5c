//! The forms of values: the parsers, and the descriptions of the expected forms.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::url::DatabaseUrl;
use super::value::{self, KnownPlace, Refused};
use crate::domain::{
    BackupTool, Compression, DURATION_FORM, DatabaseName, Line, Occasion, TableName, VerifyPolicy, plain_name,
};
use crate::git::{BranchPatterns, PathPatterns};
use crate::migrations::{CommitCheck, Tool as MigrationTool};
use crate::schedule::{Schedule, Zone};

/// The permission to show the values of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// All values may be shown.
    Public,
    /// Only valid values may be shown. A refused value may contain a password.
    WhenRefused,
    /// No value may be shown, because values may contain tokens.
    Secret,
}

/// The parser of values, and the description of the expected form.
pub(super) struct ValueForm<T> {
    reader: Reader<T>,
    expected: &'static str,
    secrecy: Secrecy,
    /// True if a key without `=` means `true`.
    flag: bool,
}

enum Reader<T> {
    /// Parses a text.
    Text(fn(&str) -> Option<T>),
    /// Parses a text, or returns the reason of the refusal.
    Reasoned(fn(&str) -> Result<T, Refused>),
    /// Parses a path, which need not be UTF-8. `~/` stands for the second argument.
    Path(fn(&OsStr, Option<&OsStr>) -> Option<T>),
}

impl<T> ValueForm<T> {
    const fn new(reader: Reader<T>, expected: &'static str) -> Self {
        Self { reader, expected, secrecy: Secrecy::Public, flag: false }
    }

    /// Creates a form of texts that `read` parses.
    pub(super) const fn text(read: fn(&str) -> Option<T>, expected: &'static str) -> Self {
        Self::new(Reader::Text(read), expected)
    }

    /// Creates a form of texts that `read` parses or refuses with a reason.
    const fn reasoned(read: fn(&str) -> Result<T, Refused>, expected: &'static str) -> Self {
        Self::new(Reader::Reasoned(read), expected)
    }

    /// Creates a form of paths.
    const fn path(read: fn(&OsStr, Option<&OsStr>) -> Option<T>, expected: &'static str) -> Self {
        Self::new(Reader::Path(read), expected)
    }

    /// Returns the form in which a key without `=` means `true`.
    pub(super) const fn flag(mut self) -> Self {
        self.flag = true;
        self
    }

    /// Returns the form with the permission to show values.
    const fn secret(mut self, secrecy: Secrecy) -> Self {
        self.secrecy = secrecy;
        self
    }

    pub(super) fn expected(&self) -> &'static str {
        self.expected
    }

    pub(super) fn secrecy(&self) -> Secrecy {
        self.secrecy
    }

    /// Parses a value; `None` is a key without `=`. Fails if the value does not have this form.
    pub(super) fn read(&self, value: Option<&OsStr>, home: Option<&OsStr>) -> Result<T, Refused> {
        let implied = self.flag.then_some(OsStr::new("true"));
        let value = value.or(implied).ok_or(Refused::Form)?;
        match self.reader {
            Reader::Path(read) => read(value, home).ok_or(Refused::Form),
            Reader::Text(read) => value.to_str().and_then(read).ok_or(Refused::Form),
            Reader::Reasoned(read) => value.to_str().ok_or(Refused::Form).and_then(read),
        }
    }
}

impl<T: FromStr> ValueForm<T> {
    /// Creates a form of texts that `T` parses.
    pub(super) const fn parsed(expected: &'static str) -> Self {
        Self::text(|text| text.parse().ok(), expected)
    }
}

/// The name of a database.
pub(super) const DATABASE_NAME: ValueForm<DatabaseName> = ValueForm::parsed("the name of a database");
/// An absolute path of a directory. It may begin with `~/`.
pub(super) const DIRECTORY: ValueForm<PathBuf> =
    ValueForm::path(value::directory, "an absolute directory, or one below ~/");
/// An absolute path of a file. It may begin with `~/`.
pub(super) const FILE: ValueForm<PathBuf> =
    ValueForm::path(value::directory, "an absolute path of a file, or one below ~/");
/// A directory, also relative to the top of the repository; `None` if it is empty.
pub(super) const REPOSITORY_DIRECTORY: ValueForm<Option<PathBuf>> = ValueForm::path(
    value::repository,
    "the directory of another git repository: absolute, below ~/, or relative to the top of this one",
);
/// A connection to PostgreSQL without a password.
pub(super) const CONNECTION: ValueForm<DatabaseUrl> = ValueForm::reasoned(
    |text| DatabaseUrl::parse(text).map_err(Refused::Url),
    "a postgresql:// URL or a libpq connection string, without a password",
)
.secret(Secrecy::WhenRefused);
/// The location of a store, or its name.
pub(super) const STORE_OR_NAME: ValueForm<String> = ValueForm::text(
    value::store_or_name,
    "an absolute directory, or a file://, s3://, az:// or gs:// URL without credentials, or the name of a store",
)
.secret(Secrecy::WhenRefused);
/// The location of a store.
pub(super) const STORE_PLACE: ValueForm<String> = ValueForm::text(
    value::store,
    "an absolute directory, or a file://, s3://, az:// or gs:// URL without credentials",
)
.secret(Secrecy::WhenRefused);
/// The location of a store or of plain files, optionally with the id of the store.
pub(super) const KNOWN_PLACE: ValueForm<KnownPlace> = ValueForm::text(
    value::place,
    "an absolute directory, or a file://, s3://, az:// or gs:// URL without credentials, optionally followed by the id of the store",
)
.secret(Secrecy::WhenRefused);
/// A zstd level, or `none`.
pub(super) const LEVEL: ValueForm<Compression> = ValueForm::parsed("a zstd level from -7 to 22, or none");
/// A number of parallel jobs, or of attempts.
pub(super) const COUNT: ValueForm<u16> = ValueForm::text(value::jobs, "a number from 1 to 256");
/// The name of a schema.
pub(super) const SCHEMA_NAME: ValueForm<String> = ValueForm::text(value::schema, "the name of a schema");
/// The name of a table, with or without its schema.
pub(super) const TABLE_NAME: ValueForm<TableName> =
    ValueForm::parsed("the name of a table: orders, sales.orders or \"Odd.Schema\".orders");
/// A path inside of the repository.
pub(super) const TREE_PATH: ValueForm<String> =
    ValueForm::text(value::tree_path, "a path relative to the top of the repository, without ..");
/// A path in the tree of the repository, in which a `*` stands for any text without a slash.
pub(super) const TREE_PATTERN: ValueForm<String> = ValueForm::text(
    value::tree_pattern,
    "a directory relative to the top of the repository, without .., in which * stands for any text",
);
/// One line of text.
pub(super) const LINE: ValueForm<Line> = ValueForm::parsed("one line of text");
/// A boolean in git's syntax.
pub(super) const BOOLEAN: ValueForm<bool> = ValueForm::text(value::boolean, "true or false").flag();
/// A duration.
pub(super) const DURATION: ValueForm<Duration> = ValueForm::reasoned(value::duration, DURATION_FORM);
/// The schedule of backups.
pub(super) const SCHEDULES: ValueForm<Schedule> = ValueForm::reasoned(
    value::schedule,
    "daily, weekly, monthly, quarterly, hybrid or five fields of cron, optionally followed by tool=..., type=... or jitter=...",
);
/// The name of a time zone.
pub(super) const ZONE: ValueForm<Zone> =
    ValueForm::parsed("the name of a time zone such as UTC or Europe/Berlin");
/// Patterns for branches.
pub(super) const BRANCHES: ValueForm<BranchPatterns> = ValueForm::reasoned(
    value::patterns,
    "patterns for branches, separated by spaces, such as main release/*",
);
/// The migration tool; `None` if it is detected.
pub(super) const MIGRATION_TOOL_FORM: ValueForm<Option<MigrationTool>> =
    ValueForm::text(value::migration_tool, "auto, or the name of a migration tool as in migrations.md");
/// The check of the commit of a backup.
pub(super) const COMMIT_CHECK_FORM: ValueForm<CommitCheck> = ValueForm::parsed("warn or require");
/// Patterns for paths.
pub(super) const PATHS: ValueForm<PathPatterns> =
    ValueForm::reasoned(value::patterns, "patterns for paths as in a .gitignore, separated by spaces");
/// The priority in the queue.
pub(super) const PRIORITY: ValueForm<i16> = ValueForm::parsed("a number from -32768 to 32767");
/// The address of a webhook.
pub(super) const ADDRESS: ValueForm<String> =
    ValueForm::text(value::hook, "an http:// or https:// URL without user and password")
        .secret(Secrecy::Secret);
/// The occasions for notifications.
pub(super) const OCCASIONS: ValueForm<BTreeSet<Occasion>> =
    ValueForm::text(value::occasions, "some of success, failure, recovered, missed and verification, or all");
/// A data rate, in KiB per second.
pub(super) const RATE: ValueForm<u32> =
    ValueForm::text(value::rate, "an amount a second from 32k to 1024M, such as 500k or 100M");
/// A size, in bytes.
pub(super) const SIZE: ValueForm<u64> = ValueForm::text(value::size, "a size such as 500MB, 100GB or 2TB");
/// The name of a user of this machine.
pub(super) const USER: ValueForm<String> =
    ValueForm::text(value::user, "the name of a user of this machine, other than root");
/// A policy for verifications.
pub(super) const VERIFICATION: ValueForm<VerifyPolicy> = ValueForm::text(
    VerifyPolicy::parse,
    "a kind of verification and how often, such as `restore-test every 7d` or `checksum of all every 30d` \
     (units s, m, h, d, w)",
);
/// A query that returns true.
pub(super) const QUERY: ValueForm<String> =
    ValueForm::text(value::query, "one SQL query that returns one row with one boolean");
/// A built-in backup tool, or the name of a custom one.
pub(super) const BACKUP_TOOL: ValueForm<BackupTool> = ValueForm::parsed(
    "pg_dump, pg_basebackup, auto, pgbackrest, barman, or the <tool> of a pggit.tool.<tool>.backup",
);
/// A name from another program: letters, digits and `._+-`.
pub(super) const PLAIN_NAME: ValueForm<String> =
    ValueForm::text(plain_name, "a name of letters, digits, '.', '_', '+' and '-'");
/// The number of a repository.
pub(super) const NUMBER: ValueForm<u32> = ValueForm::text(value::number, "a number from 1 to 256");
/// A program and its arguments.
pub(super) const COMMAND: ValueForm<Vec<String>> = ValueForm::text(
    value::command,
    "an absolute path of a program, or its name in PATH, and its arguments; quoted as for a shell, but run without one",
);
