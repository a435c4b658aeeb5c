//! What is configured for one database.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::origin::{Origin, Setting};
use super::resolve::Raw;
use super::url::DatabaseUrl;
use super::value::{self, KnownPlace, Refused, Tool};
use super::{Config, Error, Key, Reach, keys};
use crate::domain::{
    BackupType, Checkpoint, Compression, DatabaseName, DumpOptions, VerifyPolicy, WalMethod,
};

/// The settings of one database, each with the place it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseConfig {
    /// Its name.
    pub name: DatabaseName,
    /// Where it is; `None` leaves that to libpq's own variables.
    pub url: Option<Setting<DatabaseUrl>>,
    /// The tool that makes its backups.
    pub tool: Setting<Tool>,
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
        let lookup = Lookup { config: self, database: Some(name) };
        Ok(DatabaseConfig {
            url: lookup.one("url", |text| DatabaseUrl::parse(text).map_err(Refused::Url))?,
            tool: lookup.or_default("tool", by_word)?,
            backup_type: lookup.or_default("type", by_word)?,
            dump: lookup.dump_options()?,
            auto_size: lookup.or_default("autoThreshold", |text| value::size(text).ok_or(Refused::Form))?,
            checkpoint: lookup.or_default("basebackupCheckpoint", by_word)?,
            max_rate: lookup.one("basebackupMaxRate", |text| value::rate(text).ok_or(Refused::Form))?,
            wal: lookup.or_default("basebackupWal", by_word)?,
            store: lookup.store()?,
            output: lookup.directory("plainDir")?,
            compression: lookup.or_default("compressionLevel", by_word)?,
            record_schema: lookup.or_default("recordSchema", |t| value::boolean(t).ok_or(Refused::Form))?,
            record_counts: lookup
                .or_default("recordRowCounts", |t| value::boolean(t).ok_or(Refused::Form))?,
            verify: lookup.all("verify", |text| VerifyPolicy::parse(text).ok_or(Refused::Form))?,
            assertions: lookup.all("assertion", |text| value::query(text).ok_or(Refused::Form))?,
            verify_timeout: lookup.or_default("verifyTimeout", value::duration)?,
            migrations: lookup.or_default("migrations", |t| value::tree_path(t).ok_or(Refused::Form))?,
            migrate: lookup.one("migrateCommand", |text| value::command(text).ok_or(Refused::Form))?,
            migrate_timeout: lookup.or_default("migrateTimeout", value::duration)?,
            mask: lookup.one("maskScript", |text| value::tree_path(text).ok_or(Refused::Form))?,
            timeout: lookup.one("timeout", value::duration)?,
            stanza: lookup.one("pgbackrestStanza", |text| value::word(text).ok_or(Refused::Form))?,
            repo: lookup.one("pgbackrestRepo", |text| value::number(text).ok_or(Refused::Form))?,
            pgbackrest_config: lookup.directory("pgbackrestConfig")?,
            pgbackrest: lookup.directory("pgbackrestPath")?,
            barman_server: lookup.one("barmanServer", |text| value::word(text).ok_or(Refused::Form))?,
            barman_config: lookup.directory("barmanConfig")?,
            barman: lookup.directory("barmanPath")?,
            tool_user: lookup.one("toolUser", |text| value::word(text).ok_or(Refused::Form))?,
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
            let url = parse(url_key(), &raw, |text| DatabaseUrl::parse(text).map_err(Refused::Url))?;
            database.url = Some(url);
        }
        Ok(database)
    }

    /// The commands of the user's own tool `name`.
    pub fn custom_tool(&self, name: &str) -> Result<CustomTool, Error> {
        let one = |key: &str| {
            let key = keys::find(Reach::Tool, key).expect("only keys of the table are looked up");
            let raw = self.of_tool(key, name).pop();
            let read = |text: &str| value::command(text).ok_or(Refused::Form);
            raw.map(|raw| parse(key, &raw, read))
                .transpose()
                .map(|setting| setting.map(|setting| setting.value))
        };
        Ok(CustomTool {
            backup: one("backup")?,
            restore: one("restore")?,
            verify: one("verify")?,
            delete: one("delete")?,
            list: one("list")?,
        })
    }

    /// The directory of PostgreSQL's client programs.
    pub fn pgbin(&self) -> Result<Option<Setting<PathBuf>>, Error> {
        Lookup { config: self, database: None }.directory("pgBinDir")
    }

    /// The directory of scratch clusters.
    pub fn scratch(&self) -> Result<PathBuf, Error> {
        let set = Lookup { config: self, database: None }.directory("scratchDir")?;
        let default =
            || keys::find(Reach::Global, "scratchDir").and_then(|key| key.default).unwrap_or("/var/tmp");
        Ok(set.map_or_else(|| default().into(), |setting| setting.value))
    }

    /// As whom scratch clusters run when we are root.
    pub fn scratch_user(&self) -> Result<Option<Setting<String>>, Error> {
        Lookup { config: self, database: None }
            .one("scratchUser", |text| value::user(text).ok_or(Refused::Form))
    }

    /// The place of the store with a name, if it is configured.
    pub fn named_store(&self, name: &str) -> Result<Option<Setting<String>>, Error> {
        let key = keys::find(Reach::Store, "url").expect("only keys of the table are looked up");
        let read = |text: &str| value::store(text).ok_or(Refused::Form);
        self.of_store(key, name).pop().map(|raw| parse(key, &raw, read)).transpose()
    }

    /// The store that is used when no database is meant.
    pub fn store(&self) -> Result<Option<Setting<String>>, Error> {
        Lookup { config: self, database: None }.store()
    }

    /// The directory of plain files that is used when no database is given.
    pub fn output(&self) -> Result<Option<Setting<PathBuf>>, Error> {
        Lookup { config: self, database: None }.directory("plainDir")
    }

    /// Further places of bytes, from all configuration scopes.
    pub fn places(&self) -> Result<Vec<KnownPlace>, Error> {
        let key = keys::find(Reach::Global, "place").expect("only keys of the table are looked up");
        let read = |text: &str| value::place(text).ok_or(Refused::Form);
        self.everywhere(key).iter().map(|raw| parse(key, raw, read).map(|setting| setting.value)).collect()
    }

    /// The file with the identities that open encrypted stores.
    pub fn store_identity(&self) -> Result<Option<Setting<PathBuf>>, Error> {
        Lookup { config: self, database: None }.directory("storeIdentity")
    }

    /// The file with the passphrase that opens them.
    pub fn store_passphrase_file(&self) -> Result<Option<Setting<PathBuf>>, Error> {
        Lookup { config: self, database: None }.directory("storePassphraseFile")
    }

    /// The repository of the ledger, when it is not that of the schema history,
    /// whose top is `top`.
    pub fn repository(&self, top: &Path) -> Result<Option<Setting<PathBuf>>, Error> {
        let lookup = Lookup { config: self, database: None };
        let (key, home) = (lookup.key("repository"), self.environment.get("HOME"));
        let Some(raw) = self.resolve(None, "repository").pop() else { return Ok(None) };
        let read = raw.value.and_then(|value| value::repository(value, home, top));
        let directory = read.ok_or_else(|| raw.refused(key.kind, Refused::Form))?;
        Ok(directory.map(|value| Setting { value, origin: raw.origin.clone() }))
    }

    /// Whether what is recorded is shared with the remote at once.
    pub fn syncs_on_write(&self) -> Result<bool, Error> {
        let sync = Lookup { config: self, database: None }.one("sync", |text| Ok(text == "on-write"))?;
        Ok(sync.is_some_and(|sync| sync.value))
    }

    pub(super) fn url_of_environment(&self) -> Option<Raw<'_>> {
        self.given(url_key())
    }
}

