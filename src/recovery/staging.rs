//! The destination of a new data directory: the conditions for it, the temporary directory beside it,
//! and the final rename.
//!
//! ```text
//! .<name>.pggit-partial/   ours
//!   owner.json             the process that makes it
//!   tablespaces.json       which directories elsewhere belong to it
//!   data/                  what gets the name in the end
//!   server/                the socket of a server that recovers it
//! ```

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;
use walkdir::WalkDir;

use super::Error;
use super::execute::remove;
use super::server::end_server;
use super::space::Outside;
use crate::process::{ChownError, Leftover, OwnedDir, Pinned, crash_point, write_private};

/// The suffix of the temporary directory.
const PARTIAL: &str = ".pggit-partial";
/// The file in which a server records its process id.
pub(super) const PID_FILE: &str = "postmaster.pid";
/// The file that lists the tablespaces of the data directory.
const OUTSIDE: &str = "tablespaces.json";

/// Fails if `path` cannot become a data directory with `needed` bytes. Returns the metadata of the
/// directory, or of its parent if the directory does not exist.
pub(super) fn preflight(path: &Path, needed: u64) -> Result<fs::Metadata, Error> {
    let io_error = |error| Error::file("access", path, error);
    let parent = path.parent().filter(|_| path.file_name().is_some());
    let parent = parent.ok_or_else(|| refuse(path, "cannot be a data directory", ""))?;
    let above = match fs::metadata(parent) {
        Ok(meta) if meta.is_dir() => meta,
        Ok(_) => return Err(refuse(path, "is not in a directory", "")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(refuse(path, "is in a directory that does not exist", "create that directory first"));
        }
        Err(error) => return Err(Error::file("access", parent, error)),
    };
    let there = match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => Some(meta),
        Ok(_) => return Err(refuse(path, "is not a directory", "")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(io_error(error)),
    };
    if let Some(meta) = &there {
        if let Some(pid) = server_on(path) {
            let reason = format!("is the data directory of a running server (process {pid})");
            return Err(refuse(path, reason, "name another directory"));
        }
        if fs::read_dir(path).map_err(io_error)?.next().is_some() {
            return Err(refuse(path, "is not empty", "name a directory that is empty or does not exist"));
        }
        if meta.dev() != above.dev() {
            return Err(refuse(path, "is a mount point", "name a directory in it"));
        }
    }
    let free = free_bytes(parent)?;
    if free < needed {
        return Err(Error::NoRoom { path: parent.to_owned(), free, needed });
    }
    Ok(there.unwrap_or(above))
}

/// Returns the future owner and group of the directory; `None` if that is the current user.
pub(super) fn owner(path: &Path, meta: &fs::Metadata) -> Result<Option<(u32, u32)>, Error> {
    let us = rustix::process::geteuid().as_raw();
    match (us, meta.uid()) {
        (0, 0) => Err(refuse(
            path,
            "would belong to root, and PostgreSQL does not run as root",
            "create an empty directory for it: install -d -o postgres -g postgres -m 700 <dir>",
        )),
        (0, uid) => Ok(Some((uid, meta.gid()))),
        (us, uid) if us != uid && path.exists() => {
            Err(refuse(path, "belongs to another user", "run this as that user"))
        }
        _ => Ok(None),
    }
}

/// Fails if tablespaces are not mapped. Their original directories are recorded in the artifact, and
/// its author must not choose where files are created here. `<old>=<old>` maps a tablespace to its
/// original directory.
pub(super) fn check_mapped(
    places: Vec<PathBuf>,
    mapping: &[(PathBuf, PathBuf)],
    path: &Path,
) -> Result<(), Error> {
    let is_mapped = |place: &PathBuf| mapping.iter().any(|(from, _)| from == place);
    let places: Vec<PathBuf> = places.into_iter().filter(|place| !is_mapped(place)).collect();
    if places.is_empty() { Ok(()) } else { Err(Error::Unmapped { path: path.to_owned(), places }) }
}

/// Fails if the directory `data`, which a tool has created, has a symbolic link to a place outside it
/// that is not mapped.
pub(super) fn check_links(data: &Path, mapped: &[PathBuf]) -> Result<(), Error> {
    const HINT: &str = "map the directory to itself if that is meant: --tablespace-mapping <dir>=<dir>";
    let io = |path: &Path, error| Error::file("access", path, error);
    let real = data.canonicalize().map_err(|error| io(data, error))?;
    for entry in WalkDir::new(data).min_depth(1) {
        let entry = entry.map_err(|error| io(data, error.into()))?;
        if !entry.path_is_symlink() {
            continue;
        }
        let to = fs::read_link(entry.path()).map_err(|error| io(entry.path(), error))?;
        let is_inside = entry.path().canonicalize().is_ok_and(|target| target.starts_with(&real));
        if !is_inside && !mapped.contains(&to) {
            let name = entry.path().strip_prefix(data).unwrap_or(entry.path());
            let reason = format!("would have a link out of it: {} leads to {}", name.display(), to.display());
            return Err(refuse(data, reason, HINT));
        }
    }
    Ok(())
}

