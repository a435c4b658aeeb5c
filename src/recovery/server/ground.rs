//! Where a private server works: its directories and files, as whom it runs, and
//! that it does not live longer than we.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::process::Signal;

use crate::process::{
    Cmd, Liveness, OsUser, Pinned, Seen, Strays, claimant, find_program, is_alive, remove_claimed,
    remove_unclaimed, search_path,
};
use crate::recovery::Error;
use crate::tools::LIBPQ_VARIABLES;

/// A socket's whole path has at most so many bytes.
const SOCKET_PATH_MAX: usize = 107;
/// The longest name that a server makes there.
const SOCKET: &str = "/.s.PGSQL.5432.lock";
/// The variable by which a server on a ground is known; its value is the ground.
const GROUND: &str = "PGGIT_GROUND";
/// The user of servers that are thrown away, when we are root and nobody says otherwise.
const SCRATCH_USER: &str = "pggit-scratch";
/// What a server of PostgreSQL is called.
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
    /// What names of grounds for restore tests begin with.
    pub const FOR_TESTS: &str = "pggit-verify-";
    /// The same for clusters of which a part is taken out.
    pub const FOR_PARTS: &str = "pggit-part-";

    /// Whether `place` is in one that is thrown away.
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

    /// What is left behind by programs that run on the ground with these files, as
    /// `user` or else as we do. To be had before the first of them is started.
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

/// As whom a server runs that is thrown away: PostgreSQL refuses root. What a backup
/// brings along runs as that user, too, so it must not be one to whom a server
/// belongs that stays.
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

/// A server of PostgreSQL that runs as this user and is not on a ground of ours.
fn server_of(uid: u32) -> Option<i32> {
    let is_server = |one: &Seen| {
        // One that is about to end stands nowhere any more. A server writes over its environment, and until it
        // does that, it may stand somewhere else.
        let stays = |place: PathBuf| !Ground::is_one(&place) && one.variable(GROUND).is_none();
        one.uid == uid && is_called_server(one) && one.directory().is_some_and(stays)
    };
    let first: Vec<Seen> = Seen::all().into_iter().filter(is_server).collect();
    if first.is_empty() {
        return None;
    }
    // What is gone a moment later was none, or was about to end.
    pause();
    first.into_iter().find(|one| Seen::of(one.pid).as_ref() == Some(one) && is_server(one)).map(|one| one.pid)
}

fn is_called_server(one: &Seen) -> bool {
    SERVERS.iter().any(|name| one.is_called(name))
}

/// Lets a moment pass.
fn pause() {
    // Nobody ever sends.
    let (_keep, moment) = channel::<()>();
    let _ = moment.recv_timeout(Duration::from_millis(50));
}

/// Ends servers of dead processes, and removes the directories that they had
/// below `base` by names that begin with `prefix`; in each, `data` is the data
/// directory. What others made, and what may still be in use, stays.
pub fn sweep_grounds(base: &Path, prefix: &str, data: &str) -> Vec<PathBuf> {
    let mut swept = Vec::new();
    let us = rustix::process::geteuid().as_raw();
    let Ok(above) = Pinned::reach(base) else { return swept };
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(prefix) {
            continue;
        }
        // What it is does not change any more, whoever may give its name to another one.
        let Ok(held) = above.enter(&entry.file_name()) else { continue };
        if !held.metadata().is_ok_and(|meta| meta.uid() == us) {
            continue;
        }
        let gone = match claimant(&held.path()) {
            Some(owner) if is_alive(&owner) == Liveness::Dead => {
                end_ground(&held, data);
                remove_claimed(&held).is_ok()
            }
            Some(_) => false,
            None => remove_unclaimed(held.real()),
        };
        if gone {
            swept.push(held.real().to_owned());
        }
    }
    swept
}

/// Ends what a dead process has left running on a ground: the server on its data
/// directory, and whatever else stands there and runs as the user of the server.
fn end_ground(held: &Pinned, data: &str) {
    // Whose these are nobody else has changed: `home` is in a directory of ours, and where it is ours, too, the
    // data are in one.
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

/// Ends the server of the user `uid` that a dead process has left in `data`.
pub(in crate::recovery) fn end_server(data: &Path, uid: u32) {
    let pid = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let Some(pid) = pid.lines().next().and_then(|line| line.trim().parse().ok()) else { return };
    // A server stands in its data directory; a stranger who got its number does not. And who has
    // written the number, or has put something else in the place of the directory, ends nothing of others.
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
            pause();
        }
    }
}
