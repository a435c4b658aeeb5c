//! The one list of everything that can be configured.
//!
//! `git pggit config`, `docs/config.md`, the checks and the "did you mean" all
//! read this table, so a key that is not in it does not exist.

use serde::Serialize;

pub use super::kind::Kind;

/// What a key belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// The whole repository: `pggit.<name>`.
    Global,
    /// One database: `pggit.<database>.<name>`.
    Database,
    /// A tool of one's own: `pggit.tool.<tool>.<name>`.
    Tool,
    /// A store with a name: `pggit.store.<store>.<name>`.
    Store,
}

/// Who may set a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// Also the committed `.pggitconfig`.
    Policy,
    /// Only the user: git configuration, environment, command line. A clone
    /// must not choose which programs run and which hosts are called.
    Trusted,
}

/// One thing that can be configured.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The last part of its name, as documents write it.
    pub name: &'static str,
    /// What it belongs to.
    pub reach: Reach,
    /// What a value looks like.
    pub kind: Kind,
    /// Whether every value counts, not only the last one.
    pub multi: bool,
    /// The value that is in force when nobody sets one.
    pub default: Option<&'static str>,
    /// The environment variable that overrides it.
    pub environment: Option<&'static str>,
    /// Who may set it.
    pub trust: Trust,
    /// What it is for, in one paragraph.
    pub doc: &'static str,
}

impl Key {
    /// The name as documents write it: `pggit.<database>.url`.
    pub fn pattern(&self) -> String {
        match self.reach {
            Reach::Global => format!("pggit.{}", self.name),
            Reach::Database => format!("pggit.<database>.{}", self.name),
            Reach::Tool => format!("pggit.tool.<tool>.{}", self.name),
            Reach::Store => format!("pggit.store.<store>.{}", self.name),
        }
    }

    /// The name for one database, or for one `tool.<tool>` or `store.<store>`; the global ones do
    /// not care which.
    pub fn full_name(&self, database: &str) -> String {
        match self.reach {
            Reach::Global => format!("pggit.{}", self.name),
            Reach::Database | Reach::Tool | Reach::Store => format!("pggit.{database}.{}", self.name),
        }
    }
}

/// The key called `name`, in any case.
pub fn find(reach: Reach, name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.reach == reach && key.name.eq_ignore_ascii_case(name))
}

/// The keys that have another name now.
const RETIRED: [(Reach, &str, &str); 18] = [
    (Reach::Global, "scratch", "scratchDir"),
    (Reach::Global, "pgbin", "pgBinDir"),
    (Reach::Global, "output", "plainDir"),
    (Reach::Global, "notify", "notifyOn"),
    (Reach::Database, "output", "plainDir"),
    (Reach::Database, "notify", "notifyOn"),
    (Reach::Database, "pgbackrest", "pgbackrestPath"),
    (Reach::Database, "barman", "barmanPath"),
    (Reach::Database, "repo", "pgbackrestRepo"),
    (Reach::Database, "stanza", "pgbackrestStanza"),
    (Reach::Database, "autoSize", "autoThreshold"),
    (Reach::Database, "recordCounts", "recordRowCounts"),
    (Reach::Database, "assert", "assertion"),
    (Reach::Database, "mask", "maskScript"),
    (Reach::Database, "migrate", "migrateCommand"),
    (Reach::Database, "wal", "basebackupWal"),
    (Reach::Database, "checkpoint", "basebackupCheckpoint"),
    (Reach::Database, "maxRate", "basebackupMaxRate"),
];

/// The key that the retired key `name` is called now.
pub(super) fn renamed(reach: Reach, name: &str) -> Option<&'static Key> {
    let (_, _, new) = RETIRED.iter().find(|(of, old, _)| *of == reach && old.eq_ignore_ascii_case(name))?;
    find(reach, new)
}

const GLOBAL: Key = Key {
    name: "",
    reach: Reach::Global,
    kind: Kind::Bool,
    multi: false,
    default: None,
    environment: None,
    trust: Trust::Policy,
    doc: "",
};

const DATABASE: Key = Key { reach: Reach::Database, ..GLOBAL };
const STORE: Key = Key { reach: Reach::Store, trust: Trust::Trusted, ..GLOBAL };
const TOOL: Key = Key { reach: Reach::Tool, kind: Kind::Command, trust: Trust::Trusted, ..GLOBAL };

