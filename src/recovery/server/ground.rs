//! Where a private server works: its directories and files, as whom it runs, and
//! that it does not live longer than we.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::process::{
    Cmd, Liveness, OsUser, claimant, find_program, is_alive, remove_claimed, remove_unclaimed, search_path,
};
use crate::recovery::Error;
use crate::tools::LIBPQ_VARIABLES;

/// A socket's whole path has at most so many bytes.
const SOCKET_PATH_MAX: usize = 107;
/// The longest name that a server makes there.
const SOCKET: &str = "/.s.PGSQL.5432.lock";

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

/// As whom a server runs that is thrown away: PostgreSQL refuses root.
pub fn server_user(configured: Option<&str>) -> Result<Option<OsUser>, Error> {
    if !OsUser::we_are_root() {
        return Ok(None);
    }
    let candidates = configured.map_or(vec!["postgres", "nobody"], |name| vec![name]);
    for name in &candidates {
        let found = OsUser::named(name.as_ref()).filter(|user| user.uid != 0);
        if found.is_some() {
            return Ok(found);
        }
    }
    Err(Error::NoUser { name: candidates.first().map_or("", |name| name).to_owned() })
}

/// Ends servers of dead processes, and removes the directories that they had
/// below `base` by names that begin with `prefix`; in each, `data` is the data
/// directory. What others made, and what may still be in use, stays.
pub fn sweep_grounds(base: &Path, prefix: &str, data: &str) -> Vec<PathBuf> {
    let mut swept = Vec::new();
    let us = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let path = entry.path();
        let ours = path.symlink_metadata().is_ok_and(|meta| meta.is_dir() && meta.uid() == us);
        if !ours || !entry.file_name().to_string_lossy().starts_with(prefix) {
            continue;
        }
        let gone = match claimant(&path) {
            Some(owner) if is_alive(&owner) == Liveness::Dead => {
                end_server(&path.join(data));
                remove_claimed(&path).is_ok()
            }
            Some(_) => false,
            None => remove_unclaimed(&path),
        };
        if gone {
            swept.push(path);
        }
    }
    swept
}

/// Ends the server that a dead process has left in `data`.
pub(in crate::recovery) fn end_server(data: &Path) {
    let pid = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let pid = pid.lines().next().and_then(|line| line.trim().parse().ok()).and_then(Pid::from_raw);
    let Some(pid) = pid else { return };
    // A server stands in its data directory; a stranger who got its number does not.
    let is_it = || {
        let place = fs::read_link(format!("/proc/{}/cwd", pid.as_raw_pid()));
        place.is_ok_and(|place| data.canonicalize().is_ok_and(|data| place == data))
    };
    for signal in [Signal::QUIT, Signal::KILL] {
        if !is_it() {
            return;
        }
        let _ = kill_process(pid, signal);
        // Nobody ever sends: this only lets a moment pass.
        let (_keep, moment) = channel::<()>();
        for _ in 0..100 {
            if test_kill_process(pid).is_err() || !is_it() {
                return;
            }
            let _ = moment.recv_timeout(Duration::from_millis(50));
        }
    }
}
