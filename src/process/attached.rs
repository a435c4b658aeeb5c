//! Programs of the user that run in our place: at our terminal, with our
//! streams.

use std::process::Stdio;

use super::{Cmd, Error, Running, Status, interrupt};

impl Cmd {
    /// Runs it with our streams and in our process group, as a shell does, and
    /// waits for its end. Ctrl-C at the terminal reaches it by itself; a signal
    /// to us alone is handed on.
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
