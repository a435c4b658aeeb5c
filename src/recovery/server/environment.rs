//! The scratch directory of a private server: its files, its user, and the end of its processes with
//! this process.

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

/// The maximum length of the path of a Unix socket, in bytes: `sun_path` in unix(7), without its
/// final zero.
const SOCKET_PATH_MAX: usize = 107;
/// The longest file name that a server creates in the socket directory.
const SOCKET: &str = "/.s.PGSQL.5432.lock";
/// The environment variable that marks the processes of a server; its value is the directory of its
/// files.
const GROUND: &str = "PGGIT_GROUND";
/// The default user of scratch servers if this process is root.
const SCRATCH_USER: &str = "pggit-scratch";
/// The interval between two checks of a process.
const MOMENT: Duration = Duration::from_millis(50);
/// Names of the server program of PostgreSQL.
const SERVERS: [&str; 2] = ["postgres", "postmaster"];

/// The directories, the user and the program prefix of a private server.
#[derive(Debug, Clone)]
pub struct ServerEnv {
    /// The data directory.
    pub data: PathBuf,
    /// The directory of the socket. Only the user of the server can enter it.
    pub home: PathBuf,
    /// The directory of the configuration files. The server can read them and cannot change them.
    pub files: PathBuf,
    /// The user of the server, if it is not the current user.
    pub user: Option<OsUser>,
    /// The programs and arguments before each command, see [`ServerEnv::wrapper`].
    pub wrapper: Vec<PathBuf>,
}

impl ServerEnv {
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

    /// Returns true if the path of a socket in `home` is within the limit of the system.
    pub fn is_short_enough(home: &Path) -> bool {
        home.as_os_str().len() + SOCKET.len() <= SOCKET_PATH_MAX
    }

    /// Returns the programs and arguments to put before each command. With them, a process ends with
    /// this process. A `nice` process also gets a lower priority. Programs that are missing on this
    /// machine are left out.
    pub fn wrapper(nice: bool) -> Vec<PathBuf> {
        let path = search_path();
        let find = |name: &str| find_program(name.as_ref(), &[], path.as_deref());
        let mut all = Vec::new();
        if let (true, Some(nice)) = (nice, find("nice")) {
            all.extend([nice, "-n".into(), "10".into()]);
        }
        if let (Some(setpriv), Some(proof)) = (find("setpriv"), find("true")) {
            let words = ["--pdeathsig", "QUIT", "--"];
            // Other programs are also called `setpriv` and lack the option.
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

    /// Writes the configuration files of the server. A cluster on Debian has none in its data
    /// directory. The configuration files of a restored cluster are not used.
    pub fn write_files(files: &Path) -> io::Result<()> {
        // `trust` is safe because only the user of the server reaches the socket.
        for (name, text) in [("hba.conf", "local all all trust\n"), ("ident.conf", ""), ("server.conf", "")] {
            let path = files.join(name);
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        }
        Ok(())
    }

    /// Returns a command that runs `program` as the user of the server. The program ends with this
    /// process.
    pub fn cmd(&self, program: &Path) -> Cmd {
        let mut all = self.wrapper.iter().map(PathBuf::from);
        let cmd = match all.next() {
            None => Cmd::new(program),
            Some(first) => Cmd::new(first).args(all).arg(program),
        };
        let cmd = cmd.env(GROUND, &self.files);
        // The prefix programs request their signal too late if this process exits at once, so the
        // command requests it too.
        self.as_user(cmd.hide_env(LIBPQ_VARIABLES).tied())
    }

    /// Makes `cmd` run as the user of the server.
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
        // A process that is about to exit has no working directory. A server overwrites its
        // environment, and before that it may be in another directory.
        let stays = |place: PathBuf| !ServerEnv::is_one(&place) && one.variable(GROUND).is_none();
        one.uid == uid && is_called_server(one) && one.directory().is_some_and(stays)
    };
    let first: Vec<Seen> = Seen::all().into_iter().filter(is_server).collect();
    if first.is_empty() {
        return None;
    }
    // A process that exits within this interval was not a permanent server.
    pause(MOMENT);
    first.into_iter().find(|one| Seen::of(one.pid).as_ref() == Some(one) && is_server(one)).map(|one| one.pid)
}

fn is_called_server(one: &Seen) -> bool {
    SERVERS.iter().any(|name| one.is_called(name))
}

/// Stops the servers of crashed processes, and removes the directories of these processes below
/// `base`. The names of the directories begin with `prefix`, and `data` is the data directory in
/// each. Directories of other users, and directories that may still be in use, are kept.
pub fn remove_stale(base: &Path, prefix: &str, data: &str) -> Vec<PathBuf> {
    let us = rustix::process::geteuid().as_raw();
    let Ok(above) = Pinned::reach(base) else { return Vec::new() };
    let is_ground =
        |name: &OsStr, meta: &fs::Metadata| name.to_string_lossy().starts_with(prefix) && meta.uid() == us;
    sweep(&above, is_ground, |held| end_ground(held, data))
}

/// Ends the processes that a crashed process has left in a directory. These are the server on its
/// data directory, and other processes of the server's user with a working directory inside it.
fn end_ground(held: &Pinned, data: &str) {
    // No other user can have changed these owners: our user owns the parent of `home`. If our user
    // also owns `home`, it owns the parent of the data directory.
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

/// Stops the server in `data` that runs as `uid` and was left by a crashed process.
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
