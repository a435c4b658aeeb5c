//! The option `--from` of all commands that read the bytes of backups.

use super::Context;
use crate::domain::Backup;
use crate::failure::{Code, Failure};
use crate::store::{Root, StoreUrl};
use crate::workspace::places::place_of;

/// Further locations of backup data
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct FromOption {
    /// A further store or directory of plain files to read backups from, in addition to the configured
    /// ones; may be given several times
    #[arg(long, value_name = "PLACE")]
    from: Vec<String>,
}

impl FromOption {
    /// Adds these places to those that the command reads from.
    pub(crate) fn apply(&self, context: &Context) -> Result<(), Failure> {
        let roots = self.from.iter().map(|text| named(context, text)).collect::<Result<_, _>>()?;
        context.read_also_from(roots);
        Ok(())
    }

    /// Fails if the option is used with a backup that a tool keeps in its own repository.
    pub(crate) fn refuse(&self, backup: &Backup) -> Result<(), Failure> {
        match self.is_empty() {
            true => Ok(()),
            false => {
                let message =
                    format!("--from does not apply: backup {} is stored by {}", backup.id, backup.tool.name);
                Err(Failure::new(Code::Usage, message))
            }
        }
    }

    /// Returns true if the option was not given.
    pub(crate) fn is_empty(&self) -> bool {
        self.from.is_empty()
    }

    /// Returns the places with absolute paths, for a process with another working directory.
    pub(crate) fn absolute(&self, context: &Context) -> Result<Vec<String>, Failure> {
        let absolute = |text: &String| match text.contains("://") {
            true => Ok(text.clone()),
            false => Ok(StoreUrl::from_directory(&context.cwd().join(text))?.to_string()),
        };
        self.from.iter().map(absolute).collect()
    }
}

/// Parses a place given on the command line. A local directory has to exist, so that a typing error
/// is reported.
fn named(context: &Context, text: &str) -> Result<Root, Failure> {
    let root = match text.contains("://") {
        true => place_of(text)?,
        false => Root::of_directory(&context.cwd().join(text))?,
    };
    match &root {
        Root::Directory(directory) if !directory.is_dir() => {
            Err(Failure::new(Code::NotFound, format!("--from {}: no such directory", directory.display())))
        }
        _ => Ok(root),
    }
}
