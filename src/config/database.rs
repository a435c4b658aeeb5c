//! What is configured for one database.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::lookup::Lookup;
use super::origin::Setting;
use super::url::DatabaseUrl;
use super::value::{KnownPlace, is_store_name};
use super::{Config, Error, Key, keys};
use crate::domain::{
    BackupTool, BackupType, Checkpoint, Compression, DatabaseName, DumpOptions, VerifyPolicy, WalMethod,
};

/// The settings of one database, each with the place it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseConfig {
    /// Its name.
    pub name: DatabaseName,
    /// Where it is; `None` leaves that to libpq's own variables.
    pub url: Option<Setting<DatabaseUrl>>,
    /// The tool that makes its backups.
    pub tool: Setting<BackupTool>,
    /// The type of backup that is made by default.
    pub backup_type: Setting<BackupType>,
    /// The options of its dumps.
    pub dump: DumpOptions,
    /// From which size on the tool `auto` copies the cluster, in bytes.
    pub auto_size: Setting<u64>,
    /// How a copy of the cluster begins.
    pub checkpoint: Setting<Checkpoint>,
    /// How fast it may be, in KiB a second.
    pub max_rate: Option<Setting<u32>>,
    /// How the write-ahead log comes along.
    pub wal: Setting<WalMethod>,
    /// The store that keeps its backups.
    pub store: Option<Setting<String>>,
    /// Where its backups are kept as plain files instead.
    pub output: Option<Setting<PathBuf>>,
    /// How hard they are compressed.
    pub compression: Setting<Compression>,
    /// Whether the schema is kept beside the record.
    pub record_schema: Setting<bool>,
    /// Whether rows are counted for restore tests to compare.
    pub record_counts: Setting<bool>,
    /// How often its backups are verified.
    pub verify: Vec<Setting<VerifyPolicy>>,
    /// Queries that are true in a database that was restored as it should be.
    pub assertions: Vec<Setting<String>>,
    /// How long one verification may take.
    pub verify_timeout: Setting<Duration>,
    /// The directory of its migrations, in the tree of the schema history.
    pub migrations: Setting<String>,
    /// The program that runs them, as words.
    pub migrate: Option<Setting<Vec<String>>>,
    /// How long it may take.
    pub migrate_timeout: Setting<Duration>,
    /// The script that masks copies, in the tree of the schema history.
    pub mask: Option<Setting<String>>,
    /// How long one backup may take.
    pub timeout: Option<Setting<Duration>>,
    /// The stanza in pgBackRest.
    pub stanza: Option<Setting<String>>,
    /// The number of the repository of pgBackRest.
    pub repo: Option<Setting<u32>>,
    /// The configuration file of pgBackRest.
    pub pgbackrest_config: Option<Setting<PathBuf>>,
    /// The program of pgBackRest.
    pub pgbackrest: Option<Setting<PathBuf>>,
    /// The server in Barman.
    pub barman_server: Option<Setting<String>>,
    /// The configuration file of Barman.
    pub barman_config: Option<Setting<PathBuf>>,
    /// The program of Barman.
    pub barman: Option<Setting<PathBuf>>,
    /// Whom these tools run as.
    pub tool_user: Option<Setting<String>>,
}

/// The commands of a tool of one's own, each as words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CustomTool {
    /// Makes a backup.
    pub backup: Option<Vec<String>>,
    /// Brings one back.
    pub restore: Option<Vec<String>>,
    /// Proves one.
    pub verify: Option<Vec<String>>,
    /// Removes one.
    pub delete: Option<Vec<String>>,
    /// Lists what there is.
    pub list: Option<Vec<String>>,
}

impl Config {
    /// The settings of `name`, which need not be configured: then they are the
    /// defaults. `PGGIT_DATABASE_URL` is not looked at, see [`Config::selected`].
    pub fn database(&self, name: &DatabaseName) -> Result<DatabaseConfig, Error> {
        let settings = self.of(name);
        Ok(DatabaseConfig {
            url: settings.find(&keys::URL)?,
            tool: settings.get(&keys::TOOL)?,
            backup_type: settings.get(&keys::TYPE)?,
            dump: settings.dump_options()?,
            auto_size: settings.get(&keys::AUTO_THRESHOLD)?,
            checkpoint: settings.get(&keys::BASEBACKUP_CHECKPOINT)?,
            max_rate: settings.find(&keys::BASEBACKUP_MAX_RATE)?,
            wal: settings.get(&keys::BASEBACKUP_WAL)?,
            store: self.store_of(&settings, &keys::DATABASE_STORE)?,
            output: settings.find(&keys::DATABASE_PLAIN_DIR)?,
            compression: settings.get(&keys::DATABASE_COMPRESSION_LEVEL)?,
            record_schema: settings.get(&keys::RECORD_SCHEMA)?,
            record_counts: settings.get(&keys::RECORD_ROW_COUNTS)?,
            verify: settings.all(&keys::VERIFY)?,
            assertions: settings.all(&keys::ASSERTION)?,
            verify_timeout: settings.get(&keys::VERIFY_TIMEOUT)?,
            migrations: settings.get(&keys::MIGRATIONS)?,
            migrate: settings.find(&keys::MIGRATE_COMMAND)?,
            migrate_timeout: settings.get(&keys::MIGRATE_TIMEOUT)?,
            mask: settings.find(&keys::MASK_SCRIPT)?,
            timeout: settings.find(&keys::TIMEOUT)?,
            stanza: settings.find(&keys::PGBACKREST_STANZA)?,
            repo: settings.find(&keys::PGBACKREST_REPO)?,
            pgbackrest_config: settings.find(&keys::PGBACKREST_CONFIG)?,
            pgbackrest: settings.find(&keys::PGBACKREST_PATH)?,
            barman_server: settings.find(&keys::BARMAN_SERVER)?,
            barman_config: settings.find(&keys::BARMAN_CONFIG)?,
            barman: settings.find(&keys::BARMAN_PATH)?,
            tool_user: settings.find(&keys::TOOL_USER)?,
            name: name.clone(),
        })
    }

