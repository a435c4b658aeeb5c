//! Tools that end when we do, even when we are killed.
//!
//! After a SIGKILL nobody can tidy up any more. But the kernel sends a signal to
//! a process whose parent has ended, if the process itself has asked for it. So
//! a tool is started as this program under another name, which asks, looks
//! whether its parent is still there, and then becomes the tool: same process,
//! same process group, same streams. The signal is SIGTERM, so that a tool with
//! children (`pg_dump --jobs`) ends those, too, and tells the server.
//!
//! The kernel means the thread, not the process: the thread that starts a tied
//! program has to be there until the program has ended.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::OnceLock;

use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};

use super::apart;

/// The name under which this program becomes a tool.
const NAME: &str = "git-pggit-tied";
/// This program, also when its file has been replaced since.
pub(super) const ITSELF: &str = "/proc/self/exe";
/// As shells say that a program could not be started.
pub(super) const NOT_STARTED: u8 = 126;

/// Whether this process is one that can be started under the other name.
static READY: OnceLock<()> = OnceLock::new();

/// To be called first of all in `main` with the arguments of the process.
/// Returns `None` in an ordinary start; in the other one it becomes the tool,
/// and returns only when that fails.
pub fn become_tool(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let _ = READY.set(());
    let mut args = args.into_iter();
    match args.next() {
        Some(name) if name == apart::NAME => return Some(apart::become_program(args)),
        Some(name) if name == NAME => {}
        _ => return None,
    }
    let parent = args.next().and_then(|pid| Pid::from_raw(pid.to_str()?.parse().ok()?));
    let (Some(parent), Some(program)) = (parent, args.next()) else {
        return Some(ExitCode::from(NOT_STARTED));
    };
    // Where that is not possible the tool is as it would be without.
    let _ = set_parent_process_death_signal(Some(Signal::TERM));
    if getppid() != Some(parent) {
        return Some(ExitCode::from(NOT_STARTED));
    }
    #[expect(clippy::disallowed_methods, reason = "this process becomes what the one door has opened for")]
    let error = Command::new(&program).args(args).exec();
    let _ = writeln!(std::io::stderr(), "cannot start {}: {error}", program.display());
    Some(ExitCode::from(NOT_STARTED))
}

/// Whether every user may run the file of this program; a directory on the way to it
/// that is closed to them is not in the way of `/proc/self/exe`.
pub(super) fn is_for_everybody() -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(ITSELF).is_ok_and(|meta| meta.permissions().mode() & 0o1 != 0)
}

/// What is to be started instead of `program`, before its arguments; `None`
/// where it can only be started as it is, or not at all.
pub(super) fn instead_of(program: &OsStr) -> Option<Command> {
    Some(command(getpid(), findable(program)?.as_os_str()))
}

/// Returns the command that starts this program under the other name, without the arguments of the
/// tool.
pub(super) fn command(parent: Pid, program: &OsStr) -> Command {
    #[expect(clippy::disallowed_methods, reason = "this is part of the one door to programs")]
    let mut command = Command::new(ITSELF);
    command.arg0(NAME).arg(parent.as_raw_pid().to_string()).arg(program);
    command
}

/// Returns the path of `program`, if this process can start itself under another name to run it.
pub(super) fn findable(program: &OsStr) -> Option<PathBuf> {
    READY.get()?;
    // That there is no such program is said better by the system's own error.
    let path = match program.as_encoded_bytes().contains(&b'/') {
        true => PathBuf::from(program),
        false => super::find_program(program, &[], super::search_path().as_deref())?,
    };
    let is_there = rustix::fs::access(&path, rustix::fs::Access::EXEC_OK).is_ok() && path.is_file();
    is_there.then_some(path)
}
