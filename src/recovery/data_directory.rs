//! Making a data directory of the copy of a cluster.
//!
//! It is made beside its place under a name of its own, and gets its name in one
//! step when it is complete and on disk. A directory that has anything in it is
//! never touched.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{statvfs, syncfs};
use walkdir::WalkDir;

use super::error::of_store;
use super::execute::remove;
use super::{Error, Execution, Log, PlannedStep};
use crate::backup::HeldSource;
use crate::domain::{Backup, Owner, RecoveryTarget, Status};
use crate::process::{Liveness, crash_point, is_alive};
use crate::progress::Progress;
use crate::store::{Access, Held};
use crate::tools::Adapter;
use crate::tools::adapter::{Source, Step, Subject, Target};

/// What is added to the name of a directory that is being made.
const PARTIAL: &str = ".pggit-partial";
/// Says whose it is.
const OWNER: &str = "owner.json";
/// Which tablespaces belong to it.
const OUTSIDE: &str = "tablespaces.json";

/// Whether the new cluster archives its log as the old one did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archiving {
    /// No: two clusters that write into one archive destroy it.
    Off,
    /// Yes: it takes the place of the old one.
    Preserve,
}

/// A data directory that is to be made.
pub struct DataDirectory<'a> {
    /// The backups that it is made of, the full one first and the wanted one
    /// last, and what it takes to reach their bytes.
    pub members: &'a [(Backup, Access)],
    /// The tool that made them.
    pub adapter: &'a dyn Adapter,
    /// The directory, absolute.
    pub path: PathBuf,
    /// Where tablespaces go: from where they were, to where they shall be.
    pub tablespaces: Vec<(PathBuf, PathBuf)>,
    /// Up to where the log is replayed.
    pub until: RecoveryTarget,
    /// The log that it replays then; without one only that of the backup itself.
    pub log: Option<Log>,
    /// Whether it archives its log.
    pub archiving: Archiving,
    /// Whom to tell how far it is.
    pub progress: &'a dyn Progress,
}

/// A data directory that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planted {
    /// Its size.
    pub bytes: u64,
    /// How long it took.
    pub duration: Duration,
    /// The directories of its tablespaces.
    pub tablespaces: Vec<PathBuf>,
}

