//! Directories that are kept open while something is done in them.
//!
//! Anyone with write access to a directory can replace an entry of it right after that entry was
//! checked, for example by a symbolic link. This must not mislead root when it creates files in a
//! directory of another user or changes the owner of files there. Therefore a directory is opened
//! once, its properties are read from the open file, and its entries are accessed relative to that
//! file and not by path. If root has created a directory this way, nobody else can change its
//! entries, even if it is renamed.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Uid, chownat, fstat, mkdirat, openat, readlinkat,
};

use super::OsUser;

/// The maximum depth. Directories of a cluster are less deep.
const DEPTH_MAX: usize = 64;

/// A directory that is kept open.
#[derive(Debug)]
pub struct Pinned {
    file: File,
    real: PathBuf,
}

/// The reason why a directory was not given to another user.
#[derive(Debug)]
pub enum ChownError {
    /// A system call failed.
    Io(io::Error),
    /// An entry, by its path relative to the directory, is not acceptable.
    Odd(PathBuf, &'static str),
}

impl From<io::Error> for ChownError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<rustix::io::Errno> for ChownError {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(error.into())
    }
}

impl Pinned {
    /// Opens the directory `path`. Symbolic links are followed. Fails if it is missing, is not a
    /// directory or cannot be opened.
    pub fn reach(path: &Path) -> io::Result<Self> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        Ok(Self::of(openat(CWD, path, flags, Mode::empty())?, path.to_owned()))
    }

    /// Opens the directory `path`. Fails if it is a symbolic link.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY | OFlags::NOFOLLOW;
        Ok(Self::of(openat(CWD, path, flags, Mode::empty())?, path.to_owned()))
    }

    /// Opens the entry `name`. Fails if it is a symbolic link or not a directory.
    pub fn enter(&self, name: &OsStr) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY | OFlags::NOFOLLOW;
        Ok(Self::of(openat(&self.file, name, flags, Mode::empty())?, self.real.join(name)))
    }

    /// Creates the directory `name` with mode 0700 and opens it. Fails if an entry of that name
    /// exists, or if another user replaces the new directory.
    pub fn make(&self, name: &OsStr) -> io::Result<Self> {
        mkdirat(&self.file, name, Mode::RWXU)?;
        let made = self.enter(name)?;
        // Another user may have replaced the new directory.
        if made.metadata()?.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        // Sets the mode regardless of the umask.
        made.set_mode(0o700)?;
        Ok(made)
    }

    fn of(handle: OwnedFd, real: PathBuf) -> Self {
        Self { file: handle.into(), real }
    }

    /// Returns another handle of the same directory. Fails if the system call fails.
    pub fn again(&self) -> io::Result<Self> {
        Ok(Self { file: self.file.try_clone()?, real: self.real.clone() })
    }

    /// Returns the path of the directory for other users. The path is valid as long as the
    /// directory is not renamed or replaced.
    pub fn real(&self) -> &Path {
        &self.real
    }

    /// Returns the path of the directory for this process and for programs that run as the same
    /// user. For root it is a path under `/proc/<pid>/fd`, which does not depend on names. Other
    /// users have no privileges that could be misused.
    pub fn path(&self) -> PathBuf {
        match OsUser::we_are_root() {
            true => PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())),
            false => self.real.clone(),
        }
    }

    /// Returns `path` relative to [`Pinned::path`] if it is inside this directory, or unchanged.
    pub fn within(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.real) {
            Ok(rest) => self.path().join(rest),
            Err(_) => path.to_owned(),
        }
    }

    /// Returns the metadata of the open directory. Fails if the system call fails.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// Returns true if the directory has no entries. Fails if the directory is unreadable.
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.names()?.is_empty())
    }

    /// Flushes the directory entries to disk. Fails if the disk reports an error.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Flushes the file system that contains the directory to disk. Fails if the disk reports an
    /// error.
    pub fn sync_all(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.file)?)
    }

    /// Sets the permissions of the directory. Fails without the permission to do so.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.file.set_permissions(Permissions::from_mode(mode))
    }

    /// Changes the owner and group of the directory, but not of its contents. Fails without the
    /// permission to do so.
    pub fn give(&self, (uid, gid): (u32, u32)) -> io::Result<()> {
        fchown(&self.file, Some(uid), Some(gid))
    }

    /// Takes ownership and sets mode 0700. From then on no other user can change entries of the
    /// directory, not even a process that has it as its working directory. Subdirectories may still
    /// be changed by their owners. Fails without the permission to do so.
    pub fn take(&self) -> io::Result<()> {
        if self.metadata()?.uid() != rustix::process::geteuid().as_raw() {
            self.give((rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()))?;
        }
        self.set_mode(0o700)
    }

    /// Opens a file for reading and writing, and creates it if it is missing. A new file gets the
    /// owner of the directory. Fails if the file is a symbolic link, has another hard link, or has
    /// another owner.
    pub fn file(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(&self.file, name, flags, Mode::RUSR | Mode::WUSR)?);
        let (meta, owner) = (file.metadata()?, self.metadata()?);
        let is_ours = meta.uid() == rustix::process::geteuid().as_raw();
        if !meta.is_file() || meta.nlink() != 1 || !(is_ours || meta.uid() == owner.uid()) {
            return Err(io::Error::other("it is not a regular file of the expected user with one hard link"));
        }
        if meta.uid() != owner.uid() {
            fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
        }
        Ok(file)
    }

    /// Removes all entries except those in `keep`. Another process may remove them, too. Fails if
    /// an entry cannot be removed.
    pub fn clear(&self, keep: &[&str]) -> io::Result<()> {
        for name in self.names()?.iter().filter(|name| !keep.iter().any(|keep| *name == keep)) {
            let path = self.path().join(name);
            let removed = path.symlink_metadata().and_then(|meta| match meta.is_dir() {
                // `remove_dir_all` does not follow a symbolic link that replaces the directory
                // meanwhile.
                true => fs::remove_dir_all(&path),
                false => fs::remove_file(&path),
            });
            removed.or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })?;
        }
        Ok(())
    }

    /// Returns the names of all entries.
    pub(super) fn names(&self) -> io::Result<Vec<OsString>> {
        names(&self.file)
    }

    /// Gives the directory and all of its contents to a user and a group. `from` is the user who
    /// created the contents and may still have processes in it; `None` means that no other user had
    /// access. `is_odd` gets the path and the target of each symbolic link and returns what is
    /// wrong with it. Fails with [`ChownError`]; then some entries may already have the new owner.
    pub fn hand_over(
        &self,
        from: Option<u32>,
        to: (u32, u32),
        is_odd: &dyn Fn(&Path, &Path) -> Option<&'static str>,
    ) -> Result<(), ChownError> {
        let mode = self.metadata()?.mode();
        self.take()?;
        let given = Given { from, to, is_odd };
        given.below(&self.file, Path::new(""), 0)?;
        // Other users get access only now.
        self.give(to)?;
        Ok(self.set_mode(mode & 0o7777)?)
    }
}

