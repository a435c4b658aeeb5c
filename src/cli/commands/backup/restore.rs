//! `git pggit backup restore`

use crate::cli::{Code, Context, Failure, bar, connect, store};
use crate::domain::{BackupSelector, BackupType, Status, human_bytes};
use crate::ledger::{Catalog, Entry, Filter};
use crate::process::interrupt;
use crate::recovery::Restore;
use crate::tools::Programs;

use super::select;

/// Restore a backup into a new database
///
/// The backup is named by itself or by its commit; of several on one commit the
/// newest completed one is taken. Each byte is compared with its digest before it
/// is used; plain files even before the server is asked to do anything. The
/// database is made under a temporary name, filled in one transaction, marked with the commit of the
/// backup, and gets its name when it is complete. An existing database is never
/// touched, and what was made is dropped when something fails.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The backup (an id or the beginning of one, a name, 'latest', 'oldest'), or a commit
    #[arg(value_name = "BACKUP|COMMIT")]
    backup: String,

    /// The name of the new database
    #[arg(long, value_name = "DATABASE")]
    into: String,

    /// Only backups of this configured database, and by default the server that it is on
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,

    /// A database of the server to restore on, as psql takes it
    #[arg(long, value_name = "URL")]
    server: Option<String>,

    /// Let everything belong to the user who restores
    #[arg(long)]
    no_owner: bool,

    /// Leave out grants and revokes
    #[arg(long)]
    no_privileges: bool,
}

const EXAMPLES: &str = "\
Roles are not part of a dump: they are beside it, in globals.sql. Where they
cannot be made, use --no-owner and --no-privileges.

EXAMPLES
    git pggit backup restore latest --into shop_copy
    git pggit backup restore v1.9 --into shop_1_9 --no-owner
    git pggit backup restore 01a1fc4d --into shop --server postgresql://db2/postgres";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let entry = find(args, context)?;
    let database = args.database.as_deref().unwrap_or(entry.backup.database.as_str());
    let admin = match &args.server {
        Some(server) => connect::server(context, server)?,
        None => {
            let config = context.config()?;
            let known = config.selected(Some(database));
            let known = known.map_err(|error| {
                Failure::from(error).hint("or name the server to restore on with --server <url>")
            })?;
            connect::conninfo(context, &known)?.with_dbname("postgres")
        }
    };
    interrupt::install().map_err(|error| Failure::of(Code::Fatal, &error))?;
    let progress = bar::progress(&context.ui);
    let restore = Restore {
        backup: &entry.backup,
        into: &args.into,
        admin,
        programs: Programs::new(context.config()?.pgbin()?.map(|pgbin| pgbin.value)),
        access: store::access(context)?,
        staging: store::staging(context)?,
        no_owner: args.no_owner,
        no_privileges: args.no_privileges,
        progress: progress.as_ref(),
    };
    let restored = restore.run();
    drop(progress);
    let restored = restored.map_err(|error| match interrupt::requested() {
        Some(signal) => {
            Failure::new(Code::Interrupted, format!("interrupted ({signal}); nothing was restored"))
        }
        None => error.into(),
    })?;
    if context.ui.wants_json() {
        return Ok(context.ui.json(&serde_json::json!({
            "backup": entry.backup.id,
            "commit": entry.backup.commit,
            "database": args.into,
            "size_bytes": restored.bytes,
            "duration_s": restored.duration.as_secs_f64(),
        }))?);
    }
    let (size, commit) = (human_bytes(restored.bytes), entry.backup.commit.short());
    let text = format!(
        "restored backup {} ({size}, commit {commit}) into database {}",
        entry.backup.name, args.into
    );
    context.ui.status(&text);
    Ok(())
}

/// The backup that is named, or the newest one that can be restored of the
/// commit that is named.
fn find(args: &Args, context: &Context) -> Result<Entry, Failure> {
    let by_itself = match select::find(&args.backup, args.database.as_deref(), context) {
        Err(failure) if failure.code() == Code::NotFound => failure,
        other => return other,
    };
    let Ok(commit) = context.schema_commit(&args.backup) else {
        return Err(by_itself.hint("it is no commit either"));
    };
    let catalog: Catalog = context.ledger()?.at_commit(&commit)?;
    let wanted = Filter {
        databases: select::databases(args.database.as_deref())?,
        statuses: vec![Status::Completed],
        types: vec![BackupType::Full],
        ..Filter::default()
    };
    match catalog.find(&BackupSelector::Latest, &wanted) {
        Ok(entry) => Ok(entry.clone()),
        Err(_) => Err(Failure::new(
            Code::NotFound,
            format!("commit {} has no backup that can be restored", commit.short()),
        )
        .hint("'git pggit backup coverage --commits <range>' shows which commits have one")),
    }
}
