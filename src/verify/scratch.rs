//! The directory of a scratch cluster. It is private and has a random name. It is removed when the
//! process exits or, after a crash, by the next run.
//!
//! ```text
//! pggit-verify-<random>/  owned by this process; other users may only traverse it
//!   owner.json            the process that uses it
//!   *.conf                the configuration of the server
//!   home/                 owned by the user of the server: data directory, socket
//! ```

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};

use super::Error;
use crate::process::{ChownError, Cmd, OsUser, OwnedDir, Pinned, Strays, crash_point};
use crate::recovery::{Home, ServerEnv, remove_stale, server_user};

const PREFIX: &str = ServerEnv::FOR_TESTS;

/// The location and the user of scratch clusters.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory in which scratch clusters are created.
    pub directory: PathBuf,
    /// The user of scratch clusters if this process runs as root.
    pub user: Option<String>,
}

/// A directory for one scratch cluster. It is removed on drop.
///
/// Users with write access to the parent, and the user of the server, who can change the contents of
/// `home`, could replace entries of this directory. Therefore it is accessed through open directories
/// and not by name.
#[derive(Debug)]
pub(super) struct Scratch {
    dir: OwnedDir,
    home: Home,
    user: Option<OsUser>,
    /// The command prefix of the programs that run in the directory.
    wrapper: Vec<PathBuf>,
    /// Finds processes that the scratch cluster has left running.
    strays: Strays,
    /// The user who owns the contents of `home`, if it is not the current user.
    borrower: Cell<Option<u32>>,
}

/// The reason why files that a tool has restored are not handed over to a server.
#[derive(Debug)]
pub(super) enum Refused {
    /// The files cannot be handed over.
    Io(Error),
    /// The server would write to a file outside of the directory: the file and the reason.
    Leads(String, &'static str),
}

impl Scratch {
    /// Creates a scratch directory. Before that, removes those that dead processes left over. Fails if
    /// the configured directory cannot be used.
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
        let root = base.join(&name);
        if !ServerEnv::is_short_enough(&root.join("home")) {
            return Err(Error::TooLong { path: base });
        }
        let strays = ServerEnv::strays(&root, user.as_ref());
        let dir = Pinned::reach(&base).and_then(|above| OwnedDir::make(&above, name.as_ref()));
        let filled = dir.and_then(|dir| Ok((Self::fill(dir.held(), user.as_ref())?, dir)));
        let (home, dir) = filled.map_err(|source| failed("create", &root, source))?;
        let home = Home { held: home, owner: user.as_ref().map(|user| (user.uid, user.gid)) };
        let scratch =
            Self { dir, home, user, wrapper: ServerEnv::wrapper(true), strays, borrower: None.into() };
        crash_point("verify.scratch-made");
        Ok(scratch)
    }

    fn fill(held: &Pinned, user: Option<&OsUser>) -> io::Result<Pinned> {
        held.set_mode(0o711)?;
        let home = held.make("home".as_ref())?;
        user.map_or(Ok(()), |user| home.give((user.uid, user.gid)))?;
        ServerEnv::write_files(&held.path())?;
        Ok(home)
    }