/// The former and the new owner.
struct Given<'a> {
    from: Option<u32>,
    to: (u32, u32),
    is_odd: &'a dyn Fn(&Path, &Path) -> Option<&'static str>,
}

impl Given<'_> {
    /// Changes the owner of everything in an open directory that its creator can no longer change.
    fn below(&self, directory: &File, path: &Path, depth: usize) -> Result<(), ChownError> {
        if depth > DEPTH_MAX {
            return Err(ChownError::Odd(path.to_owned(), "is too deep"));
        }
        let owner = (Some(Uid::from_raw(self.to.0)), Some(Gid::from_raw(self.to.1)));
        for name in names(directory)? {
            let path = path.join(&name);
            // O_PATH opens the entry itself, even a symbolic link, so that it cannot be replaced
            // after the check.
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let held = openat(directory, &name, flags, Mode::empty())?;
            let stat = fstat(&held)?;
            if self.from.is_some_and(|from| stat.st_uid != from && stat.st_uid != self.to.0) {
                return Err(ChownError::Odd(path, "belongs to another user"));
            }
            let kind = FileType::from_raw_mode(stat.st_mode);
            if kind != FileType::Directory && stat.st_nlink > 1 {
                return Err(ChownError::Odd(path, "has another hard link"));
            }
            chownat(&held, "", owner.0, owner.1, AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW)?;
            match kind {
                FileType::Directory => {
                    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
                    let below = File::from(openat(&held, ".", flags, Mode::empty())?);
                    self.below(&below, &path, depth + 1)?;
                }
                FileType::Symlink => {
                    let to = readlinkat(&held, "", Vec::new())?;
                    let to = PathBuf::from(OsStr::from_bytes(to.as_bytes()));
                    if let Some(why) = (self.is_odd)(&path, &to) {
                        return Err(ChownError::Odd(path, why));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn names(directory: &File) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    Ok(names)
}

/// Returns true if only root can replace the directory `path` or one of its parents, so that the
/// path keeps leading to the same directory. Fails if the path is missing or unreadable.
pub fn is_rooted(path: &Path) -> io::Result<bool> {
    let path = path.canonicalize()?;
    for directory in path.ancestors() {
        let meta = fs::metadata(directory)?;
        // In a sticky directory, users cannot rename or remove entries of others.
        let is_open = meta.mode() & 0o022 != 0 && meta.mode() & 0o1000 == 0;
        if meta.uid() != 0 || is_open {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const FINE: &dyn Fn(&Path, &Path) -> Option<&'static str> = &|_, _| None;

    fn us() -> (u32, u32) {
        (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
    }

    #[test]
    fn what_is_held_stays_what_it_is_whatever_becomes_of_its_name() {
        let base = tempfile::tempdir().unwrap();
        let (above, target) = (Pinned::reach(base.path()).unwrap(), base.path().join("target"));
        let held = above.make("held".as_ref()).unwrap();
        assert_eq!(held.metadata().unwrap().mode() & 0o7777, 0o700);
        assert_eq!(held.real(), base.path().join("held"));
        assert!(above.make("held".as_ref()).is_err() && held.is_empty().unwrap());
        fs::create_dir(&target).unwrap();
        fs::write(target.join("precious"), "x").unwrap();
        fs::rename(held.real(), base.path().join("moved")).unwrap();
        symlink(&target, held.real()).unwrap();
        assert!(Pinned::open(held.real()).is_err() && above.enter("held".as_ref()).is_err());
        assert!(Pinned::reach(held.real()).is_ok());
        let file = held.file("file").unwrap();
        assert!(file.metadata().unwrap().is_file());
        assert!(base.path().join("moved/file").exists() && !target.join("file").exists());
        if OsUser::we_are_root() {
            assert_eq!(fs::read_dir(held.path()).unwrap().count(), 1);
            let within = held.within(&held.real().join("a/b"));
            fs::create_dir_all(&within).unwrap();
            assert!(base.path().join("moved/a/b").is_dir() && within.starts_with(held.path()));
            held.clear(&["a"]).unwrap();
            assert!(!base.path().join("moved/file").exists() && base.path().join("moved/a").exists());
        }
        assert_eq!(held.within(Path::new("/elsewhere")), Path::new("/elsewhere"));
        held.hand_over(Some(us().0), us(), FINE).unwrap();
        assert!(target.join("precious").exists());
    }

    #[test]
    fn a_file_of_somebody_else_is_not_written() {
        let base = tempfile::tempdir().unwrap();
        let held = Pinned::reach(base.path()).unwrap().make("held".as_ref()).unwrap();
        let outside = base.path().join("outside");
        fs::write(&outside, "precious").unwrap();
        symlink(&outside, held.real().join("link")).unwrap();
        fs::hard_link(&outside, held.real().join("hard")).unwrap();
        fs::create_dir(held.real().join("directory")).unwrap();
        for name in ["link", "hard", "directory"] {
            assert!(held.file(name).is_err(), "{name}");
        }
        assert_eq!(fs::read_to_string(&outside).unwrap(), "precious");
    }

    #[test]
    fn all_of_it_is_handed_over_and_nothing_that_is_elsewhere() {
        let base = tempfile::tempdir().unwrap();
        let held = Pinned::reach(base.path()).unwrap().make("held".as_ref()).unwrap();
        let outside = base.path().join("outside");
        fs::create_dir_all(held.real().join("a/b")).unwrap();
        fs::write(held.real().join("a/b/file"), "x").unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("shadow"), "x").unwrap();
        symlink(&outside, held.real().join("a/link")).unwrap();
        let nobody = match OsUser::named("nobody".as_ref()) {
            Some(user) if OsUser::we_are_root() => (user.uid, user.gid),
            _ => us(),
        };
        let owner = |path: PathBuf| path.symlink_metadata().map(|meta| (meta.uid(), meta.gid())).unwrap();
        held.hand_over(None, nobody, FINE).unwrap();
        for name in ["", "a", "a/b", "a/b/file", "a/link"] {
            assert_eq!(owner(held.real().join(name)), nobody, "{name}");
        }
        assert_eq!((owner(outside.clone()), owner(outside.join("shadow"))), (us(), us()));
        let odd = |kept: Result<(), ChownError>| match kept {
            Err(ChownError::Odd(path, why)) => (path.display().to_string(), why),
            other => panic!("{other:?}"),
        };
        let leads = |_: &Path, to: &Path| (to == outside).then_some("leads out");
        assert_eq!(odd(held.hand_over(None, us(), &leads)), ("a/link".into(), "leads out"));
        fs::remove_file(held.real().join("a/link")).unwrap();
        fs::hard_link(outside.join("shadow"), held.real().join("a/hard")).unwrap();
        assert_eq!(odd(held.hand_over(None, nobody, FINE)), ("a/hard".into(), "has another hard link"));
        assert_eq!(owner(outside.join("shadow")), us());
        fs::remove_file(held.real().join("a/hard")).unwrap();
        if OsUser::we_are_root() {
            fs::write(held.real().join("of-root"), "x").unwrap();
            let strange = ("of-root".to_owned(), "belongs to another user");
            assert_eq!(odd(held.hand_over(Some(nobody.0), nobody, FINE)), strange);
            assert_eq!(owner(held.real().join("of-root")), us());
        }
    }

    #[test]
    fn a_way_that_others_can_change_is_known() {
        let base = tempfile::tempdir().unwrap();
        let inner = base.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        let ours = OsUser::we_are_root();
        assert_eq!(is_rooted(&inner).unwrap(), ours);
        for (mode, rooted) in [(0o777, false), (0o1777, ours), (0o770, false), (0o755, ours)] {
            fs::set_permissions(base.path().join("a"), Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_rooted(&inner).unwrap(), rooted, "{mode:o}");
        }
    }
}
