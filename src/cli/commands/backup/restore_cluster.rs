//! `git pggit backup restore --to`

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::restore::{Args, Until};
use crate::backup;
use crate::cli::commands::wal;
use crate::cli::{Code, Context, Failure, bar, store};
use crate::domain::{Backup, Lsn, RecoveryTarget, human_bytes};
use crate::git::Oid;
use crate::ledger::{self, Entry};
use crate::process::interrupt;
use crate::recovery::{Archiving, DataDirectory, Log, Planted, reach};
use crate::store::Access;
use crate::tools::{Adapter, Programs};

pub(super) fn run(
    args: &Args,
    to: &Path,
    entry: &Entry,
    commit: Oid,
    context: &Context,
) -> Result<(), Failure> {
    let programs = Programs::new(context.config()?.pgbin()?.map(|pgbin| pgbin.value));
    let adapter = adapter(&entry.backup, &programs)?;
    let members = members(entry, context)?;
    let tablespaces =
        args.tablespace_mapping.iter().map(|text| mapping(text, context)).collect::<Result<_, _>>()?;
    let until = args.until.target(context)?;
    let log = match until {
        RecoveryTarget::Immediate => None,
        _ => Some(log(&args.until, &until, entry, context)?),
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
        archiving: if args.archive_mode == "off" { Archiving::Off } else { Archiving::Preserve },
        progress: progress.as_ref(),
    };
    if args.dry_run {
        return show(&restore, entry, context);
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
    let said = Said { members: &members, path: &path, archiving, planted: &planted, until: &until };
    say(&said, entry, commit, context)
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

/// The tool that brings it back.
fn adapter(backup: &Backup, programs: &Programs) -> Result<Box<dyn Adapter>, Failure> {
    backup::restorer_of(backup, programs).ok_or_else(|| {
        let message =
            format!("backup {} was made by {}, which has to restore it itself", backup.id, backup.tool.name);
        Failure::new(Code::Conflict, message)
    })
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

/// What would be done.
fn show(restore: &DataDirectory<'_>, entry: &Entry, context: &Context) -> Result<(), Failure> {
    let steps = restore.plan()?;
    let backup = &entry.backup;
    if context.ui.wants_json() {
        return Ok(context
            .ui
            .json(&json!({ "backup": backup.id, "commit": backup.commit, "steps": steps }))?);
    }
    context.ui.line(format!("backup {} on {}", backup.name, backup.commit.short()))?;
    for (number, step) in steps.iter().enumerate() {
        context.ui.line(format!("{}. {step}", number + 1))?;
    }
    Ok(())
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
