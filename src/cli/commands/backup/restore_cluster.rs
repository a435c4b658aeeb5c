//! `git pggit backup restore --to`

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::restore::{How, Schema, Until, Wanted};
use crate::backup;
use crate::cli::commands::wal;
use crate::cli::recover::{Done, Shown, Target, arrival, place_of_directory, recorded};
use crate::cli::{Code, Context, Failure, bar};
use crate::config::{Origin, Setting, Tool};
use crate::domain::{Backup, ChainError, Lsn, RecoveryTarget, RestoreMode, dependency_chain, human_bytes};
use crate::ledger::{self, Entry};
use crate::pg::ConnInfo;
use crate::process::interrupt;
use crate::recovery::{
    Advance, Archiving, DataDirectory, Error, Expected, Log, PlannedStep, Planted, Recovered, Recovery,
    Started, ToolRestore, check_clone, reach, start_clone,
};
use crate::store::Access;
use crate::tools::{Adapter, Programs};
use crate::workspace::{connect, places, store};

/// What is to be made, and where.
struct Order<'a> {
    args: &'a Wanted,
    shown: bool,
    wanted: &'a Target,
    path: PathBuf,
    tablespaces: Vec<(PathBuf, PathBuf)>,
    until: RecoveryTarget,
    archiving: Archiving,
    programs: Programs,
    context: &'a Context,
}

pub(super) fn run(
    args: &Wanted,
    how: How,
    to: &Path,
    wanted: &Target,
    context: &Context,
) -> Result<Option<Schema>, Failure> {
    let tablespaces =
        args.tablespace_mapping.iter().map(|text| mapping(text, context)).collect::<Result<_, _>>()?;
    let order = Order {
        args,
        shown: matches!(how, How::Show(_)),
        wanted,
        path: plain(&context.cwd().join(to)),
        tablespaces,
        until: args.until.target(context)?,
        archiving: if args.archive_mode == "off" { Archiving::Off } else { Archiving::Preserve },
        programs: Programs::new(context.config()?.pgbin()?.map(|pgbin| pgbin.value)),
        context,
    };
    order.check()?;
    let progress = bar::progress(&context.ui);
    let store_adapter = backup::restorer_of(&wanted.entry.backup, &order.programs);
    let goes_on = wanted.forward.is_some() || args.prove || args.start;
    let server = goes_on.then(|| connection(&wanted.entry.backup, context).ok()).flatten();
    let recovery = goes_on.then(|| order.recovery(server.as_ref(), progress.as_ref())).transpose()?;
    interrupt::install().map_err(|error| Failure::of(Code::Fatal, &error))?;
    let made = match store_adapter {
        Some(adapter) => order.out_of_store(adapter.as_ref(), recovery.as_ref(), progress.as_ref())?,
        None => order.by_tool(server.as_ref(), recovery.as_ref(), progress.as_ref())?,
    };
    let dbname = recovery.as_ref().map(|recovery| recovery.advance.dbname.to_owned());
    let ran = recovery.as_ref().map(|recovery| recovery.advance.names()).unwrap_or_default();
    drop(recovery);
    drop(progress);
    match made {
        Made::Shown(steps, refusals) => {
            let (entry, place) = (&wanted.entry, json!({ "directory": order.path }));
            let shown = Shown { entry, commit: wanted.commit, place, steps, refusals };
            match how {
                How::Show(then) => shown.then(then).show(context)?,
                How::Run | How::Part => shown.show(context)?,
            }
            Ok(None)
        }
        Made::Planted(planted, members) => {
            let started = match (&planted.recovered, dbname) {
                (Some(recovered), Some(dbname)) if args.start => Some(order.start(recovered, &dbname)?),
                _ => None,
            };
            let recovered = planted.recovered.as_ref();
            if let Some(diff) = recovered.and_then(|recovered| recovered.difference.as_ref()) {
                context.ui.warning(&format!("the schema is not what it should be:\n{diff}"));
            }
            let schema = recovered
                .and_then(|recovered| Some((recovered.compared_with.clone()?, recovered.difference.clone())));
            if matches!(how, How::Part) {
                return Ok(schema);
            }
            order.record(&planted, schema, ran);
            order.say(&planted, &members, started.as_ref())?;
            Ok(None)
        }
    }
}

/// What came of an order.
enum Made {
    /// Only its steps were wanted.
    Shown(Vec<PlannedStep>, Vec<Error>),
    /// It was made, of these backups.
    Planted(Planted, Vec<Backup>),
}

/// How the database is reached that was backed up, where it is configured here.
pub(super) fn connection(backup: &Backup, context: &Context) -> Result<ConnInfo, Failure> {
    let database = context.config()?.selected(Some(backup.database.as_str()))?;
    Ok(connect::conninfo(context, &database)?)
}

