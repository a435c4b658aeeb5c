//! The directory of a scratch cluster: private, named by nobody else, and gone
//! when we are, however that happens.
//!
//! ```text
//! pggit-verify-<random>/  ours; others may pass through it
//!   owner.json            the process that works with it
//!   *.conf                what the server is told
//!   home/                 of the user whom the server runs as: data, socket
//! ```

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, lchown};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::Error;
use crate::process::{Cmd, OsUser, Strays, claim, crash_point, remove_claimed};
use crate::recovery::{Ground, server_user, sweep_grounds};

const PREFIX: &str = "pggit-verify-";

/// Where scratch clusters are, and as whom they run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory in which they are made.
    pub directory: PathBuf,
    /// As whom they run when we are root.
    pub user: Option<String>,
}

/// A directory for one scratch cluster. It goes when this goes.
#[derive(Debug)]
pub(super) struct Scratch {
    root: PathBuf,
    user: Option<OsUser>,
    /// What stands before the programs that run in it.
    prefix: Vec<PathBuf>,
    /// What they may leave behind.
    strays: Strays,
}

/// Why what a tool has put there is not given to a server.
#[derive(Debug)]
pub(super) enum Refused {
    /// It cannot be.
    Io(Error),
    /// What the server writes to this file would be written somewhere else, and why.
    Leads(String, &'static str),
}

impl Scratch {
    /// Makes one, and first removes what dead processes have left.
    pub(super) fn make(settings: &Settings) -> Result<Self, Error> {
        let base = &settings.directory;
        let place =
            |source| Error::Scratch { action: "use the scratch directory", path: base.clone(), source };
        let base = base.canonicalize().map_err(place)?;
        if base.ancestors().any(|dir| dir.join("PG_VERSION").exists()) {
            return Err(Error::InsideDataDirectory { path: base });
        }
        let user = server_user(settings.user.as_deref())?;
        sweep(&base);
        let name = format!("{PREFIX}{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
        let root = base.join(name);
        if !Ground::is_short_enough(&root.join("home")) {
            return Err(Error::TooLong { path: base });
        }
        let strays = Ground::strays(&root, user.as_ref());
        let mut scratch = Self { root, user, prefix: Vec::new(), strays };
        // Between its making and its naming an owner it may be swept by others.
        const TRIES: usize = 10;
        let tries = (0..TRIES).map(|_| scratch.fill()).find(|filled| {
            !matches!(filled, Err(Error::Scratch { source, .. }) if source.kind() == io::ErrorKind::NotFound)
        });
        tries.unwrap_or_else(|| scratch.fill())?;
        crash_point("verify.scratch-made");
        scratch.prefix = Ground::prefix(true);
        Ok(scratch)
    }

    fn fill(&self) -> Result<(), Error> {
        let failed = |source| Error::Scratch { action: "make", path: self.root.clone(), source };
        make(&self.root, 0o711).map_err(failed)?;
        claim(&self.root).map_err(failed)?;
        let home = self.home();
        make(&home, 0o700).map_err(failed)?;
        self.give(&home).map_err(failed)?;
        Ground::write_files(&self.root).map_err(failed)?;
        Ok(())
    }

    /// A file that the server reads and cannot change.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The directory that the user of the server has.
    pub(super) fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    /// The data directory.
    pub(super) fn data(&self) -> PathBuf {
        self.home().join("data")
    }

    /// Gives a file to that user.
    pub(super) fn give(&self, path: &Path) -> io::Result<()> {
        self.user.as_ref().map_or(Ok(()), |user| chown(path, Some(user.uid), Some(user.gid)))
    }

    /// Where the server works.
    pub(super) fn ground(&self) -> Ground {
        Ground {
            data: self.data(),
            home: self.home(),
            files: self.root.clone(),
            user: self.user.clone(),
            prefix: self.prefix.clone(),
        }
    }

    /// Lets a tool that runs as `borrower`, or else as we, put something there.
    /// Until it is taken back, nobody else gets in.
    pub(super) fn lend(&self, borrower: Option<&OsUser>) -> Result<(), Error> {
        let (uid, gid) = match borrower {
            Some(user) => (user.uid, user.gid),
            None => (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
        };
        let home = self.home();
        chown(&home, Some(uid), Some(gid)).map_err(|source| failed("give away", &home, source))
    }

    /// Gives all that is there to the user of the server, unless it leads to
    /// somewhere else: to what is not there, or to what somebody else has, too.
    pub(super) fn take_back(&self) -> Result<(), Refused> {
        // Who had it gets nowhere any more.
        self.lend(None).map_err(Refused::Io)?;
        let home = self.home();
        for entry in WalkDir::new(&home).min_depth(1) {
            let entry = entry.map_err(|error| Refused::Io(failed("list", &home, error.into())))?;
            let io = |source| Refused::Io(failed("give away", entry.path(), source));
            let meta = entry.path().symlink_metadata().map_err(io)?;
            let leads = match meta.file_type() {
                kind if kind.is_symlink() => {
                    let inside = entry.path().canonicalize().is_ok_and(|target| target.starts_with(&home));
                    (!inside).then_some("leads out of the directory")
                }
                kind => (!kind.is_dir() && meta.nlink() > 1).then_some("is linked elsewhere, too"),
            };
            if let Some(why) = leads {
                let below = entry.path().strip_prefix(&home).unwrap_or(entry.path());
                return Err(Refused::Leads(below.display().to_string(), why));
            }
            if let Some(user) = &self.user {
                lchown(entry.path(), Some(user.uid), Some(user.gid)).map_err(io)?;
            }
        }
        self.give(&home).map_err(|source| Refused::Io(failed("give away", &home, source)))
    }

    /// A command that runs `program` as that user, a little nicer than others,
    /// and not longer than we live.
    pub(super) fn cmd(&self, program: &Path) -> Cmd {
        self.ground().cmd(program)
    }

    /// Lets `cmd` run as that user.
    pub(super) fn as_user(&self, cmd: Cmd) -> Cmd {
        self.ground().as_user(cmd)
    }

    /// How many bytes are free there.
    pub(super) fn free_bytes(&self) -> Result<u64, Error> {
        let failed = |source: rustix::io::Errno| Error::Scratch {
            action: "look at",
            path: self.root.clone(),
            source: source.into(),
        };
        let stat = rustix::fs::statvfs(&self.root).map_err(failed)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.root.as_os_str().is_empty() {
            // Code of the backup may have started what would outlive the test.
            self.strays.end();
            // What cannot be removed now is removed by the next run.
            let _ = remove_claimed(&self.root);
        }
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Scratch { action, path: path.to_owned(), source }
}

fn make(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().mode(mode).create(path)?;
    // The umask does not count.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Ends and removes scratch clusters of dead processes in `base`.
pub(super) fn sweep(base: &Path) -> Vec<PathBuf> {
    sweep_grounds(base, PREFIX, "home/data")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(directory: &Path) -> Settings {
        Settings { directory: directory.to_owned(), user: None }
    }

    #[test]
    fn it_goes_with_its_owner_and_only_then() {
        let base = tempfile::tempdir().unwrap();
        let scratch = Scratch::make(&settings(base.path())).unwrap();
        let root = scratch.root.clone();
        assert!(sweep(base.path()).is_empty(), "we live");
        let dead = serde_json::json!({ "host": crate::process::host(), "boot_id": "another", "pid": 1, "started_ticks": 1 });
        let other = base.path().join(format!("{PREFIX}dead"));
        fs::create_dir(&other).unwrap();
        fs::write(other.join("owner.json"), dead.to_string()).unwrap();
        let strange = base.path().join(format!("{PREFIX}strange"));
        fs::create_dir(&strange).unwrap();
        fs::write(strange.join("owner.json"), "{").unwrap();
        fs::create_dir(base.path().join(format!("{PREFIX}empty"))).unwrap();
        fs::create_dir(base.path().join("dead")).unwrap();
        assert_eq!(sweep(base.path()).len(), 2);
        assert!(!other.exists() && strange.exists() && root.exists() && base.path().join("dead").exists());
        drop(scratch);
        assert!(!root.exists());
    }

    #[test]
    fn what_leads_elsewhere_is_not_given_to_a_server() {
        let base = tempfile::tempdir().unwrap();
        let scratch = Scratch::make(&settings(base.path())).unwrap();
        scratch.lend(None).unwrap();
        let (data, outside) = (scratch.data(), base.path().join("outside"));
        fs::create_dir_all(data.join("pg_tblspc")).unwrap();
        fs::create_dir(scratch.home().join("space-0")).unwrap();
        fs::write(&outside, "precious").unwrap();
        let owner = || fs::metadata(&outside).map(|meta| (meta.uid(), meta.gid())).unwrap();
        let before = owner();
        std::os::unix::fs::symlink(scratch.home().join("space-0"), data.join("pg_tblspc/1")).unwrap();
        scratch.take_back().unwrap();
        let link = data.join("link");
        let refused = || match scratch.take_back() {
            Err(Refused::Leads(path, why)) => {
                assert_eq!(path, "data/link");
                fs::remove_file(&link).unwrap();
                why
            }
            other => panic!("{other:?}"),
        };
        std::os::unix::fs::symlink(&outside, &link).unwrap();
        assert_eq!(refused(), "leads out of the directory");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        assert_eq!(refused(), "leads out of the directory");
        fs::hard_link(&outside, &link).unwrap();
        assert_eq!(refused(), "is linked elsewhere, too");
        scratch.take_back().unwrap();
        assert_eq!(owner(), before);
    }

    #[test]
    fn places_that_cannot_be_used_are_refused() {
        let base = tempfile::tempdir().unwrap();
        let deep = base.path().join("x".repeat(80));
        fs::create_dir(&deep).unwrap();
        assert!(matches!(Scratch::make(&settings(&deep)), Err(Error::TooLong { .. })));
        assert!(matches!(Scratch::make(&settings(&base.path().join("no"))), Err(Error::Scratch { .. })));
        if OsUser::we_are_root() {
            let nobody = Settings { user: Some("no-such-user".into()), ..settings(&deep) };
            assert!(matches!(Scratch::make(&nobody), Err(Error::NoUser { .. })));
        }
        fs::write(base.path().join("PG_VERSION"), "15").unwrap();
        let inside = base.path().join("base");
        fs::create_dir(&inside).unwrap();
        assert!(matches!(Scratch::make(&settings(&inside)), Err(Error::InsideDataDirectory { .. })));
    }
}
