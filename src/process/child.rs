//! A running program.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, pidfd_open,
    pidfd_send_signal, waitid,
};

use super::tail::Drain;
use super::{Cmd, Error, Secret, cmd, interrupt};

/// The exit status of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The program exited with this status.
    Exited(i32),
    /// This signal killed the program.
    Killed(i32),
}

impl Status {
    /// Returns true if the program reported success.
    pub fn is_success(self) -> bool {
        self == Self::Exited(0)
    }
}

impl From<ExitStatus> for Status {
    fn from(status: ExitStatus) -> Self {
        match status.code() {
            Some(code) => Self::Exited(code),
            None => Self::Killed(status.signal().unwrap_or(0)),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit status {code}"),
            Self::Killed(signal) => write!(f, "killed by signal {signal}"),
        }
    }
}

/// The result of a program that has exited.
#[derive(Debug, Clone)]
pub struct Exit {
    /// The exit status.
    pub status: Status,
    /// The end of its standard error, without secrets.
    pub stderr: String,
    program: OsString,
}

impl Exit {
    /// Returns the result. Fails if the program reported a failure.
    pub fn success(self) -> Result<Self, Error> {
        if self.status.is_success() {
            return Ok(self);
        }
        Err(Error::Failed { program: self.program, status: self.status, stderr: self.stderr })
    }
}

/// The result and the output of a program that has exited.
#[derive(Debug, Clone)]
pub struct Output {
    /// The complete standard output.
    pub stdout: Vec<u8>,
    /// The result.
    pub exit: Exit,
}

impl Output {
    /// Returns the output. Fails if the program reported a failure.
    pub fn success(self) -> Result<Self, Error> {
        let exit = self.exit.success()?;
        Ok(Self { exit, ..self })
    }
}

/// A running program. On drop, the program and all of its child processes are ended and reaped.
#[derive(Debug)]
pub struct Running {
    program: OsString,
    child: Child,
    secrets: Vec<Secret>,
    drain: Drain,
    guard: Option<Guard>,
    deadline: Option<Duration>,
    grace: Duration,
    is_tool: bool,
    reaped: bool,
}

impl Running {
    pub(super) fn new(cmd: Cmd, mut child: Child) -> Result<Self, Error> {
        let stderr = child.stderr.take().expect("stderr is always piped");
        let io_error = |source| Error::Io { program: cmd.program.clone(), source };
        let group = Self::group_of(&child);
        let started = Drain::start(stderr).and_then(|drain| {
            let guard = cmd.deadline.map(|after| Guard::start(group, after, cmd.grace)).transpose()?;
            Ok((drain, guard))
        });
        let (drain, guard) = match started {
            Ok(started) => started,
            Err(source) => {
                // No thread could be created, so the child would run without supervision.
                let _ = signal_group(group, Signal::KILL);
                interrupt::forget(group);
                let _ = child.wait();
                return Err(io_error(source));
            }
        };
        Ok(Self {
            program: cmd.program,
            child,
            secrets: cmd.secrets.into_iter().map(|(_, secret)| secret).collect(),
            drain,
            guard,
            deadline: cmd.deadline,
            grace: cmd.grace,
            is_tool: !cmd.survives_interrupt,
            reaped: false,
        })
    }

    /// Returns the process group that `child` leads.
    pub(super) fn group_of(child: &Child) -> Pid {
        i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id is a positive i32")
    }

    pub(super) fn feed(&mut self, bytes: Vec<u8>) -> Result<(), Error> {
        let stdin = self.child.stdin.take().expect("stdin is piped when there are bytes for it");
        cmd::feed(stdin, bytes).map_err(|source| self.io_error(source))
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns a handle that can end only this program, even if its process id has been reused.
    /// Fails if the kernel provides no pidfd.
    pub fn signaller(&self) -> Result<PidFd, Error> {
        let opened = pidfd_open(Self::group_of(&self.child), PidfdFlags::empty());
        opened.map(PidFd).map_err(|errno| self.io_error(errno.into()))
    }

    /// Returns the pipe to standard input once, or `None` if it is not piped.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take().inspect(widen_pipe)
    }

