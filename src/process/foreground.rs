//! Programs of the user that run in the foreground, on our terminal and with our standard streams.

use std::process::Stdio;

use super::{Cmd, Error, Running, Status, interrupt};

impl Cmd {
    /// Runs the program with our standard streams and in our process group, as a shell does, and
    /// waits until it exits. The terminal sends Ctrl-C to the program itself; a signal to this
    /// process alone is forwarded. Fails if the program cannot be started.
    pub fn run_attached(self) -> Result<Status, Error> {
        let cmd = self.foreground();
        let mut command = cmd.command();
        command.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
        let start = || command.spawn().map_err(|source| cmd.start_error(source));
        let mut child = interrupt::register_alone(start, Running::group_of)?;
        let ended = child.wait();
        interrupt::forget(Running::group_of(&child));
        match ended {
            Ok(status) => Ok(status.into()),
            Err(source) => Err(Error::Io { program: cmd.program.clone(), source }),
        }
    }
}