/// Every key, those of the whole repository first.
pub static KEYS: &[Key] = &[
    Key {
        name: "database",
        kind: Kind::Database,
        environment: Some("PGGIT_DATABASE"),
        doc: "The database that commands work on when `--database` is not given. Without it, the only \
              configured database is taken.",
        ..GLOBAL
    },
    Key {
        name: "pgBinDir",
        kind: Kind::Directory,
        environment: Some("PGGIT_PGBIN"),
        trust: Trust::Trusted,
        doc: "The directory of PostgreSQL's client programs (`pg_dump`, `pg_restore`), such as \
              `/usr/lib/postgresql/17/bin`, or one that has a directory for each major version, such as \
              `/usr/lib/postgresql`. Without it, they are looked up in the directories of \
              the server's version and newer ones below `/usr/lib/postgresql`, then in `PATH`.",
        ..GLOBAL
    },
    Key {
        name: "store",
        kind: Kind::Store,
        environment: Some("PGGIT_STORE"),
        trust: Trust::Trusted,
        doc: "The store that keeps the bytes of backups: a directory, or a URL such as `s3://bucket/prefix`, \
              `az://container/prefix` or `gs://bucket/prefix`; credentials come from the environment and the files \
              of the clouds' own tools. A database's own `store` goes before it; the environment variable goes \
              before both. Without it, it is `pggit/store` in the git directory, which is made by the first backup.",
        ..GLOBAL
    },
    Key {
        name: "storeIdentity",
        kind: Kind::File,
        environment: Some("PGGIT_STORE_IDENTITY"),
        trust: Trust::Trusted,
        doc: "A file with age identities that open encrypted stores, such as `git pggit store key generate` or \
              `age-keygen` write. Only you should be able to read it. See store-encryption.md.",
        ..GLOBAL
    },
    Key {
        name: "storePassphraseFile",
        kind: Kind::File,
        trust: Trust::Trusted,
        doc: "A file whose first line is a passphrase that opens encrypted stores. Only you should be able to read \
              it. `PGGIT_STORE_PASSPHRASE`, which holds a passphrase itself, goes before it.",
        ..GLOBAL
    },
    Key {
        name: "plainDir",
        kind: Kind::Directory,
        environment: Some("PGGIT_OUTPUT"),
        trust: Trust::Trusted,
        doc: "A directory in which backups are kept as plain files, instead of in the store: each of them whole, \
              for `zstd -dc` and `pg_restore` to read. A database's own `plainDir` goes before it; the environment \
              variable goes before both.",
        ..GLOBAL
    },
    Key {
        name: "place",
        kind: Kind::Place,
        multi: true,
        trust: Trust::Trusted,
        doc: "A further store, or directory of plain files, that bytes of backups may be read from: a directory or a \
              URL, and behind it the id of the store if only that store is meant. May be given several times, and all \
              of them count, wherever they stand. A record that names another place is refused; see trust.md. \
              `git pggit backup create` adds the place that its `--store` or `--output` names.",
        ..GLOBAL
    },
    Key {
        name: "compressionLevel",
        kind: Kind::Level,
        default: Some("3"),
        environment: Some("PGGIT_COMPRESSION_LEVEL"),
        doc: "How hard backups are compressed with zstd, from -7 (fastest) to 22 (smallest), or `none`. A \
              database's own `compressionLevel` goes before it; the environment variable goes before both.",
        ..GLOBAL
    },
    Key {
        name: "repository",
        kind: Kind::Repository,
        environment: Some("PGGIT_REPOSITORY"),
        trust: Trust::Trusted,
        doc: "The git repository on this machine that the records of backups are kept in, instead of the one of the \
              schema history. Commits, branches and `HEAD` are still those of the schema history; refs, notes, \
              remotes and synchronisation are those of the other. `git pggit init --repository` sets it up. An \
              empty value is as good as none.",
        ..GLOBAL
    },
    Key {
        name: "sign",
        kind: Kind::Choice(&["true", "require", "false"]),
        trust: Trust::Trusted,
        doc: "Whether the commits of the ledger are signed, with the keys and programs that git is configured to \
              sign with (`gpg.format`, `user.signingKey`, ...). `true` signs always; `require` too, and refuses \
              to write when no key is named by `user.signingKey`; `false` never signs. Without it, \
              `commit.gpgSign` counts, as for git's own commits.",
        ..GLOBAL
    },
    Key {
        name: "sync",
        kind: Kind::Choice(&["on-write", "never"]),
        default: Some("never"),
        trust: Trust::Trusted,
        doc: "Whether commands that have recorded something share it at once, as `git pggit sync` does, with the \
              remote that git would use. Nobody is asked for a password then, and a remote that cannot be reached \
              in 30 seconds is a warning: the next `sync` brings it up to date.",
        ..GLOBAL
    },
    Key {
        name: "timezone",
        kind: Kind::TimeZone,
        default: Some("UTC"),
        doc: "The time zone of schedules. A database's own `timezone` goes before it.",
        ..GLOBAL
    },
    Key {
        name: "webhook",
        kind: Kind::Hook,
        multi: true,
        trust: Trust::Trusted,
        doc: "An address that messages about backups are posted to as JSON, such as the incoming webhook of a chat. \
              May be given several times. It is a secret as far as it holds a token: it is never shown. A database's \
              own `webhook` goes before it. See automation.md.",
        ..GLOBAL
    },
    Key {
        name: "webhookSecretFile",
        kind: Kind::File,
        trust: Trust::Trusted,
        doc: "A file whose first line is the key that messages are signed with, so that the receiver can tell who has \
              sent them: header `X-Pggit-Signature`, HMAC-SHA256 of the body. Only you should be able to read it.",
        ..GLOBAL
    },
    Key {
        name: "notifyCommand",
        kind: Kind::Command,
        multi: true,
        trust: Trust::Trusted,
        doc: "A program that is run for every message, with the message as JSON on its standard input, and its \
              arguments. No shell reads it. May be given several times. A \
              database's own `notifyCommand` goes before it.",
        ..GLOBAL
    },
    Key {
        name: "notifyOn",
        kind: Kind::Occasions,
        default: Some("failure recovered missed verification"),
        doc: "The events that messages are sent about: `success` (every completed backup), `failure` (a job that failed for good), \
              `recovered` (the first backup after that), `missed` (one that should be there and is not), \
              `verification` (a backup that cannot be relied on), with spaces between them; or `all`. A database's \
              own `notifyOn` goes before it.",
        ..GLOBAL
    },
    Key {
        name: "queue",
        kind: Kind::Url,
        environment: Some("PGGIT_QUEUE"),
        trust: Trust::Trusted,
        doc: "The PostgreSQL database whose schema `pggit` keeps the queue of jobs, for workers on several machines: \
              a `postgresql://` URL or a libpq connection string without a password. `git pggit queue init` sets it \
              up. Without it, jobs are refs of the repository that has the records, for workers on this machine.",
        ..GLOBAL
    },
    Key {
        name: "workerId",
        kind: Kind::Text,
        environment: Some("PGGIT_WORKER_ID"),
        trust: Trust::Trusted,
        doc: "The name under which a worker takes jobs. Without it, the name of the machine and the process id. It \
              is for people: two workers of one name do not get into each other's way.",
        ..GLOBAL
    },
    Key {
        name: "pollInterval",
        kind: Kind::Duration,
        default: Some("10s"),
        environment: Some("PGGIT_POLL_INTERVAL"),
        doc: "How often a worker looks for jobs when nothing wakes it. New jobs do wake it.",
        ..GLOBAL
    },
    Key {
        name: "lease",
        kind: Kind::Duration,
        default: Some("60s"),
        trust: Trust::Trusted,
        doc: "How long a worker may be silent before its jobs are given to others. It says that it is there three \
              times as often.",
        ..GLOBAL
    },
    Key {
        name: "logLevel",
        kind: Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
        default: Some("info"),
        environment: Some("PGGIT_LOG_LEVEL"),
        doc: "How much a worker logs.",
        ..GLOBAL
    },
    Key {
        name: "scratchDir",
        kind: Kind::Directory,
        default: Some("/var/tmp"),
        environment: Some("PGGIT_SCRATCH"),
        trust: Trust::Trusted,
        doc: "The directory in which scratch clusters for restore tests are made. It needs room for the largest \
              database that is tested, and a path short enough for a socket: at most 60 bytes.",
        ..GLOBAL
    },
    Key {
        name: "scratchUser",
        kind: Kind::User,
        trust: Trust::Trusted,
        default: Some("pggit-scratch"),
        doc: "As whom scratch clusters run when `git pggit` is run by root: PostgreSQL refuses root, and what a \
              backup brings along runs as this user. A user that owns a running server is refused. For other \
              users than root it does not count.",
        ..GLOBAL
    },
    Key {
        name: "url",
        kind: Kind::Url,
        environment: Some("PGGIT_DATABASE_URL"),
        trust: Trust::Trusted,
        doc: "Where the database is: a `postgresql://user@host:port/dbname` URL or a libpq connection string \
              such as `service=shop`. It must not contain a password: libpq finds that in `~/.pgpass`, in a \
              service file or in `PGPASSWORD`. Parts that are left out come from libpq's own variables \
              (`PGHOST`, `PGUSER`, ...). The environment variable overrides the URL of the database a command \
              works on.",
        ..DATABASE
    },
    Key {
        name: "tool",
        kind: Kind::Tool,
        default: Some("pg_dump"),
        doc: "The tool that makes the backups: one of those that are known, or one of your own, described by \
              `pggit.tool.<tool>.backup` and its siblings. `auto` takes `pg_dump` while the database is smaller than \
              `autoThreshold`, and `pg_basebackup`, which copies the whole cluster, from then on. `docs/tools.md` says \
              what each needs.",
        ..DATABASE
    },
    Key {
        name: "type",
        kind: Kind::Choice(&["full", "differential", "incremental", "snapshot"]),
        default: Some("full"),
        doc: "The type of backup that is made when `--type` is not given. Which ones there are depends on the tool; \
              when there is nothing to build on, it is a full one.",
        ..DATABASE
    },
    Key {
        name: "format",
        kind: Kind::Choice(&["custom", "directory", "tar", "plain"]),
        default: Some("custom"),
        doc: "The format `pg_dump` writes: `custom` and `directory` can be restored in part and in parallel, \
              `plain` is an SQL script.",
        ..DATABASE
    },
    Key {
        name: "jobs",
        kind: Kind::Jobs,
        doc: "How many tables are dumped at the same time. More than one needs the `directory` format.",
        ..DATABASE
    },
    Key {
        name: "schema",
        kind: Kind::Schema,
        multi: true,
        doc: "Dump only this schema. May be given several times. The values of one place replace those of a \
              place that counts less. Without it, the whole database is backed up.",
        ..DATABASE
    },
    Key {
        name: "excludeSchema",
        kind: Kind::Schema,
        multi: true,
        doc: "Leave this schema out of dumps. May be given several times, as `schema`.",
        ..DATABASE
    },
    Key {
        name: "table",
        kind: Kind::Table,
        multi: true,
        doc: "Dump only this table: its name, or its schema and its name with a dot between them. What has a dot in \
              its own name is put in double quotes. May be given several times, as `schema`, but not together with \
              `schema`.",
        ..DATABASE
    },
    Key {
        name: "excludeTable",
        kind: Kind::Table,
        multi: true,
        doc: "Leave this table out of dumps. It is written as that of `table`, and may be given several times.",
        ..DATABASE
    },
    Key {
        name: "autoThreshold",
        kind: Kind::Size,
        default: Some("100GB"),
        doc: "From which size of the database on `pg_basebackup` makes its backups when the tool is `auto`. A number \
              with a unit of 1024, as PostgreSQL writes them: `kB`, `MB`, `GB`, `TB`.",
        ..DATABASE
    },
    Key {
        name: "basebackupCheckpoint",
        kind: Kind::Choice(&["fast", "spread"]),
        default: Some("fast"),
        doc: "Whether the server makes the checkpoint that `pg_basebackup` begins with at once, or in its usual time, \
              which takes minutes and spares the disks.",
        ..DATABASE
    },
    Key {
        name: "basebackupMaxRate",
        kind: Kind::Rate,
        doc: "How fast `pg_basebackup` may read the cluster, in kB or MB a second: `500k`, `100M`. Without it, as fast \
              as it can.",
        ..DATABASE
    },
    Key {
        name: "basebackupWal",
        kind: Kind::Choice(&["fetch", "stream"]),
        default: Some("fetch"),
        doc: "How the write-ahead log that a base backup needs comes along: at its end (`fetch`), which the server has \
              to have kept by then (`wal_keep_size`), or while it is made (`stream`), over a second connection and \
              with room on this machine for a copy of the cluster.",
        ..DATABASE
    },
    Key {
        name: "store",
        kind: Kind::Store,
        trust: Trust::Trusted,
        doc: "The store of this database, instead of `pggit.store`.",
        ..DATABASE
    },
    Key {
        name: "plainDir",
        kind: Kind::Directory,
        trust: Trust::Trusted,
        doc: "A directory in which the backups of this database are kept as plain files, instead of `pggit.plainDir`.",
        ..DATABASE
    },
    Key {
        name: "compressionLevel",
        kind: Kind::Level,
        doc: "How hard the backups of this database are compressed, instead of `pggit.compressionLevel`.",
        ..DATABASE
    },
    Key {
        name: "globals",
        kind: Kind::Choice(&["true", "no-passwords", "false"]),
        default: Some("true"),
        doc: "Whether roles and tablespaces, which are not part of a dump, are taken along with `pg_dumpall \
              --globals-only`. `no-passwords` leaves the passwords of the roles out, and with them the need to \
              be a superuser.",
        ..DATABASE
    },
    Key {
        name: "recordSchema",
        kind: Kind::Bool,
        default: Some("true"),
        doc: "Whether the schema of the database, as it was backed up, is kept beside the record in git.",
        ..DATABASE
    },
    Key {
        name: "recordRowCounts",
        kind: Kind::Bool,
        default: Some("false"),
        doc: "Whether a dump records how many rows each table has, and a sum over them, for restore tests to \
              compare. They are read in the same snapshot as the dump: every table is read once more.",
        ..DATABASE
    },
    Key {
        name: "verify",
        kind: Kind::Verification,
        multi: true,
        doc: "How often backups of this database are verified by `git pggit backup verify --due`: \
              `restore-test every 7d` means that at least every seven days the newest backup is tested, and \
              `checksum of all every 30d` that each backup that is kept is. The kinds are `checksum`, `integrity` \
              and `restore-test`; the units `s`, `m`, `h`, `d` and `w`. May be given several times. The values of \
              one place replace those of a place that counts less.",
        ..DATABASE
    },
    Key {
        name: "assertion",
        kind: Kind::Query,
        multi: true,
        doc: "A query that is true in a database that was restored as it should be, such as \
              `select count(*) > 1000 from orders`. Restore tests ask it in the scratch cluster, in a read-only \
              transaction, as a role that may only read. May be given several times. The values of one place replace \
              those of a place that counts less.",
        ..DATABASE
    },
    Key {
        name: "verifyTimeout",
        kind: Kind::Duration,
        default: Some("6h"),
        doc: "How long one restore test may take before it is stopped, without a verdict. One assertion may take a \
              tenth of that.",
        ..DATABASE
    },
    Key {
        name: "migrations",
        kind: Kind::TreePath,
        default: Some("migrations"),
        doc: "The directory of the repository that has the migrations. How many of its files differ between two \
              commits is how far a backup of one is from the other. A restore to a later commit runs the `*.sql` files \
              directly in it, and [refuses](recovery.md#what-is-refused) what else differs there.",
        ..DATABASE
    },
    Key {
        name: "migrateCommand",
        kind: Kind::Command,
        trust: Trust::Trusted,
        doc: "A program that brings a restored database from the commit of its backup to the one that is wanted, and \
              its arguments, such as `sqlx migrate run`; instead of running the `*.sql` files of `migrations`. No shell \
              reads it. It runs in a temporary worktree of the wanted commit, with `PG*` variables and `DATABASE_URL` \
              (without the password) for the database, `PGGIT_COMMIT`, and `PGGIT_FROM_COMMIT` unless the database is \
              empty; of the rest of the environment it sees only `PATH`, `HOME` and the like. See \
              [recovery.md](recovery.md#migrations-by-a-program-of-your-own).",
        ..DATABASE
    },
    Key {
        name: "migrateTimeout",
        kind: Kind::Duration,
        default: Some("6h"),
        doc: "How long that program may take before it is stopped and nothing is left of what was restored.",
        ..DATABASE
    },
    Key {
        name: "maskScript",
        kind: Kind::TreePath,
        trust: Trust::Trusted,
        doc: "An SQL script in the repository that changes what nobody may see, such as `mask.sql`. It is run in \
              copies that `git pggit with` and `git pggit checkout` make, as it is at their commit, before anybody can \
              connect. Where the commit does not have it no copy is made.",
        ..DATABASE
    },
    Key {
        name: "timeout",
        kind: Kind::Duration,
        doc: "How long one backup may take before it is stopped and recorded as failed. A number with a unit: \
              `90s`, `30m`, `2h`, `1d`. Without it, there is no limit.",
        ..DATABASE
    },
    Key {
        name: "schedule",
        kind: Kind::Schedule,
        multi: true,
        doc: "When backups are made by themselves: `daily` (at 2:00), `weekly` (Sunday, 3:00), `monthly` (the 1st, 4:00), \
              `quarterly` (5:00), `hybrid tool=...` (a dump every night, and a copy of the server with that tool every \
              Sunday), or five fields of cron such as `30 2 * * mon-fri`. Behind it may stand `tool=...` and \
              `type=...`, if they are not those of the database, and `jitter=...`: up to so much later, by an amount \
              that is always the same for a database, and at most `1d`. Without it, it is 30m for the words and 0 for cron. May be given \
              several times. The worker runs it; see automation.md.",
        ..DATABASE
    },
    Key {
        name: "timezone",
        kind: Kind::TimeZone,
        doc: "The time zone of the schedules of this database, instead of `pggit.timezone`.",
        ..DATABASE
    },
    Key {
        name: "missedAfter",
        kind: Kind::Duration,
        default: Some("6h"),
        doc: "How long after its time on the schedule a backup counts as missed if it is not complete.",
        ..DATABASE
    },
    Key {
        name: "onMerge",
        kind: Kind::Branches,
        multi: true,
        doc: "The branches whose moves are followed by a backup: `main release/*`. A `*` does not match a slash, `**` \
              does, `!` in front takes away. Needs the hooks of `git pggit hooks install`, or a worker. May be given \
              several times.",
        ..DATABASE
    },
    Key {
        name: "schemaPaths",
        kind: Kind::Paths,
        multi: true,
        default: Some("*.sql migrations/ migrate/ alembic/"),
        doc: "The files that count as schema, as patterns of a `.gitignore`. A move of a branch that changes none of them \
              is not followed by a backup; `*` means all. A restore to another commit names those outside of `migrations` \
              that differ. May be given several times.",
        ..DATABASE
    },
    Key {
        name: "onMergeTool",
        kind: Kind::Tool,
        doc: "The tool of the backups that follow moves of branches, if it is not that of the database.",
        ..DATABASE
    },
    Key {
        name: "onMergeType",
        kind: Kind::BackupType,
        doc: "The type of the backups that follow moves of branches, if it is not that of the database.",
        ..DATABASE
    },
    Key {
        name: "onMergePriority",
        kind: Kind::Priority,
        default: Some("10"),
        doc: "The priority of the backups that follow moves of branches: higher ones come first. Scheduled ones have 0.",
        ..DATABASE
    },
    Key {
        name: "webhook",
        kind: Kind::Hook,
        multi: true,
        trust: Trust::Trusted,
        doc: "An address that messages about this database are posted to, instead of `pggit.webhook`.",
        ..DATABASE
    },
    Key {
        name: "webhookSecretFile",
        kind: Kind::File,
        trust: Trust::Trusted,
        doc: "The file with the key that messages about this database are signed with, instead of \
              `pggit.webhookSecretFile`.",
        ..DATABASE
    },
    Key {
        name: "notifyCommand",
        kind: Kind::Command,
        multi: true,
        trust: Trust::Trusted,
        doc: "A program that is run for every message about this database, instead of `pggit.notifyCommand`.",
        ..DATABASE
    },
    Key {
        name: "notifyOn",
        kind: Kind::Occasions,
        doc: "The events of this database that messages are sent about, instead of `pggit.notifyOn`.",
        ..DATABASE
    },
    Key {
        name: "heartbeat",
        kind: Kind::Hook,
        trust: Trust::Trusted,
        doc: "An address that is called (GET) whenever a backup of this database has been completed: a service that \
              expects the call raises the alarm when it stays away, whatever the reason. It is a secret as far as it \
              holds a token: it is never shown.",
        ..DATABASE
    },
    Key {
        name: "maxAttempts",
        kind: Kind::Jobs,
        default: Some("5"),
        doc: "How often a worker tries to make a backup before the job has failed for good.",
        ..DATABASE
    },
    Key {
        name: "retryDelay",
        kind: Kind::Duration,
        default: Some("30s"),
        doc: "How long a worker waits after the first attempt that failed. The wait doubles after each further one, \
              and is shortened by up to a quarter at random.",
        ..DATABASE
    },
    Key {
        name: "retryDelayMax",
        kind: Kind::Duration,
        default: Some("1h"),
        doc: "The longest wait between two attempts.",
        ..DATABASE
    },
    Key {
        name: "pgbackrestStanza",
        kind: Kind::Word,
        trust: Trust::Trusted,
        doc: "The stanza of this database in pgBackRest.",
        ..DATABASE
    },
    Key {
        name: "pgbackrestRepo",
        kind: Kind::Number,
        trust: Trust::Trusted,
        doc: "The number of the pgBackRest repository that backups of this database go to. Without it, they go to \
              the first one, and backups in all of them are known.",
        ..DATABASE
    },
    Key {
        name: "pgbackrestConfig",
        kind: Kind::File,
        trust: Trust::Trusted,
        doc: "The configuration file of pgBackRest. Without it, pgBackRest looks in its own places.",
        ..DATABASE
    },
    Key {
        name: "pgbackrestPath",
        kind: Kind::File,
        trust: Trust::Trusted,
        doc: "The program `pgbackrest`. Without it, it is looked for in `PATH`.",
        ..DATABASE
    },
    Key {
        name: "barmanServer",
        kind: Kind::Word,
        trust: Trust::Trusted,
        doc: "What this database's server is called in Barman.",
        ..DATABASE
    },
    Key {
        name: "barmanConfig",
        kind: Kind::File,
        trust: Trust::Trusted,
        doc: "The configuration file of Barman. Without it, Barman looks in its own places.",
        ..DATABASE
    },
    Key {
        name: "barmanPath",
        kind: Kind::File,
        trust: Trust::Trusted,
        doc: "The program `barman`. Without it, it is looked for in `PATH`.",
        ..DATABASE
    },
    Key {
        name: "toolUser",
        kind: Kind::Word,
        trust: Trust::Trusted,
        doc: "The user of this machine that pgBackRest, Barman or a tool of your own is run as, such as `postgres`. \
              It takes root to run a program as somebody else. Without it, it runs as who runs `git pggit`.",
        ..DATABASE
    },
    Key {
        name: "backup",
        doc: "What makes a backup with this tool: a program and its arguments. They are split into words as a shell \
              splits them, and no shell ever sees them. `docs/custom-tools.md` has what it is told and what it answers.",
        ..TOOL
    },
    Key { name: "restore", doc: "What brings a backup of this tool back.", ..TOOL },
    Key { name: "verify", doc: "What proves the bytes of a backup of this tool.", ..TOOL },
    Key { name: "delete", doc: "What removes a backup of this tool.", ..TOOL },
    Key { name: "list", doc: "What lists the backups that this tool has.", ..TOOL },
    Key {
        name: "url",
        kind: Kind::StoreUrl,
        doc: "The place of the store with this name: a directory, or a URL as in `pggit.store`. The name stands for it in \
              `pggit.store`, `pggit.<database>.store` and `--store`.",
        ..STORE
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_unique_and_documented() {
        for (at, key) in KEYS.iter().enumerate() {
            assert!(!key.doc.is_empty() && key.doc.ends_with('.'), "{}", key.pattern());
            assert!(!KEYS[..at].iter().any(|k| k.pattern().eq_ignore_ascii_case(&key.pattern())));
        }
    }

    #[test]
    fn retired_keys_have_a_new_name_and_are_no_keys() {
        for (reach, old, new) in RETIRED {
            assert_eq!(renamed(reach, &old.to_uppercase()).map(|key| key.name), Some(new));
            assert!(find(reach, old).is_none(), "{old}");
        }
    }
}