/// The tool that keeps a backup, as it is configured here.
pub(super) fn tool_of(
    backup: &Backup,
    server: &ConnInfo,
    programs: &Programs,
    context: &Context,
) -> Result<Box<dyn Adapter>, Failure> {
    let config = context.config()?;
    let mut database = config.selected(Some(backup.database.as_str()))?;
    let tool: Tool = backup.tool.name.as_str().parse().map_err(|()| {
        Failure::new(Code::Damaged, format!("backup {} names no tool: {}", backup.id, backup.tool.name))
    })?;
    database.tool = Setting { value: tool, origin: Origin::CommandLine };
    Ok(backup::adapter_for(config, &database, server, programs)?)
}

impl Order<'_> {
    fn backup(&self) -> &Backup {
        &self.wanted.entry.backup
    }

    /// Fails if the order cannot be carried out, before anything is done.
    fn check(&self) -> Result<(), Failure> {
        if self.args.prove && self.wanted.expected == Expected::Unknown {
            let commit = self.wanted.commit.to_commit();
            let message = format!("--prove: there is no schema of commit {} to compare with", commit.short());
            return Err(Failure::new(Code::Conflict, message).hint(
                "no schema was recorded with the backup, see pggit.<database>.recordSchema; restore without --prove",
            ));
        }
        if self.args.start {
            check_clone(&self.path)?;
        }
        Ok(())
    }

    /// What is done with the cluster before the directory gets its name. The role
    /// is that of the configured URL.
    fn recovery<'b>(
        &'b self,
        server: Option<&'b ConnInfo>,
        progress: &'b dyn crate::progress::Progress,
    ) -> Result<Recovery<'b>, Failure> {
        let (backup, staging) = (self.backup(), store::staging(self.context)?);
        let recorded = backup.postgres.as_ref().and_then(|postgres| postgres.dbname.as_deref());
        let dbname = recorded.or(server.map(ConnInfo::dbname)).ok_or_else(|| {
            let message = format!("backup {} does not say which database it is of", backup.id);
            Failure::new(Code::Conflict, message)
                .hint(format!("configure it: git config pggit.{}.url <url>", backup.database))
        })?;
        let advance = Advance {
            forward: self.wanted.forward.clone(),
            expected: self.wanted.expected.clone(),
            allow_schema_difference: self.args.allow_schema_difference,
            alone: true,
            ..Advance::nowhere(backup, dbname, self.programs.clone(), staging, progress)
        };
        let mut recovery = Recovery::new(advance, server.map_or("postgres", ConnInfo::user));
        recovery.mark &= self.until == RecoveryTarget::Immediate;
        recovery.start = self.args.start;
        Ok(recovery)
    }

    /// Makes it of bytes that are ours.
    fn out_of_store(
        &self,
        adapter: &dyn Adapter,
        recovery: Option<&Recovery<'_>>,
        progress: &dyn crate::progress::Progress,
    ) -> Result<Made, Failure> {
        let members = members(&self.wanted.entry, self.context)?;
        let log = match self.until {
            RecoveryTarget::Immediate => None,
            _ => Some(log(&self.args.until, &self.until, &self.wanted.entry, self.context)?),
        };
        let restore = DataDirectory {
            members: &members,
            adapter,
            path: self.path.clone(),
            tablespaces: self.tablespaces.clone(),
            until: self.until.clone(),
            log,
            archiving: self.archiving,
            recovery,
            home: None,
            progress,
        };
        if self.shown {
            let (steps, refusals) = restore.describe()?;
            return Ok(Made::Shown(steps, refusals));
        }
        let planted = restore.run().map_err(failed)?;
        drop(restore);
        Ok(Made::Planted(planted, members.into_iter().map(|(member, _)| member).collect()))
    }

    /// Lets a tool restore what is in its own repository, as it is configured here.
    fn by_tool(
        &self,
        server: Option<&ConnInfo>,
        recovery: Option<&Recovery<'_>>,
        progress: &dyn crate::progress::Progress,
    ) -> Result<Made, Failure> {
        let backup = self.backup();
        self.args.from.refuse(backup)?;
        let server = server.map_or_else(|| connection(backup, self.context), |server| Ok(server.clone()))?;
        let adapter = tool_of(backup, &server, &self.programs, self.context)?;
        if self.archiving == Archiving::Preserve {
            let message = "--archive-mode preserve: the tool leaves archiving off";
            return Err(
                Failure::new(Code::Usage, message).hint("switch it on when the cluster takes its place")
            );
        }
        let restore = ToolRestore {
            backup,
            adapter: adapter.as_ref(),
            path: self.path.clone(),
            tablespaces: self.tablespaces.clone(),
            until: self.until.clone(),
            recovery,
            home: None,
            progress,
        };
        if self.shown {
            let (steps, refusals) = restore.describe()?;
            return Ok(Made::Shown(steps, refusals));
        }
        Ok(Made::Planted(restore.run().map_err(failed)?, vec![backup.clone()]))
    }

    /// Records the restore.
    fn record(&self, planted: &Planted, schema: Option<Schema>, ran: Vec<String>) {
        let done = Done {
            mode: RestoreMode::Clone,
            target: place_of_directory(&self.path),
            commit: self.wanted.commit.to_commit(),
            duration: planted.duration,
            schema,
            more: vec![("until", self.until.to_string().into()), ("ran", ran.into())],
        };
        recorded(&self.wanted.entry, done, self.context);
    }

    /// Starts a server that stays on what was made.
    fn start(&self, recovered: &Recovered, dbname: &str) -> Result<Started, Failure> {
        start_clone(&self.path, recovered, dbname, &self.programs).map_err(|error| {
            let directory = self.path.display();
            Failure::from(error).hint(format!("all that was wanted is in {directory}: start a server on it"))
        })
    }

    fn say(&self, planted: &Planted, members: &[Backup], started: Option<&Started>) -> Result<(), Failure> {
        let (backup, ui, recovered) = (self.backup(), &self.context.ui, planted.recovered.as_ref());
        let difference = recovered.and_then(|recovered| recovered.difference.as_deref());
        let compared_with = recovered.and_then(|recovered| recovered.compared_with.as_deref());
        if ui.wants_json() {
            return Ok(ui.json(&json!({
                "backup": backup.id,
                "commit": self.wanted.commit.to_commit(),
                "backup_commit": backup.commit,
                "backups": members.iter().map(|member| member.id).collect::<Vec<_>>(),
                "directory": self.path.to_string_lossy(),
                "tablespaces": planted.tablespaces.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
                "archive_mode": if self.archiving == Archiving::Off { "off" } else { "preserve" },
                "size_bytes": planted.bytes,
                "until": self.until,
                "recovered": recovered.is_some(),
                "schema_compared_with": compared_with,
                "schema_difference": difference,
                "server": started.map(|started| json!({
                    "url": started.url,
                    "stop": started.stop,
                    "user": started.user,
                })),
                "duration_s": planted.duration.as_secs_f64(),
            }))?);
        }
        let (size, short) = (human_bytes(planted.bytes), backup.commit.short());
        let directory = self.path.display();
        ui.status(&format!(
            "restored backup {} ({size}, commit {short}) into data directory {directory}",
            backup.name
        ));
        if let Some(forward) = &self.wanted.forward {
            ui.status(&arrival(forward, compared_with.is_some() && difference.is_none()));
        }
        if let (Some(with), None) = (compared_with, difference) {
            ui.status(&format!("its schema equals {with}"));
        }
        if let Some(version) = backup.postgres.as_ref().and_then(|postgres| postgres.version.as_ref()) {
            let major = version.as_str().split('.').next().unwrap_or_default();
            ui.status(&format!("it takes a server of PostgreSQL {major}"));
        }
        if recovered.is_none() && self.until != RecoveryTarget::Immediate {
            ui.status(&format!("a server that is started on it replays the log up to {}", self.until));
        }
        match self.archiving {
            Archiving::Off => ui.status("archive_mode is off in its postgresql.auto.conf"),
            Archiving::Preserve if recovered.is_some() => {
                ui.warning("what the migrations have written is in no archive: make a backup once it runs");
            }
            Archiving::Preserve => {}
        }
        let Some(started) = started else { return Ok(()) };
        let who = started.user.as_ref().map_or(String::new(), |user| format!(", as user {user}"));
        ui.status(&format!("a server runs on it; this stops it{who}: {}", started.stop.join(" ")));
        Ok(ui.line(&started.url)?)
    }
}

