//! `git pggit backup cat-artifact`

use std::io::Read as _;

use crate::cli::{Code, Context, Failure, store};
use crate::store::Held;

use super::select::One;

/// Print a file of a backup, byte for byte
///
/// Without a name it is the dump. What comes from a store has been compared with
/// its digests; a dump of the format directory has several files, which
/// 'git pggit store ls --json' lists.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    one: One,

    /// Which file: dump.custom, globals.sql, ...
    #[arg(value_name = "FILE")]
    file: Option<String>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup cat-artifact latest | pg_restore --list
    git pggit backup cat-artifact nightly globals.sql | psql -d postgres";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let backup = args.one.find(context)?.backup;
    let first = backup.artifacts.first().map(|artifact| artifact.name.to_string());
    let (Some(location), Some(name)) = (&backup.location, args.file.clone().or(first)) else {
        return Err(Failure::new(
            Code::NotFound,
            format!("backup {} has no files of this program", backup.name),
        ));
    };
    let held = Held::open(location.as_str(), &store::access(context)?)?;
    let named = |name: &str| backup.artifacts.iter().find(|artifact| artifact.name.as_str() == name);
    // Plain files are recorded without the ending that says how they are compressed.
    let stored = [name.clone(), format!("{name}.zst")].into_iter().find(|name| named(name).is_some());
    let mut reader = held.reader(stored.as_deref().unwrap_or(&name))?;
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