    /// Returns the path of a file of this process, outside the part that belongs to the user of the
    /// server.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.held().path().join(name)
    }

    /// Returns the open directory.
    pub(super) fn held(&self) -> &Pinned {
        self.dir.held()
    }

    /// Returns the directory that the user of the server owns.
    pub(super) fn home(&self) -> &Home {
        &self.home
    }

    /// Returns the path of the data directory.
    pub(super) fn data(&self) -> PathBuf {
        self.home.held.real().join("data")
    }

    /// Returns the directory of a tablespace.
    pub(super) fn space(&self, number: usize) -> PathBuf {
        self.home.held.real().join(format!("space-{number}"))
    }

    /// Returns the directories, the user and the command prefix of the server.
    pub(super) fn server_env(&self) -> ServerEnv {
        ServerEnv {
            data: self.data(),
            home: self.home.held.real().to_owned(),
            files: self.held().real().to_owned(),
            user: self.user.clone(),
            wrapper: self.wrapper.clone(),
        }
    }

    /// Makes `borrower`, or else the user of this process, the owner of `home`, so that a tool can
    /// write into it. No other user can enter it until [`Self::take_back`].
    pub(super) fn lend(&self, borrower: Option<&OsUser>) -> Result<(), Error> {
        let home = &self.home.held;
        let lent = match borrower {
            Some(user) => home.give((user.uid, user.gid)),
            None => home.take(),
        };
        self.borrower.set(borrower.filter(|user| !user.is_us()).map(|user| user.uid));
        lent.map_err(|source| failed("change the owner of", home.real(), source))
    }

    /// Takes `home`, so that no other user can enter it and its contents can be checked. Processes that
    /// are already inside may still change subdirectories.
    pub(super) fn close(&self) -> Result<(), Error> {
        self.home.held.take().map_err(|source| failed("change the owner of", self.home.held.real(), source))
    }

    /// Makes the user of the server the owner of everything in `home`. Fails if a file leads out of the
    /// directory, does not exist, or also belongs to another user.
    pub(super) fn take_back(&self) -> Result<(), Refused> {
        self.close().map_err(Refused::Io)?;
        let home = &self.home.held;
        let io = |source| Refused::Io(failed("change the owner of", home.real(), source));
        let place = home.path().canonicalize().map_err(io)?;
        let leads_out = |path: &Path, _: &Path| {
            let inside = place.join(path).canonicalize().is_ok_and(|target| target.starts_with(&place));
            (!inside).then_some("leads out of the directory")
        };
        let us = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let given = home.hand_over(self.borrower.get(), self.home.owner.unwrap_or(us), &leads_out);
        given.map_err(|kept| match kept {
            ChownError::Io(source) => io(source),
            ChownError::Odd(path, why) => Refused::Leads(path.display().to_string(), why),
        })
    }

    /// Returns a command that runs `program` as the user of the server. It has a lower CPU priority,
    /// and it is killed when this process exits.
    pub(super) fn cmd(&self, program: &Path) -> Cmd {
        self.server_env().cmd(program)
    }

    /// Returns `cmd` with the user of the server.
    pub(super) fn as_user(&self, cmd: Cmd) -> Cmd {
        self.server_env().as_user(cmd)
    }

    /// Returns the free disk space in bytes.
    pub(super) fn free_bytes(&self) -> Result<u64, Error> {
        let failed = |source: rustix::io::Errno| Error::Scratch {
            action: "access",
            path: self.held().real().to_owned(),
            source: source.into(),
        };
        let stat = rustix::fs::statvfs(self.held().path()).map_err(failed)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Code from the backup may have started processes that would outlive the test.
        self.strays.end();
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Scratch { action, path: path.to_owned(), source }
}

/// Stops and removes the scratch clusters in `base` that dead processes left over.
pub(super) fn sweep(base: &Path) -> Vec<PathBuf> {
    remove_stale(base, PREFIX, "home/data")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn settings(directory: &Path) -> Settings {
        Settings { directory: directory.to_owned(), user: None }
    }

    #[test]
    fn it_goes_with_its_owner_and_only_then() {
        let base = tempfile::tempdir().unwrap();
        let scratch = Scratch::make(&settings(base.path())).unwrap();
        let root = scratch.held().real().to_owned();
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
        fs::create_dir(scratch.space(0)).unwrap();
        fs::write(&outside, "precious").unwrap();
        let owner = || fs::metadata(&outside).map(|meta| (meta.uid(), meta.gid())).unwrap();
        let before = owner();
        std::os::unix::fs::symlink(scratch.space(0), data.join("pg_tblspc/1")).unwrap();
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
        assert_eq!(refused(), "has another hard link");
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
