//! Locations of the bytes of backups.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Invalid, text_newtype};

/// A URI such as `file:///backups/shop/<id>` or `s3://bucket/prefix`. It never contains a credential:
/// neither a password before the host nor a signature in the query. The reason is that records are
/// shared and permanent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Location(String);

impl Location {
    /// Returns the URI.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Location {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refuse = |shown: &str, reason: &str| Err(Invalid::new("location", shown, reason));
        // A text that may contain a credential is not repeated in the message.
        if text.contains('@') || text.contains('=') {
            refuse_credentials(text)?;
        }
        let Some((scheme, rest)) = text.split_once(':') else {
            return refuse(text, "expected a URI such as s3://bucket/path");
        };
        let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
        if !scheme_ok {
            return refuse(text, "expected a URI such as s3://bucket/path");
        }
        if text.len() > 4096 || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return refuse(text, "it is longer than 4096 bytes or has white space in it");
        }
        if rest.is_empty() {
            return refuse(text, "it has no path");
        }
        Ok(Self(text.to_owned()))
    }
}

fn refuse_credentials(text: &str) -> Result<(), Invalid> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let shown = if scheme.is_empty() { "…".to_owned() } else { format!("{scheme}://…") };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
    if authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) {
        return Err(Invalid::new("location", &shown, "it contains a password"));
    }
    let query = rest.split_once('?').map_or("", |(_, query)| query).to_ascii_lowercase();
    let secret = |pair: &str| {
        ["sig=", "signature=", "x-amz-", "token=", "password=", "secret="]
            .iter()
            .any(|key| pair.starts_with(key))
    };
    if query.split(['&', ';']).any(secret) {
        return Err(Invalid::new("location", &shown, "its query contains a credential"));
    }
    Ok(())
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_newtype!(Location);

#[cfg(test)]
mod tests {
    use super::Location;

    #[test]
    fn credentials_are_refused_and_not_repeated() {
        for bad in [
            "s3://key:hunter2@host/ x",
            "key:hunter2@host/x",
            "s3://key:hunter2@host/x",
            "https://h/x?sp=r&sig=hunter2",
            "https://h/?X-Amz-Signature=hunter2",
        ] {
            let error = bad.parse::<Location>().unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        for bad in ["", "s3:", "plain", "/path", "1x:y", "s3://a b", "s3://a\nb"] {
            assert!(bad.parse::<Location>().is_err(), "{bad:?}");
        }
        for good in [
            "s3://bucket/prefix",
            "file:///a%20b",
            "pgbackrest:main/20261121-004914F",
            "https://host/x?version=3",
        ] {
            assert!(good.parse::<Location>().is_ok(), "{good}");
        }
    }
}
