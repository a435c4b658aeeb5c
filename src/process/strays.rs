//! Processes that were left behind by what we have started.
//!
//! Code that a backup brings along can start a program that leaves its session
//! and its parent. While we are there, the kernel makes us the parent of every
//! orphan below us, however often it has been orphaned, so that all of them are
//! found, whatever they have done to their names, groups and environments. A user
//! that has no way to further rights cannot get out of its user id either.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, getpid, set_child_subreaper, waitid};

use super::{OsUser, Seen};

/// How often is looked whether some are left.
const LOOKS: u32 = 400;
/// How long between two looks.
const TICK: Duration = Duration::from_millis(5);

/// Finds what was left behind by programs that run as one user, or have one variable
/// in their environment.
#[derive(Debug, Clone)]
pub struct Strays {
    uid: u32,
    /// Needed where they run as we do: most that we start is no stray then.
    mark: Option<(&'static str, OsString)>,
}

impl Strays {
    /// To be called before the first of these programs is started. They run as
    /// `user`, or else as we do; then `name` has this value in their environment.
    pub fn of(user: Option<&OsUser>, name: &'static str, value: impl Into<OsString>) -> Self {
        // Where that cannot be had, orphans are found by nobody.
        let _ = set_child_subreaper(Some(getpid()));
        match user.filter(|user| !user.is_us()) {
            Some(user) => Self { uid: user.uid, mark: None },
            None => Self { uid: rustix::process::geteuid().as_raw(), mark: Some((name, value.into())) },
        }
    }

    /// Ends all that are there, when all of these programs should have ended. Says
    /// whether none is left.
    pub fn end(&self) -> bool {
        let mut ours = Vec::new();
        for _ in 0..LOOKS {
            let strays = self.find();
            if strays.is_empty() {
                ours.into_iter().for_each(reap);
                return true;
            }
            for stray in strays {
                stray.signal(Signal::KILL);
                ours.extend(Pid::from_raw(stray.pid).filter(|_| stray.parent == getpid().as_raw_pid()));
            }
            // Nobody ever sends: this only lets a moment pass.
            let (_keep, moment) = channel::<()>();
            let _ = moment.recv_timeout(TICK);
        }
        false
    }

    fn find(&self) -> Vec<Seen> {
        let all = Seen::all();
        let parents: HashMap<i32, i32> = all.iter().map(|one| (one.pid, one.parent)).collect();
        let us = getpid().as_raw_pid();
        let is_below_us = |one: &Seen| {
            let mut at = one.parent;
            // The list is no snapshot: there may be a circle in it.
            for _ in 0..parents.len() {
                match parents.get(&at) {
                    _ if at == us => return true,
                    Some(parent) => at = *parent,
                    None => return false,
                }
            }
            false
        };
        let is_marked = |one: &Seen| self.mark.as_ref().is_none_or(|(name, value)| one.has(name, value));
        all.iter().filter(|one| one.uid == self.uid && is_below_us(one) && is_marked(one)).cloned().collect()
    }
}

/// An orphan became our child, and nobody else waits for it.
fn reap(pid: Pid) {
    let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
}
