//! `git pggit backup restore`

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::cli::from_option::FromOption;
use crate::cli::recover::{
    Asked, Done, Shown, Target, Then, admin_of, arrival, find, place_of_database, recorded, say_not_marked,
    snapshot, target, trusted,
};
use crate::cli::{Code, Context, Failure, bar};
use crate::domain::{Line, Lsn, RecoveryTarget, RestoreMode, Status, TableName, Timestamp, human_bytes};
use crate::git::Oid;
use crate::ledger::{Entry, Filter, Row};
use crate::process::interrupt;
use crate::recovery::{Advance, Expected, Leniency, Restore, Restored};
use crate::tools::{Program, Programs};
use crate::workspace::places;
use crate::workspace::store;

use super::restore_cluster::failed;
use super::restore_options::{Form, Given};
use super::{restore_cluster, restore_in_place, restore_part, select};

/// Restore a backup, or a commit, into a new database or a data directory
///
/// A dump is restored with --into. So is one database of a copy of a cluster, by way
/// of a server that is thrown away, and with --schema or --table a part of any
/// backup: what that refers to and does not have is left out, and said. A copy of a cluster, whichever tool has made it,
/// becomes a data directory with --to: it is made beside its place, and gets its
/// name when all of it is on disk. Incremental copies are put together with those
/// that they need; pgBackRest, Barman and tools of your own restore what they keep.
/// Where migrations have to be run, or with --prove, a server that nobody else can
/// reach recovers the cluster first, is asked to do that, and is stopped again.
///
/// For a commit the best backup is chosen as 'git pggit backup find' shows it: one
/// of the commit itself, else one of its history with the fewest migrations to
/// run; of several, the newest one that can be used. Those migrations, the *.sql
/// files of 'pggit.<database>.migrations' that the commit has and the backup lacks,
/// are run in the order of their names, each in a session and a transaction of its
/// own. Where other files differ, or files that do not only go forward, the restore is refused:
/// then 'pggit.<database>.migrate' has to name the program that runs the migrations.
/// Then the schema is compared with the one that is recorded for the commit, else
/// with what all its migrations make in an empty database.
///
/// Each byte is compared with its digest before it is used; plain files even
/// before the server is asked to do anything. The database is made under a
/// temporary name, filled in one transaction, marked with its commit, and gets
/// its name when it is complete. An existing database is never touched, and what
/// was made is dropped when something fails.
///
/// With --mode disaster and --force, what was restored takes the place of the
/// database or data directory that is there. It is made beside it first; then the
/// two change places in one step, and the old one stays until --finish removes it
/// or --abort puts it back. What is interrupted on the way is taken up by --resume
/// or undone by --abort; --list says which of the two is in place.
///
/// What was restored, when, by whom and where to is recorded with the backup:
/// 'git pggit backup log' shows it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only show what would be done, as 'git pggit backup plan' does
    #[arg(long, short = 'n')]
    dry_run: bool,

    /// With --mode disaster: replace what is there
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    unfinished: Unfinished,

    #[command(flatten)]
    wanted: Wanted,
}

/// What becomes of a restore that has replaced something, or was about to
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
pub(super) struct Unfinished {
    /// List the restores of --mode disaster that are not over
    #[arg(long)]
    pub(super) list: bool,

    /// Go on with one that was interrupted
    #[arg(long, value_name = "RESTORE", num_args = 0..=1)]
    pub(super) resume: Option<Option<String>>,

    /// Put back what was there before, and remove what was restored
    #[arg(long, value_name = "RESTORE", num_args = 0..=1)]
    pub(super) abort: Option<Option<String>>,

    /// Remove what was there before: nobody needs it any more
    #[arg(long, value_name = "RESTORE", num_args = 0..=1)]
    pub(super) finish: Option<Option<String>>,
}

/// Whether what is there stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
pub(super) enum Mode {
    Clone,
    Disaster,
}

/// What is to be restored, and where to
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
pub(super) struct Wanted {
    /// The backup (an id or the beginning of one, a name, 'latest', 'oldest'), or a commit
    #[arg(value_name = "BACKUP|COMMIT", default_value = "", hide_default_value = true)]
    pub(super) backup: String,

