//! `git pggit database remove`

use crate::cli::Context;
use crate::config::{self, Config, Origin};
use crate::domain::DatabaseName;
use crate::failure::{Code, Failure};
use crate::git::config::{ConfigFile, ConfigWriter, Scope, Snapshot};

/// Remove the settings of a database
///
/// Removes the section of the database from the configuration of this repository,
/// or with --global from your global configuration. The database, its backups and
/// their records are kept.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The database
    name: String,

    /// Remove the database from your global configuration
    #[arg(long)]
    global: bool,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit database remove stats";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let target = super::target(args.global, context)?;
    let config = context.config()?;
    // An invalid name cannot be configured.
    let name: DatabaseName = args.name.parse().map_err(|reason| {
        Failure::from(config::Error::DatabaseName { origin: Origin::CommandLine, reason })
    })?;
    let git = context.git_program();
    let writer = ConfigWriter::new(&git, target);
    if !writer.remove_section(&format!("pggit.{name}"))? {
        return Err(not_there(config, &name, target));
    }
    if was_default(context.git_config()?, &name, target) && writer.unset("pggit.database")? {
        context.ui.status(&format!("'{name}' is no longer the default database"));
    }
    context.ui.status(&format!("removed database '{name}' from {}", super::file_of(target)));
    context.ui.status("its backups and their records are kept");
    Ok(())
}

fn was_default(git: &Snapshot, name: &DatabaseName, target: ConfigFile) -> bool {
    let values: Vec<_> =
        git.all("pggit.database").into_iter().filter(|e| e.scope == target.scope()).collect();
    !values.is_empty() && values.iter().all(|e| e.value.as_deref() == Some(name.as_str().as_bytes()))
}

fn not_there(config: &Config, name: &DatabaseName, target: ConfigFile) -> Failure {
    let elsewhere = config.entries_of(name).map(|entry| entry.scope).last();
    let Some(scope) = elsewhere else {
        let nearest = config::nearest(name.as_str(), config.databases().iter().map(DatabaseName::as_str))
            .and_then(|nearest| nearest.parse().ok());
        let (name, known) = (name.clone(), config.databases());
        return config::Error::UnknownDatabase { name, origin: Origin::CommandLine, known, nearest }.into();
    };
    let failure =
        Failure::new(Code::NotFound, format!("database '{name}' is not in {}", super::file_of(target)));
    match scope {
        Scope::Global => {
            failure.hint(format!("it is in the global one: 'git pggit database remove --global {name}'"))
        }
        Scope::Blob => {
            failure.hint(format!("its policy is committed: remove it from {}", config::COMMITTED_FILE))
        }
        Scope::Local => failure.hint("it is in the repository's configuration: leave out --global"),
        other => failure.hint(format!("it is in git's {} configuration", other.as_str())),
    }
}
