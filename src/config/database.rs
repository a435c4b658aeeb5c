//! The configuration of one database.

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
use crate::migrations::{CommitCheck, Tool as MigrationTool};

/// The settings of one database, each with its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseConfig {
    /// The name of the database.
    pub name: DatabaseName,
    /// The connection; `None` leaves it to the environment variables of libpq.
    pub url: Option<Setting<DatabaseUrl>>,
    /// The backup tool.
    pub tool: Setting<BackupTool>,
    /// The default type of backups.
    pub backup_type: Setting<BackupType>,
    /// The options of dumps.
    pub dump: DumpOptions,
    /// The size in bytes from which the tool `auto` uses pg_basebackup.
    pub auto_size: Setting<u64>,
    /// The checkpoint at the begin of a physical backup.
    pub checkpoint: Setting<Checkpoint>,
    /// The maximum rate of a physical backup, in KiB per second.
    pub max_rate: Option<Setting<u32>>,
    /// The method that includes the WAL in a physical backup.
    pub wal: Setting<WalMethod>,
    /// The store of the backups.
    pub store: Option<Setting<String>>,
    /// The directory for backups as plain files, instead of a store.
    pub output: Option<Setting<PathBuf>>,
    /// The compression of the backups.
    pub compression: Setting<Compression>,
    /// True if the schema is stored with the record.
    pub record_schema: Setting<bool>,
    /// True if rows are counted, so that restore tests can compare them.
    pub record_counts: Setting<bool>,
    /// The policies for verifications.
    pub verify: Vec<Setting<VerifyPolicy>>,
    /// Queries that return true in a correctly restored database.
    pub assertions: Vec<Setting<String>>,
    /// The time limit of one verification.
    pub verify_timeout: Setting<Duration>,
    /// The directories of the migrations, in the tree of the schema history. A `*` stands for any text
    /// without a slash.
    pub migrations: Vec<Setting<String>>,
    /// The tool of the migrations; `None` if it is detected.
    pub migration_tool: Setting<Option<MigrationTool>>,
    /// The use of warnings about the commit of a backup.
    pub commit_check: Setting<CommitCheck>,
    /// The program that runs the migrations, with its arguments.
    pub migrate: Option<Setting<Vec<String>>>,
    /// The time limit of the migrations.
    pub migrate_timeout: Setting<Duration>,
    /// The script that masks clones, in the tree of the schema history.
    pub mask: Option<Setting<String>>,
    /// The time limit of one backup.
    pub timeout: Option<Setting<Duration>>,
    /// The stanza of pgBackRest.
    pub stanza: Option<Setting<String>>,
    /// The number of the repository of pgBackRest.
    pub repo: Option<Setting<u32>>,
    /// The configuration file of pgBackRest.
    pub pgbackrest_config: Option<Setting<PathBuf>>,
    /// The path of the pgBackRest program.
    pub pgbackrest: Option<Setting<PathBuf>>,
    /// The server name of Barman.
    pub barman_server: Option<Setting<String>>,
    /// The configuration file of Barman.
    pub barman_config: Option<Setting<PathBuf>>,
    /// The path of the Barman program.
    pub barman: Option<Setting<PathBuf>>,
    /// The user that the backup tools run as.
    pub tool_user: Option<Setting<String>>,
}

/// The commands of a custom tool, each as a program with its arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CustomTool {
    /// The command that makes a backup.
    pub backup: Option<Vec<String>>,
    /// The command that restores a backup.
    pub restore: Option<Vec<String>>,
    /// The command that verifies a backup.
    pub verify: Option<Vec<String>>,
    /// The command that deletes a backup.
    pub delete: Option<Vec<String>>,
    /// The command that lists the backups.
    pub list: Option<Vec<String>>,
}

impl DatabaseConfig {
    /// Returns the directory of the migrations; `None` if there may be several.
    pub fn migrations_directory(&self) -> Option<&str> {
        match self.migrations.as_slice() {
            [Setting { value, .. }] if !value.contains('*') => Some(value),
            _ => None,
        }
    }
}

impl Config {
    /// Returns the settings of `name`. For a database that is not configured these are the defaults.
    /// `PGGIT_DATABASE_URL` is ignored, see [`Config::selected`].
    ///
    /// # Errors
    /// Fails if a value is not valid.
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
            migrations: settings.all_or_default(&keys::MIGRATIONS)?,
            migration_tool: settings.get(&keys::MIGRATION_TOOL)?,
            commit_check: settings.get(&keys::COMMIT_CHECK)?,
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

