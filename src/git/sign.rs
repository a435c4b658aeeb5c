//! Signs commits with the programs and keys of git.
//!
//! git itself signs (`git commit-tree -S`), so that every format, program and key of its configuration
//! works as for its own commits.

use std::ffi::OsString;
use std::str::FromStr;

use crate::process::Stdin;

use super::{Error, NewCommit, Oid, Repository, config::Snapshot};

/// The values of `pggit.sign`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SigningPolicy {
    /// Not set: use `commit.gpgSign`.
    Follow,
    Always,
    /// Always, and fail without a configured key.
    Require,
    Never,
}

impl FromStr for SigningPolicy {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match (text, boolean(text)) {
            ("require", _) => Ok(Self::Require),
            (_, Some(true)) => Ok(Self::Always),
            (_, Some(false)) => Ok(Self::Never),
            (_, None) => Err(()),
        }
    }
}

fn boolean(text: &str) -> Option<bool> {
    gix::config::Boolean::try_from(gix::bstr::BStr::new(text)).ok().map(|value| value.0)
}

/// Returns the value of a boolean key. A key without `=` is true.
fn flag(config: &Snapshot, key: &str) -> Option<bool> {
    let entry = config.last(key)?;
    match &entry.value {
        None => Some(true),
        Some(value) => std::str::from_utf8(value).ok().and_then(boolean),
    }
}

/// Returns the policy of `config`. Fails if the value is invalid.
fn policy(config: &Snapshot) -> Result<SigningPolicy, Error> {
    // Committed settings (`.pggitconfig`) do not count: a clone must not choose.
    let Some(entry) = config.last("pggit.sign") else { return Ok(SigningPolicy::Follow) };
    let text = entry.value.as_deref().map_or("true".into(), String::from_utf8_lossy);
    text.parse().map_err(|()| Error::Signing {
        detail: format!("pggit.sign is `{text}`, expected true, require or false"),
    })
}

impl Repository {
    /// Returns true if commits must be signed. Fails if the policy requires a key and none is configured.
    pub(super) fn signs_commits(&self) -> Result<bool, Error> {
        let read = |error: super::config::Error| Error::Signing { detail: error.to_string() };
        let config = self.config(self.parameters.as_deref()).map_err(read)?;
        match policy(&config)? {
            SigningPolicy::Never => Ok(false),
            SigningPolicy::Always => Ok(true),
            SigningPolicy::Follow => Ok(flag(&config, "commit.gpgSign").unwrap_or(false)),
            SigningPolicy::Require => {
                let named = ["user.signingKey", "gpg.ssh.defaultKeyCommand"]
                    .iter()
                    .any(|key| config.text(key).is_some_and(|value| !value.is_empty()));
                if named {
                    return Ok(true);
                }
                let detail = "pggit.sign is `require`, and user.signingKey is not set".to_owned();
                Err(Error::Signing { detail })
            }
        }
    }

    /// Returns true if an allowed signers file is configured, which ssh signatures need to be trusted. Fails
    /// if the configuration cannot be read.
    pub fn has_allowed_signers(&self) -> Result<bool, Error> {
        let read = |error: super::config::Error| Error::Signing { detail: error.to_string() };
        let config = self.config(self.parameters.as_deref()).map_err(read)?;
        Ok(config.text("gpg.ssh.allowedSignersFile").is_some_and(|file| !file.is_empty()))
    }

    /// Writes a signed commit and returns its id. Fails if git cannot sign.
    pub(super) fn write_signed(&self, new: &NewCommit<'_>) -> Result<Oid, Error> {
        let mut args: Vec<OsString> =
            ["-c", "i18n.commitEncoding=UTF-8", "commit-tree", "-S"].map(Into::into).into();
        for parent in new.parents {
            args.extend(["-p".into(), parent.to_string().into()]);
        }
        args.extend(["-F".into(), "-".into(), new.tree.to_string().into()]);
        // In the foreground it may prompt for the passphrase of the key.
        let mut git = self.program().args(args).foreground();
        let who = [("AUTHOR", &new.identity.author), ("COMMITTER", &new.identity.committer)];
        for (role, person) in who {
            let date = format!("@{}", person.time);
            git = git
                .env(format!("GIT_{role}_NAME"), person.name.to_string())
                .env(format!("GIT_{role}_EMAIL"), person.email.to_string())
                .env(format!("GIT_{role}_DATE"), date);
        }
        let answer = git
            .cwd(self.git_dir())
            .stdin(Stdin::Bytes(new.message.as_bytes().to_vec()))
            .run_any()
            .map_err(|error| Error::Signing { detail: error.to_string() })?;
        if !answer.exit.status.is_success() {
            let detail = answer.exit.stderr.trim().trim_start_matches("error: ").to_owned();
            return Err(Error::Signing { detail });
        }
        let name = String::from_utf8_lossy(&answer.stdout);
        let id = gix::ObjectId::from_hex(name.trim().as_bytes());
        id.map(Oid).map_err(|error| Error::Signing { detail: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::SigningPolicy;

    #[test]
    fn booleans_are_parsed_like_those_of_git() {
        for (text, policy) in [
            ("require", SigningPolicy::Require),
            ("true", SigningPolicy::Always),
            ("yes", SigningPolicy::Always),
            ("1", SigningPolicy::Always),
            ("off", SigningPolicy::Never),
            ("", SigningPolicy::Never),
        ] {
            assert_eq!(text.parse(), Ok(policy), "{text}");
        }
        assert!("always".parse::<SigningPolicy>().is_err());
    }
}
