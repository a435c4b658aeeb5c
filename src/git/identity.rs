//! The identity of the user, by git's rules.

use super::{Error, Repository};

/// The author and committer that git would record: from `GIT_AUTHOR_*`, `GIT_COMMITTER_*`, or
/// `user.name` and `user.email`. There is no default from the host name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name of the committer.
    pub name: String,
    /// The mail address of the committer.
    pub email: String,
    pub(super) author: gix::actor::Signature,
    pub(super) committer: gix::actor::Signature,
}

impl Identity {
    /// Returns `Name <mail@example.com>`.
    pub fn to_line(&self) -> String {
        format!("{} <{}>", self.name, self.email)
    }
}

impl Repository {
    /// Returns the identity of the user. Fails if git has no name or address for it.
    pub fn identity(&self) -> Result<Identity, Error> {
        let owned = |signature: Option<gix::Result<gix::actor::SignatureRef<'_>>>| -> Result<gix::actor::Signature, Error> {
            let signature = signature.ok_or(Error::NoIdentity)?.map_err(Error::library("read the identity"))?;
            signature.to_owned().map_err(|error| Error::Library { doing: "read the identity".into(), detail: error.to_string() })
        };
        let committer = owned(self.gix.committer())?;
        let author = owned(self.gix.author())?;
        if committer.name.is_empty() || author.name.is_empty() {
            return Err(Error::NoIdentity);
        }
        Ok(Identity {
            name: committer.name.to_string(),
            email: committer.email.to_string(),
            author,
            committer,
        })
    }
}
