//! The processes of this machine, read from `/proc`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A process that was running at some point. Its process id may have been reused since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The process id.
    pub pid: i32,
    /// The process id of the parent.
    pub parent: i32,
    /// The real user id.
    pub uid: u32,
    /// The start time in clock ticks since boot.
    started: u64,
}

impl Seen {
    /// Returns all running processes.
    pub fn all() -> Vec<Self> {
        let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
        let all = fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(number);
        all.filter_map(Self::of).collect()
    }

    /// Returns the process with this id, if it is running.
    pub fn of(pid: i32) -> Option<Self> {
        let (state, parent, started) = parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        let uid = ids.split_ascii_whitespace().next()?.parse().ok()?;
        (!matches!(state, b'Z' | b'X')).then_some(Self { pid, parent, uid, started })
    }

    /// Returns true if its program has this name.
    pub fn is_called(&self, name: &str) -> bool {
        fs::read_to_string(format!("/proc/{}/comm", self.pid)).is_ok_and(|text| text.trim_end() == name)
    }

    /// Returns its working directory, if it can be read.
    pub fn directory(&self) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/cwd", self.pid)).ok()
    }

    /// Returns the value of an environment variable at the start of its program.
    pub fn variable(&self, name: &str) -> Option<Vec<u8>> {
        let all = fs::read(format!("/proc/{}/environ", self.pid)).ok()?;
        let value = |one: &[u8]| Some(one.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?.to_vec());
        all.split(|byte| *byte == 0).find_map(value)
    }

    /// Returns true if the environment variable has this value.
    pub fn has(&self, name: &str, value: &OsStr) -> bool {
        self.variable(name).is_some_and(|found| found == value.as_bytes())
    }

    /// Sends it a signal. If the process id was reused, no signal is sent.
    pub fn signal(&self, signal: Signal) {
        let Some(pid) = Pid::from_raw(self.pid) else { return };
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return };
        let is_it = Self::of(self.pid).is_some_and(|now| now.started == self.started && now.uid == self.uid);
        if is_it {
            let _ = pidfd_send_signal(handle, signal);
        }
    }
}

/// Parses the state, the parent and the start time. The second field is the program name in
/// parentheses, which may contain any characters.
pub(super) fn parse_stat(stat: &[u8]) -> Option<(u8, i32, u64)> {
    let after = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let mut fields = std::str::from_utf8(&stat[after..]).ok()?.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    Some((state, fields.next()?.parse().ok()?, fields.nth(17)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen_as_it_is() {
        let us = std::process::id().cast_signed();
        let seen = Seen::all().into_iter().find(|one| one.pid == us).unwrap();
        assert_eq!(Seen::of(us), Some(seen.clone()));
        assert_eq!(seen.uid, rustix::process::getuid().as_raw());
        assert_eq!(seen.directory().unwrap(), std::env::current_dir().unwrap());
        assert!(seen.variable("PATH").is_some() && seen.variable("PAT").is_none());
        assert!(!seen.is_called("postgres") && Seen::of(i32::MAX).is_none());
        // A process that has reused the id gets no signal.
        Seen { started: seen.started + 1, ..seen }.signal(Signal::KILL);
    }

    #[test]
    fn a_name_may_look_like_the_rest_of_the_line() {
        let stat = b"42 (a) R 1 (b)) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 999 0";
        assert_eq!(parse_stat(stat), Some((b'S', 7, 12345)));
        for bad in [&b""[..], b"42 (x", b"42 (x) S 1", b"42 (x) S \xff"] {
            assert_eq!(parse_stat(bad), None);
        }
    }
}
