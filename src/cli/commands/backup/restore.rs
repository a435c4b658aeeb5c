//! `git pggit backup restore`

use crate::cli::restores::{failed, watch_signals};
use crate::cli::{Context, logging};
use crate::failure::Failure;
use crate::recovery::restore::RestorePlan;
use crate::terminal::bar;

use super::restore_args::{RestoreArgs, Unfinished};
use super::restore_in_place;
use super::restore_options::{Form, Given};
use super::restore_print::{self, show};

/// Restore a backup, or a commit, into a new database or a data directory
///
/// A dump is restored with --into. So is one database of a copy of a cluster, by way
/// of a server that is thrown away, and with --schema or --table a part of any
/// backup: what that refers to and does not have is left out, and said. A copy of a cluster, whichever tool has made it,
/// becomes a data directory with --to: it is made beside its place, and gets its
/// name when all of it is on disk. Incremental copies are put together with those
/// that they need; pgBackRest, Barman and tools of your own restore what they keep.
/// If migrations have to be run, or with --check-schema, a private server recovers the
/// cluster first, runs them, compares the schema, and is stopped again.
///
/// For a commit the best backup is chosen as 'git pggit backup find' shows it: one
/// of the commit itself, else one of its history with the fewest migrations to
/// run; of several, the newest one that can be used. Those migrations, the *.sql
/// files of 'pggit.<database>.migrations' that the commit has and the backup lacks,
/// are run in the order of their names, each in a session and a transaction of its
/// own. Where other files differ, or files that do not only go forward, the restore is refused:
/// then 'pggit.<database>.migrateCommand' has to name the program that runs the migrations.
/// Then the schema is compared with the one that is recorded for the commit, else
/// with what all its migrations make in an empty database.
///
/// Each byte is compared with its digest before it is used; plain files even
/// before the server is asked to do anything. The database is made under a
/// temporary name, filled in one transaction, marked with its commit, and gets
/// its name when it is complete. An existing database is never touched, and what
/// was made is dropped when something fails.
///
/// With --in-place and --force, what was restored takes the place of the
/// database or data directory that is there. It is made beside it first; then the
/// two change places in one step, and the old one stays until 'restore finish' removes
/// it or 'restore abort' puts it back. A restore that is interrupted is taken up by 'restore
/// resume' or undone by 'restore abort'; 'restore list' says which of the two is in place. A
/// backup with one of these names is restored by its id.
///
/// The restore is recorded with the backup, with its time, actor and destination:
/// 'git pggit backup log' shows it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES, args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(super) unfinished: Option<Unfinished>,

    /// Only show what would be done, as 'git pggit backup plan' does
    #[arg(long, short = 'n')]
    dry_run: bool,

    /// With --in-place: replace what is there
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    wanted: RestoreArgs,
}

const EXAMPLES: &str = "\
Roles are not part of a dump: they are beside it, in globals.sql. --globals makes
those that the server lacks, with their passwords and memberships, and never
changes one that is there; without it use --no-owner and --no-privileges, or make
them before.

EXAMPLES
    git pggit backup restore latest --into shop_copy
    git pggit backup restore v1.9 --into shop_1_9 --no-owner
    git pggit backup restore HEAD --into shop_now --dry-run
    git pggit backup restore 01a1fc4d --into shop --globals --maintenance-db postgresql://db2/postgres
    git pggit backup restore nightly --into old_orders --table shop.orders
    git pggit backup restore latest --to /var/lib/postgresql/15/copy
    git pggit backup restore v1.9 --to /srv/shop_1_9
    git pggit backup restore latest --to /srv/copy --at '2026-11-21T03:40:00Z'
    git pggit backup restore v1.9 --in-place --force --disconnect
    git pggit backup restore finish";

impl Args {
    /// Returns the form of the restore, or `None` if the options do not name one.
    pub(super) fn form(&self) -> Option<Form> {
        self.wanted.form()
    }
}

pub(super) fn run(given: &Given<Args>, context: &Context) -> Result<(), Failure> {
    let args = &given.args;
    if let Some(unfinished) = &args.unfinished {
        return restore_in_place::settle(unfinished, context);
    }
    given.check(args.form())?;
    if args.dry_run {
        return show(&args.wanted, context);
    }
    args.wanted.from.apply(context)?;
    let request = args.wanted.request(context)?;
    if args.wanted.replaces() {
        return restore_in_place::replace(request, args.force, context);
    }
    let plan = RestorePlan::new(request, context)?;
    watch_signals()?;
    logging::begin_with_warnings(context);
    let progress = bar::progress(&context.ui);
    let outcome = plan.execute(progress.as_ref()).map_err(failed)?;
    drop(progress);
    restore_print::outcome(&plan, outcome, context)
}
