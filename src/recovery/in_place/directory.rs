//! Exchange of two data directories.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, openat, renameat_with, unlinkat};

use super::super::Error;
use super::super::execute::remove;
use super::super::external::name_the_place;
use super::super::staging::{PID_FILE, given, server_on, standing_in, sweep_partial};
use super::{Identity, ReplacedObject, Slot, SwapTarget};
use crate::process::{OsUser, Pinned};

/// Suffixes of the temporary names.
const BESIDE: &str = ".pggit-new";
const ASIDE: &str = ".pggit-old";

/// A data directory to be replaced.
#[derive(Debug, Clone)]
pub struct DirectorySite {
    path: PathBuf,
    beside: PathBuf,
    aside: PathBuf,
    /// The directories that the caller has named for tablespaces of the new data directory.
    mapped: Vec<PathBuf>,
}

impl DirectorySite {
    /// Returns the data directory at `path`. Fails if it cannot be replaced.
    pub fn at(path: &Path) -> Result<Self, Error> {
        let refuse = |reason: &str, hint| {
            Err(Error::Directory { path: path.to_owned(), reason: reason.to_owned(), hint })
        };
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return refuse("does not exist", "leave out --in-place to create it");
            }
            Err(error) => return Err(Error::file("access", path, error)),
        };
        let failed = |error| Error::file("access", &real, error);
        if !real.join("PG_VERSION").is_file() {
            return refuse(
                "is not a data directory",
                "leave out --in-place to restore into an empty directory",
            );
        }
        let Some(name) = real.to_str().filter(|_| real.file_name().is_some()) else {
            return refuse("has a name that is not UTF-8", "rename it");
        };
        let above = real.parent().unwrap_or(Path::new("/"));
        if fs::metadata(&real).map_err(failed)?.dev() != fs::metadata(above).map_err(failed)?.dev() {
            return refuse("is a mount point", "only a directory in it can be replaced");
        }
        let (beside, aside) =
            (PathBuf::from(format!("{name}{BESIDE}")), PathBuf::from(format!("{name}{ASIDE}")));
        Ok(Self { path: real, beside, aside, mapped: Vec::new() })
    }

    /// Returns the data directory that a journal names.
    pub fn of(path: &Path, beside: &Path, aside: &Path) -> Self {
        let (path, beside, aside) = (path.to_owned(), beside.to_owned(), aside.to_owned());
        Self { path, beside, aside, mapped: Vec::new() }
    }

    /// Sets the directories in which tablespaces of the new data directory may be. A symbolic link
    /// alone proves nothing about its target, because others may have created it.
    #[must_use]
    pub fn with_mapped(mut self, mapped: Vec<PathBuf>) -> Self {
        self.mapped = mapped;
        self
    }

    /// Returns the target for the journal.
    pub fn place(&self) -> ReplacedObject {
        let Self { path, beside, aside, .. } = self.clone();
        ReplacedObject::Directory { path, beside, aside }
    }

    /// Fails if another object has one of the names, or if a server runs on the directory.
    pub fn preflight(&self) -> Result<(), Error> {
        for path in [&self.beside, &self.aside] {
            if path.symlink_metadata().is_ok() {
                return Err(Error::Directory {
                    path: path.clone(),
                    reason: "already exists".to_owned(),
                    hint: "it is not a leftover of an unfinished restore: move it away",
                });
            }
        }
        self.at_rest(&self.path)
    }

    /// Creates the directory for the new data directory, with the owner of the old one.
    pub fn prepare(&self) -> Result<(), Error> {
        let failed = |error| Error::file("create", &self.beside, error);
        let (above, owner) = self.above().map_err(failed)?;
        let made = above.make(name(&self.beside)).map_err(failed)?;
        self.belongs_to(&made, owner).map_err(failed)
    }

    /// Gives the new directory with its contents to the owner of the old one, and replaces its
    /// temporary path in the settings. A user with write access to it cannot make this process write to
    /// other files or change their owner.
    pub fn hand_over(&self) -> Result<(), Error> {
        let failed = |error| Error::file("access", &self.beside, error);
        let (above, owner) = self.above().map_err(failed)?;
        let made = above.enter(name(&self.beside)).map_err(failed)?;
        name_the_place(&made.path().join("."), &self.beside, &self.path)?;
        let from = made.metadata().map_err(failed)?.uid();
        if OsUser::we_are_root() {
            // If root has restored the files, they may have various owners, but no other user had
            // access.
            given(&made, made.hand_over((from != 0).then_some(from), owner, &|_, _| None))?;
        }
        let mode = fs::metadata(&self.path).map_err(failed)?.mode();
        made.set_mode(mode & 0o750).map_err(|error| Error::file("chmod", &self.beside, error))
    }

    /// Opens the parent directory of all three, and returns the owner of the existing data directory.
    fn above(&self) -> io::Result<(Pinned, (u32, u32))> {
        let above = Pinned::reach(self.path.parent().unwrap_or(Path::new("/")))?;
        let meta = above.enter(name(&self.path))?.metadata()?;
        Ok((above, (meta.uid(), meta.gid())))
    }

    fn belongs_to(&self, made: &Pinned, owner: (u32, u32)) -> io::Result<()> {
        let meta = made.metadata()?;
        if (meta.uid(), meta.gid()) == owner { Ok(()) } else { made.give(owner) }
    }

    /// Returns the path of the data directory to replace.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path under which the new data directory is created.
    pub fn beside(&self) -> &Path {
        &self.beside
    }

    /// Returns the directories of the tablespaces of the data directory at a position.
    pub fn tablespaces(&self, at: Slot) -> Vec<PathBuf> {
        let links = self.path_of(at).and_then(|path| fs::read_dir(path.join("pg_tblspc")).ok());
        links.into_iter().flatten().flatten().filter_map(|link| fs::read_link(link.path()).ok()).collect()
    }

    fn path_of(&self, spot: Slot) -> Option<&Path> {
        match spot {
            Slot::InPlace => Some(&self.path),
            Slot::Beside => Some(&self.beside),
            Slot::Aside => Some(&self.aside),
            Slot::Gone => None,
        }
    }

    fn at_rest(&self, path: &Path) -> Result<(), Error> {
        match server_on(path) {
            None => Ok(()),
            Some(pid) => Err(Error::Directory {
                path: path.to_owned(),
                reason: format!("is the data directory of a running server (process {pid})"),
                hint: "stop the server first",
            }),
        }
    }

    fn sync(&self) -> Result<(), Error> {
        let above = self.path.parent().unwrap_or(Path::new("/"));
        let synced = File::open(above).and_then(|dir| dir.sync_all());
        synced.map_err(|error| Error::file("sync", above, error))
    }
}

