//! A directory for a cluster that is restored only to take something out of it.
//!
//! ```text
//! pggit-part-<random>/  ours; others may pass through it
//!   owner.json          the process that works with it
//!   home/               of the user whom the server runs as
//! ```

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use super::super::Error;
use super::super::place::Partial;
use super::super::server::{Ground, server_user, sweep_grounds};
use crate::process::{OsUser, Strays, claim, remove_claimed};

const PREFIX: &str = "pggit-part-";
/// The directory in it that would become the data directory.
const CLUSTER: &str = "cluster";

/// It goes when this goes.
#[derive(Debug)]
pub(super) struct Holder {
    path: PathBuf,
    /// What code of the backup may leave behind.
    strays: Strays,
}

impl Holder {
    /// Makes one below `scratch`, and removes what dead processes have left there.
    pub(super) fn make(scratch: &Path, user: Option<&str>) -> Result<Self, Error> {
        let user = server_user(user)?;
        let base = scratch.canonicalize().map_err(|error| Error::file("use", scratch, error))?;
        sweep_grounds(&base, PREFIX, &format!("home/.{CLUSTER}.pggit-partial/data"));
        let path = base.join(format!("{PREFIX}{}", &uuid::Uuid::new_v4().simple().to_string()[..12]));
        let ground = Partial::beside(&path.join("home").join(CLUSTER));
        let made = Self { strays: Ground::strays(&ground, user.as_ref()), path };
        match made.fill(user.as_ref()) {
            // Between its making and its naming an owner others may have swept it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => made.fill(user.as_ref()),
            filled => filled,
        }
        .map_err(|error| Error::file("make", &made.path, error))?;
        Ok(made)
    }

    fn fill(&self, user: Option<&OsUser>) -> io::Result<()> {
        private(&self.path, 0o711)?;
        claim(&self.path)?;
        let home = self.home();
        private(&home, 0o711)?;
        user.map_or(Ok(()), |user| chown(&home, Some(user.uid), Some(user.gid)))
    }

    fn home(&self) -> PathBuf {
        self.path.join("home")
    }

    /// What would become the data directory.
    pub(super) fn cluster(&self) -> PathBuf {
        self.home().join(CLUSTER)
    }

    /// Where a tablespace goes.
    pub(super) fn space(&self, number: usize) -> PathBuf {
        self.home().join(format!("space-{number}"))
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.strays.end();
        // What cannot be removed now is removed by the next one.
        let _ = remove_claimed(&self.path);
    }
}

fn private(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().mode(mode).create(path)?;
    // The umask does not count.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}
