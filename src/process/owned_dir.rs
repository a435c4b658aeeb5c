//! Directories that belong to a process. A later process may remove the directories of a dead one.
//!
//! The owner file in the directory names the process. This file is created atomically and is removed
//! last. So a later process can always tell if the directory is in use, regardless of when its owner
//! was killed.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, Metadata};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::{Liveness, Pinned, create_private, is_alive, private_directories, write_private};
use crate::domain::Owner;

/// The name of the owner file.
pub const OWNER_FILE: &str = "owner.json";
/// The name of the temporary file that becomes the owner file.
const DRAFT: &str = "owner.json.new";
/// The number of attempts to create a directory if other processes remove it before it has an owner
/// file.
const ATTEMPTS: usize = 10;

/// A directory that belongs to this process or to a dead one. A directory of this process is
/// removed on drop.
#[derive(Debug)]
pub struct OwnedDir {
    held: Pinned,
    stays: AtomicBool,
}

impl OwnedDir {
    /// Creates the directory `name` with mode 0700, and claims it for this process. Other users may
    /// have write access to `above`: see [`Pinned::make`].
    ///
    /// # Errors
    /// Fails with [`io::ErrorKind::AlreadyExists`] if an entry of that name exists.
    pub fn make(above: &Pinned, name: &OsStr) -> io::Result<Self> {
        Self::make_with(|| above.make(name))
    }

    /// Creates the directory `path` as [`OwnedDir::make`] does, but in a directory that no other
    /// user can change. The file system need not support owners.
    ///
    /// # Errors
    /// As for [`OwnedDir::make`].
    pub fn make_private(path: &Path) -> io::Result<Self> {
        Self::make_with(|| {
            DirBuilder::new().mode(0o700).create(path)?;
            Pinned::open(path)
        })
    }

