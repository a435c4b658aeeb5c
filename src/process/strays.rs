//! Stray processes: descendants of programs that we have started, left running after those have
//! ended.
//!
//! Code from a backup can start a program that leaves its session and its parent. While this
//! process is running, the kernel makes it the parent of every orphaned descendant
//! (`PR_SET_CHILD_SUBREAPER`), so that all of them are found, whatever they have done to their
//! names, process groups and environments. A process that cannot gain privileges cannot change its
//! user id either.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::Once;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, getpid, set_child_subreaper, waitid};
use tracing::warn;

use super::{OsUser, Seen, pause};

/// The maximum number of searches.
const LOOKS: u32 = 400;
/// The time between two searches.
const TICK: Duration = Duration::from_millis(5);

/// Finds stray processes of programs that run as one user, or that have one variable in their
/// environment.
#[derive(Debug, Clone)]
pub struct Strays {
    uid: u32,
    /// The variable and its value. It is needed if the programs run as our own user, whose other
    /// processes are not strays.
    mark: Option<(&'static str, OsString)>,
}

impl Strays {
    /// Finds the stray processes of programs that run as `user`. Without a user, or with our own
    /// user, the programs have the variable `name` with `value`. Must be called before the first of
    /// these programs starts.
    pub fn of(user: Option<&OsUser>, name: &'static str, value: impl Into<OsString>) -> Self {
        static WARNED: Once = Once::new();
        if let Err(error) = set_child_subreaper(Some(getpid())) {
            WARNED.call_once(|| warn!(%error, "cannot detect orphaned processes of code from a backup"));
        }
        match user.filter(|user| !user.is_us()) {
            Some(user) => Self { uid: user.uid, mark: None },
            None => Self { uid: rustix::process::geteuid().as_raw(), mark: Some((name, value.into())) },
        }
    }

    /// Kills all stray processes. To be called after the programs should have exited. Returns true
    /// if none is left.
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
            pause(TICK);
        }
        warn!(uid = self.uid, "cannot end processes that code from a backup has started");
        false
    }

    fn find(&self) -> Vec<Seen> {
        let all = Seen::all();
        let parents: HashMap<i32, i32> = all.iter().map(|one| (one.pid, one.parent)).collect();
        let us = getpid().as_raw_pid();
        let is_below_us = |one: &Seen| {
            let mut at = one.parent;
            // The list is not a consistent snapshot, so parents may form a cycle.
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

/// Reaps a killed orphan. It has become our child, and no other code waits for it.
fn reap(pid: Pid) {
    let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
}
