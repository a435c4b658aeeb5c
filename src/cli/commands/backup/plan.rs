//! `git pggit backup plan`

use crate::cli::Context;
use crate::failure::Failure;

use super::restore_args::RestoreArgs;
use super::restore_options::{Form, Given};
use super::restore_print::show;

/// Show what a restore would do, and do nothing
///
/// Takes what 'git pggit backup restore' takes and shows each step: what it does,
/// the program that does it with its arguments, and what becomes of it when
/// something fails. What is shown is what runs. How long it takes is estimated
/// from restores and restore tests of the same database that were measured, and
/// said only when there are some.
///
/// An obstacle that exists now, such as a database of that name or a directory that
/// is not empty, is shown too, and the exit status is the one that the restore
/// would end with.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    wanted: RestoreArgs,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup plan v1.9 --into shop_1_9
    git pggit backup plan v1.9 --in-place
    git pggit backup plan latest --to /srv/copy --at '2026-11-21T03:40:00Z' --json";

impl Args {
    /// Returns the form of the restore to show, or `None` if the options do not name one.
    pub(super) fn form(&self) -> Option<Form> {
        self.wanted.form()
    }
}

pub(super) fn run(given: &Given<Args>, context: &Context) -> Result<(), Failure> {
    given.check(given.args.form())?;
    show(&given.args.wanted, context)
}