    /// The name of the new database; with --mode disaster, of the one that is replaced
    #[arg(long, value_name = "DATABASE")]
    pub(super) into: Option<String>,

    /// 'clone' makes something new, 'disaster' puts it in the place of what is there
    #[arg(long, value_name = "MODE", value_enum, default_value_t = Mode::Clone)]
    pub(super) mode: Mode,

    /// With --mode disaster, --resume, --abort and --finish: end the sessions of others in the database
    #[arg(long)]
    pub(super) disconnect: bool,

    /// With --into: only this schema and what is in it; may be given several times
    #[serde(skip)]
    #[arg(long, value_name = "SCHEMA")]
    pub(super) schema: Vec<String>,

    /// With --into: only this table, with its indexes, constraints, triggers and sequences; may be
    /// given several times
    #[serde(skip)]
    #[arg(long, value_name = "TABLE")]
    pub(super) table: Vec<TableName>,

    /// With --into: another database of a cluster that was copied
    #[serde(skip)]
    #[arg(long, value_name = "DATABASE")]
    pub(super) from_database: Option<String>,

    /// The missing or empty directory that becomes a data directory
    #[arg(long, value_name = "DIR")]
    pub(super) to: Option<PathBuf>,

    /// With --to: where the tablespace at OLD goes; may be given several times
    #[arg(long, value_name = "OLD=NEW")]
    pub(super) tablespace_mapping: Vec<OsString>,

    /// With --to: 'off' keeps the new cluster out of the archive of the old one, 'preserve' lets it
    /// take its place
    #[arg(long, value_name = "MODE", value_parser = ["off", "preserve"], default_value = "off")]
    pub(super) archive_mode: String,

    /// With a backup: run the migrations up to this commit after it
    #[arg(short, long, value_name = "REV")]
    pub(super) commit: Option<String>,

    /// With a commit: leave the database at the commit of the backup
    #[arg(long)]
    pub(super) no_migrate: bool,

    /// With --to: recover the cluster and compare the schema, also where no migration has to be run
    #[serde(default)]
    #[arg(long)]
    pub(super) prove: bool,

    /// With --to: start a server on it that stays, on a socket in the directory, and print its URL
    #[serde(skip)]
    #[arg(long)]
    pub(super) start: bool,

    /// Only say it when the schema is not what it should be
    #[arg(long)]
    pub(super) allow_schema_difference: bool,

    /// Only backups of this configured database, and by default the server that it is on
    #[arg(short, long, value_name = "NAME")]
    pub(super) database: Option<String>,

    /// A database of the server to restore on, as psql takes it
    #[arg(long, value_name = "URL")]
    pub(super) server: Option<String>,

    /// Make the roles that are beside the dump and not on the server; those that are there stay as
    /// they are
    #[serde(default)]
    #[arg(long)]
    pub(super) globals: bool,

    #[serde(default)]
    #[command(flatten)]
    pub(super) from: FromOption,

    /// Let everything belong to the user who restores
    #[arg(long)]
    pub(super) no_owner: bool,

    /// Leave out grants and revokes
    #[arg(long)]
    pub(super) no_privileges: bool,

    #[command(flatten)]
    pub(super) until: Until,
}

/// Up to where the log is replayed
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[command(next_help_heading = "Point in time, with --to")]
pub(super) struct Until {
    /// Up to this time: RFC 3339, a date, or a span before now; with 'latest', of the last backup
    /// that was complete then
    #[arg(long, value_name = "TIME", group = "point")]
    at: Option<String>,

    /// Up to this position in the log
    #[arg(long, value_name = "LSN", group = "point")]
    lsn: Option<Lsn>,

    /// Up to this named restore point
    #[arg(long, value_name = "NAME", group = "point")]
    restore_point: Option<Line>,

    /// Up to this transaction
    #[arg(long, value_name = "XID", group = "point")]
    xid: Option<u64>,

    /// Up to the end of the log
    #[arg(long, group = "point")]
    end_of_log: bool,

