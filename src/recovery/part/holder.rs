//! A directory for a cluster that is restored only to take something out of it.
//!
//! ```text
//! pggit-part-<random>/  ours; others may pass through it
//!   owner.json          the process that works with it
//!   home/               ours; its contents belong to the user of the server
//! ```

use std::io;
use std::path::{Path, PathBuf};

use super::super::place::Partial;
use super::super::server::{Ground, server_user, sweep_grounds};
use super::super::{Error, Home};
use crate::process::{OsUser, Pinned, Strays, claim, remove_claimed};

const PREFIX: &str = Ground::FOR_PARTS;
/// The directory in it that would become the data directory.
const CLUSTER: &str = "cluster";

/// It goes when this goes.
#[derive(Debug)]
pub(super) struct Holder {
    held: Pinned,
    home: Home,
    /// Finds processes that code from the backup has left running.
    strays: Strays,
}

impl Holder {
    /// Makes one below `scratch`, and removes what dead processes have left there.
    pub(super) fn make(scratch: &Path, user: Option<&str>) -> Result<Self, Error> {
        let user = server_user(user)?;
        let base = scratch.canonicalize().map_err(|error| Error::file("use", scratch, error))?;
        sweep_grounds(&base, PREFIX, &format!("home/.{CLUSTER}.pggit-partial/data"));
        let name = format!("{PREFIX}{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
        let fill = || Self::fill(&base, &name, user.as_ref());
        match fill() {
            // Between its making and its naming an owner others may have swept it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => fill(),
            filled => filled,
        }
        .map_err(|error| Error::file("make", &base.join(name), error))
    }

    fn fill(base: &Path, name: &str, user: Option<&OsUser>) -> io::Result<Self> {
        let held = Pinned::reach(base)?.make(name.as_ref())?;
        held.set_mode(0o711)?;
        claim(&held.path())?;
        let home = held.make("home".as_ref())?;
        home.set_mode(0o711)?;
        let ground = Partial::beside(&home.real().join(CLUSTER));
        let strays = Ground::strays(&ground, user);
        let owner = user.map(|user| (user.uid, user.gid));
        Ok(Self { held, home: Home { held: home, owner }, strays })
    }

    /// Returns the directory in which the cluster and its tablespaces are made.
    pub(super) fn home(&self) -> &Home {
        &self.home
    }

    /// What would become the data directory.
    pub(super) fn cluster(&self) -> PathBuf {
        self.home.held.real().join(CLUSTER)
    }

    /// Where a tablespace goes.
    pub(super) fn space(&self, number: usize) -> PathBuf {
        self.home.held.real().join(format!("space-{number}"))
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.strays.end();
        // What cannot be removed now is removed by the next one.
        let _ = remove_claimed(&self.held);
    }
}
