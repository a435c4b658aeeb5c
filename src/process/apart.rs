//! Programs of other users, run in a session of their own and without a way to gain privileges.
//!
//! A program with access to our controlling terminal can insert input into it (`TIOCSTI`). The next
//! process that reads from the terminal executes that input. If root started this process, that is
//! root's shell. A program that may gain privileges (`sudo`, setuid) is not limited to the rights
//! of its user.
//!
//! Therefore a program of another user is started through this program under another name, with our
//! own rights. That process begins a session without a terminal, sets `no_new_privs`, and then
//! becomes the program of that user: same process, same streams. The user does not need permission
//! to run the file of this program.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::process::{Pid, getpid, setsid};
use rustix::thread::set_no_new_privs;

use super::{OsUser, pdeathsig};

/// The name under which this program becomes a program of another user.
pub(super) const NAME: &str = "git-pggit-apart";
/// The argument for a program that is [tied](super::Cmd::tied).
const TIED: &str = "tied";

/// Becomes the program. Returns only if that fails. The arguments are those that [`instead_of`]
/// puts after the name.
pub(super) fn become_program(args: impl Iterator<Item = OsString>) -> ExitCode {
    match Invocation::read(args) {
        Some(order) => {
            let (program, uid) = (order.program.clone(), order.uid);
            let error = order.carry_out();
            let _ = writeln!(io::stderr(), "cannot start {} as user {uid}: {error}", program.display());
        }
        None => drop(writeln!(io::stderr(), "cannot start a program of another user")),
    }
    ExitCode::from(pdeathsig::NOT_STARTED)
}

/// The program to start, its user and its working directory.
struct Invocation {
    parent: Pid,
    uid: u32,
    gid: u32,
    is_tied: bool,
    dir: OsString,
    program: OsString,
    args: Vec<OsString>,
}

impl Invocation {
    fn read(mut args: impl Iterator<Item = OsString>) -> Option<Self> {
        let mut number = || args.next()?.to_str()?.parse::<u32>().ok();
        let (parent, uid, gid) = (number()?, number()?, number()?);
        let parent = Pid::from_raw(i32::try_from(parent).ok()?)?;
        let is_tied = args.next()? == TIED;
        let (dir, program) = (args.next()?, args.next()?);
        Some(Self { parent, uid, gid, is_tied, dir, program, args: args.collect() })
    }

    fn carry_out(self) -> io::Error {
        if let Err(error) = setsid().and_then(|_| set_no_new_privs(true)) {
            return error.into();
        }
        // The kernel clears the parent death signal on a change of the user, so it is requested
        // after that.
        let mut command = match self.is_tied && pdeathsig::is_for_everybody() {
            true => pdeathsig::command(self.parent, &self.program),
            false => command(&self.program),
        };
        // The library drops supplementary groups before it changes the user.
        command.args(self.args).uid(self.uid).gid(self.gid).current_dir(self.dir).exec()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is part of the one door to programs")]
fn command(program: &OsStr) -> Command {
    Command::new(program)
}

/// Returns the command to start instead of `program`, without the arguments of the program, or
/// `None` if `program` cannot be started this way. The process must not be the leader of a process
/// group, because a leader cannot begin a session.
pub(super) fn instead_of(program: &OsStr, user: &OsUser, is_tied: bool, dir: &Path) -> Option<Command> {
    let path = pdeathsig::findable(program)?;
    let mut command = command(pdeathsig::ITSELF.as_ref());
    command.arg0(NAME).arg(getpid().as_raw_pid().to_string());
    command.args([user.uid.to_string(), user.gid.to_string()]);
    command.arg(if is_tied { TIED } else { "" }).arg(dir).arg(path);
    Some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_whole_or_not_at_all() {
        let words = ["7", "65534", "65533", TIED, "/", "/bin/true", "-x", ""];
        let read = |count: usize| Invocation::read(words.iter().take(count).map(OsString::from));
        let order = read(words.len()).unwrap();
        assert_eq!((order.uid, order.gid, order.is_tied), (65_534, 65_533, true));
        assert_eq!((order.dir, order.program), ("/".into(), "/bin/true".into()));
        assert_eq!(order.args, ["-x", ""]);
        assert!((0..6).all(|count| read(count).is_none()) && read(6).is_some());
    }
}
