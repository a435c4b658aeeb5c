//! The one list of everything that can be configured.
//!
//! A setting is one row: its documentation, its name in code, the type of its values, and a [`Key`]
//! with its name, its [`ValueForm`], its default and who may set it. `git pggit config`,
//! `docs/config.md`, the checks and the "did you mean" all read this list, so a key that is not in
//! it does not exist.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::form::*;
use super::key::{AnyKey, Key, KeyScope};
use super::url::DatabaseUrl;
use super::value::{self, KnownPlace};
use crate::domain::{
    BackupTool, BackupType, Checkpoint, Compression, DatabaseName, DumpFormat, Globals, Line, Occasion,
    TableName, VerifyPolicy, WalMethod,
};
use crate::git::{BranchPatterns, PathPatterns};
use crate::migrations::{CommitCheck, Tool as MigrationTool};
use crate::schedule::{Schedule, Zone};

/// The key called `name`, in any case.
pub fn find(reach: KeyScope, name: &str) -> Option<&'static dyn AnyKey> {
    KEYS.iter().copied().find(|key| key.reach == reach && key.name.eq_ignore_ascii_case(name))
}

/// The key that the retired key `name` is called now.
pub(super) fn renamed(reach: KeyScope, name: &str) -> Option<&'static dyn AnyKey> {
    let was = |key: &&dyn AnyKey| key.retired.is_some_and(|old| old.eq_ignore_ascii_case(name));
    KEYS.iter().copied().filter(|key| key.reach == reach).find(was)
}