    fn make_with(make: impl Fn() -> io::Result<Pinned>) -> io::Result<Self> {
        let attempt = || {
            let made = Self { held: make()?, stays: false.into() };
            claim(&made.held.path())?;
            Ok(made)
        };
        // Another process may remove the directory as a leftover before it has an owner file.
        let is_final = |made: &io::Result<Self>| {
            !made.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        (1..ATTEMPTS).map(|_| attempt()).find(is_final).unwrap_or_else(attempt)
    }

    /// Returns the open directory.
    pub fn held(&self) -> &Pinned {
        &self.held
    }

    /// Keeps the directory: it is not removed on drop.
    pub fn leave(&self) {
        self.stays.store(true, Ordering::Relaxed);
    }

    /// Removes the directory with all of its contents.
    ///
    /// # Errors
    /// Fails if an entry cannot be removed. Then the owner file stays.
    pub fn remove(&self) -> io::Result<()> {
        self.held.clear(&[OWNER_FILE])?;
        self.held.clear(&[])?;
        // Fails if another directory that is not empty has that name now.
        fs::remove_dir(self.held.real())?;
        self.leave();
        Ok(())
    }
}

impl Drop for OwnedDir {
    fn drop(&mut self) {
        if !self.stays.load(Ordering::Relaxed) {
            // A later process retries a failed removal.
            let _ = self.remove();
        }
    }
}

/// The state of a directory that a process has created.
#[derive(Debug)]
pub enum Leftover {
    /// The directory does not exist.
    Missing,
    /// Its process is dead. Only [`OwnedDir::remove`] removes the directory.
    Dead(OwnedDir),
    /// The directory was empty and had no owner file, because its process was killed right after
    /// the creation or during the removal. The directory has been removed.
    Removed,
    /// Its process is alive or is not visible from here, or the directory has contents and no valid
    /// owner file.
    InUse,
}

impl Leftover {
    /// Returns the state of the directory `name` in `above`. A directory that `is_wanted` does not
    /// accept is reported as in use.
    ///
    /// # Errors
    /// Fails if the directory cannot be read, or is not a directory.
    pub fn of(above: &Pinned, name: &OsStr, is_wanted: impl FnOnce(&Metadata) -> bool) -> io::Result<Self> {
        let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let held = match above.enter(name) {
            Err(error) if missing(&error) => return Ok(Self::Missing),
            held => held?,
        };
        // The open directory stays the same, even if its name is reused.
        if !is_wanted(&held.metadata()?) {
            return Ok(Self::InUse);
        }
        let note = match fs::read(held.path().join(OWNER_FILE)) {
            Err(error) if missing(&error) => {
                let removed = remove_unclaimed(&held)?;
                return Ok(if removed { Self::Removed } else { Self::InUse });
            }
            note => note?,
        };
        let is_dead = |owner: &Owner| is_alive(owner) == Liveness::Dead;
        match serde_json::from_slice(&note) {
            Ok(owner) if is_dead(&owner) => Ok(Self::Dead(OwnedDir { held, stays: true.into() })),
            _ => Ok(Self::InUse),
        }
    }
}

/// Removes the directories in `above` that dead processes have left and that `is_wanted` accepts by
/// name and metadata. Before a removal, `end` ends the processes that belong to the directory.
/// Returns the paths of the removed directories.
pub fn sweep(
    above: &Pinned,
    is_wanted: impl Fn(&OsStr, &Metadata) -> bool,
    end: impl Fn(&Pinned),
) -> Vec<PathBuf> {
    let mut swept = Vec::new();
    for name in above.names().unwrap_or_default() {
        let is_removed = match Leftover::of(above, &name, |meta| is_wanted(&name, meta)) {
            Ok(Leftover::Dead(dir)) => {
                end(&dir.held);
                dir.remove().is_ok()
            }
            Ok(Leftover::Removed) => true,
            Ok(Leftover::Missing | Leftover::InUse) | Err(_) => false,
        };
        if is_removed {
            swept.push(above.real().join(name));
        }
    }
    swept
}

/// Removes a directory without an owner file, unless its process is just writing that file. Returns true
/// if it was removed.
fn remove_unclaimed(held: &Pinned) -> io::Result<bool> {
    let lock = fs::File::open(held.path())?;
    if flock(&lock, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
        return Ok(false);
    }
    // The owner file may have been written before the lock was free.
    if held.path().join(OWNER_FILE).try_exists()? {
        return Ok(false);
    }
    let _ = fs::remove_file(held.path().join(DRAFT));
    Ok(fs::remove_dir(held.real()).is_ok())
}

/// Writes the owner file under a lock of the directory. Fails with [`io::ErrorKind::NotFound`] if another
/// process has removed the directory before the lock, because it had no owner file.
fn claim(dir: &Path) -> io::Result<()> {
    let lock = fs::File::open(dir)?;
    // Some network file systems do not support locks.
    let _ = flock(&lock, FlockOperation::LockExclusive);
    let draft = dir.join(DRAFT);
    let mut file = create_private(&draft)?;
    file.write_all(&serde_json::to_vec(&Owner::current()?)?)?;
    // Without this, a power failure could leave an empty owner file, and the directory would never
    // be removed.
    file.sync_all()?;
    fs::rename(draft, dir.join(OWNER_FILE))
}

/// A permanent directory that one process at a time uses. On drop it becomes available to other
/// processes.
#[derive(Debug)]
pub struct ExclusiveDir {
    note: PathBuf,
}

impl ExclusiveDir {
    /// Claims the directory `dir` for this process, with an owner file of the name `note`. Creates
    /// the directory if it is missing. Returns `None` if a process that may be alive uses it.
    ///
    /// # Errors
    /// Fails if the directory cannot be created or the owner file cannot be written.
    pub fn claim(dir: &Path, note: &str) -> io::Result<Option<Self>> {
        private_directories(dir)?;
        let path = dir.join(note);
        // The lock makes sure that of two concurrent processes the second one sees the owner file
        // of the first. Some network file systems do not support locks.
        let lock = fs::File::open(dir)?;
        let _ = flock(&lock, FlockOperation::LockExclusive);
        let owner = fs::read(&path).ok().and_then(|note| serde_json::from_slice::<Owner>(&note).ok());
        if owner.is_some_and(|owner| is_alive(&owner) != Liveness::Dead) {
            return Ok(None);
        }
        write_private(&path, &serde_json::to_vec(&Owner::current()?)?)?;
        Ok(Some(Self { note: path }))
    }
}

impl Drop for ExclusiveDir {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.note);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead() -> Vec<u8> {
        let current = Owner::current().unwrap();
        serde_json::to_vec(&Owner { started_ticks: current.started_ticks + 1, ..current }).unwrap()
    }

    fn sweep_all(above: &Pinned) -> Vec<PathBuf> {
        sweep(above, |_, _| true, |_| {})
    }

