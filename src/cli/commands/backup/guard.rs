//! `git pggit backup guard`

use std::ffi::OsString;

use crate::backup::{self, Asked, Request, Surroundings};
use crate::cli::recover::{Done, attach, place_of_database, recorded, say_not_marked};
use crate::cli::{Code, Context, Failure, bar};
use crate::config::{DatabaseConfig, Origin, Setting, Tool};
use crate::domain::{Backup, BackupType, Line, RestoreMode, Status, VerificationStatus};
use crate::ledger::{Entry, Filter};
use crate::pg::{Client, ConnInfo, NAME_BYTES_MAX, Properties, quote_ident};
use crate::process::{self, interrupt};
use crate::recovery::{Advance, Restore, swap_in};
use crate::store::Held;
use crate::tools::{Program, Programs};
use crate::workspace::{connect, places, store};

use super::select;

/// Run a migration; when it fails, put the database back as it was
///
/// Makes a backup, or with --reuse takes the newest one if it is still what the
/// database is, and runs the program with
/// PGHOST, PGPORT, PGUSER, PGDATABASE and DATABASE_URL set. When the program ends
/// with 0 and the check is true, that was all. Otherwise the backup is restored
/// beside the database, and the two change their names in one transaction; what
/// the migration has left stays under another name until you drop it. Owner,
/// settings and privileges of the database are those of before.
///
/// What others write between the backup and the failure would be lost. So nobody
/// else may be connected: --disconnect ends the sessions of others, before the
/// backup and before the names change.
///
/// The exit status is that of the program, or 1 when the check was not true.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The database, as it is configured
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,

    /// Take the newest backup if nothing was committed on the server since it was made
    #[arg(long)]
    reuse: bool,

    /// SQL whose first value has to be true after the migration
    #[arg(long, value_name = "SQL")]
    check: Option<String>,

    /// End the sessions of others
    #[arg(long)]
    disconnect: bool,

    /// The program that migrates, and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup guard -- psql -v ON_ERROR_STOP=1 -f migrations/0042_split_names.sql
    git pggit backup guard --check 'select count(*) > 0 from orders' -- ./migrate.sh
    git pggit backup guard --disconnect --reuse -- sqlx migrate run";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let mut database = context.config()?.selected(args.database.as_deref())?;
    // Only a dump can be put beside a database that goes on, and only a whole one in its place.
    database.tool = Setting { value: Tool::PgDump, origin: Origin::CommandLine };
    database.schemas.clear();
    database.exclude_schemas.clear();
    database.tables.clear();
    database.exclude_tables.clear();
    let info = connect::conninfo(context, &database)?;
    let admin = info.with_dbname("postgres");
    alone(&admin, &info, args.disconnect)?;
    let properties = Client::connect(&admin, connect::APPLICATION)?.properties(info.dbname())?;
    interrupt::install().map_err(|error| Failure::of(Code::Fatal, &error))?;
    let entry = match fresh(args, &database, &info, context)? {
        Some(entry) => entry,
        None => made(&database, &info, context)?,
    };
    context.ui.status(&format!("backup {} ({}) is what it goes back to", entry.backup.name, entry.backup.id));
    let ran = attach(&args.command, &info, context);
    // A signal was for the migration; what it has left is still to be put in order.
    interrupt::take();
    let failure = match judge(ran, args, &info) {
        Ok(()) => return finished(&entry, context),
        Err(failure) => failure,
    };
    context.ui.warning(&format!("the migration failed: {}", said(&failure)));
    match back(&entry, &admin, &info, &properties, args.disconnect, context) {
        Ok(aside) => {
            context.ui.status(&format!("database {} is as it was before the migration", info.dbname()));
            context
                .ui
                .hint(&format!("what the migration left is database {aside}; drop it when nobody needs it"));
        }
        Err(error) => {
            context.ui.failure(&error);
            context.ui.warning(&format!("database {} is as the migration has left it", info.dbname()));
            let id = entry.backup.id;
            context.ui.hint(&format!("the backup is there: git pggit backup restore {id} --into <name>"));
        }
    }
    Err(failure)
}

fn finished(entry: &Entry, context: &Context) -> Result<(), Failure> {
    if context.ui.wants_json() {
        return Ok(context.ui.json(&serde_json::json!({ "backup": entry.backup.id, "migrated": true }))?);
    }
    context.ui.status("the migration succeeded; the backup stays");
    Ok(())
}

fn said(failure: &Failure) -> String {
    match failure.message() {
        "" => format!("exit status {}", failure.status()),
        message => message.to_owned(),
    }
}

/// Nobody else may be connected.
fn alone(admin: &ConnInfo, info: &ConnInfo, disconnect: bool) -> Result<(), Failure> {
    let client = Client::connect(admin, connect::APPLICATION)?;
    if disconnect {
        client.end_sessions(info.dbname())?;
        return Ok(());
    }
    match client.connections_to(info.dbname())? {
        0 => Ok(()),
        others => Err(Failure::new(
            Code::Conflict,
            format!("{others} other session(s) are connected to database {}", info.dbname()),
        )
        .hint(
            "what they write would be lost if the migration fails; stop them, or end them with --disconnect",
        )),
    }
}