    /// The store that has the log, if not the configured one
    #[arg(long, value_name = "URL")]
    pub(super) wal_store: Option<String>,
}

impl Wanted {
    /// The same of this backup at this commit, with nothing left that may mean
    /// something else later or in another directory.
    pub(super) fn exact(&self, entry: &Entry, commit: Oid, context: &Context) -> Result<Self, Failure> {
        let mapping = self.tablespace_mapping.iter();
        let at = self.until.at.as_ref().map(|at| select::moment(at, context.now())).transpose()?;
        let wal_store = self.until.wal_store.as_deref();
        let wal_store = wal_store.map(|url| store::general_url(context, Some(url))).transpose()?;
        Ok(Self {
            backup: entry.backup.id.to_string(),
            commit: Some(commit.to_commit().to_string()),
            no_migrate: false,
            from: self.from.absolute(context)?,
            tablespace_mapping: mapping
                .map(|text| restore_cluster::absolute_mapping(text, context))
                .collect::<Result<_, _>>()?,
            until: Until {
                at: at.map(|at| at.to_string()),
                wal_store: wal_store.map(|url| url.to_string()),
                ..self.until.clone()
            },
            ..self.clone()
        })
    }
}

impl Until {
    /// The target; without one, the end of the backup itself.
    pub(super) fn target(&self, context: &Context) -> Result<RecoveryTarget, Failure> {
        if let Some(at) = &self.at {
            return Ok(RecoveryTarget::Time(select::moment(at, context.now())?));
        }
        Ok(match (&self.lsn, &self.restore_point, &self.xid, self.end_of_log) {
            (Some(lsn), ..) => RecoveryTarget::Lsn(*lsn),
            (_, Some(name), ..) => RecoveryTarget::Name(name.clone()),
            (_, _, Some(xid), _) => RecoveryTarget::Xid(*xid),
            (.., true) => RecoveryTarget::Latest,
            _ => RecoveryTarget::Immediate,
        })
    }
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
    git pggit backup restore 01a1fc4d --into shop --globals --server postgresql://db2/postgres
    git pggit backup restore nightly --into old_orders --table shop.orders
    git pggit backup restore latest --to /var/lib/postgresql/15/copy
    git pggit backup restore v1.9 --to /srv/shop_1_9
    git pggit backup restore latest --to /srv/copy --at '2026-11-21T03:40:00Z'
    git pggit backup restore v1.9 --mode disaster --force --disconnect
    git pggit backup restore --finish";

/// The last copy of a cluster that was complete at a time.
fn last_before(at: Timestamp, asked: &Asked<'_>, context: &Context) -> Result<(Entry, Oid), Failure> {
    let overview = snapshot(context)?;
    let filter = Filter {
        databases: select::one_database(asked.database, overview, context)?,
        statuses: vec![Status::Completed],
        ..Filter::default()
    };
    let in_time = |row: &Row<'_>| {
        row.tool() != Program::PgDump.name() && row.completed_at().is_some_and(|completed| completed <= at)
    };
    let last = overview.select(&filter).into_iter().filter(in_time).max_by_key(Row::completed_at);
    let Some(row) = last else {
        return Err(Failure::new(Code::NotFound, format!("no copy of a cluster was complete at {at}"))
            .hint("'git pggit backup list' shows all; a dump leads to no moment"));
    };
    let entry = context.ledger()?.entry(&row)?;
    trusted(asked.what, &entry, context)?;
    let commit = Oid::from(&entry.backup.commit);
    Ok((entry, commit))
}

/// The copy of a cluster that is wanted. What commit it is at, at a moment of its
/// log, says the log.
fn of_cluster(wanted: &Wanted, context: &Context) -> Result<Target, Failure> {
    let until = wanted.until.target(context)?;
    if until == RecoveryTarget::Immediate {
        return target(&asked(wanted, &until)?, context);
    }
    let (entry, _) = resolve(wanted, context)?;
    let commit = Oid::from(&entry.backup.commit);
    Ok(Target { entry, commit, forward: None, expected: Expected::Unknown })
}

