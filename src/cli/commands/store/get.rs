//! `git pggit store get`

use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use super::{StoreOption, find};
use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::process::Replacement;
use crate::store::FileReader;

/// Read a file of an artifact
///
/// All data is verified against its digest before it is printed. The file of --output
/// appears under its name when it is complete, and only you can read it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreOption,

    /// The artifact: an id or the beginning of one
    #[arg(value_name = "ID")]
    id: String,

    /// The name of the file; by default the first file
    #[arg(short, long, value_name = "NAME")]
    name: Option<String>,

    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit store get 01a1fc4d --output shop.dump
    git pggit store get 01a1fc4d | pg_restore --list";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = args.store.open(context)?;
    let artifact = store.artifact(&find(&store, &args.id)?)?;
    let first = artifact.manifest().files.first().map(|file| file.name.clone());
    let Some(name) = args.name.clone().or(first) else {
        return Err(Failure::new(Code::NotFound, "the artifact has no files"));
    };
    let mut reader = artifact.read(&name)?;
    match &args.output {
        None => copy(&mut reader, |bytes| context.ui.raw(bytes).map_err(Failure::from)),
        Some(path) => to_file(&mut reader, path),
    }
}

fn to_file(reader: &mut FileReader, path: &Path) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        Failure::new(Code::Storage, format!("cannot write '{}'", path.display())).cause(error.to_string())
    };
    let mut file = Replacement::create(path).map_err(failed)?;
    copy(reader, |bytes| file.write_all(bytes).map_err(failed))?;
    file.keep().map_err(failed)
}

fn copy(reader: &mut FileReader, mut write: impl FnMut(&[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => write(&buffer[..count])?,
            Err(error) => {
                return Err(match error.downcast::<crate::store::Error>() {
                    Ok(error) => error.into(),
                    Err(error) => {
                        Failure::new(Code::Fatal, "cannot read from the store").cause(error.to_string())
                    }
                });
            }
        }
    }
}