    /// The settings of the database a command works on: the one it was given,
    /// else the default one (see [`Config::default_database`]), with the URL of
    /// the environment if there is one.
    pub fn selected(&self, explicit: Option<&str>) -> Result<DatabaseConfig, Error> {
        let name = self.default_database(explicit)?;
        let mut database = self.database(&name)?;
        if let Some(raw) = self.url_of_environment() {
            database.url = Some(self.read(&keys::URL, &raw)?);
        }
        Ok(database)
    }

    /// The commands of the user's own tool `name`.
    pub fn custom_tool(&self, name: &str) -> Result<CustomTool, Error> {
        let settings = self.of_tool(name);
        let command = |key| Ok(settings.find(key)?.map(|setting| setting.value));
        Ok(CustomTool {
            backup: command(&keys::TOOL_BACKUP)?,
            restore: command(&keys::TOOL_RESTORE)?,
            verify: command(&keys::TOOL_VERIFY)?,
            delete: command(&keys::TOOL_DELETE)?,
            list: command(&keys::TOOL_LIST)?,
        })
    }

    /// The directory of PostgreSQL's client programs.
    pub fn pgbin(&self) -> Result<Option<Setting<PathBuf>>, Error> {
        self.general().find(&keys::PG_BIN_DIR)
    }

    /// The directory of scratch clusters.
    pub fn scratch(&self) -> Result<PathBuf, Error> {
        Ok(self.general().get(&keys::SCRATCH_DIR)?.value)
    }

    /// As whom scratch clusters run when we are root.
    pub fn scratch_user(&self) -> Result<Option<Setting<String>>, Error> {
        self.general().find(&keys::SCRATCH_USER)
    }

    /// The place of the store with a name, if it is configured.
    pub fn named_store(&self, name: &str) -> Result<Option<Setting<String>>, Error> {
        self.of_store(name).find(&keys::STORE_URL)
    }

    /// The store that is used when no database is meant.
    pub fn store(&self) -> Result<Option<Setting<String>>, Error> {
        self.store_of(&self.general(), &keys::STORE)
    }

    /// The place of the store; a name stands for `pggit.store.<name>.url`.
    fn store_of(&self, settings: &Lookup<'_>, key: &Key<String>) -> Result<Option<Setting<String>>, Error> {
        match settings.find(key)? {
            Some(Setting { value: name, origin }) if is_store_name(&name) => {
                let found = self.named_store(&name)?;
                found.map(Some).ok_or(Error::NoStore { name, origin })
            }
            other => Ok(other),
        }
    }

    /// The directory of plain files that is used when no database is given.
    pub fn output(&self) -> Result<Option<Setting<PathBuf>>, Error> {
        self.general().find(&keys::PLAIN_DIR)
    }

    /// Further places of bytes, from all configuration scopes.
    pub fn places(&self) -> Result<Vec<KnownPlace>, Error> {
        let raw = self.everywhere(&keys::PLACE);
        raw.iter().map(|raw| Ok(self.read(&keys::PLACE, raw)?.value)).collect()
    }

    /// The file with the identities that open encrypted stores.
    pub fn store_identity(&self) -> Result<Option<Setting<PathBuf>>, Error> {
        self.general().find(&keys::STORE_IDENTITY)
    }

    /// The file with the passphrase that opens them.
    pub fn store_passphrase_file(&self) -> Result<Option<Setting<PathBuf>>, Error> {
        self.general().find(&keys::STORE_PASSPHRASE_FILE)
    }

    /// The repository of the ledger, when it is not that of the schema history,
    /// whose top is `top`.
    pub fn repository(&self, top: &Path) -> Result<Option<Setting<PathBuf>>, Error> {
        let set = self.general().find(&keys::REPOSITORY)?;
        let at_top =
            |set: Setting<Option<PathBuf>>| Some(Setting { value: top.join(set.value?), origin: set.origin });
        Ok(set.and_then(at_top))
    }

    /// Whether what is recorded is shared with the remote at once.
    pub fn syncs_on_write(&self) -> Result<bool, Error> {
        Ok(self.general().get(&keys::SYNC)?.value)
    }
}