impl DataDirectory<'_> {
    /// Makes it. When that fails, nothing is left of it.
    pub fn run(&self) -> Result<Planted, Error> {
        let begun = Instant::now();
        let (wanted, _) = self.members.last().ok_or_else(|| self.refuse("is missing", ""))?;
        self.check_members()?;
        let owner = self.preflight()?;
        let held = self.open()?;
        let sources: Vec<HeldSource> = held.into_iter().map(HeldSource).collect();
        self.prove(&sources)?;
        let partial = Partial::make(&self.path)?;
        let data = partial.dir.join("data");
        let steps = self.steps(&sources, &data)?;
        let outside = tablespaces_of(&steps);
        self.check_outside(&outside)?;
        partial.remember(&outside)?;
        crash_point("recovery.partial");
        self.execute(&sources, steps, &data)?;
        self.finish(&data, &outside, owner)?;
        crash_point("recovery.unpacked");
        fs::rename(&data, &self.path).map_err(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty => self.refuse("is no longer empty", ""),
            _ => Error::file("move the directory to", &self.path, error),
        })?;
        partial.done();
        if let Some(parent) = self.path.parent() {
            let _ = File::open(parent).and_then(|dir| dir.sync_all());
        }
        let bytes = wanted.postgres.as_ref().and_then(|postgres| postgres.size_bytes).unwrap_or_default();
        Ok(Planted { bytes, duration: begun.elapsed(), tablespaces: outside })
    }

    /// What is going to be done, for people, and what stands against it now.
    pub fn describe(&self) -> Result<(Vec<PlannedStep>, Vec<Error>), Error> {
        self.check_members()?;
        let sources: Vec<HeldSource> = self.open()?.into_iter().map(HeldSource).collect();
        let steps = self.steps(&sources, &self.path)?;
        let checks = [self.preflight().map(drop), self.check_outside(&tablespaces_of(&steps))];
        let refusals = checks.into_iter().filter_map(Result::err).collect();
        Ok((steps.iter().map(PlannedStep::of_adapter).collect(), refusals))
    }

    fn refuse(&self, reason: impl Into<String>, hint: &'static str) -> Error {
        Error::Directory { path: self.path.clone(), reason: reason.into(), hint }
    }

    fn check_members(&self) -> Result<(), Error> {
        for (number, (backup, _)) in self.members.iter().enumerate() {
            let refuse = |reason: String| Error::NotRestorable { backup: backup.id.to_string(), reason };
            if backup.status != Status::Completed {
                return Err(refuse(format!("it is {}", backup.status.as_str().replace('_', " "))));
            }
            for needed in &backup.depends_on {
                if !self.members[..number].iter().any(|(member, _)| member.id == needed.id) {
                    return Err(refuse(format!("it needs backup {}, which is not there", needed.id)));
                }
            }
        }
        Ok(())
    }

    /// Refuses what cannot become a data directory, and says whose it is to be.
    fn preflight(&self) -> Result<Option<(u32, u32)>, Error> {
        let path = &self.path;
        let io_error = |error| Error::file("look at", path, error);
        let parent = path.parent().filter(|_| path.file_name().is_some());
        let parent = parent.ok_or_else(|| self.refuse("cannot be a data directory", ""))?;
        let above = match fs::metadata(parent) {
            Ok(meta) if meta.is_dir() => meta,
            Ok(_) => return Err(self.refuse("is not in a directory", "")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(self.refuse("is in a directory that does not exist", "make that first"));
            }
            Err(error) => return Err(Error::file("look at", parent, error)),
        };
        let there = match path.symlink_metadata() {
            Ok(meta) if meta.is_dir() => Some(meta),
            Ok(_) => return Err(self.refuse("is not a directory", "")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(io_error(error)),
        };
        if let Some(meta) = &there {
            if let Some(pid) = running(path) {
                let reason = format!("is the data directory of a running server (process {pid})");
                return Err(self.refuse(reason, "name another directory"));
            }
            if fs::read_dir(path).map_err(io_error)?.next().is_some() {
                return Err(self.refuse("is not empty", "name a directory that is empty or does not exist"));
            }
            if meta.dev() != above.dev() {
                return Err(self.refuse("is where a file system is mounted", "name a directory in it"));
            }
        }
        let (free, needed) = (free_bytes(parent)?, self.needed());
        if free < needed {
            return Err(Error::NoRoom { path: parent.to_owned(), free, needed });
        }
        self.owner(there.as_ref().unwrap_or(&above))
    }

    /// Whose it is to be, when it is not to be ours.
    fn owner(&self, meta: &fs::Metadata) -> Result<Option<(u32, u32)>, Error> {
        let us = rustix::process::geteuid().as_raw();
        match (us, meta.uid()) {
            (0, 0) => Err(self.refuse(
                "would belong to root, and PostgreSQL does not run as root",
                "make an empty directory for it: install -d -o postgres -g postgres -m 700 <dir>",
            )),
            (0, uid) => Ok(Some((uid, meta.gid()))),
            (us, uid) if us != uid && self.path.exists() => {
                Err(self.refuse("belongs to another user", "run this as that user"))
            }
            _ => Ok(None),
        }
    }

    /// How much room it takes: a chain is there beside what is made of it.
    fn needed(&self) -> u64 {
        let size = |backup: &Backup| backup.artifacts.first().map_or(0, |artifact| artifact.size_bytes);
        let all = self.members.iter().map(|(backup, _)| size(backup)).sum::<u64>();
        let twice = self.members.len() > 1;
        all + if twice { self.members.first().map_or(0, |(full, _)| size(full)) } else { 0 }
    }

    fn open(&self) -> Result<Vec<Held>, Error> {
        let open = |(backup, access): &(Backup, Access)| match &backup.location {
            Some(location) => Ok(Held::open(location.as_str(), access)?),
            None => Err(Error::NotRestorable {
                backup: backup.id.to_string(),
                reason: "its record does not say where it is".to_owned(),
            }),
        };
        self.members.iter().map(open).collect()
    }

    /// Plain files are proved before; what comes out of a store proves itself.
    fn prove(&self, sources: &[HeldSource]) -> Result<(), Error> {
        for ((backup, _), source) in self.members.iter().zip(sources) {
            for artifact in backup.artifacts.iter().filter(|_| !source.0.proves_itself()) {
                self.progress.stage(&format!("verifying {}", backup.name), Some(artifact.size_bytes));
                source.0.verify(artifact.name.as_str(), &artifact.digest.to_string(), self.progress)?;
            }
        }
        Ok(())
    }

    fn steps(&self, sources: &[HeldSource], data: &Path) -> Result<Vec<Step>, Error> {
        let subjects: Vec<Subject<'_>> = self
            .members
            .iter()
            .zip(sources)
            .map(|((backup, _), source)| Subject { backup, chain: &[], source: Some(source as &dyn Source) })
            .collect();
        let Some((wanted, chain)) = subjects.split_last() else { return Ok(Vec::new()) };
        let target = Target::DataDirectory {
            path: data.to_owned(),
            tablespaces: self.tablespaces.clone(),
            until: self.until.clone(),
        };
        let mut steps = self.adapter.restore(&Subject { chain, ..*wanted }, &target).map_err(of_store)?;
        if self.archiving == Archiving::Off {
            steps.push(Step::Append {
                path: data.join("postgresql.auto.conf"),
                text: b"# git-pggit: a copy must not write into the archive of its original\narchive_mode = 'off'\n"
                    .to_vec(),
            });
        }
        if let Some(log) = &self.log {
            let (path, text) = (data.join("postgresql.auto.conf"), log.settings(&self.until));
            steps.push(Step::Append { path, text });
            steps.push(Step::Append { path: data.join("recovery.signal"), text: Vec::new() });
        }
        Ok(steps)
    }

    fn check_outside(&self, outside: &[PathBuf]) -> Result<(), Error> {
        for directory in outside {
            let refuse = |reason: &str, hint| {
                Err(Error::Directory { path: directory.clone(), reason: reason.to_owned(), hint })
            };
            const HINT: &str = "name an empty one for the tablespace: --tablespace-mapping <old>=<new>";
            match fs::read_dir(directory).map(|mut entries| entries.next().is_some()) {
                Ok(true) => return refuse("is not empty", HINT),
                Ok(false) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::file("look at", directory, error)),
            }
            if directory.starts_with(&self.path) {
                return refuse("is in the data directory", HINT);
            }
        }
        Ok(())
    }

    fn execute(&self, sources: &[HeldSource], steps: Vec<Step>, data: &Path) -> Result<(), Error> {
        let members: Vec<(&Backup, &Held)> =
            self.members.iter().zip(sources).map(|((backup, _), source)| (backup, &source.0)).collect();
        let Some((wanted, chain)) = members.split_last() else { return Ok(()) };
        let staging = data.with_file_name("staging");
        let execution = Execution { wanted: *wanted, chain, staging: &staging, progress: self.progress };
        execution.run(steps)
    }

    /// Owner, permissions, and everything on disk.
    fn finish(&self, data: &Path, outside: &[PathBuf], owner: Option<(u32, u32)>) -> Result<(), Error> {
        self.progress.stage("writing to disk", None);
        for directory in outside.iter().map(PathBuf::as_path).chain([data]) {
            if let Some((uid, gid)) = owner {
                for entry in WalkDir::new(directory) {
                    let entry = entry.map_err(|error| Error::file("list", directory, error.into()))?;
                    lchown(entry.path(), Some(uid), Some(gid))
                        .map_err(|error| Error::file("chown", entry.path(), error))?;
                }
            }
            let synced = File::open(directory).and_then(|dir| Ok(syncfs(dir)?));
            synced.map_err(|error| Error::file("sync", directory, error))?;
        }
        // What the group may read, it may read everywhere; the top itself is in no archive.
        let mode = fs::metadata(data.join("base")).map_or(0o700, |meta| meta.permissions().mode());
        let private = fs::Permissions::from_mode(mode & 0o750 | 0o700);
        fs::set_permissions(data, private).map_err(|error| Error::file("chmod", data, error))
    }
}

