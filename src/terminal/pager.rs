//! Long output goes through the user's pager, chosen as git chooses it.

use std::ffi::{OsStr, OsString};
use std::process::{Child, ChildStdin, Stdio};

use crate::config::Environment;

/// Returns the command of the pager, or `None` for no pager. The order is `GIT_PAGER`, `core.pager`,
/// `PAGER`, `less`. An empty command and `cat` mean no pager.
pub(super) fn command(environment: &Environment, core_pager: Option<&str>) -> Option<OsString> {
    let chosen = environment
        .get_even_empty("GIT_PAGER")
        .map(OsStr::to_owned)
        .or_else(|| core_pager.map(OsString::from))
        .or_else(|| environment.get_even_empty("PAGER").map(OsStr::to_owned))
        .unwrap_or_else(|| "less".into());
    (!chosen.is_empty() && chosen != "cat").then_some(chosen)
}

/// A running pager.
#[derive(Debug)]
pub(super) struct Pager {
    child: Child,
}

impl Pager {
    /// Starts `command` and returns the pipe into it. As in git a shell runs the command: it is the
    /// user's own, like `less -S | ...`. Fails if the shell cannot be started.
    pub(super) fn start(command: &OsStr, environment: &Environment) -> std::io::Result<(Self, ChildStdin)> {
        #[expect(
            clippy::disallowed_methods,
            reason = "a pager takes over the terminal: no deadline, no session"
        )]
        let mut shell = std::process::Command::new("sh");
        shell.arg("-c").arg(command).stdin(Stdio::piped());
        for (name, value) in [("LESS", "FRX"), ("LV", "-c")] {
            if environment.get_even_empty(name).is_none() {
                shell.env(name, value);
            }
        }
        let mut child = shell.spawn()?;
        let pipe = child.stdin.take().expect("the standard input of the pager was asked for");
        Ok((Self { child }, pipe))
    }

    /// Waits until the user has closed the pager.
    pub(super) fn wait(mut self) {
        // The work has been done, so the exit status of the pager is ignored.
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pager_is_chosen_as_git_chooses_it() {
        let choose = |variables: &[(&str, &str)], core: Option<&str>| {
            command(&variables.iter().copied().collect(), core).map(|c| c.into_string().unwrap())
        };
        assert_eq!(choose(&[], None).as_deref(), Some("less"));
        assert_eq!(choose(&[("PAGER", "more")], None).as_deref(), Some("more"));
        assert_eq!(choose(&[("PAGER", "more")], Some("less -S")).as_deref(), Some("less -S"));
        assert_eq!(choose(&[("GIT_PAGER", "most")], Some("less -S")).as_deref(), Some("most"));
        assert_eq!(choose(&[("GIT_PAGER", "")], Some("less")), None);
        assert_eq!(choose(&[("PAGER", "cat")], None), None);
    }
}
