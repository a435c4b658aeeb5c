//! `git pggit backup plan`

use crate::cli::Context;
use crate::failure::Failure;

use super::restore_args::RestoreArgs;
use super::restore_options::{Form, Given};
use super::restore_print::show;

/// Show the steps of a restore without running them
///
/// Accepts the arguments of 'git pggit backup restore' and shows each step: its
/// action, the program with its arguments, and its undo after a failure. A restore
/// runs exactly these steps. The duration is estimated from earlier restores and
/// restore tests of the same database, and shown only if there are any.
///
/// An existing obstacle, such as a database of that name or a directory that is not
/// empty, is shown, too. The exit status is then that of the restore.
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
