//! A verification of a backup with the configuration of the workspace.

use std::time::Duration;

use crate::artifacts;
use crate::config::{Origin, Setting, Tool};
use crate::domain::{Backup, VerificationKind};
use crate::progress::Progress;
use crate::workspace::{Workspace, connect, places};

use super::run::{VerificationRun, VerifyContext, VerifyRequest, run};
use super::{Error, Scratch};

/// Options of a verification.
#[derive(Debug, Default)]
pub struct Options {
    /// The maximum age of an earlier verdict that is reused.
    pub window: Option<Duration>,
    /// True if each row of each table is looked up in its indexes.
    pub heapallindexed: bool,
    /// The time limit, instead of the configured one.
    pub timeout: Option<Duration>,
}

/// Verifies one backup and records the verdict. Fails if no verdict was reached or it cannot be
/// recorded.
pub fn verify_configured(
    workspace: &Workspace,
    backup: &Backup,
    kind: VerificationKind,
    options: &Options,
    progress: &dyn Progress,
) -> Result<VerificationRun, Error> {
    let config = workspace.config()?;
    let mut database = config.database(&backup.database)?;
    let programs = workspace.programs()?;
    let (adapter, dbname) = match artifacts::restorer_of(backup, &programs) {
        Some(adapter) => (adapter, None),
        None => {
            database.tool = Setting { value: tool_of(backup)?, origin: Origin::CommandLine };
            let server = connect::conninfo(workspace, &database)?;
            let adapter = artifacts::adapter_for(config, &database, &server, &programs)?;
            (adapter, Some(server.dbname().to_owned()))
        }
    };
    let clock = workspace.clock();
    let surroundings = VerifyContext {
        ledger: workspace.ledger()?,
        clock: clock.as_ref(),
        programs,
        adapter: adapter.as_ref(),
        access: places::access_to(workspace, backup)?,
        scratch: Scratch {
            directory: config.scratch()?,
            user: config.scratch_user()?.map(|user| user.value),
        },
        progress,
    };
    let request = VerifyRequest {
        backup: backup.id,
        kind,
        window: options.window,
        dbname,
        assertions: database.assertions.into_iter().map(|assertion| assertion.value).collect(),
        heapallindexed: options.heapallindexed,
        timeout: options.timeout.unwrap_or(database.verify_timeout.value),
    };
    run(&surroundings, &request)
}

/// Returns the tool that made a backup. Fails if it is unknown.
fn tool_of(backup: &Backup) -> Result<Tool, Error> {
    let name = &backup.tool.name;
    name.as_str().parse().map_err(|()| Error::UnknownTool { backup: backup.id, tool: name.to_string() })
}