/// Fails if a directory for a tablespace has entries, or is below `path`.
pub(super) fn check_outside(outside: &[PathBuf], path: &Path) -> Result<(), Error> {
    const HINT: &str = "name an empty one for the tablespace: --tablespace-mapping <old>=<new>";
    for directory in outside {
        match fs::read_dir(directory).map(|mut entries| entries.next().is_some()) {
            Ok(true) => return Err(refuse(directory, "is not empty", HINT)),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::file("access", directory, error)),
        }
        if directory.starts_with(path) {
            return Err(refuse(directory, "is in the data directory", HINT));
        }
    }
    Ok(())
}

pub(super) fn refuse(path: &Path, reason: impl Into<String>, hint: &'static str) -> Error {
    Error::Directory { path: path.to_owned(), reason: reason.into(), hint }
}

/// Returns the process of a server on a data directory. It is the process in the PID file, else a
/// process with this working directory.
pub(super) fn server_on(path: &Path) -> Option<i32> {
    let told = fs::read_to_string(path.join(PID_FILE)).ok();
    let told = told.and_then(|text| text.lines().next()?.trim().parse::<i32>().ok());
    let lives = |pid: &i32| {
        let process = rustix::process::Pid::from_raw(*pid);
        process.is_some_and(|it| rustix::process::test_kill_process(it) != Err(rustix::io::Errno::SRCH))
    };
    told.filter(lives).or_else(|| standing_in(path))
}

/// Returns a process with this working directory. A child process of a killed server may still write
/// there, although the PID file is gone.
pub(super) fn standing_in(path: &Path) -> Option<i32> {
    let path = path.canonicalize().ok()?;
    let pid = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<i32>().ok();
    let all = fs::read_dir("/proc").ok()?.flatten().filter_map(pid);
    let stands = |pid: &i32| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == path);
    let us = std::process::id().cast_signed();
    all.filter(|pid| *pid != us).find(stands)
}

