//! `git pggit backup restore --to`

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::restore::{How, Until, Wanted};
use crate::backup;
use crate::cli::commands::wal;
use crate::cli::recover::{Done, Shown, place_of_directory, recorded};
use crate::cli::{Code, Context, Failure, bar, connect, store};
use crate::config::{Origin, Setting};
use crate::domain::{Backup, Lsn, RecoveryTarget, RestoreMode, Status, human_bytes};
use crate::git::Oid;
use crate::ledger::{self, Entry};
use crate::process::interrupt;
use crate::recovery::{Archiving, DataDirectory, Log, PlannedStep, Planted, reach, restore_by_tool};
use crate::store::Access;
use crate::tools::Programs;
use crate::tools::adapter::{Subject, Target, empty_already};

pub(super) fn run(
    wanted: &Wanted,
    how: How,
    to: &Path,
    entry: &Entry,
    commit: Oid,
    context: &Context,
) -> Result<(), Failure> {
    let programs = Programs::new(context.config()?.pgbin()?.map(|pgbin| pgbin.value));
    let Some(adapter) = backup::restorer_of(&entry.backup, &programs) else {
        return by_tool(wanted, how, to, entry, commit, &programs, context);
    };
    let members = members(entry, context)?;
    let tablespaces =
        wanted.tablespace_mapping.iter().map(|text| mapping(text, context)).collect::<Result<_, _>>()?;
    let until = wanted.until.target(context)?;
    let log = match until {
        RecoveryTarget::Immediate => None,
        _ => Some(log(&wanted.until, &until, entry, context)?),
    };
    interrupt::install().map_err(|error| Failure::of(Code::Fatal, &error))?;
    let progress = bar::progress(&context.ui);
    let restore = DataDirectory {
        members: &members,
        adapter: adapter.as_ref(),
        path: plain(&context.cwd().join(to)),
        tablespaces,
        until,
        log,
        archiving: if wanted.archive_mode == "off" { Archiving::Off } else { Archiving::Preserve },
        progress: progress.as_ref(),
    };
    if let How::Show(then) = how {
        let (steps, refusals) = restore.describe()?;
        return Shown { entry, commit, place: json!({ "directory": restore.path }), steps, refusals }
            .then(then)
            .show(context);
    }
    let planted = restore.run();
    let planted = planted.map_err(|error| match interrupt::requested() {
        Some(signal) => {
            Failure::new(Code::Interrupted, format!("interrupted ({signal}); nothing was restored"))
        }
        None => error.into(),
    })?;
    let DataDirectory { path, archiving, until, .. } = restore;
    drop(progress);
    if matches!(how, How::Part) {
        return Ok(());
    }
    let said = Said { members: &members, path: &path, archiving, planted: &planted, until: &until };
    record(&path, planted.duration, entry, &said.until.to_string(), context);
    say(&said, entry, commit, context)
}

/// Records the restore into a directory.
fn record(path: &Path, duration: Duration, entry: &Entry, until: &str, context: &Context) {
    let done = Done {
        mode: RestoreMode::Clone,
        target: place_of_directory(path),
        // Its databases are as they were copied.
        commit: entry.backup.commit.clone(),
        duration,
        schema: None,
        more: vec![("until", until.into())],
    };
    recorded(entry, done, context);
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

/// What was done.
struct Said<'a> {
    members: &'a [(Backup, Access)],
    path: &'a Path,
    archiving: Archiving,
    planted: &'a Planted,
    until: &'a RecoveryTarget,
}