/// The directories of tablespaces.
fn tablespaces_of(steps: &[Step]) -> Vec<PathBuf> {
    let directory = |step: &Step| match step {
        Step::Tablespace { directory, .. } => Some(directory.clone()),
        _ => None,
    };
    steps.iter().filter_map(directory).collect()
}

/// The process of the server that runs on a data directory.
fn running(path: &Path) -> Option<i32> {
    let text = fs::read_to_string(path.join("postmaster.pid")).ok()?;
    let pid: i32 = text.lines().next()?.trim().parse().ok()?;
    let process = rustix::process::Pid::from_raw(pid)?;
    match rustix::process::test_kill_process(process) {
        Err(rustix::io::Errno::SRCH) => None,
        _ => Some(pid),
    }
}

fn free_bytes(path: &Path) -> Result<u64, Error> {
    let stat = statvfs(path).map_err(|error| Error::file("look at", path, error.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// A directory that is being made, and goes when this goes.
struct Partial {
    dir: PathBuf,
    keep: std::cell::Cell<bool>,
}

impl Partial {
    /// Makes it beside `path`. What a dead process has left goes.
    fn make(path: &Path) -> Result<Self, Error> {
        let dir = partial_of(path);
        sweep(&dir)?;
        match DirBuilder::new().mode(0o700).create(&dir) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(busy(&dir)),
            Err(error) => return Err(Error::file("make", &dir, error)),
        }
        let partial = Self { dir, keep: false.into() };
        let owner = Owner::current().and_then(|owner| Ok(serde_json::to_vec(&owner)?));
        let file = partial.dir.join(OWNER);
        owner
            .and_then(|owner| fs::write(&file, owner))
            .map_err(|error| Error::file("write", &file, error))?;
        Ok(partial)
    }

    /// Writes down what else belongs to it.
    fn remember(&self, outside: &[PathBuf]) -> Result<(), Error> {
        let path = self.dir.join(OUTSIDE);
        let bytes: Vec<&[u8]> = outside.iter().map(|path| path.as_os_str().as_bytes()).collect();
        let text = serde_json::to_vec(&bytes).map_err(|error| Error::file("write", &path, error.into()))?;
        fs::write(&path, text).map_err(|error| Error::file("write", &path, error))
    }

    /// All of it is in its place.
    fn done(&self) {
        self.keep.set(true);
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.keep.get() {
            let _ = discard(&self.dir);
        }
    }
}

fn busy(dir: &Path) -> Error {
    Error::Directory {
        path: dir.to_owned(),
        reason: "is there: another process restores into this place, or did so on another machine".to_owned(),
        hint: "remove it if no such process runs any more",
    }
}

/// Where the directory `path` is made.
fn partial_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(PARTIAL);
    path.with_file_name(name)
}

/// Removes what a dead process has left that was making the directory `path`.
pub(super) fn sweep_partial(path: &Path) -> Result<(), Error> {
    sweep(&partial_of(path))
}

/// Removes what a dead process has left.
fn sweep(dir: &Path) -> Result<(), Error> {
    match dir.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Ok(meta) if meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw() => {}
        _ => return Err(busy(dir)),
    }
    let owner = fs::read(dir.join(OWNER)).ok().and_then(|text| serde_json::from_slice::<Owner>(&text).ok());
    match owner {
        Some(owner) if is_alive(&owner) == Liveness::Dead => discard(dir),
        // It died before it said who it was.
        None if fs::remove_dir(dir).is_ok() => Ok(()),
        _ => Err(busy(dir)),
    }
}

/// Removes a directory that did not become complete, and what it has put
/// elsewhere: those places were empty before.
fn discard(dir: &Path) -> Result<(), Error> {
    let outside = fs::read(dir.join(OUTSIDE)).ok();
    let outside = outside.and_then(|text| serde_json::from_slice::<Vec<Vec<u8>>>(&text).ok());
    // When the directory is in its place, they are parts of it.
    let moved = dir.join(OUTSIDE).exists() && !dir.join("data").exists() && was_moved(dir);
    for directory in outside.into_iter().flatten().filter(|_| !moved) {
        let directory = PathBuf::from(OsString::from_vec(directory));
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            remove(&entry.path())?;
        }
    }
    remove(dir)
}

/// Whether the directory that was made under this name is in its place.
fn was_moved(dir: &Path) -> bool {
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = name.strip_prefix('.').and_then(|name| name.strip_suffix(PARTIAL));
    name.is_some_and(|name| dir.with_file_name(name).join("PG_VERSION").exists())
}
