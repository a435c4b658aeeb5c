//! A server process that runs until it is stopped.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::child::{Exit, Running};
use super::interrupt;
use super::{Cmd, Error};

/// The interval between two checks of the deadline.
const TICK: Duration = Duration::from_millis(50);

/// The reason why a server was ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerStop {
    /// The deadline was exceeded.
    Deadline,
    /// A signal asked this process to exit.
    Interrupted(interrupt::Signal),
}

/// A running server. It is ended with SIGQUIT on drop, at its deadline, and when a signal asks this
/// process to exit. Connected clients do not delay this. They see a lost connection.
#[derive(Debug)]
pub struct Server {
    running: Option<Running>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    ending: Arc<Mutex<Option<ServerStop>>>,
}

impl Server {
    /// Starts the server, which is ended at `deadline`. Fails if the program cannot be started.
    pub fn start(cmd: Cmd, deadline: Option<Instant>) -> Result<Self, Error> {
        let program = cmd.program.clone();
        let running = cmd.spawn()?;
        let pid = i32::try_from(running.id()).ok().and_then(Pid::from_raw);
        let pid = pid.expect("a process id is a positive i32");
        let (stop, stopped) = channel::<()>();
        let ending = Arc::new(Mutex::new(None));
        let told = Arc::clone(&ending);
        // The thread is joined before the process is reaped, so the process id cannot be reused
        // meanwhile.
        let thread = thread::Builder::new().name("server".into()).spawn(move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
                let why = match interrupt::requested() {
                    Some(signal) => ServerStop::Interrupted(signal),
                    None if late => ServerStop::Deadline,
                    None => continue,
                };
                told.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
                let _ = kill_process(pid, Signal::QUIT);
                return;
            }
        });
        let thread = thread.map_err(|source| Error::Io { program, source })?;
        Ok(Self { running: Some(running), stop: Some(stop), thread: Some(thread), ending })
    }

    /// Returns the reason if the server was ended early.
    pub fn ending(&self) -> Option<ServerStop> {
        *self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns true if the server has exited by itself or was ended. Fails as
    /// [`Running::has_ended`] does.
    pub fn has_ended(&self) -> io::Result<bool> {
        self.running.as_ref().map_or(Ok(true), Running::has_ended)
    }

    /// Waits for a short time. Returns at once if the server was ended early.
    pub fn wait_a_moment(&self) {
        if self.ending().is_none() {
            thread::park_timeout(TICK);
        }
    }

    /// Ends the server and returns the end of its standard error.
    pub fn stop(mut self) -> String {
        self.end()
    }

    /// Shuts the server down in order with SIGINT, and waits without a time limit of its own.
    /// Returns the exit status, and the reason if the server was ended early. Fails as
    /// [`Running::wait`] does.
    pub fn shut_down(mut self) -> Result<(Option<ServerStop>, Exit), Error> {
        let running = self.running.take().expect("it is taken only where this ends");
        let pid = i32::try_from(running.id()).ok().and_then(Pid::from_raw);
        let _ = pid.map(|pid| kill_process(pid, Signal::INT));
        while !running.has_ended().unwrap_or(true) {
            thread::park_timeout(TICK);
        }
        self.stop = None;
        let _ = self.thread.take().map(JoinHandle::join);
        Ok((self.ending(), running.wait()?))
    }

    fn end(&mut self) -> String {
        self.stop = None;
        let _ = self.thread.take().map(JoinHandle::join);
        let Some(mut running) = self.running.take() else { return String::new() };
        if !running.has_ended().unwrap_or(true) {
            let pid = i32::try_from(running.id()).ok().and_then(Pid::from_raw);
            let _ = pid.map(|pid| kill_process(pid, Signal::QUIT));
        }
        running.end();
        running.words()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}
