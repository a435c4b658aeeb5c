//! Tools that end when this process ends, even if it is killed.
//!
//! After a SIGKILL this process cannot clean up. But the kernel sends a signal to a process whose
//! parent has exited, if that process has requested it. So a tool is started as this program under
//! another name. That process requests the signal, checks that its parent is still running, and
//! then becomes the tool: same process, same process group, same streams. The signal is SIGTERM, so
//! that a tool with child processes (`pg_dump --jobs`) ends those too, and closes its connections
//! to the server.
//!
//! For the kernel, the parent is the thread and not the process. The thread that starts a tied
//! program must therefore run until the program has exited.

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
/// The executable of this process, even if its file has been replaced.
pub(super) const ITSELF: &str = "/proc/self/exe";
/// The exit status of shells for a program that could not be started.
pub(super) const NOT_STARTED: u8 = 126;

/// Is set if this process can start itself under the other name.
static READY: OnceLock<()> = OnceLock::new();

/// Must be called first in `main` with the arguments of the process. Returns `None` in an ordinary
/// start. Under the other name, becomes the tool, and returns only if that fails.
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
    // If the request fails, the tool runs untied.
    let _ = set_parent_process_death_signal(Some(Signal::TERM));
    if getppid() != Some(parent) {
        return Some(ExitCode::from(NOT_STARTED));
    }
    #[expect(clippy::disallowed_methods, reason = "this process becomes what the one door has opened for")]
    let error = Command::new(&program).args(args).exec();
    let _ = writeln!(std::io::stderr(), "cannot start {}: {error}", program.display());
    Some(ExitCode::from(NOT_STARTED))
}

/// Returns true if every user may execute the file of this program. `/proc/self/exe` works even if
/// a directory in the path of the file is not accessible to them.
pub(super) fn is_for_everybody() -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(ITSELF).is_ok_and(|meta| meta.permissions().mode() & 0o1 != 0)
}

/// Returns the command to start instead of `program`, without the arguments of the program, or
/// `None` if `program` cannot be started this way.
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
    // The error of the operating system describes a missing program better.
    let path = match program.as_encoded_bytes().contains(&b'/') {
        true => PathBuf::from(program),
        false => super::find_program(program, &[], super::search_path().as_deref())?,
    };
    let is_there = rustix::fs::access(&path, rustix::fs::Access::EXEC_OK).is_ok() && path.is_file();
    is_there.then_some(path)
}
