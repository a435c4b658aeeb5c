//! The directories of tablespaces outside the data directory.
//!
//! The caller has named the directories. The future owner of the data, or other users, may be able to
//! change parts of their paths. Each directory is therefore opened and made inaccessible to other
//! users. It is filled, and given to its owner at the end.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Error;
use super::staging::{Home, above, given, refuse};
use crate::process::{OsUser, Pinned, is_rooted};

/// The directory of a tablespace.
#[derive(Debug)]
pub(super) struct Space {
    held: Pinned,
    /// The previous owner, group and mode, if the directory existed.
    before: Option<(u32, u32, u32)>,
}

/// The facts about a directory that another process needs to clean up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outside {
    path: Vec<u8>,
    /// The device and inode, if the directory was open.
    identity: Option<(u64, u64)>,
    /// The user who creates it, to be compared if the identity is unknown.
    maker: u32,
    before: Option<(u32, u32, u32)>,
}

const HINT: &str = "name an empty one for the tablespace: --tablespace-mapping <old>=<new>";

impl Space {
    /// Takes the missing or empty directory `path` for data of `owner`; `None` is the current user.
    /// `home` is its parent, if the caller has opened that.
    pub(super) fn take(path: &Path, owner: Option<(u32, u32)>, home: Option<&Home>) -> Result<Self, Error> {
        let io = |error| Error::file("create", path, error);
        let (parent, name) =
            path.parent().zip(path.file_name()).ok_or_else(|| refuse(path, "cannot be one", HINT))?;
        let above = above(parent, home).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                refuse(path, "is in a directory that does not exist", "create that directory first")
            }
            _ => io(error),
        })?;
        if let Some((uid, _)) = owner.filter(|_| home.is_none()) {
            // If the parent belongs to the owner of the data, a replaced path only leads to another
            // directory of that owner.
            let is_theirs = above.metadata().map_err(io)?.uid() == uid;
            if !is_theirs && !is_rooted(parent).map_err(io)? {
                const HINT: &str =
                    "name one in a directory that only root, or the owner of the data, can change";
                return Err(refuse(path, "is in a directory that another user can change", HINT));
            }
        }
        match above.make(name) {
            Ok(held) => Ok(Self { held, before: None }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let held = above.enter(name).map_err(|_| refuse(path, "is not a directory", HINT))?;
                Self::of_existing(held, owner)
            }
            Err(error) => Err(io(error)),
        }
    }

    fn of_existing(held: Pinned, owner: Option<(u32, u32)>) -> Result<Self, Error> {
        let path = held.real().to_owned();
        let io = |error| Error::file("access", &path, error);
        let meta = held.metadata().map_err(io)?;
        let us = rustix::process::geteuid().as_raw();
        if meta.uid() != us && owner.is_none_or(|(uid, _)| uid != meta.uid()) {
            return Err(refuse(&path, "belongs to another user", HINT));
        }
        let before = (meta.uid(), meta.gid(), meta.mode() & 0o7777);
        held.take().map_err(io)?;
        // No other user can add entries after this point.
        if !held.is_empty().map_err(io)? {
            restore(&held, before).map_err(io)?;
            return Err(refuse(&path, "is not empty", HINT));
        }
        Ok(Self { held, before: Some(before) })
    }

    /// Returns the path of the directory.
    pub(super) fn real(&self) -> &Path {
        self.held.real()
    }

    /// Returns the path by which it is filled.
    pub(super) fn path(&self) -> PathBuf {
        self.held.path()
    }

    /// Gives the directory with its contents to `owner`, and flushes it to disk.
    pub(super) fn finish(&self, owner: Option<(u32, u32)>) -> Result<(), Error> {
        if let Some(owner) = owner {
            given(&self.held, self.held.hand_over(None, owner, &|_, _| None))?;
        }
        self.held.sync_all().map_err(|error| Error::file("sync", self.real(), error))
    }

    /// Returns the facts that are needed to clean up.
    pub(super) fn outside(&self) -> Result<Outside, Error> {
        let meta = self.held.metadata().map_err(|error| Error::file("access", self.real(), error))?;
        Ok(Outside {
            path: self.real().as_os_str().as_bytes().to_vec(),
            identity: Some((meta.dev(), meta.ino())),
            maker: meta.uid(),
            before: self.before,
        })
    }
}

impl Outside {
    /// Returns the facts about a directory that a tool will create as the user `maker`.
    pub(super) fn made_by(maker: u32, path: &Path) -> Self {
        Self { path: path.as_os_str().as_bytes().to_vec(), identity: None, maker, before: None }
    }

    /// Removes the contents, unless another directory has replaced this one. The directory was empty
    /// before.
    pub(super) fn clear(&self) -> Result<(), Error> {
        let path = PathBuf::from(OsString::from_vec(self.path.clone()));
        let Ok(held) = Pinned::open(&path) else { return Ok(()) };
        let io = |error| Error::file("empty", &path, error);
        let meta = held.metadata().map_err(io)?;
        let is_it = match self.identity {
            Some(identity) => identity == (meta.dev(), meta.ino()),
            None => meta.uid() == self.maker,
        };
        if !is_it {
            return Ok(());
        }
        held.clear(&[]).map_err(io)?;
        match self.before {
            Some(before) => restore(&held, before).map_err(io),
            // The directory did not exist before. It is removed if it is empty.
            None => {
                if self.identity.is_some() {
                    let _ = fs::remove_dir(&path);
                }
                Ok(())
            }
        }
    }
}

fn restore(held: &Pinned, (uid, gid, mode): (u32, u32, u32)) -> io::Result<()> {
    if OsUser::we_are_root() {
        held.give((uid, gid))?;
    }
    held.set_mode(mode)
}
