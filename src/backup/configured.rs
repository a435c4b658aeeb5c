//! A backup of a configured database, with the ledger, the store and the tool of the workspace.

use std::path::Path;

use crate::artifacts::adapter_for;
use crate::config::{DatabaseConfig, Tool};
use crate::ledger::Entry;
use crate::pg::{Client, ConnInfo};
use crate::progress::Progress;
use crate::workspace::{Workspace, connect, places, store};

use super::Error;
use super::create::{BackupContext, BackupRequest, FailedRun, create};

/// Replaces the tool `auto` by the tool for the size of the database. If the server is unreachable, it
/// only warns. Fails if the workspace cannot be opened.
pub fn choose_tool(workspace: &Workspace, request: &mut BackupRequest) -> Result<(), Error> {
    let server = connect::conninfo(workspace, &request.database)?;
    // With an unreachable server the backup fails later, and the failure is recorded then.
    match decide(&mut request.database, &server) {
        Err(Error::Pg(error)) => {
            workspace.reporter().warning(&format!("the size of the database is not known: {error}"));
            Ok(())
        }
        other => other,
    }
}

/// Makes a backup in the directory `output` or the store `store`, or else in the configured
/// destination. The outer error is one that occurred before the backup was registered.
pub fn create_configured(
    workspace: &Workspace,
    request: &BackupRequest,
    output: Option<&Path>,
    store: Option<&str>,
    progress: &dyn Progress,
) -> Result<Result<Entry, FailedRun>, Error> {
    let config = workspace.config()?;
    let server = connect::conninfo(workspace, &request.database)?;
    let programs = workspace.programs()?;
    let adapter = adapter_for(config, &request.database, &server, &programs)?;
    let place = match adapter.has_repository() {
        true => None,
        false => Some(store::place(workspace, &request.database, output, store)?),
    };
    let clock = workspace.clock();
    let surroundings = BackupContext {
        ledger: workspace.ledger()?,
        clock: clock.as_ref(),
        server,
        programs,
        adapter,
        access: places::access_of(workspace, place.as_ref(), &request.database.name)?,
        place,
        progress,
    };
    Ok(create(&surroundings, request))
}

/// Replaces the tool `auto` by pg_dump or pg_basebackup, depending on the size of the database.
fn decide(database: &mut DatabaseConfig, server: &ConnInfo) -> Result<(), Error> {
    if database.tool.value == Tool::Auto {
        let size = Client::connect(server, connect::APPLICATION)?.facts()?.database_size_bytes;
        database.tool.value = match size < database.auto_size.value {
            true => Tool::PgDump,
            false => Tool::PgBasebackup,
        };
    }
    Ok(())
}
