//! Where a private server works: its directories and files, as whom it runs, and
//! that it does not live longer than we.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::process::{Cmd, OsUser, Pinned, Seen, Strays, find_program, pause, search_path, sweep};
use crate::recovery::Error;
use crate::tools::LIBPQ_VARIABLES;

/// A socket's whole path has at most so many bytes.
const SOCKET_PATH_MAX: usize = 107;
/// The longest name that a server makes there.
const SOCKET: &str = "/.s.PGSQL.5432.lock";
/// The environment variable that marks the processes of a server; its value is the directory of its
/// files.
const GROUND: &str = "PGGIT_GROUND";
/// The default user of scratch servers if this process is root.
const SCRATCH_USER: &str = "pggit-scratch";
/// The time between two looks at a process.
const MOMENT: Duration = Duration::from_millis(50);
/// Names of the server program of PostgreSQL.
const SERVERS: [&str; 2] = ["postgres", "postmaster"];

/// The place of a private server.
#[derive(Debug, Clone)]
pub struct Ground {
    /// The data directory.
    pub data: PathBuf,
    /// Where its socket is; nobody but the user of the server gets there.
    pub home: PathBuf,
    /// Where the files are that it reads and cannot change.
    pub files: PathBuf,
    /// As whom it runs, when that is not us.
    pub user: Option<OsUser>,
    /// What stands before the programs that run there.
    pub prefix: Vec<PathBuf>,
}

impl Ground {
    /// The prefix of directories for restore tests.
    pub const FOR_TESTS: &str = "pggit-verify-";
    /// The prefix of directories for clusters from which a part is extracted.
    pub const FOR_PARTS: &str = "pggit-part-";

    /// Returns true if `place` is in a temporary directory of this program.
    fn is_one(place: &Path) -> bool {
        let is_name = |name: &[u8]| {
            [Self::FOR_TESTS, Self::FOR_PARTS].iter().any(|one| name.starts_with(one.as_bytes()))
        };
        place.components().any(|part| is_name(part.as_os_str().as_encoded_bytes()))
    }

    /// Whether a socket in the directory `home` has a name that is short enough.
    pub fn is_short_enough(home: &Path) -> bool {
        home.as_os_str().len() + SOCKET.len() <= SOCKET_PATH_MAX
    }

    /// What stands before programs so that they do not live longer than we, and
    /// leave others more of the machine when they are `nice`; as far as this
    /// machine has programs for it.
    pub fn prefix(nice: bool) -> Vec<PathBuf> {
        let path = search_path();
        let find = |name: &str| find_program(name.as_ref(), &[], path.as_deref());
        let mut all = Vec::new();
        if let (true, Some(nice)) = (nice, find("nice")) {
            all.extend([nice, "-n".into(), "10".into()]);
        }
        if let (Some(setpriv), Some(proof)) = (find("setpriv"), find("true")) {
            let words = ["--pdeathsig", "QUIT", "--"];
            // There are others of that name.
            if Cmd::new(&setpriv).args(words).arg(proof).run().is_ok() {
                all.push(setpriv);
                all.extend(words.map(PathBuf::from));
            }
        }
        all
    }

    /// Returns a finder for stray processes of the programs that run with these files, as `user` or
    /// else as the current user. It has to be created before the first of them is started.
    pub fn strays(files: &Path, user: Option<&OsUser>) -> Strays {
        Strays::of(user, GROUND, files)
    }

    /// Writes the files that the server reads: a cluster of Debian has none in its
    /// data directory, and those that others have are not followed.
    pub fn write_files(files: &Path) -> io::Result<()> {
        // Who gets to the socket may come in, and nobody else gets to it.
        for (name, text) in [("hba.conf", "local all all trust\n"), ("ident.conf", ""), ("server.conf", "")] {
            let path = files.join(name);
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        }
        Ok(())
    }

    /// A command that runs `program` as that user, and not longer than we live.
    pub fn cmd(&self, program: &Path) -> Cmd {
        let mut all = self.prefix.iter().map(PathBuf::from);
        let cmd = match all.next() {
            None => Cmd::new(program),
            Some(first) => Cmd::new(first).args(all).arg(program),
        };
        let cmd = cmd.env(GROUND, &self.files);
        // The programs before it ask for the right signal a moment too late for who dies at once.
        self.as_user(cmd.hide_env(LIBPQ_VARIABLES).tied())
    }

