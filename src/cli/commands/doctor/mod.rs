//! `git pggit doctor`

mod database;
mod finding;
mod repository;

use crate::cli::output::repository::DoctorOutput;
use crate::cli::{Code, Context, Failure};
use crate::config::{DatabaseConfig, Error as ConfigError};
use crate::recovery::server_user;
use finding::{Findings, Verdict};

/// Look for everything that could be in the way of a backup
///
/// Checks git, the repository, the configuration, and for each database the
/// server, the role, the client programs and the output directory. Each thing is
/// 'ok', a 'warning' or a 'problem', the last two with a remedy. Nothing is
/// changed.
///
/// Fails with 'negative' if there is a problem; warnings do not count.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Check only this database; without it, all that are configured
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit doctor
    git pggit doctor --database main --json";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let mut findings = Findings::default();
    repository::look(context, &mut findings);
    databases(args.database.as_deref(), context, &mut findings)?;
    scratch(context, &mut findings);
    if context.ui.wants_json() {
        let ok = findings.count(Verdict::Problem) == 0;
        context.ui.json(&DoctorOutput { ok, checks: findings.output() })?;
    } else {
        context.page()?;
        findings.print(&context.ui)?;
    }
    match findings.count(Verdict::Problem) {
        0 => Ok(()),
        _ => Err(Failure::new(Code::Negative, "")),
    }
}

/// Checks whether there is a user to run the servers of restore tests. Backups do not need one.
fn scratch(context: &Context, findings: &mut Findings) {
    findings.about(None);
    // Errors in the configuration have been reported already.
    let Ok(Ok(user)) = context.config().map(crate::config::Config::scratch_user) else { return };
    let Err(error) = server_user(user.as_ref().map(|user| user.value.as_str())) else { return };
    let failure = Failure::from(error);
    let finding = findings.warning("restore tests", failure.message());
    failure.hints().iter().fold(finding, |finding, hint| finding.remedy(hint));
}

/// Checks the databases; fails only when there is none called `only`.
fn databases(only: Option<&str>, context: &Context, findings: &mut Findings) -> Result<(), Failure> {
    let config = match context.config() {
        Ok(config) => config,
        // The repository could not be opened, or git's files not be read: that was said.
        Err(error) => return if only.is_some() { Err(error.into()) } else { Ok(()) },
    };
    let chosen = match only {
        Some(_) => Some(config.default_database(only)?),
        None => None,
    };
    // The URL of the environment is for the database that commands take by default.
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
            Ok(settings) => database::look(&settings, context, findings),
            // Which setting it is has been said among those of the configuration.
            Err(_) => drop(findings.problem("settings", "cannot be used")),
        }
    }
    Ok(())
}
