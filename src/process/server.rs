//! A program that serves us until we are done with it.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::child::{Exit, Running};
use super::interrupt;
use super::{Cmd, Error};

/// How often is looked whether the time is up.
const TICK: Duration = Duration::from_millis(50);

/// Why a server was ended before we were done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It took too long.
    Deadline,
    /// A signal asked this process to end.
    Interrupted(interrupt::Signal),
}

/// A running server. It is ended with SIGQUIT, however busy its clients are:
/// when this is dropped, when its time is up, and when a signal asks this
/// process to end. What those who talk to it see then is a lost connection.
#[derive(Debug)]
pub struct Server {
    running: Option<Running>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    ending: Arc<Mutex<Option<Ending>>>,
}

impl Server {
    /// Starts it; at `deadline` it is ended.
    pub fn start(cmd: Cmd, deadline: Option<Instant>) -> Result<Self, Error> {
        let program = cmd.program.clone();
        let running = cmd.spawn()?;
        let pid = i32::try_from(running.id()).ok().and_then(Pid::from_raw);
        let pid = pid.expect("a process id is a positive i32");
        let (stop, stopped) = channel::<()>();
        let ending = Arc::new(Mutex::new(None));
        let told = Arc::clone(&ending);
        // It is joined before the process is reaped, so the id is never a stranger's.
        let thread = thread::Builder::new().name("server".into()).spawn(move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
                let why = match interrupt::requested() {
                    Some(signal) => Ending::Interrupted(signal),
                    None if late => Ending::Deadline,
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

    /// Why it was ended, if it was.
    pub fn ending(&self) -> Option<Ending> {
        *self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has ended, by itself or because it was told to.
    pub fn has_ended(&self) -> io::Result<bool> {
        self.running.as_ref().map_or(Ok(true), Running::has_ended)
    }

    /// Lets a moment pass, unless it was ended: then at once.
    pub fn wait_a_moment(&self) {
        if self.ending().is_none() {
            thread::park_timeout(TICK);
        }
    }

    /// Ends it and returns the end of what it said.
    pub fn stop(mut self) -> String {
        self.end()
    }

    /// Asks it with SIGINT to end in order, which takes as long as it takes, and
    /// returns its end, and why it was ended before it came to that.
    pub fn shut_down(mut self) -> Result<(Option<Ending>, Exit), Error> {
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
