//! From the settings of a database to the tool that makes its backups.

use std::num::NonZeroU32;

use crate::config::{DatabaseConfig, Tool};
use crate::pg::ConnInfo;
use crate::tools::{Adapter, Connection, PgDump, Programs};

/// The tool that is configured for `database`, which `server` reaches.
pub fn adapter_for(database: &DatabaseConfig, server: &ConnInfo, programs: &Programs) -> Box<dyn Adapter> {
    match database.tool.value {
        Tool::PgDump => Box::new(PgDump {
            programs: programs.clone(),
            connection: Connection::from(server),
            format: database.format.value,
            schemas: database.schemas.iter().map(|schema| schema.value.clone()).collect(),
            jobs: database.jobs.as_ref().and_then(|jobs| NonZeroU32::new(jobs.value.into())),
            globals: database.globals.value,
        }),
    }
}
