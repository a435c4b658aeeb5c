//! `git pggit backup guard`

use std::ffi::OsString;

use crate::artifacts;
use crate::backup::{self, BackupContext, BackupRequest, CommitSpec};
use crate::cli::Context;
use crate::cli::restores::{attach, backup_failure, recorded, warn_not_marked, watch_signals};
use crate::config::DatabaseConfig;
use crate::domain::{BackupType, Line};
use crate::failure::{Code, Failure};
use crate::ledger::Entry;
use crate::output::backup::GuardedMigration;
use crate::pg::{Client, ConnInfo};
use crate::process::{self, interrupt};
use crate::recovery::restore::{Guard, RolledBack};
use crate::terminal::bar;
use crate::workspace::{connect, places, store};

/// Run a migration, and restore the database if the migration fails
///
/// Makes a backup, or with --reuse takes the newest backup if the database has not
/// changed since, and runs the program with PGHOST, PGPORT, PGUSER, PGDATABASE and
/// DATABASE_URL set. If the program exits with 0 and the check is true, the command is
/// done. Otherwise the backup is restored into a new database, and the two databases
/// are renamed in one transaction; the migrated database is kept under another name
/// until you drop it. Owner, settings and privileges of the database are kept.
///
/// Writes of other sessions between the backup and the failure would be lost. So no
/// other session may be connected: --disconnect terminates other sessions, before the
/// backup and before the rename.
///
/// The exit status is that of the program, or 1 if the check was not true.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The configured database
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,

    /// Use the newest backup if nothing was committed on the server since it was made
    #[arg(long)]
    reuse: bool,

    /// A query whose first value must be true after the migration
    #[arg(long, value_name = "SQL")]
    check: Option<String>,

    /// Terminate other sessions
    #[arg(long)]
    disconnect: bool,

    /// The migration program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup guard -- psql -v ON_ERROR_STOP=1 -f migrations/0042_split_names.sql
    git pggit backup guard --check 'select count(*) > 0 from orders' -- ./migrate.sh
    git pggit backup guard --disconnect --reuse -- sqlx migrate run";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let guard = Guard::new(args.database.as_deref(), args.disconnect, context)?;
    let info = guard.info();
    watch_signals()?;
    let reused = if args.reuse { guard.reusable_backup()? } else { None };
    let entry = match reused {
        Some(entry) => entry,
        None => made(guard.database(), info, context)?,
    };
    context.ui.status(&format!("a failure restores backup {} ({})", entry.backup.name, entry.backup.id));
    let ran = attach(&args.command, info, context);
    // The signal was meant for the migration. The database must still be restored after a failed
    // migration.
    interrupt::take();
    let failure = match judge(ran, args, info) {
        Ok(()) => return finished(&entry, context),
        Err(failure) => failure,
    };
    context.ui.warning(&format!("the migration failed: {}", said(&failure)));
    let dbname = info.dbname();
    let progress = bar::progress(&context.ui);
    let rolled_back = guard.roll_back(&entry, progress.as_ref());
    drop(progress);
    match rolled_back {
        Ok(RolledBack { aside, not_marked, recorded: result }) => {
            warn_not_marked(dbname, not_marked.as_deref(), context);
            recorded(result, context);
            context.ui.status(&format!("database {dbname} is as it was before the migration"));
            context
                .ui
                .hint(&format!("the migrated database is {aside}; drop it when it is not needed any more"));
        }
        Err(error) => {
            context.ui.failure(&Failure::from(error).output());
            context
                .ui
                .warning(&format!("database {dbname} is still in the state after the failed migration"));
            let id = entry.backup.id;
            context.ui.hint(&format!("restore the backup: git pggit backup restore {id} --into <name>"));
        }
    }
    Err(failure)
}

fn finished(entry: &Entry, context: &Context) -> Result<(), Failure> {
    if context.ui.wants_json() {
        return Ok(context.ui.json(&GuardedMigration { backup: entry.backup.id, migrated: true })?);
    }
    context.ui.status("the migration succeeded; the backup is kept");
    Ok(())
}

fn said(failure: &Failure) -> String {
    match failure.message() {
        "" => format!("exit status {}", failure.status()),
        message => message.to_owned(),
    }
}

fn made(database: &DatabaseConfig, info: &ConnInfo, context: &Context) -> Result<Entry, Failure> {
    let programs = context.programs()?;
    let (progress, clock) = (bar::progress(&context.ui), context.clock());
    let place = store::place(context, database, None, None)?;
    let around = BackupContext {
        ledger: context.ledger()?,
        clock: clock.as_ref(),
        adapter: artifacts::adapter_for(context.config()?, database, info, &programs)?,
        access: places::access_of(context, Some(&place), &database.name)?,
        place: Some(place),
        server: info.clone(),
        programs,
        progress: progress.as_ref(),
    };
    let request = BackupRequest {
        id: None,
        kind: BackupType::Full,
        database: database.clone(),
        asked: CommitSpec::Nothing,
        force: false,
        name: None,
        tags: [("guard".parse()?, Line::default())].into(),
    };
    backup::create(&around, &request).map_err(|unsuccessful| backup_failure(unsuccessful, context))
}

/// Fails if the program failed or the check is not true.
fn judge(ran: Result<process::Status, Failure>, args: &Args, info: &ConnInfo) -> Result<(), Failure> {
    let status = ran?;
    if !status.is_success() {
        return Err(Failure::of_program(status));
    }
    let Some(check) = &args.check else { return Ok(()) };
    let not = |why: String| Failure::new(Code::CheckFailed, format!("the check {why}"));
    let client = Client::connect(info, connect::APPLICATION)?;
    // The check runs with the default search path, as in psql.
    client.execute("RESET search_path")?;
    let rows = client.query(check).map_err(|error| not(format!("failed: {error}")))?;
    match rows.first().and_then(|row| row.first()).and_then(Option::as_deref) {
        Some("t") => Ok(()),
        other => Err(not(format!("returned {}, not true", other.unwrap_or("nothing")))),
    }
}
