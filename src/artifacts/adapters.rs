//! Finds the tool for the settings of a database, and the tool that restores a recorded backup.

use super::Error;
use crate::config::{Config, DatabaseConfig, Tool};
use crate::domain::{Backup, Checkpoint, DumpFormat, DumpOptions, WalMethod};
use crate::pg::ConnInfo;
use crate::tools::{
    Adapter, Barman, Commands, Connection, Custom, External, PgBackRest, PgBasebackup, PgDump, Program,
    Programs,
};

/// Returns the tool that is configured for `database`. `server` is the connection to the database.
/// `auto` must be replaced before; until then it means pg_dump.
///
/// # Errors
/// Fails if the configured tool is unknown or a setting is wrong.
pub fn adapter_for(
    config: &Config,
    database: &DatabaseConfig,
    server: &ConnInfo,
    programs: &Programs,
) -> Result<Box<dyn Adapter>, Error> {
    let user = database.tool_user.as_ref().map(|user| user.value.clone());
    Ok(match &database.tool.value {
        Tool::PgDump | Tool::Auto => Box::new(PgDump {
            programs: programs.clone(),
            connection: Connection::from(server),
            options: database.dump.clone(),
        }),
        Tool::PgBasebackup => Box::new(PgBasebackup {
            programs: programs.clone(),
            connection: Connection::from(server),
            server: Some(server.clone()),
            checkpoint: database.checkpoint.value,
            max_rate: database.max_rate.as_ref().map(|rate| rate.value),
            wal: database.wal.value,
        }),
        Tool::PgBackRest => Box::new(PgBackRest {
            external: External { program: database.pgbackrest.as_ref().map(|path| path.value.clone()), user },
            stanza: database.stanza.as_ref().map(|stanza| stanza.value.clone()),
            config: database.pgbackrest_config.as_ref().map(|path| path.value.clone()),
            repo: database.repo.as_ref().map(|repo| repo.value),
        }),
        Tool::Barman => Box::new(Barman {
            external: External { program: database.barman.as_ref().map(|path| path.value.clone()), user },
            server: database.barman_server.as_ref().map(|server| server.value.clone()),
            config: database.barman_config.as_ref().map(|path| path.value.clone()),
        }),
        Tool::Custom(name) => {
            let own = config.custom_tool(name)?;
            if own == Default::default() {
                return Err(Error::UnknownTool { name: name.clone() });
            }
            let (backup, restore, verify) = (own.backup, own.restore, own.verify);
            Box::new(Custom {
                name: name.clone(),
                commands: Commands { backup, restore, verify, delete: own.delete, list: own.list },
                user,
                database: database.name.to_string(),
                connection: Connection::from(server),
            })
        }
    })
}

/// Returns the tool that restores `backup`. Returns `None` for tools whose bytes this program does not
/// store.
pub fn restorer_of(backup: &Backup, programs: &Programs) -> Option<Box<dyn Adapter>> {
    let name = backup.tool.name.as_str();
    if name == Program::PgDump.name() {
        return Some(Box::new(PgDump {
            programs: programs.clone(),
            connection: Connection::default(),
            options: DumpOptions::whole(DumpFormat::Custom),
        }));
    }
    (name == Program::PgBasebackup.name()).then(|| {
        Box::new(PgBasebackup {
            programs: programs.clone(),
            connection: Connection::default(),
            server: None,
            checkpoint: Checkpoint::Fast,
            max_rate: None,
            wal: WalMethod::Fetch,
        }) as Box<dyn Adapter>
    })
}