/// Whether it is shown or done.
#[derive(Debug)]
pub(super) enum How {
    /// Shown, with what follows it.
    Show(Then),
    /// Done.
    Run,
    /// Done as a part of something, which says what was done.
    Part,
}

impl Args {
    /// Returns the form of the restore, or `None` if the options do not name one.
    pub(super) fn form(&self) -> Option<Form> {
        match &self.unfinished {
            Unfinished { list: true, .. } => Some(Form::List),
            Unfinished { resume: Some(_), .. } => Some(Form::Resume),
            Unfinished { abort: Some(_), .. } => Some(Form::Abort),
            Unfinished { finish: Some(_), .. } => Some(Form::Finish),
            _ => self.wanted.form(),
        }
    }
}

impl Wanted {
    /// Returns the form of the restore, or `None` if the options do not name one.
    pub(super) fn form(&self) -> Option<Form> {
        match (self.mode, &self.to, &self.into) {
            (Mode::Clone, Some(_), _) => Some(Form::To),
            (Mode::Clone, None, Some(_)) => Some(Form::Into),
            (Mode::Clone, None, None) => None,
            (Mode::Disaster, Some(_), _) => Some(Form::ReplaceDirectory),
            (Mode::Disaster, None, _) => Some(Form::ReplaceDatabase),
        }
    }
}

pub(super) fn run(given: &Given<Args>, context: &Context) -> Result<(), Failure> {
    given.check(given.args.form())?;
    let args = &given.args;
    if restore_in_place::settle(&args.unfinished, args.wanted.disconnect, context)? {
        return Ok(());
    }
    args.wanted.from.apply(context)?;
    match (args.dry_run, args.wanted.mode) {
        (true, _) => show(&args.wanted, context),
        (false, Mode::Clone) => carry_out(&args.wanted, How::Run, context).map(drop),
        (false, Mode::Disaster) => restore_in_place::run(&args.wanted, args.force, context),
    }
}

/// Shows what would be done.
pub(super) fn show(wanted: &Wanted, context: &Context) -> Result<(), Failure> {
    match wanted.mode {
        Mode::Clone => carry_out(wanted, How::Show(Then::default()), context).map(drop),
        Mode::Disaster => restore_in_place::show(wanted, context),
    }
}

/// What somebody asked for.
fn asked<'a>(wanted: &'a Wanted, until: &RecoveryTarget) -> Result<Asked<'a>, Failure> {
    if wanted.backup.is_empty() {
        return Err(Failure::new(Code::Usage, "name a backup or a commit"));
    }
    Ok(Asked {
        what: &wanted.backup,
        database: wanted.database.as_deref(),
        commit: wanted.commit.as_deref(),
        // No migration is run after a point-in-time recovery.
        no_migrate: wanted.no_migrate || *until != RecoveryTarget::Immediate,
        of_cluster: wanted.to.is_some() || wanted.from_database.is_some(),
        or_cluster: true,
        ..Asked::default()
    })
}

/// The backup that is wanted, and the commit that it is to be at.
pub(super) fn resolve(wanted: &Wanted, context: &Context) -> Result<(Entry, Oid), Failure> {
    let until = wanted.until.target(context)?;
    let asked = asked(wanted, &until)?;
    match until {
        RecoveryTarget::Time(at) if wanted.to.is_some() && wanted.backup == "latest" => {
            last_before(at, &asked, context)
        }
        _ => find(&asked, context),
    }
}

/// What a schema was compared with, and in what it differs.
pub(super) type Schema = (String, Option<String>);