    #[test]
    fn a_directory_without_a_note_is_removed_only_if_it_is_empty() {
        let base = tempfile::tempdir().unwrap();
        let (above, dir) = (Pinned::reach(base.path()).unwrap(), base.path().join("dir"));
        let look = || Leftover::of(&above, "dir".as_ref(), |_| true).unwrap();
        assert!(matches!(look(), Leftover::Missing));
        fs::create_dir(&dir).unwrap();
        assert!(matches!(look(), Leftover::Removed) && !dir.exists());
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join(DRAFT), "{\"ho").unwrap();
        assert!(matches!(look(), Leftover::Removed) && !dir.exists());
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("precious"), "x").unwrap();
        assert!(matches!(look(), Leftover::InUse));
        fs::write(dir.join(OWNER_FILE), "{").unwrap();
        assert!(matches!(look(), Leftover::InUse) && sweep_all(&above).is_empty());
        assert!(dir.join("precious").exists());
        std::os::unix::fs::symlink(&dir, base.path().join("link")).unwrap();
        assert!(Leftover::of(&above, "link".as_ref(), |_| true).is_err());
    }

    #[test]
    fn the_directory_of_a_dead_process_is_swept_and_that_of_a_live_one_is_not() {
        let base = tempfile::tempdir().unwrap();
        let above = Pinned::reach(base.path()).unwrap();
        let ours = OwnedDir::make(&above, "ours".as_ref()).unwrap();
        assert!(matches!(Leftover::of(&above, "ours".as_ref(), |_| true), Ok(Leftover::InUse)));
        let theirs = OwnedDir::make(&above, "theirs".as_ref()).unwrap();
        let path = theirs.held().real().to_owned();
        fs::create_dir_all(path.join("a/b")).unwrap();
        std::os::unix::fs::symlink("/", path.join("link")).unwrap();
        theirs.leave();
        drop(theirs);
        assert!(sweep_all(&above).is_empty() && path.exists(), "this process is alive");
        fs::write(path.join(OWNER_FILE), dead()).unwrap();
        // A leftover that was found is not removed on drop.
        assert!(matches!(Leftover::of(&above, "theirs".as_ref(), |_| true), Ok(Leftover::Dead(_))));
        let unwanted = sweep(&above, |name, _| name != "theirs", |_| {});
        assert!(unwanted.is_empty() && path.join("a/b").exists());
        let ended = std::cell::RefCell::new(Vec::new());
        let swept = sweep(&above, |_, _| true, |held| ended.borrow_mut().push(held.real().to_owned()));
        assert_eq!((swept, ended.take()), (vec![path.clone()], vec![path.clone()]));
        assert!(!path.exists() && ours.held().real().exists());
    }

    #[test]
    fn a_name_is_reused_after_the_directory_is_gone() {
        let base = tempfile::tempdir().unwrap();
        let above = Pinned::reach(base.path()).unwrap();
        let make = || OwnedDir::make(&above, "dir".as_ref());
        let first = make().unwrap();
        assert_eq!(make().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        first.remove().unwrap();
        let second = make().unwrap();
        // The first value has no directory any more. Its drop does not remove the second directory.
        drop(first);
        fs::write(second.held().real().join("file"), "x").unwrap();
        drop(second);
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0);
        let path = base.path().join("dir");
        let third = OwnedDir::make_private(&path).unwrap();
        assert_eq!(OwnedDir::make_private(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        third.leave();
        drop(third);
        fs::write(path.join(OWNER_FILE), dead()).unwrap();
        assert_eq!(sweep_all(&above), std::slice::from_ref(&path));
        drop(OwnedDir::make_private(&path).unwrap());
        assert!(!path.exists());
    }

    #[test]
    fn those_who_make_and_those_who_sweep_do_not_disturb_each_other() {
        let base = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for maker in 0..4 {
                let base = base.path();
                scope.spawn(move || {
                    let above = Pinned::reach(base).unwrap();
                    for number in 0..50 {
                        let name = format!("{maker}-{number}");
                        let made = match number % 2 {
                            0 => OwnedDir::make(&above, name.as_ref()).unwrap(),
                            _ => OwnedDir::make_private(&base.join(name)).unwrap(),
                        };
                        fs::write(made.held().real().join("file"), "x").unwrap();
                        assert!(sweep_all(&above).is_empty() || made.held().real().exists());
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0);
    }

    #[test]
    fn two_processes_may_remove_the_same_directory() {
        for _ in 0..20 {
            let base = tempfile::tempdir().unwrap();
            let dir = base.path().join("dir");
            (0..50).for_each(|number| fs::create_dir_all(dir.join(format!("{number}/a"))).unwrap());
            fs::write(dir.join(OWNER_FILE), dead()).unwrap();
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| sweep_all(&Pinned::reach(base.path()).unwrap()));
                }
            });
            assert!(!dir.exists());
        }
    }

    #[test]
    fn an_exclusive_directory_has_one_user_and_keeps_its_contents() {
        let base = tempfile::tempdir().unwrap();
        let dir = base.path().join("a/dir");
        let claim = || ExclusiveDir::claim(&dir, ".owner.json").unwrap();
        let users = std::sync::Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| users.lock().unwrap().extend(claim()));
            }
        });
        assert_eq!(users.lock().unwrap().len(), 1);
        fs::write(dir.join("segment"), "x").unwrap();
        assert!(claim().is_none());
        users.lock().unwrap().clear();
        assert!(dir.join("segment").exists() && !dir.join(".owner.json").exists());
        fs::write(dir.join(".owner.json"), dead()).unwrap();
        let next = claim();
        assert!(next.is_some() && claim().is_none());
    }
}
