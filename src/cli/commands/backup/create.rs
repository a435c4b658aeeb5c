//! `git pggit backup create`

use crate::cli::{Context, Failure};

/// Being written
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(super) fn run(_: &Args, _: &Context) -> Result<(), Failure> {
    Ok(())
}
