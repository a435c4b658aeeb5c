//! From the settings of a database to the tool that makes its backups.

use std::num::NonZeroU32;

use crate::config::{Config, DatabaseConfig, Tool};
use crate::pg::ConnInfo;
use crate::tools::{Adapter, Barman, Commands, Connection, Custom, External, PgBackRest, PgDump, Programs};

use super::Error;

/// The tool that is configured for `database`, which `server` reaches.
pub fn adapter_for(
    config: &Config,
    database: &DatabaseConfig,
    server: &ConnInfo,
    programs: &Programs,
) -> Result<Box<dyn Adapter>, Error> {
    let user = database.tool_user.as_ref().map(|user| user.value.clone());
    Ok(match &database.tool.value {
        Tool::PgDump => Box::new(PgDump {
            programs: programs.clone(),
            connection: Connection::from(server),
            format: database.format.value,
            schemas: database.schemas.iter().map(|schema| schema.value.clone()).collect(),
            jobs: database.jobs.as_ref().and_then(|jobs| NonZeroU32::new(jobs.value.into())),
            globals: database.globals.value,
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