fn url_key() -> &'static Key {
    keys::find(Reach::Database, "url").expect("the table has a key for the URL")
}

pub(super) fn by_word<T: std::str::FromStr>(text: &str) -> Result<T, Refused> {
    text.parse().map_err(|_| Refused::Form)
}

/// Turns `raw` into a value with `read`; a key without `=` reads as `true`.
fn parse<T>(
    key: &Key,
    raw: &Raw<'_>,
    read: impl Fn(&str) -> Result<T, Refused>,
) -> Result<Setting<T>, Error> {
    let text = match raw.value {
        Some(value) => value.to_str(),
        None => value::check(key.kind, None, None).ok().map(|()| "true"),
    };
    let value = text.ok_or(Refused::Form).and_then(read).map_err(|refused| raw.refused(key.kind, refused))?;
    Ok(Setting { value, origin: raw.origin.clone() })
}

pub(super) struct Lookup<'a> {
    pub(super) config: &'a Config,
    pub(super) database: Option<&'a DatabaseName>,
}

impl Lookup<'_> {
    /// The place of the store; a name stands for `pggit.store.<name>.url`.
    fn store(&self) -> Result<Option<Setting<String>>, Error> {
        let read = |text: &str| match value::is_store_name(text) {
            true => Ok(text.to_owned()),
            false => value::store(text).ok_or(Refused::Form),
        };
        match self.one("store", read)? {
            Some(Setting { value: name, origin }) if value::is_store_name(&name) => {
                let found = self.config.named_store(&name)?;
                found.map(Some).ok_or(Error::NoStore { name, origin })
            }
            other => Ok(other),
        }
    }

    fn key(&self, name: &str) -> &'static Key {
        let own = self.database.and_then(|_| keys::find(Reach::Database, name));
        own.or_else(|| keys::find(Reach::Global, name)).expect("only keys of the table are looked up")
    }

    pub(super) fn all<T>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<T, Refused>,
    ) -> Result<Vec<Setting<T>>, Error> {
        let key = self.key(name);
        self.config.resolve(self.database, name).iter().map(|raw| parse(key, raw, &read)).collect()
    }

    pub(super) fn one<T>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<T, Refused>,
    ) -> Result<Option<Setting<T>>, Error> {
        Ok(self.all(name, read)?.pop())
    }

    pub(super) fn or_default<T>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<T, Refused>,
    ) -> Result<Setting<T>, Error> {
        if let Some(setting) = self.one(name, &read)? {
            return Ok(setting);
        }
        let default = self.key(name).default.or_else(|| keys::find(Reach::Global, name)?.default);
        let value =
            default.and_then(|text| read(text).ok()).expect("a key read this way has a valid default");
        Ok(Setting { value, origin: Origin::Default })
    }

    pub(super) fn directory(&self, name: &str) -> Result<Option<Setting<PathBuf>>, Error> {
        let key = self.key(name);
        let home = self.config.environment.get("HOME");
        let Some(raw) = self.config.resolve(self.database, name).pop() else { return Ok(None) };
        match raw.value.and_then(|value| value::directory(value, home)) {
            Some(value) => Ok(Some(Setting { value, origin: raw.origin })),
            None => Err(raw.refused(key.kind, Refused::Form)),
        }
    }
}
