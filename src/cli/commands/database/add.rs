//! `git pggit database add`

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::cli::Context;
use crate::config::{self, KeyScope};
use crate::domain::DatabaseName;
use crate::failure::{Code, Failure};
use crate::git::config::{ConfigFile, ConfigWriter};

/// Add a database to be backed up
///
/// Writes the settings of the database into the configuration of this repository
/// (.git/config), or with --global into your global configuration. Does not connect
/// to the database. The URL must not contain a password: put the password into
/// ~/.pgpass, a service file or PGPASSWORD.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The name of the database in this repository: letters, digits, '.', '_' and '-'
    name: String,

    /// The connection: a postgresql:// URL or a libpq connection string, without a password
    #[arg(long, value_name = "URL", allow_hyphen_values = true)]
    url: OsString,

    /// The directory for its backup files
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// The tool that makes the backups
    #[arg(long)]
    tool: Option<String>,

    /// The default type of backups
    #[arg(long = "type", value_name = "TYPE")]
    backup_type: Option<String>,

    /// The format of the dumps: custom, directory, tar or plain
    #[arg(long)]
    format: Option<String>,

    /// The number of tables to dump in parallel
    #[arg(long, value_name = "N")]
    jobs: Option<String>,

    /// Back up only this schema; may be given several times
    #[arg(long, allow_hyphen_values = true)]
    schema: Vec<OsString>,

    /// The compression level of zstd: -7 to 22, or none
    #[arg(long, value_name = "LEVEL", allow_hyphen_values = true)]
    compression_level: Option<String>,

    /// Back up roles and tablespaces, too: true, no-passwords or false
    #[arg(long, value_name = "WHICH")]
    globals: Option<String>,

    /// The time limit of one backup, such as 90s, 30m or 2h
    #[arg(long, value_name = "DURATION")]
    timeout: Option<String>,

    /// Write to your global configuration, for all repositories
    #[arg(long)]
    global: bool,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit database add main --url postgresql://backup@db.example/shop
    git pggit database add stats --url service=stats --format directory --jobs 4
    git pggit database add main --url 'host=/run/postgresql dbname=shop' --schema app --schema audit";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let refused = |reason| config::Error::DatabaseName { origin: config::Origin::CommandLine, reason };
    let name: DatabaseName = args.name.parse().map_err(refused)?;
    name.check_scope().map_err(refused)?;
    let target = super::target(args.global, context)?;
    let settings = args.settings(context);
    let config = context.config()?;
    for (key, value) in &settings {
        let key = config::find(KeyScope::Database, key).expect("only keys of the table are written");
        config.check(key, name.as_str(), value)?;
    }
    if config.entries_of(&name).any(|entry| entry.scope == target.scope()) {
        let message = format!("database '{name}' already exists in {}", super::file_of(target));
        return Err(Failure::new(Code::Conflict, message)
            .hint(format!("change it with 'git config pggit.{name}.<key> <value>'"))
            .hint(format!("or remove it first with 'git pggit database remove {name}'")));
    }
    write(&name, &settings, target, context)?;
    context.ui.status(&format!("added database '{name}' to {}", super::file_of(target)));
    Ok(())
}

/// Writes all settings. On an error none of them stays.
fn write(
    name: &DatabaseName,
    settings: &[(&str, OsString)],
    target: ConfigFile,
    context: &Context,
) -> Result<(), Failure> {
    let git = context.git_program();
    let writer = ConfigWriter::new(&git, target);
    for (key, value) in settings {
        if let Err(error) = writer.add(&format!("pggit.{name}.{key}"), value) {
            // The section did not exist before. The first error is reported.
            let _ = writer.remove_section(&format!("pggit.{name}"));
            return Err(error.into());
        }
    }
    Ok(())
}

impl Args {
    /// Returns the keys and values of the options.
    fn settings(&self, context: &Context) -> Vec<(&'static str, OsString)> {
        let output = self.output.as_ref().map(|dir| context.cwd().join(dir).into_os_string());
        let text = |value: &Option<String>| value.as_ref().map(OsString::from);
        let single = [
            ("url", Some(self.url.clone())),
            ("plainDir", output),
            ("tool", text(&self.tool)),
            ("type", text(&self.backup_type)),
            ("format", text(&self.format)),
            ("jobs", text(&self.jobs)),
            ("compressionLevel", text(&self.compression_level)),
            ("globals", text(&self.globals)),
            ("timeout", text(&self.timeout)),
        ];
        let schemas = self.schema.iter().map(|schema| ("schema", OsStr::to_owned(schema)));
        single.into_iter().filter_map(|(key, value)| Some((key, value?))).chain(schemas).collect()
    }
}