/// The newest backup, if nothing at all has been committed on the server since.
fn fresh(
    args: &Args,
    database: &DatabaseConfig,
    info: &ConnInfo,
    context: &Context,
) -> Result<Option<Entry>, Failure> {
    if !args.reuse {
        return Ok(None);
    }
    let client = Client::connect(info, connect::APPLICATION)?;
    let facts = client.facts()?;
    let filter = Filter {
        databases: vec![database.name.clone()],
        statuses: vec![Status::Completed],
        types: vec![BackupType::Full],
        tools: vec![Line::lossy(Program::PgDump.name())],
        ..Filter::default()
    };
    let overview = select::overview(context)?;
    let Some(row) = overview.select(&filter).pop() else { return Ok(None) };
    let entry = context.ledger()?.entry(&row)?;
    let backup = &entry.backup;
    let system = backup.postgres.as_ref().and_then(|postgres| postgres.system_identifier.as_ref());
    let same_server = system.map(Line::as_str) == facts.system_identifier.as_deref();
    let seen = backup.metadata.as_map().get("snapshot").and_then(serde_json::Value::as_str);
    let unchanged = seen.is_some() && seen == facts.snapshot.as_deref();
    let partial = ["schemas", "excluded_schemas", "tables", "excluded_tables"];
    let whole = !partial.iter().any(|key| backup.metadata.as_map().contains_key(*key));
    let good = backup.verified().is_none_or(|it| it.status != VerificationStatus::Failed);
    // The database cannot go back to a backup whose bytes cannot be read.
    let usable = same_server && unchanged && whole && good;
    let usable = usable && Held::open(backup, &places::access_to(context, backup)?).is_ok();
    Ok(Some(entry.clone()).filter(|_| usable))
}

fn made(database: &DatabaseConfig, info: &ConnInfo, context: &Context) -> Result<Entry, Failure> {
    let programs = Programs::new(context.config()?.pgbin()?.map(|pgbin| pgbin.value));
    let (progress, clock) = (bar::progress(&context.ui), context.clock());
    let place = store::place(context, database, None, None)?;
    let around = Surroundings {
        ledger: context.ledger()?,
        clock: clock.as_ref(),
        adapter: backup::adapter_for(context.config()?, database, info, &programs)?,
        access: places::access_of(context, Some(&place), &database.name)?,
        place: Some(place),
        server: info.clone(),
        programs,
        progress: progress.as_ref(),
    };
    let request = Request {
        id: None,
        kind: BackupType::Full,
        database: database.clone(),
        asked: Asked::Nothing,
        force: false,
        name: None,
        tags: [("guard".parse()?, Line::default())].into(),
    };
    backup::create(&around, &request).map_err(|unsuccessful| super::create::failure(unsuccessful, context))
}

/// Whether the migration did what it should.
fn judge(ran: Result<process::Status, Failure>, args: &Args, info: &ConnInfo) -> Result<(), Failure> {
    let status = ran?;
    if !status.is_success() {
        return Err(Failure::of_program(status));
    }
    let Some(check) = &args.check else { return Ok(()) };
    let not = |why: String| Failure::new(Code::Negative, format!("the check {why}"));
    let client = Client::connect(info, connect::APPLICATION)?;
    // People write it as they would in psql.
    client.execute("RESET search_path")?;
    let rows = client.query(check).map_err(|error| not(format!("failed: {error}")))?;
    match rows.first().and_then(|row| row.first()).and_then(Option::as_deref) {
        Some("t") => Ok(()),
        other => Err(not(format!("says {}, not true", other.unwrap_or("nothing")))),
    }
}

/// Restores the backup beside the database and lets the two change their names.
/// The name of what the migration has left.
fn back(
    entry: &Entry,
    admin: &ConnInfo,
    info: &ConnInfo,
    properties: &Properties,
    disconnect: bool,
    context: &Context,
) -> Result<String, Failure> {
    let backup: &Backup = &entry.backup;
    let stamp = context.now().as_datetime().format("%Y%m%dT%H%M%S%3fZ").to_string();
    let name = |what: &str| {
        let suffix = format!("~{what}-{stamp}");
        let mut name = info.dbname().to_owned();
        while name.len() + suffix.len() > NAME_BYTES_MAX {
            name.pop();
        }
        name + &suffix
    };
    let (restored, aside) = (name("before"), name("failed"));
    let progress = bar::progress(&context.ui);
    let programs = Programs::new(context.config()?.pgbin()?.map(|pgbin| pgbin.value));
    let staging = store::staging(context)?;
    let restore = Restore {
        advance: Advance::nowhere(backup, &restored, programs, staging, progress.as_ref()),
        admin: admin.clone(),
        access: places::access_to(context, backup)?,
        label: None,
        globals: false,
    };
    let done = restore.run()?;
    drop(progress);
    let swapped = swap_in(admin, info.dbname(), &restored, &aside, properties, disconnect);
    let not_marked = swapped.map_err(|error| {
        let quoted = [info.dbname(), &aside, &restored].map(quote_ident);
        let [dbname, aside, restored] = quoted;
        Failure::from(error)
            .hint(format!("it is restored as database {restored}; when nobody is connected to {dbname}:"))
            .hint(format!(
                "ALTER DATABASE {dbname} RENAME TO {aside}; ALTER DATABASE {restored} RENAME TO {dbname};"
            ))
    })?;
    // If the database had no mark before, none is expected now.
    say_not_marked(info.dbname(), not_marked.as_deref(), context);
    let done = Done {
        mode: RestoreMode::Disaster,
        target: place_of_database(info),
        commit: backup.commit.clone(),
        duration: done.duration,
        schema: None,
        more: vec![
            ("size_bytes", done.bytes.into()),
            ("reason", "a guarded migration failed".into()),
            ("put_aside", aside.as_str().into()),
        ],
    };
    recorded(entry, done, context);
    Ok(aside)
}