/// Makes something new of the backup; as a part of something, what its schema was
/// compared with.
pub(super) fn carry_out(wanted: &Wanted, how: How, context: &Context) -> Result<Option<Schema>, Failure> {
    if let Some(to) = &wanted.to {
        return restore_cluster::run(wanted, how, to, &of_cluster(wanted, context)?, context);
    }
    let Some(into) = wanted.into.as_deref() else {
        return Err(Failure::new(Code::Usage, "name a new database with --into, or a directory with --to"));
    };
    let found = target(&asked(wanted, &RecoveryTarget::Immediate)?, context)?;
    if restore_part::is_wanted(wanted, &found.entry.backup) {
        return restore_part::run(wanted, how, into, &found, context);
    }
    let Target { entry, commit, forward, expected } = &found;
    let admin = admin_of(entry, wanted.database.as_deref(), wanted.server.as_deref(), context)?;
    interrupt::install().map_err(|error| Failure::of(Code::Fatal, &error))?;
    let progress = bar::progress(&context.ui);
    let programs = Programs::new(context.config()?.pgbin()?.map(|pgbin| pgbin.value));
    let staging = store::staging(context)?;
    let restore = Restore {
        advance: Advance {
            leniency: Leniency { owners: wanted.no_owner, privileges: wanted.no_privileges },
            forward: forward.clone(),
            expected: expected.clone(),
            allow_schema_difference: wanted.allow_schema_difference,
            ..Advance::nowhere(&entry.backup, into, programs, staging, progress.as_ref())
        },
        admin,
        access: places::access_to(context, &entry.backup)?,
        label: None,
        globals: wanted.globals,
    };
    if let How::Show(then) = how {
        let (steps, refusals) = restore.describe()?;
        let place = json!({ "database": into, "server": restore.admin.to_url() });
        Shown { entry, commit: *commit, place, steps, refusals }.then(then).show(context)?;
        return Ok(None);
    }
    let restored = restore.run();
    let target = place_of_database(&restore.admin.with_dbname(into));
    let (at, ran) = (restore.advance.commit().clone(), restore.advance.names());
    drop(progress);
    let restored = restored.map_err(failed)?;
    let schema = restored.compared_with.clone().map(|with| (with, restored.difference.clone()));
    if matches!(how, How::Part) {
        say_not_marked(into, restored.not_marked.as_deref(), context);
        return Ok(schema);
    }
    let done = Done {
        mode: RestoreMode::Clone,
        target,
        commit: at,
        duration: restored.duration,
        schema,
        more: vec![("size_bytes", restored.bytes.into()), ("ran", ran.into())],
    };
    recorded(entry, done, context);
    say(into, &found, &restored, context)?;
    Ok(None)
}

pub(super) fn say(into: &str, found: &Target, restored: &Restored, context: &Context) -> Result<(), Failure> {
    let Target { entry, commit, forward, .. } = found;
    if let Some(diff) = &restored.difference {
        context.ui.warning(&format!("the schema is not what it should be:\n{diff}"));
    }
    say_not_marked(into, restored.not_marked.as_deref(), context);
    if context.ui.wants_json() {
        return Ok(context.ui.json(&json!({
            "backup": entry.backup.id,
            "commit": commit.to_commit(),
            "backup_commit": entry.backup.commit,
            "database": into,
            "size_bytes": restored.bytes,
            "duration_s": restored.duration.as_secs_f64(),
            "schema_compared_with": restored.compared_with,
            "schema_difference": restored.difference,
            "left_out": restored.left_out,
            "not_marked": restored.not_marked,
            "roles": restored.roles.as_ref().map(|roles| json!({
                "made": roles.made,
                "kept": roles.kept,
                "left_out": roles.left_out,
            })),
        }))?);
    }
    if let Some(roles) = &restored.roles {
        let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        context.ui.status(&format!("created roles: {}", list(&roles.made)));
        context.ui.status(&format!("left as they are: {}", list(&roles.kept)));
        roles.left_out.iter().for_each(|what| context.ui.warning(what));
    }
    for what in &restored.left_out {
        context.ui.warning(&format!("left out, since it needs what is not restored: {what}"));
    }
    let size = human_bytes(restored.bytes);
    let text = format!(
        "restored backup {} ({size}, commit {}) into database {}",
        entry.backup.name,
        entry.backup.commit.short(),
        into
    );
    context.ui.status(&text);
    if let Some(forward) = forward {
        let is_equal = restored.compared_with.is_some() && restored.difference.is_none();
        context.ui.status(&arrival(forward, is_equal));
    }
    if let (Some(with), None) = (&restored.compared_with, &restored.difference) {
        context.ui.status(&format!("its schema equals {with}"));
    }
    Ok(())
}
