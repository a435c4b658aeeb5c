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
    /// The database that commands work on when `--database` is not given. Without it, the only
    /// configured database is taken.
    DATABASE: Key<DatabaseName> = Key::global("database", DATABASE_NAME).environment("PGGIT_DATABASE");

    /// The directory of PostgreSQL's client programs (`pg_dump`, `pg_restore`), such as
    /// `/usr/lib/postgresql/17/bin`, or one that has a directory for each major version, such as
    /// `/usr/lib/postgresql`. Without it, they are looked up in the directories of the server's
    /// version and newer ones below `/usr/lib/postgresql`, then in `PATH`.
    PG_BIN_DIR: Key<PathBuf> =
        Key::global("pgBinDir", DIRECTORY).environment("PGGIT_PGBIN").trusted().retired("pgbin");

    /// The store that keeps the bytes of backups: a directory, or a URL such as
    /// `s3://bucket/prefix`, `az://container/prefix` or `gs://bucket/prefix`; credentials come from
    /// the environment and the files of the clouds' own tools. A database's own `store` goes before
    /// it; the environment variable goes before both. Without it, it is `pggit/store` in the git
    /// directory, which is made by the first backup.
    STORE: Key<String> = Key::global("store", STORE_OR_NAME).environment("PGGIT_STORE").trusted();

    /// A file with age identities that open encrypted stores, such as `git pggit store key
    /// generate` or `age-keygen` write. Only you should be able to read it. See
    /// store-encryption.md.
    STORE_IDENTITY: Key<PathBuf> =
        Key::global("storeIdentity", FILE).environment("PGGIT_STORE_IDENTITY").trusted();

    /// A file whose first line is a passphrase that opens encrypted stores. Only you should be able
    /// to read it. `PGGIT_STORE_PASSPHRASE`, which holds a passphrase itself, goes before it.
    STORE_PASSPHRASE_FILE: Key<PathBuf> = Key::global("storePassphraseFile", FILE).trusted();

    /// A directory in which backups are kept as plain files, instead of in the store: each of them
    /// whole, for `zstd -dc` and `pg_restore` to read. A database's own `plainDir` goes before it;
    /// the environment variable goes before both.
    PLAIN_DIR: Key<PathBuf> =
        Key::global("plainDir", DIRECTORY).environment("PGGIT_OUTPUT").trusted().retired("output");

    /// A further store, or directory of plain files, that bytes of backups may be read from: a
    /// directory or a URL, and behind it the id of the store if only that store is meant. May be
    /// given several times, and all of them count, wherever they stand. A record that names another
    /// place is refused; see trust.md. `git pggit backup create` adds the place that its `--store`
    /// or `--output` names.
    PLACE: Key<KnownPlace> = Key::global("place", KNOWN_PLACE).several().trusted();

    /// How hard backups are compressed with zstd, from -7 (fastest) to 22 (smallest), or `none`. A
    /// database's own `compressionLevel` goes before it; the environment variable goes before both.
    COMPRESSION_LEVEL: Key<Compression> =
        Key::global("compressionLevel", LEVEL).default("3").environment("PGGIT_COMPRESSION_LEVEL");

    /// The git repository on this machine that the records of backups are kept in, instead of the
    /// one of the schema history. Commits, branches and `HEAD` are still those of the schema
    /// history; refs, notes, remotes and synchronisation are those of the other. `git pggit init
    /// --repository` sets it up. An empty value counts as unset.
    REPOSITORY: Key<Option<PathBuf>> =
        Key::global("repository", REPOSITORY_DIRECTORY).environment("PGGIT_REPOSITORY").trusted();

    /// Signs the commits of the ledger, with the keys and programs that git is configured to sign
    /// with (`gpg.format`, `user.signingKey`, ...). `true` signs always;
    /// `require` too, and refuses to write when no key is named by `user.signingKey`; `false` never
    /// signs. Without it, `commit.gpgSign` counts, as for git's own commits.
    SIGN: Key<String> =
        Key::global("sign", ValueForm::text(value::signing, "true, require or false").flag()).trusted();

    /// Commands that have written records share them at once, as `git pggit sync` does, with the
    /// remote that git would use. They ask for no password, and a remote that
    /// cannot be reached in 30 seconds is a warning: the next `sync` brings it up to date.
    SYNC: Key<bool> =
        Key::global("sync", ValueForm::text(value::on_write, "on-write or never")).default("never").trusted();

    /// The time zone of schedules. A database's own `timezone` goes before it.
    TIMEZONE: Key<Zone> = Key::global("timezone", ZONE).default("UTC");

    /// An address that messages about backups are posted to as JSON, such as the incoming webhook
    /// of a chat. May be given several times. It is a secret as far as it holds a token: it is
    /// never shown. A database's own `webhook` goes before it. See automation.md.
    WEBHOOK: Key<String> = Key::global("webhook", ADDRESS).several().trusted();

    /// A file whose first line is the key that messages are signed with, so that the receiver can
    /// tell who has sent them: header `X-Pggit-Signature`, HMAC-SHA256 of the body. Only you should
    /// be able to read it.
    WEBHOOK_SECRET_FILE: Key<PathBuf> = Key::global("webhookSecretFile", FILE).trusted();

    /// A program that is run for every message, with the message as JSON on its standard input, and
    /// its arguments. No shell reads it. May be given several times. A database's own
    /// `notifyCommand` goes before it.
    NOTIFY_COMMAND: Key<Vec<String>> = Key::global("notifyCommand", COMMAND).several().trusted();

    /// The events that messages are sent about: `success` (every completed backup), `failure` (a
    /// job that failed for good), `recovered` (the first backup after that), `missed` (one that
    /// should be there and is not), `verification` (a backup that cannot be relied on), with spaces
    /// between them; or `all`. A database's own `notifyOn` goes before it.
    NOTIFY_ON: Key<BTreeSet<Occasion>> =
        Key::global("notifyOn", OCCASIONS).default("failure recovered missed verification").retired("notify");

    /// The PostgreSQL database whose schema `pggit` keeps the queue of jobs, for workers on several
    /// machines: a `postgresql://` URL or a libpq connection string without a password. `git pggit
    /// queue init` sets it up. Without it, jobs are refs of the repository that has the records,
    /// for workers on this machine.
    QUEUE: Key<DatabaseUrl> = Key::global("queue", CONNECTION).environment("PGGIT_QUEUE").trusted();

    /// The name under which a worker takes jobs. Without it, the name of the machine and the
    /// process id. It is for people: two workers of one name do not get into each other's way.
    WORKER_ID: Key<Line> = Key::global("workerId", LINE).environment("PGGIT_WORKER_ID").trusted();

    /// How often a worker looks for jobs when nothing wakes it. New jobs do wake it.
    POLL_INTERVAL: Key<Duration> =
        Key::global("pollInterval", DURATION).default("10s").environment("PGGIT_POLL_INTERVAL");

    /// How long a worker may be silent before its jobs are given to others. It says that it is
    /// there three times as often.
    LEASE: Key<Duration> = Key::global("lease", DURATION).default("60s").trusted();

    /// How much a worker logs.
    LOG_LEVEL: Key<String> =
        Key::global("logLevel", ValueForm::text(value::log_level, "error, warn, info, debug or trace"))
            .default("info")
            .environment("PGGIT_LOG_LEVEL");

    /// The directory in which scratch clusters for restore tests are made. It needs room for the
    /// largest database that is tested, and a path short enough for a socket: at most 60 bytes.
    SCRATCH_DIR: Key<PathBuf> = Key::global("scratchDir", DIRECTORY)
        .default("/var/tmp")
        .environment("PGGIT_SCRATCH")
        .trusted()
        .retired("scratch");

    /// As whom scratch clusters run when `git pggit` is run by root: PostgreSQL refuses root, and
    /// what a backup brings along runs as this user. A user that owns a running server is refused.
    /// For other users than root it does not count.
    SCRATCH_USER: Key<String> = Key::global("scratchUser", USER).default("pggit-scratch").trusted();

    /// Where the database is: a `postgresql://user@host:port/dbname` URL or a libpq connection
    /// string such as `service=shop`. It must not contain a password: libpq finds that in
    /// `~/.pgpass`, in a service file or in `PGPASSWORD`. Parts that are left out come from libpq's
    /// own variables (`PGHOST`, `PGUSER`, ...). The environment variable overrides the URL of the
    /// database a command works on.
    URL: Key<DatabaseUrl> = Key::database("url", CONNECTION).environment("PGGIT_DATABASE_URL").trusted();

    /// The tool that makes the backups: one of those that are known, or one of your own, described
    /// by `pggit.tool.<tool>.backup` and its siblings. `auto` takes `pg_dump` while the database is
    /// smaller than `autoThreshold`, and `pg_basebackup`, which copies the whole cluster, from then
    /// on. `docs/tools.md` says what each needs.
    TOOL: Key<BackupTool> = Key::database("tool", BACKUP_TOOL).default("pg_dump");

    /// The type of backup that is made when `--type` is not given. Which ones there are depends on
    /// the tool; when there is nothing to build on, it is a full one.
    TYPE: Key<BackupType> =
        Key::database("type", ValueForm::parsed("full, differential, incremental or snapshot"))
            .default("full");

    /// The format `pg_dump` writes: `custom` and `directory` can be restored in part and in
    /// parallel, `plain` is an SQL script.
    FORMAT: Key<DumpFormat> =
        Key::database("format", ValueForm::parsed("custom, directory, tar or plain")).default("custom");

    /// How many tables are dumped at the same time. More than one needs the `directory` format.
    JOBS: Key<u16> = Key::database("jobs", COUNT);

    /// Dump only this schema. May be given several times. The values of one place replace those of
    /// a place that counts less. Without it, the whole database is backed up.
    SCHEMA: Key<String> = Key::database("schema", SCHEMA_NAME).several();

    /// Leave this schema out of dumps. May be given several times, as `schema`.
    EXCLUDE_SCHEMA: Key<String> = Key::database("excludeSchema", SCHEMA_NAME).several();

    /// Dump only this table: its name, or its schema and its name with a dot between them. What has
    /// a dot in its own name is put in double quotes. May be given several times, as `schema`, but
    /// not together with `schema`.
    TABLE: Key<TableName> = Key::database("table", TABLE_NAME).several();

    /// Leave this table out of dumps. It is written as that of `table`, and may be given several
    /// times.
    EXCLUDE_TABLE: Key<TableName> = Key::database("excludeTable", TABLE_NAME).several();

    /// From which size of the database on `pg_basebackup` makes its backups when the tool is
    /// `auto`. A number with a unit of 1024, as PostgreSQL writes them: `kB`, `MB`, `GB`, `TB`.
    AUTO_THRESHOLD: Key<u64> = Key::database("autoThreshold", SIZE).default("100GB").retired("autoSize");

    /// The checkpoint at the beginning of `pg_basebackup`: at once, or in the usual time of the server,
    /// which takes minutes and spares the disks.
    BASEBACKUP_CHECKPOINT: Key<Checkpoint> =
        Key::database("basebackupCheckpoint", ValueForm::parsed("fast or spread"))
            .default("fast")
            .retired("checkpoint");

    /// How fast `pg_basebackup` may read the cluster, in kB or MB a second: `500k`, `100M`. Without
    /// it, as fast as it can.
    BASEBACKUP_MAX_RATE: Key<u32> = Key::database("basebackupMaxRate", RATE).retired("maxRate");

    /// How the write-ahead log that a base backup needs comes along: at its end (`fetch`), which
    /// the server has to have kept by then (`wal_keep_size`), or while it is made (`stream`), over
    /// a second connection and with room on this machine for a copy of the cluster.
    BASEBACKUP_WAL: Key<WalMethod> =
        Key::database("basebackupWal", ValueForm::parsed("fetch or stream")).default("fetch").retired("wal");

    /// The store of this database, instead of `pggit.store`.
    DATABASE_STORE: Key<String> = Key::database("store", STORE_OR_NAME).trusted();

    /// A directory in which the backups of this database are kept as plain files, instead of
    /// `pggit.plainDir`.
    DATABASE_PLAIN_DIR: Key<PathBuf> = Key::database("plainDir", DIRECTORY).trusted().retired("output");

    /// How hard the backups of this database are compressed, instead of `pggit.compressionLevel`.
    DATABASE_COMPRESSION_LEVEL: Key<Compression> = Key::database("compressionLevel", LEVEL);

    /// Backs up roles and tablespaces, which are not part of a dump, with
    /// `pg_dumpall --globals-only`. `no-passwords` leaves the passwords of the roles out, and with
    /// them the need to be a superuser.
    GLOBALS: Key<Globals> =
        Key::database("globals", ValueForm::parsed("true, no-passwords or false").flag()).default("true");

    /// Keeps the schema of the database, as it was backed up, beside the record in git.
    RECORD_SCHEMA: Key<bool> = Key::database("recordSchema", BOOLEAN).default("true");

    /// Records with a dump the number of rows of each table, and a sum over them, for restore tests
    /// to compare. They are read in the same snapshot as the dump: every table is read once more.
    RECORD_ROW_COUNTS: Key<bool> =
        Key::database("recordRowCounts", BOOLEAN).default("false").retired("recordCounts");

    /// How often backups of this database are verified by `git pggit backup verify --due`:
    /// `restore-test every 7d` means that at least every seven days the newest backup is tested,
    /// and `checksum of all every 30d` that each backup that is kept is. The kinds are `checksum`,
    /// `integrity` and `restore-test`; the units `s`, `m`, `h`, `d` and `w`. May be given several
    /// times. The values of one place replace those of a place that counts less.
    VERIFY: Key<VerifyPolicy> = Key::database("verify", VERIFICATION).several();

    /// A query that is true in a database that was restored as it should be, such as `select
    /// count(*) > 1000 from orders`. Restore tests ask it in the scratch cluster, in a read-only
    /// transaction, as a role that may only read. May be given several times. The values of one
    /// place replace those of a place that counts less.
    ASSERTION: Key<String> = Key::database("assertion", QUERY).several().retired("assert");

    /// How long one restore test may take before it is stopped, without a verdict. One assertion
    /// may take a tenth of that.
    VERIFY_TIMEOUT: Key<Duration> = Key::database("verifyTimeout", DURATION).default("6h");

    /// The directory of the repository that has the migrations. A `*` stands for any text without a
    /// slash: `services/*/migrations`. May be given several times; all directories are then those of
    /// one tool. How many of the files differ between two commits is how far a backup of one is from
    /// the other. A restore to a later commit runs the `*.sql` files directly in it, and
    /// [refuses](recovery.md#what-is-refused) what else differs there, and several directories.
    MIGRATIONS: Key<String> = Key::database("migrations", TREE_PATTERN).several().default("migrations");

    /// The tool that runs the migrations, as in the table of [migrations.md](migrations.md#tools), if
    /// it is not to be detected by the files of the commit and the tables of the database.
    MIGRATION_TOOL: Key<Option<MigrationTool>> = Key::database("migrationTool", MIGRATION_TOOL_FORM).default("auto");

    /// What `backup create` does if the commit of the backup is doubtful: `warn`, or `require` to
    /// refuse. It is doubtful if nothing in the database says which commit it has, if the commit
    /// recorded in the database is another one, or if the applied migrations are not known to be
    /// those of the commit. See [migrations.md](migrations.md#the-commit-of-a-backup).
    COMMIT_CHECK: Key<CommitCheck> = Key::database("commitCheck", COMMIT_CHECK_FORM).default("warn");

    /// A program that brings a restored database from the commit of its backup to the one that is
    /// wanted, and its arguments, such as `sqlx migrate run`; instead of running the `*.sql` files
    /// of `migrations`. No shell reads it. It runs in a temporary worktree of the wanted commit,
    /// with `PG*` variables and `DATABASE_URL` (without the password) for the database,
    /// `PGGIT_COMMIT`, and `PGGIT_FROM_COMMIT` unless the database is empty; of the rest of the
    /// environment it sees only `PATH`, `HOME` and the like. See
    /// [recovery.md](recovery.md#migrations-by-a-program-of-your-own).
    MIGRATE_COMMAND: Key<Vec<String>> = Key::database("migrateCommand", COMMAND).trusted().retired("migrate");

    /// How long that program may take before it is stopped and nothing is left of what was
    /// restored.
    MIGRATE_TIMEOUT: Key<Duration> = Key::database("migrateTimeout", DURATION).default("6h");

    /// An SQL script in the repository that changes what nobody may see, such as `mask.sql`. It is
    /// run in copies that `git pggit with` and `git pggit checkout` make, as it is at their commit,
    /// before anybody can connect. Where the commit does not have it no copy is made.
    MASK_SCRIPT: Key<String> = Key::database("maskScript", TREE_PATH).trusted().retired("mask");

    /// How long one backup may take before it is stopped and recorded as failed. A number with a
    /// unit: `90s`, `30m`, `2h`, `1d`. Without it, there is no limit.
    TIMEOUT: Key<Duration> = Key::database("timeout", DURATION);

    /// When backups are made by themselves: `daily` (at 2:00), `weekly` (Sunday, 3:00), `monthly`
    /// (the 1st, 4:00), `quarterly` (5:00), `hybrid tool=...` (a dump every night, and a copy of
    /// the server with that tool every Sunday), or five fields of cron such as `30 2 * * mon-fri`.
    /// Behind it may stand `tool=...` and `type=...`, if they are not those of the database, and
    /// `jitter=...`: up to so much later, by an amount that is always the same for a database, and
    /// at most `1d`. Without it, it is 30m for the words and 0 for cron. May be given several
    /// times. The worker runs it; see automation.md.
    SCHEDULE: Key<Schedule> = Key::database("schedule", SCHEDULES).several();

    /// The time zone of the schedules of this database, instead of `pggit.timezone`.
    DATABASE_TIMEZONE: Key<Zone> = Key::database("timezone", ZONE);

    /// How long after its time on the schedule a backup counts as missed if it is not complete.
    MISSED_AFTER: Key<Duration> = Key::database("missedAfter", DURATION).default("6h");

    /// The branches whose moves are followed by a backup: `main release/*`. A `*` does not match a
    /// slash, `**` does, `!` in front takes away. Needs the hooks of `git pggit hooks install`, or
    /// a worker. May be given several times.
    ON_MERGE: Key<BranchPatterns> = Key::database("onMerge", BRANCHES).several();

    /// The files that count as schema, as patterns of a `.gitignore`. A move of a branch that
    /// changes none of them is not followed by a backup; `*` means all. A restore to another commit
    /// names those outside of `migrations` that differ. May be given several times.
    SCHEMA_PATHS: Key<PathPatterns> =
        Key::database("schemaPaths", PATHS).several().default("*.sql migrations/ migrate/ alembic/");

    /// The tool of the backups that follow moves of branches, if it is not that of the database.
    ON_MERGE_TOOL: Key<BackupTool> = Key::database("onMergeTool", BACKUP_TOOL);

    /// The type of the backups that follow moves of branches, if it is not that of the database.
    ON_MERGE_TYPE: Key<BackupType> =
        Key::database("onMergeType", ValueForm::parsed("full, incremental, differential or snapshot"));

    /// The priority of the backups that follow moves of branches: higher ones come first. Scheduled
    /// ones have 0.
    ON_MERGE_PRIORITY: Key<i16> = Key::database("onMergePriority", PRIORITY).default("10");

    /// An address that messages about this database are posted to, instead of `pggit.webhook`.
    DATABASE_WEBHOOK: Key<String> = Key::database("webhook", ADDRESS).several().trusted();

    /// The file with the key that messages about this database are signed with, instead of
    /// `pggit.webhookSecretFile`.
    DATABASE_WEBHOOK_SECRET_FILE: Key<PathBuf> = Key::database("webhookSecretFile", FILE).trusted();

    /// A program that is run for every message about this database, instead of
    /// `pggit.notifyCommand`.
    DATABASE_NOTIFY_COMMAND: Key<Vec<String>> = Key::database("notifyCommand", COMMAND).several().trusted();

    /// The events of this database that messages are sent about, instead of `pggit.notifyOn`.
    DATABASE_NOTIFY_ON: Key<BTreeSet<Occasion>> = Key::database("notifyOn", OCCASIONS).retired("notify");

    /// An address that is called (GET) whenever a backup of this database has been completed: a
    /// service that expects the call raises the alarm when it stays away, whatever the reason. It
    /// is a secret as far as it holds a token: it is never shown.
    HEARTBEAT: Key<String> = Key::database("heartbeat", ADDRESS).trusted();

    /// How often a worker tries to make a backup before the job has failed for good.
    MAX_ATTEMPTS: Key<u16> = Key::database("maxAttempts", COUNT).default("5");

    /// How long a worker waits after the first attempt that failed. The wait doubles after each
    /// further one, and is shortened by up to a quarter at random.
    RETRY_DELAY: Key<Duration> = Key::database("retryDelay", DURATION).default("30s");

    /// The longest wait between two attempts.
    RETRY_DELAY_MAX: Key<Duration> = Key::database("retryDelayMax", DURATION).default("1h");

    /// The stanza of this database in pgBackRest.
    PGBACKREST_STANZA: Key<String> =
        Key::database("pgbackrestStanza", PLAIN_NAME).trusted().retired("stanza");

    /// The number of the pgBackRest repository that backups of this database go to. Without it,
    /// they go to the first one, and backups in all of them are known.
    PGBACKREST_REPO: Key<u32> = Key::database("pgbackrestRepo", NUMBER).trusted().retired("repo");

    /// The configuration file of pgBackRest. Without it, pgBackRest looks in its own places.
    PGBACKREST_CONFIG: Key<PathBuf> = Key::database("pgbackrestConfig", FILE).trusted();

    /// The program `pgbackrest`. Without it, it is looked for in `PATH`.
    PGBACKREST_PATH: Key<PathBuf> = Key::database("pgbackrestPath", FILE).trusted().retired("pgbackrest");

    /// The name of this database's server in Barman.
    BARMAN_SERVER: Key<String> = Key::database("barmanServer", PLAIN_NAME).trusted();

    /// The configuration file of Barman. Without it, Barman looks in its own places.
    BARMAN_CONFIG: Key<PathBuf> = Key::database("barmanConfig", FILE).trusted();

    /// The program `barman`. Without it, it is looked for in `PATH`.
    BARMAN_PATH: Key<PathBuf> = Key::database("barmanPath", FILE).trusted().retired("barman");

    /// The user of this machine that pgBackRest, Barman or a tool of your own is run as, such as
    /// `postgres`. It takes root to run a program as somebody else. Without it, it runs as who runs
    /// `git pggit`.
    TOOL_USER: Key<String> = Key::database("toolUser", PLAIN_NAME).trusted();

    /// The command that makes a backup with this tool: a program and its arguments. They are split
    /// into words as a shell splits them, and no shell ever sees them. `docs/custom-tools.md` has its
    /// input and output.
    TOOL_BACKUP: Key<Vec<String>> = Key::tool("backup", COMMAND);

    /// The command that restores a backup of this tool.
    TOOL_RESTORE: Key<Vec<String>> = Key::tool("restore", COMMAND);

    /// The command that verifies the bytes of a backup of this tool.
    TOOL_VERIFY: Key<Vec<String>> = Key::tool("verify", COMMAND);

    /// The command that removes a backup of this tool.
    TOOL_DELETE: Key<Vec<String>> = Key::tool("delete", COMMAND);

    /// The command that lists the backups of this tool.
    TOOL_LIST: Key<Vec<String>> = Key::tool("list", COMMAND);

    /// The place of the store with this name: a directory, or a URL as in `pggit.store`. The name
    /// stands for it in `pggit.store`, `pggit.<database>.store` and `--store`.
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
