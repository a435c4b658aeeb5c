//! `git pggit backup cat-artifact`

use std::io::Read as _;

use crate::cli::Context;
use crate::cli::from_option::FromOption;
use crate::domain::Artifact;
use crate::failure::{Code, Failure};
use crate::progress::Quiet;
use crate::store::StoredBackup;
use crate::workspace::places;

use super::select::One;

/// Print a file of a backup, byte for byte
///
/// Prints the dump if no file is named. The data is compared with the record before it
/// is printed. A dump of the format directory has several files, which
/// 'git pggit store list --json' lists.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    one: One,

    /// The file: dump.custom, globals.sql, ...
    #[arg(value_name = "FILE")]
    file: Option<String>,

    #[command(flatten)]
    from: FromOption,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup cat-artifact latest | pg_restore --list
    git pggit backup cat-artifact nightly globals.sql | psql -d postgres";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let backup = args.one.find_completed(context)?.backup;
    let first = backup.artifacts.first().map(|artifact| artifact.name.to_string());
    let (Some(_), Some(name)) = (&backup.location, args.file.clone().or(first)) else {
        return Err(Failure::new(
            Code::NotFound,
            format!("git-pggit has no files of backup {}", backup.name),
        ));
    };
    args.from.apply(context)?;
    let held = StoredBackup::open(&backup, &places::access_to(context, &backup)?)?;
    // The recorded names of plain files include the suffix of their compression.
    let recorded = |it: &&Artifact| {
        let known = it.name.as_str();
        name == known || known.strip_suffix(".zst") == Some(&name) || name.starts_with(&format!("{known}/"))
    };
    let Some(artifact) = backup.artifacts.iter().find(recorded) else {
        let message = format!("backup {} has no file {name}", backup.name);
        return Err(Failure::new(Code::NotFound, message));
    };
    let known = artifact.name.as_str();
    if !held.is_authentic() {
        held.verify(known, &artifact.digest.to_string(), &Quiet)?;
    }
    let mut reader = held.reader(if name.contains('/') { &name } else { known })?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => context.ui.raw(&buffer[..count])?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(crate::store::Error::from_writing(name.as_ref(), error).into()),
        }
    }
}