impl SwapTarget for DirectorySite {
    fn identity(&self, at: Slot) -> Result<Option<Identity>, Error> {
        let Some(path) = self.path_of(at) else { return Ok(None) };
        match path.symlink_metadata() {
            Ok(meta) => Ok(Some(Identity::Inode(meta.dev(), meta.ino()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::file("access", path, error)),
        }
    }

    fn exchange(&self, other: Slot) -> Result<(), Error> {
        let Some(other) = self.path_of(other) else { return Ok(()) };
        let _latch = Latch::on(&self.path)?;
        self.at_rest(other)?;
        match renameat_with(CWD, &self.path, CWD, other, RenameFlags::EXCHANGE) {
            Ok(()) => {}
            // This file system does not support an atomic exchange.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                let free = if other == self.aside { &self.beside } else { &self.aside };
                fs::rename(&self.path, free).map_err(|error| Error::file("move", &self.path, error))?;
                fs::rename(other, &self.path).map_err(|error| Error::file("move", other, error))?;
            }
            Err(error) => return Err(Error::file("exchange", &self.path, error.into())),
        }
        self.sync()
    }

    fn move_to(&self, from: Slot, to: Slot) -> Result<(), Error> {
        let (Some(from), Some(to)) = (self.path_of(from), self.path_of(to)) else { return Ok(()) };
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if to.symlink_metadata().is_err() => {
                fs::rename(from, to).map_err(|error| Error::file("move", from, error))?;
            }
            Err(error) => return Err(Error::file("move", from, error.into())),
        }
        self.sync()
    }

