//! `git pggit store key generate`

use std::path::PathBuf;

use crate::cli::Context;
use crate::failure::Failure;
use crate::output::store::GeneratedIdentity;
use crate::store::generate_identity;

/// Generate an age identity in a new file that only you can read
///
/// Prints the public key, which is not secret. The file has the format of age-keygen.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The new file, which must not exist yet
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit store key generate ~/.pggit.key
    git config --global pggit.storeIdentity ~/.pggit.key";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let path = context.cwd().join(&args.file);
    let public = generate_identity(&path, context.now())?;
    if context.ui.wants_json() {
        let file = path.to_string_lossy().into_owned();
        return Ok(context.ui.json(&GeneratedIdentity { file, recipient: public })?);
    }
    context.ui.status(&format!("generated an identity in {}; its public key is", path.display()));
    Ok(context.ui.line(public)?)
}
