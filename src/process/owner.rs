//! Identifies this process, and checks if another process is still running.

use std::fs;
use std::io;

use rustix::process::{Pid, getpid, test_kill_process};

use super::seen::parse_stat;
use crate::domain::{Line, Owner};

/// The initial pid namespace of every Linux system.
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

/// The state of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// The process is running.
    Alive,
    /// The process has exited or was killed.
    Dead,
    /// The process is not visible from here.
    Unknown,
}

impl Owner {
    /// Returns the identity of this process. Fails if `/proc` is unreadable.
    pub fn current() -> io::Result<Self> {
        let pid = getpid();
        let stat = fs::read(format!("/proc/{}/stat", pid.as_raw_pid()))?;
        let (_, _, started_ticks) = parse_stat(&stat)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "cannot parse /proc/self/stat"))?;
        Ok(Self {
            host: host(),
            boot_id: Line::lossy(&boot_id()?),
            pid: pid.as_raw_pid().unsigned_abs(),
            started_ticks,
        })
    }
}

/// Returns the state of the process `owner`. The result is `Dead` only if this is certain.
pub fn is_alive(owner: &Owner) -> Liveness {
    let Ok(here) = boot_id() else { return Liveness::Unknown };
    if owner.host != host() {
        return Liveness::Unknown;
    }
    let boot = |id: &str| id.split('+').next().unwrap_or("").to_owned();
    if boot(owner.boot_id.as_str()) != boot(&here) {
        return Liveness::Dead;
    }
    if owner.boot_id.as_str() != here {
        return Liveness::Unknown;
    }
    let Some(pid) = i32::try_from(owner.pid).ok().and_then(Pid::from_raw) else { return Liveness::Dead };
    match fs::read(format!("/proc/{}/stat", owner.pid)) {
        Ok(stat) => match parse_stat(&stat) {
            Some((b'Z' | b'X', ..)) => Liveness::Dead,
            Some((_, _, ticks)) if ticks == owner.started_ticks => Liveness::Alive,
            Some(_) => Liveness::Dead,
            None => Liveness::Unknown,
        },
        // Processes of other users may be hidden in `/proc`, but kill(2) finds them.
        Err(_) => match test_kill_process(pid) {
            Err(rustix::io::Errno::SRCH) => Liveness::Dead,
            _ => Liveness::Unknown,
        },
    }
}

/// Returns the host name of this machine.
pub fn host() -> Line {
    Line::lossy(&rustix::system::uname().nodename().to_string_lossy())
}

fn boot_id() -> io::Result<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
    let namespace = fs::read_link("/proc/self/ns/pid")?.to_string_lossy().into_owned();
    Ok(if namespace == INITIAL_PID_NAMESPACE { boot } else { format!("{boot}+{namespace}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_its_look_alikes_are_not() {
        let me = Owner::current().unwrap();
        assert_eq!(is_alive(&me), Liveness::Alive);
        assert_eq!(is_alive(&Owner { started_ticks: me.started_ticks + 1, ..me.clone() }), Liveness::Dead);
        assert_eq!(is_alive(&Owner { boot_id: Line::lossy("another"), ..me.clone() }), Liveness::Dead);
        assert_eq!(
            is_alive(&Owner { host: Line::lossy("elsewhere.example"), ..me.clone() }),
            Liveness::Unknown
        );
        let boot = me.boot_id.as_str().split('+').next().unwrap().to_owned();
        assert_eq!(
            is_alive(&Owner { boot_id: Line::lossy(&(boot + "+pid:[1]")), ..me.clone() }),
            Liveness::Unknown
        );
        for pid in [0, u32::MAX, i32::MAX.unsigned_abs()] {
            assert_eq!(is_alive(&Owner { pid, ..me.clone() }), Liveness::Dead, "{pid}");
        }
    }

    #[test]
    fn it_is_written_as_plain_json() {
        let owner = Owner { host: Line::lossy("db1"), boot_id: Line::lossy("b"), pid: 7, started_ticks: 9 };
        let json = serde_json::to_string(&owner).unwrap();
        assert_eq!(json, r#"{"host":"db1","boot_id":"b","pid":7,"started_ticks":9}"#);
        assert_eq!(serde_json::from_str::<Owner>(&json).unwrap(), owner);
    }
}