    fn remove(&self, at: Slot, outside: &[PathBuf]) -> Result<(), Error> {
        let Some(path) = self.path_of(at).filter(|path| *path != self.path) else { return Ok(()) };
        self.at_rest(path)?;
        let us = rustix::process::geteuid().as_raw();
        let owner = path.symlink_metadata().map_or(us, |meta| meta.uid());
        for directory in outside.iter().filter(|directory| self.mapped.contains(directory)) {
            // Another user may have replaced the directory, also by a symbolic link.
            let Ok(held) = Pinned::open(directory) else { continue };
            if !held.metadata().is_ok_and(|meta| [us, owner].contains(&meta.uid())) {
                continue;
            }
            for entry in fs::read_dir(held.path()).into_iter().flatten().flatten() {
                // Servers create only entries with this prefix. Other entries belong to others.
                if entry.file_name().as_encoded_bytes().starts_with(b"PG_") {
                    remove(&entry.path())?;
                }
            }
        }
        remove(path)?;
        self.sync()
    }

    fn outside(&self, at: Slot) -> Vec<PathBuf> {
        let real = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
        let others = [Slot::InPlace, Slot::Beside, Slot::Aside].into_iter().filter(|other| *other != at);
        let taken: Vec<PathBuf> =
            others.flat_map(|other| self.tablespaces(other)).map(|path| real(&path)).collect();
        let own = |path: &PathBuf| self.mapped.contains(path) && !taken.contains(&real(path));
        self.tablespaces(at).into_iter().filter(own).collect()
    }

    fn sweep(&self) -> Result<(), Error> {
        sweep_partial(&self.beside)
    }
}

/// Returns the last component of a path.
fn name(path: &Path) -> &OsStr {
    path.file_name().unwrap_or_default()
}

/// Prevents servers from starting on a data directory, by the PID file that a server checks at its
/// start. The file is removed on drop, wherever the directory was moved to. A file that remains after
/// a crash names a process that no longer exists, and a server ignores such a file.
struct Latch(Option<File>);

impl Latch {
    fn on(path: &Path) -> Result<Self, Error> {
        let running = |pid| Error::Directory {
            path: path.to_owned(),
            reason: format!("is the data directory of a running server (process {pid})"),
            hint: "stop the server first",
        };
        let failed = |error| Error::file("lock", path, error);
        let dir = File::open(path).map_err(failed)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let made = match openat(&dir, PID_FILE, flags, Mode::RUSR | Mode::WUSR) {
            Ok(made) => {
                let mut made = File::from(made);
                let meta = dir.metadata().map_err(failed)?;
                let _ = fchown(&made, Some(meta.uid()), Some(meta.gid()));
                writeln!(made, "{}\n{}", std::process::id(), path.display()).map_err(failed)?;
                true
            }
            // The PID file belongs to a crashed server, or to a server that has just started.
            Err(rustix::io::Errno::EXIST) => match server_on(path) {
                Some(pid) => return Err(running(pid)),
                None => false,
            },
            Err(error) => return Err(failed(error.into())),
        };
        let latch = Self(made.then_some(dir));
        match standing_in(path) {
            Some(pid) => Err(running(pid)),
            None => Ok(latch),
        }
    }
}

impl Drop for Latch {
    fn drop(&mut self) {
        if let Some(dir) = &self.0 {
            let _ = unlinkat(dir, PID_FILE, AtFlags::empty());
        }
    }
}