fn free_bytes(path: &Path) -> Result<u64, Error> {
    let stat = statvfs(path).map_err(|error| Error::file("access", path, error.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// A directory of this process for temporary results.
#[derive(Debug)]
pub struct Home {
    /// The open directory.
    pub held: Pinned,
    /// The user and group who get the results; `None` if that is the current user.
    pub owner: Option<(u32, u32)>,
}

/// Opens the directory `parent`, or uses `home` if that is the same.
pub(super) fn above(parent: &Path, home: Option<&Home>) -> io::Result<Pinned> {
    match home.filter(|home| home.held.real() == parent) {
        Some(home) => home.held.again(),
        None => Pinned::reach(parent),
    }
}

/// Converts an error of handing over a directory to one of this module.
pub(super) fn given(held: &Pinned, result: Result<(), ChownError>) -> Result<(), Error> {
    result.map_err(|kept| match kept {
        ChownError::Io(error) => Error::file("chown", held.real(), error),
        ChownError::Odd(path, why) => refuse(&held.real().join(path), why, ""),
    })
}

/// A directory that is being made. It is removed on drop unless it is complete.
///
/// Its parent may belong to the future owner of the data, who could replace the directory while root
/// fills it. Therefore both directories are kept open and accessed independently of their names, and no
/// other user can change entries of this directory.
pub(super) struct StagingDir {
    /// The path, for programs that run as another user.
    pub(super) dir: PathBuf,
    owned: OwnedDir,
    above: Pinned,
    keep: std::cell::Cell<bool>,
}

impl StagingDir {
    /// Returns the path of the temporary directory for `path`.
    pub(super) fn beside(path: &Path) -> PathBuf {
        path.with_file_name(Self::name_beside(path))
    }

    fn name_beside(path: &Path) -> OsString {
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(PARTIAL);
        name
    }

    /// Returns the path of the future data directory for use by this process.
    pub(super) fn data(&self) -> PathBuf {
        self.held().path().join("data")
    }

    /// Returns the path of the future data directory for programs that run as another user.
    pub(super) fn named_data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Returns the open directory.
    pub(super) fn held(&self) -> &Pinned {
        self.owned.held()
    }

    /// Creates the temporary directory beside `path`, in `home` if that is the parent. Removes the
    /// leftover of a crashed process first. Fails if another process uses the directory.
    pub(super) fn make(path: &Path, home: Option<&Home>) -> Result<Self, Error> {
        let (dir, name) = (Self::beside(path), Self::name_beside(path));
        let parent = path.parent().unwrap_or(Path::new("/"));
        let above = above(parent, home).map_err(|error| Error::file("access", parent, error))?;
        sweep(&above, &name)?;
        match OwnedDir::make(&above, &name) {
            Ok(owned) => Ok(Self { dir, owned, above, keep: false.into() }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(busy(&dir)),
            Err(error) => Err(Error::file("create", &dir, error)),
        }
    }

    /// Returns the user and group who have to own the data at `path`, or `None` if that is the current
    /// user. The open directory decides, even if its name has been reused.
    pub(super) fn owner(&self, path: &Path, home: Option<&Home>) -> Result<Option<(u32, u32)>, Error> {
        if let Some(home) = home {
            return Ok(home.owner);
        }
        let io = |error| Error::file("access", path, error);
        let there = match self.above.enter(path.file_name().unwrap_or_default()) {
            Ok(there) => Some(there),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(io(error)),
        };
        owner(path, &there.as_ref().unwrap_or(&self.above).metadata().map_err(io)?)
    }

    /// Lets other users pass through the directory. The permissions of its entries restrict access to
    /// them.
    pub(super) fn open_up(&self) -> Result<(), Error> {
        self.held().set_mode(0o711).map_err(|error| Error::file("chmod", &self.dir, error))
    }

    /// Records the directories outside that belong to this directory.
    pub(super) fn remember(&self, outside: &[Outside]) -> Result<(), Error> {
        let path = self.held().path().join(OUTSIDE);
        let text = serde_json::to_vec(outside).map_err(|error| Error::file("write", &path, error.into()))?;
        write_private(&path, &text).map_err(|error| Error::file("write", &path, error))
    }

    /// Renames the data directory to its final name. All of its content is in place by then.
    pub(super) fn put(&self, path: &Path) -> Result<(), Error> {
        crash_point("recovery.unpacked");
        let place = self.above.path().join(path.file_name().unwrap_or_default());
        fs::rename(self.data(), place).map_err(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty => refuse(path, "is no longer empty", ""),
            _ => Error::file("move the directory to", path, error),
        })?;
        self.keep.set(true);
        let _ = clear_away(&self.owned);
        let _ = self.above.sync();
        Ok(())
    }
}

impl Drop for StagingDir {
    fn drop(&mut self) {
        if !self.keep.get() {
            let _ = discard(&self.above, &self.owned);
        }
        // If the tablespaces cannot be cleared, the next run needs the recorded list of them.
        self.owned.leave();
    }
}

fn busy(dir: &Path) -> Error {
    let reason = "already exists: another process restores to this target, or did so on another machine";
    refuse(dir, reason, "remove it if no such process runs any more")
}

/// Removes the temporary directory that a crashed process has left beside `path`.
pub(super) fn sweep_partial(path: &Path) -> Result<(), Error> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let above = Pinned::reach(parent).map_err(|error| Error::file("access", parent, error))?;
    sweep(&above, &StagingDir::name_beside(path))
}

/// Removes the directory `name` that a crashed process has left.
fn sweep(above: &Pinned, name: &OsStr) -> Result<(), Error> {
    let busy = || busy(&above.real().join(name));
    let is_ours = |meta: &fs::Metadata| meta.uid() == rustix::process::geteuid().as_raw();
    match Leftover::of(above, name, is_ours) {
        Ok(Leftover::Dead(dir)) => discard(above, &dir),
        Ok(Leftover::Missing | Leftover::Removed) => Ok(()),
        Ok(Leftover::InUse) | Err(_) => Err(busy()),
    }
}

/// Removes a temporary directory with its content.
fn clear_away(dir: &OwnedDir) -> Result<(), Error> {
    let held = dir.held();
    // The tablespaces of a data directory in its final place are no longer part of the temporary
    // directory.
    remove(&held.path().join(OUTSIDE))?;
    dir.remove().map_err(|error| Error::file("remove", held.real(), error))
}

/// Removes an incomplete temporary directory, and the content of its tablespaces. The directories of
/// the tablespaces were empty before.
fn discard(above: &Pinned, dir: &OwnedDir) -> Result<(), Error> {
    let held = dir.held();
    let data = held.path().join("data");
    if let Ok(meta) = data.symlink_metadata() {
        end_server(&data, meta.uid());
    }
    let outside = held.path().join(OUTSIDE);
    // If the data directory has been moved to its place, the tablespaces belong to it.
    let moved = outside.exists() && !data.exists() && was_moved(above, held);
    let outside = fs::read(outside).ok();
    let outside = outside.and_then(|text| serde_json::from_slice::<Vec<Outside>>(&text).ok());
    outside.into_iter().flatten().filter(|_| !moved).try_for_each(|one| one.clear())?;
    clear_away(dir)
}

/// Returns true if the data directory was already renamed to its final name.
fn was_moved(above: &Pinned, held: &Pinned) -> bool {
    let name = held.real().file_name().unwrap_or_default().as_bytes();
    let name = name.strip_prefix(b".").and_then(|name| name.strip_suffix(PARTIAL.as_bytes()));
    name.is_some_and(|name| above.path().join(OsStr::from_bytes(name)).join("PG_VERSION").exists())
}
