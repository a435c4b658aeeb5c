//! Checks for problems that prevent a backup: git, the repository, the configuration, and each database
//! with its server, role, programs and output directory.

mod database;
mod finding;
mod repository;

use crate::config::{DatabaseConfig, Error as ConfigError};
use crate::failure::Failure;
use crate::recovery::server_user;
use crate::workspace::Workspace;

pub use finding::{CheckStatus, Diagnosis, Findings};

/// Runs all checks. With `only` the checks of databases are limited to that one. Fails only if no
/// database has the name `only`.
pub fn examine(only: Option<&str>, workspace: &Workspace) -> Result<Findings, Failure> {
    let mut findings = Findings::default();
    repository::look(workspace, &mut findings);
    databases(only, workspace, &mut findings)?;
    scratch(workspace, &mut findings);
    Ok(findings)
}

/// Checks that a user is available to run the servers of restore tests. Backups do not need one.
fn scratch(workspace: &Workspace, findings: &mut Findings) {
    findings.about(None);
    // Errors in the configuration have been reported already.
    let Ok(Ok(user)) = workspace.config().map(crate::config::Config::scratch_user) else { return };
    let Err(error) = server_user(user.as_ref().map(|user| user.value.as_str())) else { return };
    let failure = Failure::from(error);
    let finding = findings.warning("restore tests", failure.message());
    failure.hints().iter().fold(finding, |finding, hint| finding.remedy(hint));
}

/// Checks the databases. Fails only if no database has the name `only`.
fn databases(only: Option<&str>, workspace: &Workspace, findings: &mut Findings) -> Result<(), Failure> {
    let config = match workspace.config() {
        Ok(config) => config,
        // An earlier check has reported that the repository or git's files cannot be read.
        Err(error) => return if only.is_some() { Err(error.into()) } else { Ok(()) },
    };
    let chosen = match only {
        Some(_) => Some(config.default_database(only)?),
        None => None,
    };
    // The URL in the environment belongs to the default database.
    let default = config.default_database(only);
    let names = match (&chosen, &default) {
        (Some(chosen), _) => vec![chosen.clone()],
        (None, Ok(default)) if config.databases().is_empty() => vec![default.clone()],
        _ => config.databases(),
    };
    if names.is_empty() {
        findings
            .warning("database", "none is configured")
            .remedy("git pggit database add <name> --url <url>");
    }
    for name in names {
        let settings: Result<DatabaseConfig, ConfigError> = match &default {
            Ok(default) if *default == name => config.selected(Some(name.as_str())),
            _ => config.database(&name),
        };
        findings.about(Some(name));
        match settings {
            Ok(settings) => database::look(&settings, workspace, findings),
            // The check of the configuration has reported the invalid setting.
            Err(_) => drop(findings.problem("settings", "are invalid")),
        }
    }
    Ok(())
}