/// Defines the keys, and [`KEYS`] with all of them. The comment of a row is its documentation.
macro_rules! keys {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $key:expr;)+) => {
        $($(#[doc = $doc])+ pub static $name: $type = $key.documented(concat!($($doc),+));)+

        /// Every key, those of the whole repository first.
        pub static KEYS: &[&dyn AnyKey] = &[$(&$name),+];
    };
}

keys! {
    /// The database that commands use if `--database` is not given. Without it, the only configured
    /// database is used.
    DATABASE: Key<DatabaseName> = Key::global("database", DATABASE_NAME).environment("PGGIT_DATABASE");

    /// The directory of PostgreSQL's client programs (`pg_dump`, `pg_restore`), such as
    /// `/usr/lib/postgresql/17/bin`, or a directory with one for each major version, such as
    /// `/usr/lib/postgresql`. Without it, the programs are looked up in the directories of the
    /// server's version and newer ones below `/usr/lib/postgresql`, then in `PATH`.
    PG_BIN_DIR: Key<PathBuf> =
        Key::global("pgBinDir", DIRECTORY).environment("PGGIT_PGBIN").trusted().retired("pgbin");

    /// The store that keeps the bytes of backups: a directory, or a URL such as
    /// `s3://bucket/prefix`, `az://container/prefix` or `gs://bucket/prefix`. Credentials come from
    /// the environment and from the files of the cloud providers' own tools. A database's own
    /// `store` takes precedence, and the environment variable takes precedence over both. Without
    /// it, the store is `pggit/store` in the git directory. The first backup creates it.
    STORE: Key<String> = Key::global("store", STORE_OR_NAME).environment("PGGIT_STORE").trusted();

    /// A file with age identities that open encrypted stores, as `git pggit store key generate` or
    /// `age-keygen` write it. Make it readable only for yourself. See store-encryption.md.
    STORE_IDENTITY: Key<PathBuf> =
        Key::global("storeIdentity", FILE).environment("PGGIT_STORE_IDENTITY").trusted();

    /// A file whose first line is a passphrase that opens encrypted stores. Make it readable only
    /// for yourself. `PGGIT_STORE_PASSPHRASE`, which contains a passphrase itself, takes
    /// precedence.
    STORE_PASSPHRASE_FILE: Key<PathBuf> = Key::global("storePassphraseFile", FILE).trusted();

    /// A directory that keeps backups as plain files, instead of the store. Each backup is complete
    /// in itself, and `zstd -dc` and `pg_restore` can read it. A database's own `plainDir` takes
    /// precedence, and the environment variable takes precedence over both.
    PLAIN_DIR: Key<PathBuf> =
        Key::global("plainDir", DIRECTORY).environment("PGGIT_OUTPUT").trusted().retired("output");

    /// An additional store, or directory of plain files, from which bytes of backups may be read: a
    /// directory or a URL, optionally followed by the id of the store if only that store is
    /// allowed. May be given several times; the values of all sources are used. A record with
    /// another location is refused; see trust.md. `git pggit backup create` adds the location in
    /// `--store` or `--output`.
    PLACE: Key<KnownPlace> = Key::global("place", KNOWN_PLACE).several().trusted();

    /// The compression level of backups with zstd, from -7 (fastest) to 22 (smallest), or `none`. A
    /// database's own `compressionLevel` takes precedence, and the environment variable takes
    /// precedence over both.
    COMPRESSION_LEVEL: Key<Compression> =
        Key::global("compressionLevel", LEVEL).default("3").environment("PGGIT_COMPRESSION_LEVEL");

    /// The git repository on this machine that has the records of backups, instead of the
    /// repository of the schema history. Commits, branches and `HEAD` are still those of the schema
    /// history. Refs, notes, remotes and synchronisation are those of the other repository. `git
    /// pggit init --repository` sets it up. An empty value counts as unset.
    REPOSITORY: Key<Option<PathBuf>> =
        Key::global("repository", REPOSITORY_DIRECTORY).environment("PGGIT_REPOSITORY").trusted();

    /// Signs the commits of the ledger with the keys and programs that git is configured to sign
    /// with (`gpg.format`, `user.signingKey`, ...). `true` always signs. `require` always signs,
    /// and refuses to write if `user.signingKey` names no key. `false` never signs. Without it,
    /// `commit.gpgSign` decides, as for git's own commits.
    SIGN: Key<String> =
        Key::global("sign", ValueForm::text(value::signing, "true, require or false").flag()).trusted();

    /// With `on-write`, commands that have written records share these at once with the remote that
    /// git would use, as `git pggit sync` does. They do not ask for a password. If the remote
    /// cannot be reached within 30 seconds, that is a warning, and the next `sync` shares the
    /// records.
    SYNC: Key<bool> =
        Key::global("sync", ValueForm::text(value::on_write, "on-write or never")).default("never").trusted();

    /// The time zone of schedules. A database's own `timezone` goes before it.
    TIMEZONE: Key<Zone> = Key::global("timezone", ZONE).default("UTC");

    /// An address to which notifications about backups are posted as JSON, such as the incoming
    /// webhook of a chat. May be given several times. It may contain a token, so it is secret and
    /// never shown. A database's own `webhook` takes precedence. See automation.md.
    WEBHOOK: Key<String> = Key::global("webhook", ADDRESS).several().trusted();

    /// A file whose first line is the key that signs notifications, so that the receiver can verify
    /// the sender: header `X-Pggit-Signature`, HMAC-SHA256 of the body. Make it readable only for
    /// yourself.
    WEBHOOK_SECRET_FILE: Key<PathBuf> = Key::global("webhookSecretFile", FILE).trusted();

    /// A program, and its arguments, that is run for every notification and gets the notification
    /// as JSON on standard input. It is run without a shell. May be given several times. A
    /// database's own `notifyCommand` takes precedence.
    NOTIFY_COMMAND: Key<Vec<String>> = Key::global("notifyCommand", COMMAND).several().trusted();

    /// The events that cause a notification: `success` (every completed backup), `failure` (a job
    /// that failed permanently), `recovered` (the first completed backup after that), `missed` (a
    /// scheduled backup that is missing), `verification` (a backup that cannot be relied on),
    /// separated by spaces; or `all`. A database's own `notifyOn` takes precedence.
    NOTIFY_ON: Key<BTreeSet<Occasion>> =
        Key::global("notifyOn", OCCASIONS).default("failure recovered missed verification").retired("notify");

    /// The PostgreSQL database with the queue of jobs in its schema `pggit`, for workers on several
    /// machines: a `postgresql://` URL or a libpq connection string without a password. `git pggit
    /// queue init` sets it up. Without it, jobs are refs of the repository that has the records,
    /// for workers on this machine.
    QUEUE: Key<DatabaseUrl> = Key::global("queue", CONNECTION).environment("PGGIT_QUEUE").trusted();

    /// The name of a worker in the jobs that it claims. Without it, the name of the machine and the
    /// process id. The name is only shown to people: two workers may have the same name.
    WORKER_ID: Key<Line> = Key::global("workerId", LINE).environment("PGGIT_WORKER_ID").trusted();

    /// The interval at which a worker looks for jobs. New jobs also wake it at once.
    POLL_INTERVAL: Key<Duration> =
        Key::global("pollInterval", DURATION).default("10s").environment("PGGIT_POLL_INTERVAL");

    /// The time after which the lease of a worker that sends no heartbeat expires, and other
    /// workers may claim its jobs. A worker sends a heartbeat three times in this time.
    LEASE: Key<Duration> = Key::global("lease", DURATION).default("60s").trusted();

    /// The log level of a worker.
    LOG_LEVEL: Key<String> =
        Key::global("logLevel", ValueForm::text(value::log_level, "error, warn, info, debug or trace"))
            .default("info")
            .environment("PGGIT_LOG_LEVEL");

    /// The directory in which scratch clusters for restore tests are created. It needs disk space
    /// for the largest database that is tested, and a path that is short enough for a socket: at
    /// most 60 bytes.
    SCRATCH_DIR: Key<PathBuf> = Key::global("scratchDir", DIRECTORY)
        .default("/var/tmp")
        .environment("PGGIT_SCRATCH")
        .trusted()
        .retired("scratch");

    /// The user that scratch clusters run as if root runs `git pggit`: PostgreSQL refuses to run as
    /// root, and code in a backup runs as this user. A user that owns a running server is refused.
    /// The setting has no effect for other users than root.
    SCRATCH_USER: Key<String> = Key::global("scratchUser", USER).default("pggit-scratch").trusted();

    /// The server and the name of the database: a `postgresql://user@host:port/dbname` URL or a
    /// libpq connection string such as `service=shop`. It must not contain a password: libpq finds
    /// the password in `~/.pgpass`, in a service file or in `PGPASSWORD`. Missing parts come from
    /// libpq's own variables (`PGHOST`, `PGUSER`, ...). The environment variable overrides the URL
    /// of the database that a command uses.
    URL: Key<DatabaseUrl> = Key::database("url", CONNECTION).environment("PGGIT_DATABASE_URL").trusted();

    /// The tool that makes the backups: a known tool, or a custom tool that
    /// `pggit.tool.<tool>.backup` and the keys beside it define. `auto` uses `pg_dump` while the
    /// database is smaller than `autoThreshold`, and from then on `pg_basebackup`, which backs up
    /// the whole cluster. `docs/tools.md` describes the requirements of each tool.
    TOOL: Key<BackupTool> = Key::database("tool", BACKUP_TOOL).default("pg_dump");

    /// The type of a backup if `--type` is not given. The tool determines the possible types. If
    /// there is no base backup, the backup is full.
    TYPE: Key<BackupType> =
        Key::database("type", ValueForm::parsed("full, differential, incremental or snapshot"))
            .default("full");

    /// The output format of `pg_dump`: `custom` and `directory` can be restored in part and in
    /// parallel, `plain` is an SQL script.
    FORMAT: Key<DumpFormat> =
        Key::database("format", ValueForm::parsed("custom, directory, tar or plain")).default("custom");

    /// The number of tables that are dumped at the same time. More than one needs the `directory`
    /// format.
    JOBS: Key<u16> = Key::database("jobs", COUNT);

    /// Dumps only this schema. May be given several times. Values of one source replace those of a
    /// source with lower precedence. Without it, the whole database is backed up.
    SCHEMA: Key<String> = Key::database("schema", SCHEMA_NAME).several();

    /// Leaves this schema out of dumps. May be given several times, as `schema`.
    EXCLUDE_SCHEMA: Key<String> = Key::database("excludeSchema", SCHEMA_NAME).several();

    /// Dumps only this table: its name, or its schema and its name with a dot between them. A name
    /// that contains a dot is put in double quotes. May be given several times, as `schema`, but
    /// not together with `schema`.
    TABLE: Key<TableName> = Key::database("table", TABLE_NAME).several();

    /// Leaves this table out of dumps. It has the syntax of `table`, and may be given several
    /// times.
    EXCLUDE_TABLE: Key<TableName> = Key::database("excludeTable", TABLE_NAME).several();

    /// The size of the database from which on `auto` uses `pg_basebackup`. A number with a unit of
    /// 1024, as PostgreSQL writes them: `kB`, `MB`, `GB`, `TB`.
    AUTO_THRESHOLD: Key<u64> = Key::database("autoThreshold", SIZE).default("100GB").retired("autoSize");

    /// The checkpoint at the beginning of `pg_basebackup`: at once (`fast`), or at the usual pace
    /// of the server (`spread`), which takes minutes and puts less load on the disks.
    BASEBACKUP_CHECKPOINT: Key<Checkpoint> =
        Key::database("basebackupCheckpoint", ValueForm::parsed("fast or spread"))
            .default("fast")
            .retired("checkpoint");

    /// The highest rate at which `pg_basebackup` may read the cluster, in kB or MB per second:
    /// `500k`, `100M`. Without it, there is no limit.
    BASEBACKUP_MAX_RATE: Key<u32> = Key::database("basebackupMaxRate", RATE).retired("maxRate");

    /// The way in which `pg_basebackup` gets the WAL that the backup needs: at the end (`fetch`),
    /// so the server must have kept it until then (`wal_keep_size`); or during the backup
    /// (`stream`), over a second connection and with temporary disk space for the whole cluster on
    /// this machine.
    BASEBACKUP_WAL: Key<WalMethod> =
        Key::database("basebackupWal", ValueForm::parsed("fetch or stream")).default("fetch").retired("wal");

    /// The store of this database, instead of `pggit.store`.
    DATABASE_STORE: Key<String> = Key::database("store", STORE_OR_NAME).trusted();

    /// A directory that keeps the backups of this database as plain files, instead of
    /// `pggit.plainDir`.
    DATABASE_PLAIN_DIR: Key<PathBuf> = Key::database("plainDir", DIRECTORY).trusted().retired("output");

    /// The compression level of the backups of this database, instead of `pggit.compressionLevel`.
    DATABASE_COMPRESSION_LEVEL: Key<Compression> = Key::database("compressionLevel", LEVEL);

    /// Backs up roles and tablespaces, which are not part of a dump, with `pg_dumpall
    /// --globals-only`. `no-passwords` leaves out the passwords of the roles. Then the role that
    /// makes the backup need not be a superuser.
    GLOBALS: Key<Globals> =
        Key::database("globals", ValueForm::parsed("true, no-passwords or false").flag()).default("true");

    /// Keeps the schema of the database at the time of the backup beside the record in git.
    RECORD_SCHEMA: Key<bool> = Key::database("recordSchema", BOOLEAN).default("true");

    /// Records the number of rows of each table with a dump, and a sum over the rows. Restore tests
    /// compare these. The rows are read in the snapshot of the dump, so every table is read once
    /// more.
    RECORD_ROW_COUNTS: Key<bool> =
        Key::database("recordRowCounts", BOOLEAN).default("false").retired("recordCounts");

    /// The policy of `git pggit backup verify --due`: with `restore-test every 7d` the newest
    /// backup is tested at least every seven days, and with `checksum of all every 30d` the
    /// checksums of each completed backup are verified at least every 30 days. The kinds are
    /// `checksum`, `integrity` and `restore-test`; the units `s`, `m`, `h`, `d` and `w`. May be
    /// given several times. Values of one source replace those of a source with lower precedence.
    VERIFY: Key<VerifyPolicy> = Key::database("verify", VERIFICATION).several();

    /// A query that is true in a correctly restored database, such as `select count(*) > 1000 from
    /// orders`. Restore tests run it in the scratch cluster, in a read-only transaction, as a role
    /// that may only read. May be given several times. Values of one source replace those of a
    /// source with lower precedence.
    ASSERTION: Key<String> = Key::database("assertion", QUERY).several().retired("assert");

    /// The time limit of one restore test. A restore test that exceeds it is stopped without a
    /// verdict. The time limit of one assertion is a tenth of it.
    VERIFY_TIMEOUT: Key<Duration> = Key::database("verifyTimeout", DURATION).default("6h");

    /// The directory of the repository that has the migrations. A `*` stands for any text without a
    /// slash: `services/*/migrations`. May be given several times; all directories then belong to one
    /// tool. The number of the files that differ between two commits is the distance of a backup of
    /// one commit from the other. A restore to a later commit runs the migrations as the tool of the
    /// team [does](migrations.md#how-migrations-are-run); without a tool, it runs the `*.sql` files
    /// directly in one directory, and [refuses](recovery.md#what-is-refused) other differing files.
    MIGRATIONS: Key<String> = Key::database("migrations", TREE_PATTERN).several().default("migrations");

    /// The tool that runs the migrations, as in the table of [migrations.md](migrations.md#tools).
    /// `auto`: the tool is detected by the files of the commit and the tables of the database.
    /// `plain`: the files are run, and no tool records them. If only the tool itself runs its
    /// migrations, a restore runs its [usual command](migrations.md#how-migrations-are-run), unless
    /// this key is only in the committed configuration.
    MIGRATION_TOOL: Key<Option<MigrationTool>> = Key::database("migrationTool", MIGRATION_TOOL_FORM).default("auto");

    /// The action of `backup create` if the commit of the backup is doubtful: `warn`, or `require` to
    /// refuse. A commit is doubtful if nothing in the database says which commit it has, if the commit
    /// recorded in the database is another one, or if the applied migrations are not known to be
    /// those of the commit. See [migrations.md](migrations.md#the-commit-of-a-backup).
    COMMIT_CHECK: Key<CommitCheck> = Key::database("commitCheck", COMMIT_CHECK_FORM).default("warn");

    /// A program, and its arguments, that migrates a restored database from the commit of its
    /// backup to the wanted commit, such as `sqlx migrate run`; instead of the `*.sql` files of
    /// `migrations`. It is run without a shell, in a temporary worktree of the wanted commit. The
    /// database is in the `PG*` variables and in `DATABASE_URL` (without the password).
    /// `PGGIT_COMMIT` is set, and `PGGIT_FROM_COMMIT` unless the database is empty. Of the rest of
    /// the environment only `PATH`, `HOME` and the like are passed on. See
    /// [recovery.md](recovery.md#migrations-by-a-program-of-your-own).
    MIGRATE_COMMAND: Key<Vec<String>> = Key::database("migrateCommand", COMMAND).trusted().retired("migrate");

    /// The time limit of `migrateCommand`. If the program exceeds it, it is stopped, and the
    /// restored database is removed.
    MIGRATE_TIMEOUT: Key<Duration> = Key::database("migrateTimeout", DURATION).default("6h");

    /// An SQL script in the repository that masks confidential data, such as `mask.sql`. It is run
    /// in the clones that `git pggit with` and `git pggit checkout` create, in its version at the
    /// commit, before any other user can connect. If the commit does not have the script, no clone
    /// is created.
    MASK_SCRIPT: Key<String> = Key::database("maskScript", TREE_PATH).trusted().retired("mask");

    /// The time limit of one backup. A backup that exceeds it is stopped and recorded as failed. A
    /// number with a unit: `90s`, `30m`, `2h`, `1d`. Without it, there is no limit.
    TIMEOUT: Key<Duration> = Key::database("timeout", DURATION);

    /// The schedule of automatic backups: `daily` (at 2:00), `weekly` (Sunday, 3:00), `monthly`
    /// (the 1st, 4:00), `quarterly` (5:00), `hybrid tool=...` (a dump every night, and a physical
    /// backup with that tool every Sunday), or five fields of cron such as `30 2 * * mon-fri`.
    /// Options may follow: `tool=...` and `type=...` instead of those of the database, and
    /// `jitter=...`, the longest delay, at most `1d`. The delay is always the same for a database.
    /// The default jitter is 30m for the words and 0 for cron. May be given several times. The
    /// worker runs the schedule; see automation.md.
    SCHEDULE: Key<Schedule> = Key::database("schedule", SCHEDULES).several();

    /// The time zone of the schedules of this database, instead of `pggit.timezone`.
    DATABASE_TIMEZONE: Key<Zone> = Key::database("timezone", ZONE);

    /// The time after which a scheduled backup that is not complete counts as missed.
    MISSED_AFTER: Key<Duration> = Key::database("missedAfter", DURATION).default("6h");

    /// The branches that cause a backup when they move: `main release/*`. A `*` does not match a
    /// slash, `**` does. A pattern that begins with `!` excludes branches. Needs the hooks of `git
    /// pggit hooks install`, or a worker. May be given several times.
    ON_MERGE: Key<BranchPatterns> = Key::database("onMerge", BRANCHES).several();

    /// The files that count as schema, as patterns of a `.gitignore`. A branch that moves without
    /// changing one of them causes no backup; `*` matches all files. A restore to another commit
    /// names the differing files outside of `migrations`. May be given several times.
    SCHEMA_PATHS: Key<PathPatterns> =
        Key::database("schemaPaths", PATHS).several().default("*.sql migrations/ migrate/ alembic/");

    /// The tool of the backups after a branch has moved, if it is not the tool of the database.
    ON_MERGE_TOOL: Key<BackupTool> = Key::database("onMergeTool", BACKUP_TOOL);

    /// The type of the backups after a branch has moved, if it is not the type of the database.
    ON_MERGE_TYPE: Key<BackupType> =
        Key::database("onMergeType", ValueForm::parsed("full, incremental, differential or snapshot"));

    /// The priority of the backups after a branch has moved: higher ones run first. Scheduled ones
    /// have 0.
    ON_MERGE_PRIORITY: Key<i16> = Key::database("onMergePriority", PRIORITY).default("10");

    /// An address to which notifications about this database are posted, instead of
    /// `pggit.webhook`.
    DATABASE_WEBHOOK: Key<String> = Key::database("webhook", ADDRESS).several().trusted();

    /// The file with the key that signs notifications about this database, instead of
    /// `pggit.webhookSecretFile`.
    DATABASE_WEBHOOK_SECRET_FILE: Key<PathBuf> = Key::database("webhookSecretFile", FILE).trusted();

    /// A program that is run for every notification about this database, instead of
    /// `pggit.notifyCommand`.
    DATABASE_NOTIFY_COMMAND: Key<Vec<String>> = Key::database("notifyCommand", COMMAND).several().trusted();

    /// The events of this database that cause a notification, instead of `pggit.notifyOn`.
    DATABASE_NOTIFY_ON: Key<BTreeSet<Occasion>> = Key::database("notifyOn", OCCASIONS).retired("notify");

    /// An address that is called (GET) after every completed backup of this database. A monitoring
    /// service that expects the call raises an alarm if it is missing, whatever the reason. The
    /// address may contain a token, so it is secret and never shown.
    HEARTBEAT: Key<String> = Key::database("heartbeat", ADDRESS).trusted();

    /// The number of attempts at a backup after which the job has failed permanently.
    MAX_ATTEMPTS: Key<u16> = Key::database("maxAttempts", COUNT).default("5");

    /// The delay after the first failed attempt. It doubles after each further one, and is
    /// shortened by up to a quarter at random.
    RETRY_DELAY: Key<Duration> = Key::database("retryDelay", DURATION).default("30s");

    /// The longest delay between two attempts.
    RETRY_DELAY_MAX: Key<Duration> = Key::database("retryDelayMax", DURATION).default("1h");

    /// The stanza of this database in pgBackRest.
    PGBACKREST_STANZA: Key<String> =
        Key::database("pgbackrestStanza", PLAIN_NAME).trusted().retired("stanza");

    /// The number of the pgBackRest repository for backups of this database. Without it, backups go
    /// to the first repository, and backups in all repositories are found.
    PGBACKREST_REPO: Key<u32> = Key::database("pgbackrestRepo", NUMBER).trusted().retired("repo");

    /// The configuration file of pgBackRest. Without it, pgBackRest uses its default files.
    PGBACKREST_CONFIG: Key<PathBuf> = Key::database("pgbackrestConfig", FILE).trusted();

    /// The program `pgbackrest`. Without it, it is looked up in `PATH`.
    PGBACKREST_PATH: Key<PathBuf> = Key::database("pgbackrestPath", FILE).trusted().retired("pgbackrest");

    /// The name of this database's server in Barman.
    BARMAN_SERVER: Key<String> = Key::database("barmanServer", PLAIN_NAME).trusted();

    /// The configuration file of Barman. Without it, Barman uses its default files.
    BARMAN_CONFIG: Key<PathBuf> = Key::database("barmanConfig", FILE).trusted();

    /// The program `barman`. Without it, it is looked up in `PATH`.
    BARMAN_PATH: Key<PathBuf> = Key::database("barmanPath", FILE).trusted().retired("barman");

    /// The user of this machine that pgBackRest, Barman or a custom tool runs as, such as
    /// `postgres`. Only root can run a program as another user. Without it, the tool runs as the
    /// user of `git pggit`.
    TOOL_USER: Key<String> = Key::database("toolUser", PLAIN_NAME).trusted();

    /// The command that makes a backup with this tool: a program and its arguments. They are split
    /// into words by the rules of a shell, and run without a shell. `docs/custom-tools.md`
    /// describes its input and output.
    TOOL_BACKUP: Key<Vec<String>> = Key::tool("backup", COMMAND);

    /// The command that restores a backup of this tool.
    TOOL_RESTORE: Key<Vec<String>> = Key::tool("restore", COMMAND);

    /// The command that verifies the bytes of a backup of this tool.
    TOOL_VERIFY: Key<Vec<String>> = Key::tool("verify", COMMAND);

    /// The command that removes a backup of this tool.
    TOOL_DELETE: Key<Vec<String>> = Key::tool("delete", COMMAND);

    /// The command that lists the backups of this tool.
    TOOL_LIST: Key<Vec<String>> = Key::tool("list", COMMAND);

    /// The location of the store with this name: a directory, or a URL as in `pggit.store`. The
    /// name can be used instead of the location in `pggit.store`, `pggit.<database>.store` and
    /// `--store`.
    STORE_URL: Key<String> = Key::store("url", STORE_PLACE);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::Refused;
    use std::ffi::OsStr;

    #[test]
    fn every_key_is_unique_and_documented() {
        for (at, key) in KEYS.iter().enumerate() {
            assert!(!key.doc.starts_with(' ') && key.doc.ends_with('.'), "{}", key.pattern());
            assert!(!KEYS[..at].iter().any(|k| k.pattern().eq_ignore_ascii_case(&key.pattern())));
        }
    }

    #[test]
    fn retired_keys_have_a_new_name_and_are_no_keys() {
        let mut retired = BTreeSet::new();
        for key in KEYS {
            let Some(old) = key.retired else { continue };
            assert_eq!(renamed(key.reach, &old.to_uppercase()).map(|key| key.name), Some(key.name));
            assert!(find(key.reach, old).is_none(), "{old}");
            assert!(retired.insert(key.full_name("x").replace(key.name, old)), "{old}");
        }
    }

    #[test]
    fn defaults_are_valid_values() {
        for key in KEYS {
            let general = find(KeyScope::Global, key.name).filter(|_| key.reach == KeyScope::Database);
            for default in key.default.into_iter().chain(general.and_then(|key| key.default)) {
                assert_eq!(key.check(Some(OsStr::new(default)), None), Ok(()), "{}", key.pattern());
            }
        }
    }

    #[test]
    fn a_key_and_the_general_one_of_its_name_have_one_form() {
        for key in KEYS.iter().filter(|key| key.reach == KeyScope::Database) {
            let Some(general) = find(KeyScope::Global, key.name) else { continue };
            let facts = |key: &dyn AnyKey| (key.expected(), key.secrecy(), key.several, key.trust);
            assert_eq!(facts(*key), facts(general), "{}", key.name);
        }
    }

    #[test]
    fn a_key_without_a_value_is_true_where_that_is_a_value() {
        let flags = ["sign", "globals", "recordSchema", "recordRowCounts"];
        for key in KEYS {
            let expected = if flags.contains(&key.name) { Ok(()) } else { Err(Refused::Form) };
            assert_eq!(key.check(None, None), expected, "{}", key.name);
        }
    }

    #[test]
    fn every_word_that_is_expected_is_a_value_and_the_other_way_round() {
        let all = |words: &[&str], key: &dyn AnyKey| {
            for word in words {
                assert_eq!(key.check(Some(OsStr::new(word)), None), Ok(()), "{word}");
            }
            let named: BTreeSet<_> =
                key.expected().split([',', ' ']).filter(|word| !word.is_empty() && *word != "or").collect();
            assert_eq!(named, words.iter().copied().collect(), "{}", key.name);
            for word in ["", "x"] {
                assert_eq!(
                    key.check(Some(OsStr::new(word)), None).is_ok(),
                    word.is_empty() && words.contains(&"false"),
                    "{word:?}"
                );
            }
        };
        let types: Vec<_> = BackupType::ALL.iter().map(|word| word.as_str()).collect();
        all(&types, &TYPE);
        all(&types, &ON_MERGE_TYPE);
        all(&DumpFormat::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>(), &FORMAT);
        all(&Checkpoint::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>(), &BASEBACKUP_CHECKPOINT);
        all(&WalMethod::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>(), &BASEBACKUP_WAL);
        all(&["true", "no-passwords", "false"], &GLOBALS);
        all(&["true", "require", "false"], &SIGN);
        all(&["on-write", "never"], &SYNC);
        all(&["error", "warn", "info", "debug", "trace"], &LOG_LEVEL);
        let tools: Vec<_> = BackupTool::KNOWN.iter().map(|(word, _)| *word).collect();
        assert!(TOOL.expected().starts_with(&format!("{}, or the <tool>", tools.join(", "))));
    }
}