    /// Returns the pipe from standard output once, or `None` if it is not piped.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take().inspect(widen_pipe)
    }

    /// Waits until the program exits. Fails if it reports a failure, or as [`Running::wait`] does.
    pub fn finish(self) -> Result<Exit, Error> {
        self.wait()?.success()
    }

    /// Waits until the program exits, and returns any exit status. Closes its pipes first, unless
    /// they were taken. Fails if the time limit or a signal to this process ended the program.
    pub fn wait(mut self) -> Result<Exit, Error> {
        drop((self.child.stdin.take(), self.child.stdout.take()));
        let (status, ended_by) = self.reap().map_err(|source| self.io_error(source))?;
        let stderr = self.drain.finish(&self.secrets);
        let program = std::mem::take(&mut self.program);
        match (ended_by, self.deadline) {
            (Some(EndedBy::Signal(signal)), _) => Err(Error::Interrupted { signal }),
            (Some(EndedBy::Guard), Some(after)) => Err(Error::Deadline { program, after }),
            _ => Ok(Exit { status, stderr, program }),
        }
    }

    /// Ends the program and all of its child processes, and reaps it. Its pipes stay open until
    /// then, so that it does not see the end of its input.
    pub fn end(&mut self) {
        if self.reaped {
            return;
        }
        self.guard = None;
        let group = Self::group_of(&self.child);
        match Guard::start(group, Duration::ZERO, self.grace) {
            Ok(guard) => self.guard = Some(guard),
            Err(_) => drop(signal_group(group, Signal::KILL)),
        }
        let _ = self.reap();
    }

    /// Returns true if the program has exited. Does not reap it, so that its process id is not
    /// reused. Fails if the system call fails.
    pub fn has_ended(&self) -> io::Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        Ok(self.reaped || waitid(WaitId::Pid(Self::group_of(&self.child)), options)?.is_some())
    }

    /// Returns the end of its standard error after it has exited.
    pub(super) fn words(&self) -> String {
        self.drain.finish(&self.secrets)
    }

    /// Reads the output to its end and waits until the program exits. Fails if the output has more
    /// than `limit` bytes, or as [`Running::wait`] does.
    pub(super) fn collect(mut self, limit: usize) -> Result<Output, Error> {
        let mut stdout = Vec::new();
        if let Some(pipe) = self.take_stdout() {
            let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
            pipe.take(most).read_to_end(&mut stdout).map_err(|source| self.io_error(source))?;
            if stdout.len() > limit {
                return Err(Error::TooMuchOutput { program: self.program.clone(), limit });
            }
        }
        let exit = self.wait()?;
        Ok(Output { stdout, exit })
    }

    fn io_error(&self, source: io::Error) -> Error {
        Error::Io { program: self.program.clone(), source }
    }

    /// Waits until the program exits, and reaps it. Before the reaping, the process id cannot be
    /// reused, so that no signal reaches another process group.
    fn reap(&mut self) -> io::Result<(Status, Option<EndedBy>)> {
        let group = Self::group_of(&self.child);
        while let Err(errno) = waitid(WaitId::Pid(group), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            if errno != rustix::io::Errno::INTR {
                return Err(errno.into());
            }
        }
        let fired = self.guard.take().is_some_and(Guard::stop);
        let signal = if self.is_tool { interrupt::forget(group) } else { None };
        if fired || signal.is_some() {
            let _ = signal_group(group, Signal::KILL);
        }
        let status = self.child.wait()?.into();
        self.reaped = true;
        Ok((status, signal.map(EndedBy::Signal).or(fired.then_some(EndedBy::Guard))))
    }
}

/// Sends a signal to the process group of `pid`, which has not been reaped, or to that process
/// alone if it does not lead a group yet.
pub(super) fn signal_group(pid: Pid, signal: Signal) -> rustix::io::Result<()> {
    match kill_process_group(pid, signal) {
        Err(rustix::io::Errno::SRCH) => kill_process(pid, signal),
        other => other,
    }
}

/// Sends signals to one program, but not to its child processes. Has no effect after the program
/// has exited.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let _ = pidfd_send_signal(&self.0, Signal::TERM);
    }

    /// Sends SIGKILL.
    pub fn kill(&self) {
        let _ = pidfd_send_signal(&self.0, Signal::KILL);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// The cause, if the program was ended and did not exit by itself.
enum EndedBy {
    Guard,
    Signal(interrupt::Signal),
}

/// Sends SIGTERM to a process group after a time, and SIGKILL after a further time.
#[derive(Debug)]
struct Guard {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<bool>>,
}

impl Guard {
    fn start(group: Pid, after: Duration, grace: Duration) -> io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let thread = thread::Builder::new().name("deadline".into()).spawn(move || {
            let mut fired = false;
            for (wait, signal) in [(after, Signal::TERM), (grace, Signal::KILL)] {
                if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
                fired = true;
                let _ = signal_group(group, signal);
            }
            fired
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }

    /// Stops the guard. Returns true if it has sent a signal.
    fn stop(mut self) -> bool {
        self.halt()
    }

    fn halt(&mut self) -> bool {
        self.stop = None;
        self.thread.take().is_some_and(|thread| thread.join().unwrap_or(false))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.halt();
    }
}

/// The capacity of a widened pipe in bytes.
const PIPE_BYTES: usize = 1 << 20;

/// Increases the capacity of a pipe. With the default of 64 KiB, both sides of a dump wait for each
/// other most of the time. Has no effect if the file is not a pipe or if the system does not permit
/// this capacity.
pub fn widen_pipe(pipe: &impl std::os::fd::AsFd) {
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_BYTES);
}
