//! `git pggit backup restore --to`

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::restore::Args;
use crate::backup;
use crate::cli::{Code, Context, Failure, bar, store};
use crate::domain::{Backup, RecoveryTarget, human_bytes};
use crate::git::Oid;
use crate::ledger::{self, Entry};
use crate::process::interrupt;
use crate::recovery::{Archiving, DataDirectory, Planted};
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
    interrupt::install().map_err(|error| Failure::of(Code::Fatal, &error))?;
    let progress = bar::progress(&context.ui);
    let restore = DataDirectory {
        members: &members,
        adapter: adapter.as_ref(),
        path: plain(&context.cwd().join(to)),
        tablespaces,
        until: RecoveryTarget::Immediate,
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
    let DataDirectory { path, archiving, .. } = restore;
    drop(progress);
    say(&Said { members: &members, path: &path, archiving, planted: &planted }, entry, commit, context)
}

/// What was done.
struct Said<'a> {
    members: &'a [(Backup, Access)],
    path: &'a Path,
    archiving: Archiving,
    planted: &'a Planted,
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
            "duration_s": said.planted.duration.as_secs_f64(),
        }))?);
    }
    let (size, short) = (human_bytes(said.planted.bytes), backup.commit.short());
    context.ui.status(&format!(
        "restored backup {} ({size}, commit {short}) into data directory {}",
        backup.name,
        said.path.display()
    ));
    if Oid::from(&backup.commit) != commit {
        context.ui.warning(&format!(
            "its databases are at commit {short}, not at {}: migrations take a server that runs",
            commit.short()
        ));
    }
    if said.archiving == Archiving::Off {
        context.ui.status("archive_mode is off in its postgresql.auto.conf");
    }
    Ok(())
}