/// What a restore failed with, or that it was interrupted.
pub(super) fn failed(error: Error) -> Failure {
    match interrupt::requested() {
        Some(signal) => {
            Failure::new(Code::Interrupted, format!("interrupted ({signal}); nothing was restored"))
        }
        None => error.into(),
    }
}

/// The log behind the backup, when it can lead to the target.
fn log(wanted: &Until, until: &RecoveryTarget, entry: &Entry, context: &Context) -> Result<Log, Failure> {
    let backup = &entry.backup;
    let refuse = |reason: String| Failure::new(Code::Conflict, format!("backup {} {reason}", backup.id));
    let postgres = backup.postgres.as_ref();
    let (Some(system), Some(timeline), Some(start), Some(stop)) = (
        postgres.and_then(|postgres| postgres.system_identifier.as_ref()),
        postgres.and_then(|postgres| postgres.timeline),
        postgres.and_then(|postgres| postgres.start_lsn),
        postgres.and_then(|postgres| postgres.stop_lsn),
    ) else {
        return Err(refuse("has no positions in the log in its record".to_owned()));
    };
    if let RecoveryTarget::Time(at) = until
        && backup.completed_at.is_some_and(|completed| completed > *at)
    {
        return Err(refuse(format!("was not complete at {at}"))
            .hint("choose an earlier one: 'git pggit backup find --at <time>', or 'latest' with --at"));
    }
    let store = store::open(context, wanted.wal_store.as_deref())?;
    let archived = wal::archived(&store, system.as_str())?;
    let reach = reach(&archived.runs(), timeline, start, stop, archived.segment_bytes);
    if !reach.consistent {
        return Err(refuse(format!("has no whole log in {}", store.url()))
            .hint("'git pggit wal check' shows what is missing")
            .hint("without --at and its like it is restored as it was made"));
    }
    match until {
        RecoveryTarget::Lsn(lsn) if *lsn < stop => {
            Err(refuse(format!("is consistent from {stop} on, not at {lsn}"))
                .hint("choose an earlier backup"))
        }
        // On another timeline the log may go on.
        RecoveryTarget::Lsn(lsn) if archived.timelines() == 1 && u64::from(*lsn) > reach.until => {
            let message = format!("the log in {} reaches only to {}", store.url(), Lsn::from(reach.until));
            Err(Failure::new(Code::Conflict, message))
        }
        _ => Ok(Log {
            program: std::env::current_exe().map_err(|error| {
                Failure::new(Code::Fatal, "cannot find out which program this is").cause(error.to_string())
            })?,
            store: store.url().to_string(),
            system_identifier: system.to_string(),
        }),
    }
}