    /// Lets `cmd` run as that user.
    pub fn as_user(&self, cmd: Cmd) -> Cmd {
        match &self.user {
            Some(user) => cmd.as_user(user).cwd("/"),
            None => cmd.cwd("/"),
        }
    }
}

/// Returns the user who runs scratch servers, or `None` if this process is not root. PostgreSQL refuses
/// to run as root. Code from a backup runs as that user too, so the user must not own a permanent
/// server.
pub fn server_user(configured: Option<&str>) -> Result<Option<OsUser>, Error> {
    if !OsUser::we_are_root() {
        return Ok(None);
    }
    let name = configured.unwrap_or(SCRATCH_USER);
    let user = OsUser::named(name.as_ref()).filter(|user| user.uid != 0);
    let user = user.ok_or_else(|| Error::NoUser { name: name.to_owned() })?;
    match server_of(user.uid) {
        Some(pid) => Err(Error::OwnsServer { name: name.to_owned(), pid }),
        None => Ok(Some(user)),
    }
}

/// Returns a PostgreSQL server that runs as this user and is not a temporary one of this program.
fn server_of(uid: u32) -> Option<i32> {
    let is_server = |one: &Seen| {
        // A process that is about to end has no working directory any more. A server overwrites its
        // environment, and before that it may be in another directory.
        let stays = |place: PathBuf| !Ground::is_one(&place) && one.variable(GROUND).is_none();
        one.uid == uid && is_called_server(one) && one.directory().is_some_and(stays)
    };
    let first: Vec<Seen> = Seen::all().into_iter().filter(is_server).collect();
    if first.is_empty() {
        return None;
    }
    // A process that is gone a moment later was not a permanent server.
    pause(MOMENT);
    first.into_iter().find(|one| Seen::of(one.pid).as_ref() == Some(one) && is_server(one)).map(|one| one.pid)
}

fn is_called_server(one: &Seen) -> bool {
    SERVERS.iter().any(|name| one.is_called(name))
}

/// Ends servers of dead processes, and removes the directories that they had
/// below `base` by names that begin with `prefix`; in each, `data` is the data
/// directory. What others made, and what may still be in use, stays.
pub fn sweep_grounds(base: &Path, prefix: &str, data: &str) -> Vec<PathBuf> {
    let us = rustix::process::geteuid().as_raw();
    let Ok(above) = Pinned::reach(base) else { return Vec::new() };
    let is_ground =
        |name: &OsStr, meta: &fs::Metadata| name.to_string_lossy().starts_with(prefix) && meta.uid() == us;
    sweep(&above, is_ground, |held| end_ground(held, data))
}

/// Ends the processes that a dead process has left in a directory: the server on its data directory,
/// and other processes of the server's user whose working directory is inside it.
fn end_ground(held: &Pinned, data: &str) {
    // Nobody else can have changed these owners: `home` is in a directory of ours, and if it is ours
    // too, so is the parent of the data directory.
    let owner = |path: PathBuf| path.symlink_metadata().map_or(0, |meta| meta.uid());
    let (home, data) = (held.path().join("home"), held.path().join(data));
    let uid = match owner(home) {
        0 => owner(data.clone()),
        uid => uid,
    };
    if uid == 0 {
        return;
    }
    end_server(&data, uid);
    let Ok(place) = held.path().canonicalize() else { return };
    let is_ours = uid == rustix::process::geteuid().as_raw();
    let is_left = |one: &Seen| {
        one.uid == uid
            && one.directory().is_some_and(|directory| directory.starts_with(&place))
            && (!is_ours || is_called_server(one) || one.variable(GROUND).is_some())
    };
    Seen::all().into_iter().filter(is_left).for_each(|one| one.signal(Signal::KILL));
}

/// Ends the server in `data` that runs as `uid` and was left by a dead process.
pub(in crate::recovery) fn end_server(data: &Path, uid: u32) {
    let pid = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let Some(pid) = pid.lines().next().and_then(|line| line.trim().parse().ok()) else { return };
    // The working directory of a server is its data directory, unlike that of another process with a
    // reused id. This also protects other processes if another user has written the file or replaced
    // the directory.
    let server = || {
        let seen = Seen::of(pid).filter(|seen| seen.uid == uid)?;
        let data = data.canonicalize().ok()?;
        seen.directory().is_some_and(|place| place == data).then_some(seen)
    };
    for signal in [Signal::QUIT, Signal::KILL] {
        let Some(running) = server() else { return };
        running.signal(signal);
        for _ in 0..100 {
            if server().is_none() {
                return;
            }
            pause(MOMENT);
        }
    }
}
