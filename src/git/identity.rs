//! Who is acting, by git's rules.

use super::{Error, Repository};

/// The committer that git would record: from `GIT_COMMITTER_*` or
/// `user.name` and `user.email`. Never invented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `Name`
    pub name: String,
    /// `mail@example.com`
    pub email: String,
    pub(super) author: gix::actor::Signature,
    pub(super) committer: gix::actor::Signature,
}

impl Identity {
    /// `Name <mail@example.com>`
    pub fn to_line(&self) -> String {
        format!("{} <{}>", self.name, self.email)
    }
}

impl Repository {
    /// Who is acting; an error when git was not told.
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