/// A path without `.` and a slash at its end: a name is added to it.
fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}

/// The backups that it takes, the full one first.
pub(super) fn members(entry: &Entry, context: &Context) -> Result<Vec<(Backup, Access)>, Failure> {
    let ledger = context.ledger()?;
    let access = |backup: &Backup| places::access_to(context, backup);
    let mut members = vec![(entry.backup.clone(), access(&entry.backup)?)];
    let needed = |id| match ledger.by_id(id) {
        Ok(Entry { backup, .. }) => {
            let (access, parent) = (access(&backup)?, backup.parent());
            Ok(Some(((backup, access), parent)))
        }
        Err(ledger::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(Failure::from(error)),
    };
    match dependency_chain(entry.backup.id, entry.backup.parent(), needed) {
        Ok(chain) => members.extend(chain),
        Err(ChainError::Missing(id)) => {
            let message = format!("backup {} needs backup {id}, which is not in the ledger", entry.backup.id);
            return Err(Failure::new(Code::Conflict, message)
                .hint("'git pggit sync' fetches what others have recorded"));
        }
        Err(ChainError::Cycle(id)) => {
            return Err(Failure::new(Code::Damaged, format!("backup {id} needs itself")));
        }
        Err(ChainError::Lookup(failure)) => return Err(failure),
    }
    members.reverse();
    Ok(members)
}

/// Reads `OLD=NEW`, as pg_basebackup does: `\\=` is an equals sign in a path.
pub(super) fn mapping(text: &OsStr, context: &Context) -> Result<(PathBuf, PathBuf), Failure> {
    let refuse = |reason: &str| {
        let message = format!("--tablespace-mapping {}: {reason}", text.to_string_lossy());
        Err(Failure::new(Code::Usage, message))
    };
    let (mut paths, mut path, mut bytes) = (Vec::new(), Vec::new(), text.as_bytes().iter().peekable());
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if bytes.next_if_eq(&&b'=').is_some() => path.push(b'='),
            b'=' => paths.push(std::mem::take(&mut path)),
            byte => path.push(*byte),
        }
    }
    paths.push(path);
    let paths: Vec<PathBuf> = paths.into_iter().map(|path| OsString::from_vec(path).into()).collect();
    match paths.as_slice() {
        [old, new] if old.is_absolute() && !new.as_os_str().is_empty() => {
            Ok((plain(old), plain(&context.cwd().join(new))))
        }
        [_, _] => refuse("the old directory has to be absolute"),
        _ => refuse("expected OLD=NEW"),
    }
}

/// `OLD=NEW` as [`mapping`] reads it, with both absolute.
pub(super) fn absolute_mapping(text: &OsStr, context: &Context) -> Result<OsString, Failure> {
    let escaped = |path: PathBuf| {
        let bytes = path.as_os_str().as_bytes();
        bytes.split(|byte| *byte == b'=').collect::<Vec<_>>().join(&b"\\="[..])
    };
    let (old, new) = mapping(text, context)?;
    Ok(OsString::from_vec([escaped(old), escaped(new)].join(&b'=')))
}
