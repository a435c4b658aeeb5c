//! Operating system users, as whom programs run.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use uzers::os::unix::UserExt as _;

/// An operating system user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OsUser {
    /// The name.
    pub name: OsString,
    /// The user id.
    pub uid: u32,
    /// The id of the user's primary group.
    pub gid: u32,
    /// The home directory.
    pub home: PathBuf,
}

impl OsUser {
    /// Returns the user with this name, if it exists.
    pub fn named(name: &OsStr) -> Option<Self> {
        uzers::get_user_by_name(name).map(|user| Self::of(&user))
    }

    /// Returns the user with this id, if it exists.
    pub fn with_id(uid: u32) -> Option<Self> {
        uzers::get_user_by_uid(uid).map(|user| Self::of(&user))
    }

    /// Returns the owner of a file. The owner need not be in any user database.
    pub fn owner_of(file: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self::with_id(file.uid()).unwrap_or_else(|| Self {
            name: file.uid().to_string().into(),
            uid: file.uid(),
            gid: file.gid(),
            home: "/".into(),
        })
    }

    fn of(user: &uzers::User) -> Self {
        Self {
            name: user.name().to_owned(),
            uid: user.uid(),
            gid: user.primary_group_id(),
            home: user.home_dir().to_owned(),
        }
    }

    /// Returns true if this process runs as this user.
    pub fn is_us(&self) -> bool {
        rustix::process::geteuid().as_raw() == self.uid
    }

    /// Returns true if this process runs as root and so may change to any other user.
    pub fn we_are_root() -> bool {
        rustix::process::geteuid().is_root()
    }
}
