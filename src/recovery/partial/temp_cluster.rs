//! A scratch directory for a cluster that is restored only to extract a part of it.
//!
//! ```text
//! pggit-part-<random>/  ours; others may pass through it
//!   owner.json          the process that works with it
//!   home/               ours; its contents belong to the user of the server
//! ```

use std::path::{Path, PathBuf};

use super::super::server::{ServerEnv, remove_stale, server_user};
use super::super::staging::StagingDir;
use super::super::{Error, Home};
use crate::process::{OwnedDir, Pinned, Strays};

const PREFIX: &str = ServerEnv::FOR_PARTS;
/// The name of the future data directory in `home`.
const CLUSTER: &str = "cluster";

/// A scratch directory. It is removed on drop.
#[derive(Debug)]
pub(super) struct TempClusterDir {
    /// The directory. It is removed after all programs in it have ended.
    _dir: OwnedDir,
    home: Home,
    /// Finds processes that code from the backup has left running.
    strays: Strays,
}

impl TempClusterDir {
    /// Creates a scratch directory below `scratch`, and removes those of crashed processes. Fails if
    /// the user for scratch servers is not usable.
    pub(super) fn make(scratch: &Path, user: Option<&str>) -> Result<Self, Error> {
        let user = server_user(user)?;
        let base = scratch.canonicalize().map_err(|error| Error::file("use", scratch, error))?;
        remove_stale(&base, PREFIX, &format!("home/.{CLUSTER}.pggit-partial/data"));
        let name = format!("{PREFIX}{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
        let make = || {
            let dir = OwnedDir::make(&Pinned::reach(&base)?, name.as_ref())?;
            dir.held().set_mode(0o711)?;
            let home = dir.held().make("home".as_ref())?;
            home.set_mode(0o711)?;
            Ok((dir, home))
        };
        let (dir, home) = make().map_err(|error| Error::file("create", &base.join(&name), error))?;
        let server_env = StagingDir::beside(&home.real().join(CLUSTER));
        let strays = ServerEnv::strays(&server_env, user.as_ref());
        let owner = user.map(|user| (user.uid, user.gid));
        Ok(Self { home: Home { held: home, owner }, strays, _dir: dir })
    }

    /// Returns the directory in which the cluster and its tablespaces are created.
    pub(super) fn home(&self) -> &Home {
        &self.home
    }

    /// Returns the path of the future data directory.
    pub(super) fn cluster(&self) -> PathBuf {
        self.home.held.real().join(CLUSTER)
    }

    /// Returns the directory for a tablespace.
    pub(super) fn space(&self, number: usize) -> PathBuf {
        self.home.held.real().join(format!("space-{number}"))
    }
}

impl Drop for TempClusterDir {
    fn drop(&mut self) {
        self.strays.end();
    }
}