    /// Returns the settings of the database of a command: `explicit`, or else the default one (see
    /// [`Config::default_database`]). The URL of the environment takes precedence.
    ///
    /// # Errors
    /// Fails if there is no such database or a value is not valid.
    pub fn selected(&self, explicit: Option<&str>) -> Result<DatabaseConfig, Error> {
        let name = self.default_database(explicit)?;
        let mut database = self.database(&name)?;
        if let Some(raw) = self.url_of_environment() {
            database.url = Some(self.read(&keys::URL, &raw)?);
        }
        Ok(database)
    }

    /// Returns the commands of the custom tool `name`. Fails if a value is not valid.
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

    /// Returns the directory of PostgreSQL's client programs. Fails if the value is not valid.
    pub fn pgbin(&self) -> Result<Option<Setting<PathBuf>>, Error> {
        self.general().find(&keys::PG_BIN_DIR)
    }

    /// Returns the directory of scratch clusters. Fails if the value is not valid.
    pub fn scratch(&self) -> Result<PathBuf, Error> {
        Ok(self.general().get(&keys::SCRATCH_DIR)?.value)
    }

    /// Returns the user of scratch clusters if this process runs as root. Fails if the value is not
    /// valid.
    pub fn scratch_user(&self) -> Result<Option<Setting<String>>, Error> {
        self.general().find(&keys::SCRATCH_USER)
    }

    /// Returns the location of the store `name`, if it is configured. Fails if the value is not valid.
    pub fn named_store(&self, name: &str) -> Result<Option<Setting<String>>, Error> {
        self.of_store(name).find(&keys::STORE_URL)
    }

    /// Returns the store for commands without a database. Fails if the value is not valid or the name
    /// is unknown.
    pub fn store(&self) -> Result<Option<Setting<String>>, Error> {
        self.store_of(&self.general(), &keys::STORE)
    }

    /// Returns the location of the store. A name refers to `pggit.store.<name>.url`. Fails if the name
    /// is unknown.
    fn store_of(&self, settings: &Lookup<'_>, key: &Key<String>) -> Result<Option<Setting<String>>, Error> {
        match settings.find(key)? {
            Some(Setting { value: name, origin }) if is_store_name(&name) => {
                let found = self.named_store(&name)?;
                found.map(Some).ok_or(Error::NoStore { name, origin })
            }
            other => Ok(other),
        }
    }

    /// Returns the directory of plain files for commands without a database. Fails if the value is not
    /// valid.
    pub fn output(&self) -> Result<Option<Setting<PathBuf>>, Error> {
        self.general().find(&keys::PLAIN_DIR)
    }

    /// Returns further locations of backups, from all configuration scopes. Fails if a value is not
    /// valid.
    pub fn places(&self) -> Result<Vec<KnownPlace>, Error> {
        let raw = self.everywhere(&keys::PLACE);
        raw.iter().map(|raw| Ok(self.read(&keys::PLACE, raw)?.value)).collect()
    }

    /// Returns the file with the identities that decrypt encrypted stores. Fails if the value is not
    /// valid.
    pub fn store_identity(&self) -> Result<Option<Setting<PathBuf>>, Error> {
        self.general().find(&keys::STORE_IDENTITY)
    }

    /// Returns the file with the passphrase that decrypts encrypted stores. Fails if the value is not
    /// valid.
    pub fn store_passphrase_file(&self) -> Result<Option<Setting<PathBuf>>, Error> {
        self.general().find(&keys::STORE_PASSPHRASE_FILE)
    }

    /// Returns the repository of the ledger; `None` if it is the repository of the schema history.
    /// `top` is the top directory of the latter. Fails if the value is not valid.
    pub fn repository(&self, top: &Path) -> Result<Option<Setting<PathBuf>>, Error> {
        let set = self.general().find(&keys::REPOSITORY)?;
        let at_top =
            |set: Setting<Option<PathBuf>>| Some(Setting { value: top.join(set.value?), origin: set.origin });
        Ok(set.and_then(at_top))
    }

    /// Returns true if new records are pushed to the remote at once. Fails if the value is not valid.
    pub fn syncs_on_write(&self) -> Result<bool, Error> {
        Ok(self.general().get(&keys::SYNC)?.value)
    }
}
