//! What values look like, and the words for it.

use crate::domain::DURATION_FORM;

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The name of a database.
    Database,
    /// A directory: absolute, or starting with `~/`.
    Directory,
    /// A file: absolute, or starting with `~/`.
    File,
    /// A directory, also relative to the top of the repository.
    Repository,
    /// A connection to PostgreSQL without a password.
    Url,
    /// The place of a store.
    Store,
    /// The place of a store.
    StoreUrl,
    /// The place of a store or of plain files, optionally with the id of the store.
    Place,
    /// A zstd level, or `none`.
    Level,
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// A number of parallel jobs.
    Jobs,
    /// The name of a schema.
    Schema,
    /// A path inside of the repository.
    TreePath,
    /// One line of text.
    Text,
    /// Yes or no, in git's words for it.
    Bool,
    /// A number with a unit.
    Duration,
    /// When backups are made by themselves.
    Schedule,
    /// The name of a time zone.
    TimeZone,
    /// Patterns for branches.
    Branches,
    /// Patterns for paths.
    Paths,
    /// Who comes first in the queue.
    Priority,
    /// A type of backup.
    BackupType,
    /// An address for messages; it may hold a token, so it is not shown.
    Hook,
    /// What messages are sent about.
    Occasions,
    /// The name of a table, with or without its schema.
    Table,
    /// An amount of data a second.
    Rate,
    /// An amount of data.
    Size,
    /// The name of a user of this machine.
    User,
    /// How often backups are verified.
    Verification,
    /// A query that returns true.
    Query,
    /// One of the tools that are known, or the name of one of one's own.
    Tool,
    /// A name that other programs gave: letters, digits and `._+-`.
    Word,
    /// The number of a repository.
    Number,
    /// A program and its arguments.
    Command,
}

impl Kind {
    /// Whether a value that is not as it should be may hold a secret.
    pub fn is_secret(self) -> bool {
        matches!(self, Self::Url | Self::Store | Self::StoreUrl | Self::Place | Self::Hook)
    }

    /// What a good value looks like, for messages and documents.
    pub fn expected(self) -> String {
        match self {
            Self::Database => "the name of a database".into(),
            Self::Directory => "an absolute directory, or one below ~/".into(),
            Self::File => "an absolute path of a file, or one below ~/".into(),
            Self::Repository => "the directory of another git repository: absolute, below ~/, or relative to the top of this one".into(),
            Self::Url => "a postgresql:// URL or a libpq connection string, without a password".into(),
            Self::Store => format!("{}, or the name of a store", Self::StoreUrl.expected()),
            Self::StoreUrl => {
                "an absolute directory, or a file://, s3://, az:// or gs:// URL without credentials".into()
            }
            Self::Place => {
                "an absolute directory, or a file://, s3://, az:// or gs:// URL without credentials, and behind it the \
                 id of the store if need be"
                    .into()
            }
            Self::Level => "a zstd level from -7 to 22, or none".into(),
            Self::Choice([only]) => (*only).to_owned(),
            Self::Choice(words) => {
                let (last, rest) = words.split_last().expect("every choice has words");
                format!("{} or {last}", rest.join(", "))
            }
            Self::Jobs => "a number from 1 to 256".into(),
            Self::Schema => "the name of a schema".into(),
            Self::TreePath => "a path relative to the top of the repository, without ..".into(),
            Self::Text => "one line of text".into(),
            Self::Bool => "true or false".into(),
            Self::Duration => DURATION_FORM.into(),
            Self::Schedule => {
                "daily, weekly, monthly, quarterly, hybrid or five fields of cron, and behind it tool=..., type=... or \
                 jitter=... if need be"
                    .into()
            }
            Self::TimeZone => "the name of a time zone such as UTC or Europe/Berlin".into(),
            Self::Branches => "patterns for branches with spaces between them, such as main release/*".into(),
            Self::Paths => "patterns for paths with spaces between them, as in a .gitignore".into(),
            Self::Priority => "a number from -32768 to 32767".into(),
            Self::BackupType => "full, incremental, differential or snapshot".into(),
            Self::Hook => "an http:// or https:// URL without user and password".into(),
            Self::Occasions => "some of success, failure, recovered, missed and verification, or all".into(),
            Self::Table => "the name of a table: orders, sales.orders or \"Odd.Schema\".orders".into(),
            Self::Rate => "an amount a second from 32k to 1024M, such as 500k or 100M".into(),
            Self::Size => "a size such as 500MB, 100GB or 2TB".into(),
            Self::User => "the name of a user of this machine, other than root".into(),
            Self::Verification => {
                "a kind of verification and how often, such as `restore-test every 7d` or `checksum of all every 30d` (units s, m, h, d, w)".into()
            }
            Self::Query => "one SQL query that returns one row with one boolean".into(),
            Self::Tool => {
                let known: Vec<_> = super::value::Tool::KNOWN.iter().map(|(word, _)| *word).collect();
                format!("{}, or the <tool> of a pggit.tool.<tool>.backup", known.join(", "))
            }
            Self::Word => "a name of letters, digits, '.', '_', '+' and '-'".into(),
            Self::Number => "a number from 1 to 256".into(),
            Self::Command => "an absolute path of a program, or its name in PATH, and its arguments; quoted as for a shell, and never given to one".into(),
        }
    }
}