/// Lets a tool restore what is in its own repository, as it is configured here.
fn by_tool(
    wanted: &Wanted,
    how: How,
    to: &Path,
    entry: &Entry,
    commit: Oid,
    programs: &Programs,
    context: &Context,
) -> Result<(), Failure> {
    let (backup, config) = (&entry.backup, context.config()?);
    if backup.status != Status::Completed {
        let status = backup.status.as_str().replace('_', " ");
        return Err(Failure::new(Code::Conflict, format!("backup {} is {status}", backup.id)));
    }
    let mut database = config.selected(Some(backup.database.as_str()))?;
    let tool = backup.tool.name.as_str().parse().map_err(|()| {
        Failure::new(Code::Damaged, format!("backup {} names no tool: {}", backup.id, backup.tool.name))
    })?;
    database.tool = Setting { value: tool, origin: Origin::CommandLine };
    let adapter = backup::adapter_for(config, &database, &connect::conninfo(context, &database)?, programs)?;
    if wanted.archive_mode != "off" {
        let message = "--archive-mode preserve: the tool leaves archiving off";
        return Err(Failure::new(Code::Usage, message).hint("switch it on when the cluster takes its place"));
    }
    let tablespaces =
        wanted.tablespace_mapping.iter().map(|text| mapping(text, context)).collect::<Result<_, _>>()?;
    let path = plain(&context.cwd().join(to));
    let until = wanted.until.target(context)?;
    let target = Target::DataDirectory { path: path.clone(), tablespaces, until };
    let steps = adapter.restore(&Subject { backup, chain: &[], source: None }, &target)?;
    if let How::Show(then) = how {
        let refusals = empty_already(&path).err().map(Into::into).into_iter().collect();
        let steps = steps.iter().map(PlannedStep::of_adapter).collect();
        return Shown { entry, commit, place: json!({ "directory": path }), steps, refusals }
            .then(then)
            .show(context);
    }
    interrupt::install().map_err(|error| Failure::of(Code::Fatal, &error))?;
    let progress = bar::progress(&context.ui);
    let duration = restore_by_tool(backup, steps, &path, progress.as_ref());
    drop(progress);
    let duration = duration.map_err(|error| match interrupt::requested() {
        Some(signal) => {
            Failure::new(Code::Interrupted, format!("interrupted ({signal}); nothing was restored"))
        }
        None => error.into(),
    })?;
    if matches!(how, How::Part) {
        return Ok(());
    }
    record(&path, duration, entry, &wanted.until.target(context)?.to_string(), context);
    if context.ui.wants_json() {
        return Ok(context.ui.json(&json!({
            "backup": backup.id,
            "commit": backup.commit,
            "directory": path.to_string_lossy(),
            "size_bytes": backup.size_bytes,
            "duration_s": duration.as_secs_f64(),
        }))?);
    }
    let (tool, short) = (&backup.tool.name, backup.commit.short());
    context.ui.status(&format!(
        "restored backup {} (commit {short}) with {tool} into data directory {}",
        backup.name,
        path.display()
    ));
    Ok(())
}

/// A path without `.` and a slash at its end: a name is added to it.
fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}

/// The backups that it takes, the full one first.
fn members(entry: &Entry, context: &Context) -> Result<Vec<(Backup, Access)>, Failure> {
    let ledger = context.ledger()?;
    let access = |backup: &Backup| store::access_to(context, backup.location.as_ref());
    let mut members = vec![(entry.backup.clone(), access(&entry.backup)?)];
    let mut needed = entry.backup.depends_on.first().map(|needed| needed.id);
    while let Some(id) = needed {
        let parent = match ledger.by_id(id) {
            Ok(parent) => parent.backup,
            Err(ledger::Error::NotFound { .. }) => {
                let message =
                    format!("backup {} needs backup {id}, which is not in the ledger", entry.backup.id);
                return Err(Failure::new(Code::Conflict, message)
                    .hint("'git pggit sync' fetches what others have recorded"));
            }
            Err(error) => return Err(error.into()),
        };
        if members.iter().any(|(member, _)| member.id == parent.id) {
            return Err(Failure::new(Code::Damaged, format!("backup {id} needs itself")));
        }
        needed = parent.depends_on.first().map(|needed| needed.id);
        let access = access(&parent)?;
        members.push((parent, access));
    }
    members.reverse();
    Ok(members)
}

/// Reads `OLD=NEW`, as pg_basebackup does: `\\=` is an equals sign in a path.
fn mapping(text: &OsStr, context: &Context) -> Result<(PathBuf, PathBuf), Failure> {
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

fn say(said: &Said<'_>, entry: &Entry, commit: Oid, context: &Context) -> Result<(), Failure> {
    let backup = &entry.backup;
    if context.ui.wants_json() {
        return Ok(context.ui.json(&json!({
            "backup": backup.id,
            "commit": backup.commit,
            "backups": said.members.iter().map(|(member, _)| member.id).collect::<Vec<_>>(),
            "directory": said.path.to_string_lossy(),
            "tablespaces": said.planted.tablespaces.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
            "archive_mode": if said.archiving == Archiving::Off { "off" } else { "preserve" },
            "size_bytes": said.planted.bytes,
            "until": said.until,
            "duration_s": said.planted.duration.as_secs_f64(),
        }))?);
    }
    let (size, short) = (human_bytes(said.planted.bytes), backup.commit.short());
    context.ui.status(&format!(
        "restored backup {} ({size}, commit {short}) into data directory {}",
        backup.name,
        said.path.display()
    ));
    if let Some(version) = backup.postgres.as_ref().and_then(|postgres| postgres.version.as_ref()) {
        let major = version.as_str().split('.').next().unwrap_or_default();
        context.ui.status(&format!("it takes a server of PostgreSQL {major}"));
    }
    if Oid::from(&backup.commit) != commit {
        context.ui.warning(&format!(
            "its databases are at commit {short}, not at {}: migrations take a server that runs",
            commit.short()
        ));
    }
    if *said.until != RecoveryTarget::Immediate {
        context.ui.status(&format!("a server that is started on it replays the log up to {}", said.until));
    }
    if said.archiving == Archiving::Off {
        context.ui.status("archive_mode is off in its postgresql.auto.conf");
    }
    Ok(())
}
