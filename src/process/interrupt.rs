//! Handles Ctrl-C and similar signals.
//!
//! The first SIGINT, SIGTERM or SIGHUP sends SIGTERM to all running tools. The code that reads from
//! a tool then gets the end of the output and [`Error::Interrupted`], so that it can clean up on
//! the normal path. The second signal kills the tools. The third signal ends this process.
//!
//! [`Error::Interrupted`]: super::Error::Interrupted

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use rustix::process::{Pid, getpid, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::child::signal_group;

/// The number of the first signal that asked this process to exit; 0 if there was none.
static REQUESTED: AtomicI32 = AtomicI32::new(0);

/// The running tools, by process group.
static TOOLS: Mutex<Option<HashMap<i32, Tool>>> = Mutex::new(None);

#[derive(Debug, Default)]
struct Tool {
    interrupted: bool,
    /// True if the tool is in our own process group and does not lead one.
    alone: bool,
}

/// A signal that asks this process to exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT, Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP: the terminal was closed.
    Hangup,
}

impl Signal {
    const ALL: [Self; 3] = [Self::Interrupt, Self::Terminate, Self::Hangup];

    /// Returns the signal number. A process that the signal ends has the exit status 128 plus this
    /// number.
    pub fn number(self) -> i32 {
        match self {
            Self::Interrupt => SIGINT,
            Self::Terminate => SIGTERM,
            Self::Hangup => SIGHUP,
        }
    }

    fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.number() == number)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
            Self::Hangup => "SIGHUP",
        })
    }
}

/// Installs the signal handlers, once per process. Signals that were ignored at the start of the
/// process (`nohup`) stay ignored. Fails if the handlers or their thread cannot be created.
pub fn install() -> io::Result<()> {
    static ONCE: Once = Once::new();
    let mut result = Ok(());
    ONCE.call_once(|| result = watch());
    result
}

fn watch() -> io::Result<()> {
    let ignored = ignored_signals();
    let watched = Signal::ALL.map(Signal::number).into_iter().filter(|n| ignored & (1 << (n - 1)) == 0);
    let mut signals = Signals::new(watched)?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for (count, number) in signals.forever().enumerate() {
            match count {
                0 => end_tools(number, rustix::process::Signal::TERM),
                1 => end_tools(number, rustix::process::Signal::KILL),
                _ => drop(signal_hook::low_level::emulate_default_handler(number)),
            }
        }
    })?;
    Ok(())
}

/// Returns the mask of ignored signals from `/proc/self/status`.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
}

/// Returns the signal that asked this process to exit, if there was one.
pub fn requested() -> Option<Signal> {
    Signal::from_number(REQUESTED.load(Ordering::SeqCst))
}

/// Sends SIGTERM to this process when `from` ends. If `from` is a pipe, this happens when the
/// process at the other end has exited or was killed. Fails if no thread can be created.
pub fn terminate_at_end_of(mut from: impl Read + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name("parent".into()).spawn(move || {
        let _ = io::copy(&mut from, &mut io::sink());
        let _ = kill_process(getpid(), rustix::process::Signal::TERM);
    })?;
    Ok(())
}

/// Returns the signal that asked this process to exit, and clears it. This is for a signal that was
/// meant for a program that has exited, if this process has more work to do.
pub fn take() -> Option<Signal> {
    Signal::from_number(REQUESTED.swap(0, Ordering::SeqCst))
}

fn end_tools(number: i32, how: rustix::process::Signal) {
    let mut tools = lock();
    let _ = REQUESTED.compare_exchange(0, number, Ordering::SeqCst, Ordering::SeqCst);
    for (group, tool) in tools.get_or_insert_default() {
        tool.interrupted = true;
        let _ = Pid::from_raw(*group).map(|pid| match tool.alone {
            true => kill_process(pid, how),
            false => signal_group(pid, how),
        });
    }
}

fn lock() -> MutexGuard<'static, Option<HashMap<i32, Tool>>> {
    TOOLS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `start`, which starts a tool, so that no signal can arrive between the start and the
/// registration. Fails if a signal arrived before.
pub(super) fn register<T>(
    start: impl FnOnce() -> Result<T, super::Error>,
    group: impl FnOnce(&T) -> Pid,
) -> Result<T, super::Error> {
    enlist(start, group, Tool::default())
}

/// Registers a process that stays in our process group. Behaves otherwise as [`register`].
pub(super) fn register_alone<T>(
    start: impl FnOnce() -> Result<T, super::Error>,
    pid: impl FnOnce(&T) -> Pid,
) -> Result<T, super::Error> {
    enlist(start, pid, Tool { alone: true, ..Tool::default() })
}

fn enlist<T>(
    start: impl FnOnce() -> Result<T, super::Error>,
    group: impl FnOnce(&T) -> Pid,
    tool: Tool,
) -> Result<T, super::Error> {
    let mut tools = lock();
    if let Some(signal) = requested() {
        return Err(super::Error::Interrupted { signal });
    }
    let child = start()?;
    tools.get_or_insert_default().insert(group(&child).as_raw_pid(), tool);
    Ok(child)
}

/// Unregisters a tool that has exited but is not reaped yet, because its process id can be reused
/// after that. Returns the signal that ended it.
pub(super) fn forget(group: Pid) -> Option<Signal> {
    let tool = lock().get_or_insert_default().remove(&group.as_raw_pid());
    if tool.is_some_and(|tool| tool.interrupted) { requested() } else { None }
}
