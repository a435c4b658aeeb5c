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
use super::restore_rows::RowsArgs;

/// Restore a backup, or a commit, into a new database or a data directory
///
/// --into restores a dump into a database. It also restores one database of a physical
/// backup, through a temporary server, and with --schema or --table a part of any
/// backup: objects that need other parts are skipped with a warning. --to restores a
/// physical backup of any tool into a data directory, which is created under a
/// temporary name and renamed when all data is on disk. Incremental backups are
/// combined with their parent backups; pgBackRest, Barman and custom tools restore
/// their own backups. If migrations are pending, or with --check-schema, a private
/// server recovers the cluster first, runs the migrations, compares the schema, and is
/// stopped.
///
/// For a commit the best backup is chosen, as 'git pggit backup find' shows it: a
/// backup of the commit itself, else of its history with the fewest pending
/// migrations; of several, the newest usable one. The pending migrations are run as
/// the migration tool of the team runs them, and recorded in its table. Without a tool
/// they are the *.sql files of 'pggit.<database>.migrations' that the commit has and
/// the backup lacks, in the order of their names. If files differ that cannot be run,
/// the restore is refused: then 'pggit.<database>.migrateCommand' must name the program
/// that runs the migrations. Finally the schema is compared with the one recorded for
/// the commit, else with the result of all its migrations in an empty database.
///
/// All data is compared with its digests before it is used; plain files even before
/// the server gets a command. The database is created under a temporary name, filled,
/// marked with its commit, and renamed when it is complete. Without --in-place no
/// existing database is changed. If the restore fails, the new database is dropped.
/// A dump is loaded in many transactions, so that the locks of the server suffice for
/// any number of objects.
///
/// With --keep-going, objects of a dump that cannot be restored are left out. Each is
/// named, the database is not marked with a commit, and the exit status is 1.
///
/// --in-place with --force replaces the existing database or data directory. The new
/// one is created beside the old one; then the two are swapped atomically. The old one
/// is kept until 'restore finish' removes it or 'restore abort' puts it back. 'restore
/// resume' continues an interrupted restore and 'restore abort' undoes it; 'restore
/// list' shows which of the two is in place. Restore a backup that has one of these
/// names by its id.
///
/// --back-into with --table puts lost rows back into the live table of a configured
/// database: the table is restored beside it, the rows are compared by the primary key,
/// and those that the live table lacks are inserted in one transaction, in which no
/// other session can write to the table. Rows that differ are shown and stay as they
/// are, unless --overwrite is given. --dry-run shows what would be done.
///
/// The restore is recorded with the backup, with its time, actor and destination:
/// 'git pggit backup log' shows it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES, args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(super) unfinished: Option<Unfinished>,

    /// Only show the steps, as 'git pggit backup plan' does; with --back-into, the rows
    #[arg(long, short = 'n')]
    dry_run: bool,

    /// With --in-place: replace the existing database or directory
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    rows: RowsArgs,

    #[command(flatten)]
    wanted: RestoreArgs,
}

const EXAMPLES: &str = "\
Roles are not part of a dump: they are beside it, in globals.sql. --globals creates
the roles that the server lacks, with their passwords and memberships, and never
changes an existing role; without --globals use --no-owner and --no-privileges, or
create the roles before.

EXAMPLES
    git pggit backup restore latest --into shop_copy
    git pggit backup restore v1.9 --into shop_1_9 --no-owner
    git pggit backup restore HEAD --into shop_now --dry-run
    git pggit backup restore 01a1fc4d --into shop --globals --maintenance-db postgresql://db2/postgres
    git pggit backup restore nightly --into old_orders --table shop.orders
    git pggit backup restore nightly --table orders --back-into shop --dry-run
    git pggit backup restore nightly --table orders --back-into shop --where 'customer = 7'
    git pggit backup restore nightly --into what_is_left --keep-going
    git pggit backup restore nightly --into shop_2 --jobs 4 --no-tablespaces
    git pggit backup restore latest --to /var/lib/postgresql/15/copy
    git pggit backup restore v1.9 --to /srv/shop_1_9
    git pggit backup restore latest --to /srv/copy --at '2026-11-21T03:40:00Z'
    git pggit backup restore v1.9 --in-place --force --disconnect
    git pggit backup restore finish";

impl Args {
    /// Returns the form of the restore, or `None` if the options do not name one.
    pub(super) fn form(&self) -> Option<Form> {
        if self.rows.back_into.is_some() { Some(Form::BackInto) } else { self.wanted.form() }
    }
}

pub(super) fn run(given: &Given<Args>, context: &Context) -> Result<(), Failure> {
    let args = &given.args;
    if let Some(unfinished) = &args.unfinished {
        return restore_in_place::settle(unfinished, context);
    }
    given.check(args.form())?;
    if let Some(database) = &args.rows.back_into {
        return args.rows.put_back(database, &args.wanted, args.dry_run, context);
    }
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
