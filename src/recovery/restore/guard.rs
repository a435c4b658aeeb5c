//! The rules of a guarded migration. No other session may write, and the backup has to contain the
//! state before the migration. A failed migration is rolled back: the restored backup replaces the
//! database.

use super::Refusal;
use super::record::{RestoreFacts, location_of_database, record};
use crate::config::{DatabaseConfig, Origin, Setting, Tool};
use crate::domain::{BackupType, DumpOptions, Line, RestoreMode, Status, VerificationStatus};
use crate::ledger::{Entry, Filter};
use crate::pg::{Client, ConnInfo, NAME_BYTES_MAX, Properties};
use crate::progress::Progress;
use crate::recovery::{Error, PostRestore, Restore, swap_in};
use crate::store::StoredBackup;
use crate::tools::Program;
use crate::workspace::{Workspace, connect, places, store};

/// A database that is about to be migrated.
pub struct Guard<'a> {
    database: DatabaseConfig,
    info: ConnInfo,
    admin: ConnInfo,
    properties: Properties,
    disconnect: bool,
    workspace: &'a Workspace,
}

/// A database that was rolled back.
pub struct RolledBack {
    /// The database that the migration has left.
    pub aside: String,
    /// The reason why the restored database is not marked with its commit, if the original one was
    /// marked.
    pub not_marked: Option<String>,
    /// The result of recording the restore.
    pub recorded: Result<(), Error>,
}

impl<'a> Guard<'a> {
    /// Guards a configured database. With `disconnect` the sessions of others are terminated.
    ///
    /// # Errors
    /// If other sessions are connected, because a rollback would lose their writes.
    pub fn new(name: Option<&str>, disconnect: bool, workspace: &'a Workspace) -> Result<Self, Error> {
        let mut database = workspace.config()?.selected(name)?;
        // A database that stays in use can be replaced only from a dump of the whole database.
        database.tool = Setting { value: Tool::PgDump, origin: Origin::CommandLine };
        database.dump = database.dump.unselected();
        let info = connect::conninfo(workspace, &database)?;
        let admin = info.with_dbname("postgres");
        let client = Client::connect(&admin, connect::APPLICATION)?;
        if disconnect {
            client.end_sessions(info.dbname())?;
        } else {
            match client.lasting_connections_to(info.dbname())? {
                0 => {}
                sessions => {
                    return Err(
                        Refusal::OthersConnected { sessions, dbname: info.dbname().to_owned() }.into()
                    );
                }
            }
        }
        let properties = client.properties(info.dbname())?;
        Ok(Self { database, info, admin, properties, disconnect, workspace })
    }

    /// Returns the settings for backups of the database.
    pub fn database(&self) -> &DatabaseConfig {
        &self.database
    }

    /// Returns the connection to the database.
    pub fn info(&self) -> &ConnInfo {
        &self.info
    }

    /// Returns the newest backup if no transaction was committed on the server after it.
    ///
    /// # Errors
    /// If the server or the ledger cannot be read.
    pub fn reusable_backup(&self) -> Result<Option<Entry>, Error> {
        let facts = Client::connect(&self.info, connect::APPLICATION)?.facts()?;
        let filter = Filter {
            databases: vec![self.database.name.clone()],
            statuses: vec![Status::Completed],
            types: vec![BackupType::Full],
            tools: vec![Line::lossy(Program::PgDump.name())],
            ..Filter::default()
        };
        let overview = self.workspace.overview()?;
        let Some(row) = overview.select(&filter).pop() else { return Ok(None) };
        let entry = self.workspace.ledger()?.entry(&row)?;
        let backup = &entry.backup;
        let system = backup.postgres.as_ref().and_then(|postgres| postgres.system_identifier.as_ref());
        let same_server = system.map(Line::as_str) == facts.system_identifier.as_deref();
        let seen = backup.metadata.as_map().get("snapshot").and_then(serde_json::Value::as_str);
        let unchanged = seen.is_some() && seen == facts.snapshot.as_deref();
        let whole = !DumpOptions::is_partial(&backup.metadata);
        let good = backup.verified().is_none_or(|it| it.status != VerificationStatus::Failed);
        if !(same_server && unchanged && whole && good) {
            return Ok(None);
        }
        // The database cannot be rolled back to a backup whose bytes cannot be read.
        let is_readable = StoredBackup::open(backup, &places::access_to(self.workspace, backup)?).is_ok();
        Ok(is_readable.then_some(entry))
    }

    /// Restores the backup beside the database, and exchanges the names of the two databases.
    ///
    /// # Errors
    /// If a step fails. The database is then in the state that the migration has left.
    pub fn roll_back(&self, entry: &Entry, progress: &dyn Progress) -> Result<RolledBack, Error> {
        let (workspace, backup) = (self.workspace, &entry.backup);
        let stamp = workspace.now().as_datetime().format("%Y%m%dT%H%M%S%3fZ").to_string();
        let restored = self.name_beside("before", &stamp);
        let aside = self.name_beside("failed", &stamp);
        let (programs, staging) = (workspace.programs()?, store::staging(workspace)?);
        let restore = Restore {
            post_restore: PostRestore::nowhere(backup, &restored, programs, staging, progress),
            admin: self.admin.clone(),
            access: places::access_to(workspace, backup)?,
            label: None,
            globals: false,
            properties: false,
        };
        let done = restore.run()?;
        let dbname = self.info.dbname();
        let not_marked = swap_in(&self.admin, dbname, &restored, &aside, &self.properties, self.disconnect)
            .map_err(|source| Error::NotSwapped {
            dbname: dbname.to_owned(),
            restored: restored.clone(),
            aside: aside.clone(),
            source: Box::new(source),
        })?;
        let done = RestoreFacts {
            mode: RestoreMode::Disaster,
            target: location_of_database(&self.info),
            commit: backup.commit.clone(),
            duration: done.duration,
            schema: None,
            proof: None,
            more: vec![
                ("size_bytes", done.bytes.into()),
                ("reason", "a guarded migration failed".into()),
                ("put_aside", aside.as_str().into()),
            ],
        };
        Ok(RolledBack { recorded: record(entry, done, workspace), aside, not_marked })
    }

    fn name_beside(&self, what: &str, stamp: &str) -> String {
        let suffix = format!("~{what}-{stamp}");
        let mut name = self.info.dbname().to_owned();
        while name.len() + suffix.len() > NAME_BYTES_MAX {
            name.pop();
        }
        name + &suffix
    }
}
