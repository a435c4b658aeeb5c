//! URLs of stores.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::Error;
use super::plain::FileUri;

/// The URL of a store: `file:///var/backups/store`, `s3://bucket/prefix`, `az://container/prefix`
/// or `gs://bucket/prefix`. An absolute path is a file URL. It never has credentials.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StoreUrl {
    scheme: Scheme,
    /// The bucket or container; empty for files.
    bucket: String,
    /// The path without slashes at its ends; for files, with a slash at the beginning.
    prefix: String,
}

/// The kind of a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// A directory.
    File,
    /// Amazon S3, and servers with its protocol.
    S3,
    /// Azure Blob Storage.
    Azure,
    /// Google Cloud Storage.
    Google,
}

impl Scheme {
    const ALL: [(Self, &'static str); 4] =
        [(Self::File, "file"), (Self::S3, "s3"), (Self::Azure, "az"), (Self::Google, "gs")];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(scheme, _)| *scheme == self).map_or("", |(_, name)| name)
    }
}

impl StoreUrl {
    /// Returns the URL of a store in the directory `path`. Fails if the path is not absolute.
    pub fn from_directory(path: &Path) -> Result<Self, Error> {
        let uri = FileUri::from_path(path)?;
        uri.as_str().parse()
    }

    /// Returns the kind of the storage.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns the bucket or container; empty for files.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Returns the prefix of the names of objects in the bucket; may be empty.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns the directory; `None` in a cloud.
    pub fn directory(&self) -> Option<PathBuf> {
        match self.scheme {
            Scheme::File => self.to_string().parse::<FileUri>().ok().map(|uri| uri.to_path()),
            _ => None,
        }
    }

    /// Returns the URI of an object in the store.
    pub fn join(&self, name: &str) -> String {
        let url = self.to_string();
        format!("{}/{name}", url.trim_end_matches('/'))
    }
}

impl FromStr for StoreUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |reason| Err(Error::BadLocation { location: shown(text), reason });
        if text.starts_with('/') {
            return Self::from_directory(Path::new(text));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return refuse("expected file://, s3://, az:// or gs://, or an absolute path");
        };
        let Some((scheme, _)) = Scheme::ALL.into_iter().find(|(_, name)| *name == scheme) else {
            return refuse("its scheme is not one of file, s3, az, gs");
        };
        if text.len() > 2048 || rest.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return refuse("it is longer than 2048 bytes or has white space in it");
        }
        if rest.contains(['?', '#']) || (scheme != Scheme::File && rest.contains('@')) {
            return refuse(
                "it must not have a query, a fragment or a user; credentials come from the environment",
            );
        }
        if scheme == Scheme::File {
            text.parse::<FileUri>()?;
            let prefix = rest.trim_end_matches('/').to_owned();
            return Ok(Self { scheme, bucket: String::new(), prefix });
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if bucket.is_empty() || bucket.starts_with(['-', '.']) || !bucket.chars().all(plain) {
            return refuse("its bucket name is missing or invalid");
        }
        let prefix = prefix.trim_end_matches('/').to_owned();
        if !prefix.is_empty() && prefix.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return refuse("its path has an empty, '.' or '..' component");
        }
        Ok(Self { scheme, bucket: bucket.to_owned(), prefix })
    }
}

/// Returns the text for messages, without parts that may be credentials.
fn shown(text: &str) -> String {
    match text.find(['@', '?']) {
        Some(_) => {
            format!("{}…", text.split_once("://").map_or(String::new(), |(scheme, _)| format!("{scheme}://")))
        }
        None => text.chars().take(200).collect(),
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.scheme.name();
        match (self.scheme, self.prefix.as_str()) {
            (Scheme::File, "") => write!(f, "{name}:///"),
            (Scheme::File, path) => write!(f, "{name}://{path}"),
            (_, "") => write!(f, "{name}://{}", self.bucket),
            (_, prefix) => write!(f, "{name}://{}/{prefix}", self.bucket),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_survive_a_round_trip() {
        for text in ["file:///var/store", "s3://bucket", "s3://bucket/a/b", "az://c-1/x", "gs://b.x/y"] {
            assert_eq!(text.parse::<StoreUrl>().unwrap().to_string(), text);
        }
        let slashes: StoreUrl = "s3://bucket/a/".parse().unwrap();
        assert_eq!(slashes.join("config"), "s3://bucket/a/config");
        let path: StoreUrl = "/var/my store".parse().unwrap();
        assert_eq!(path.to_string(), "file:///var/my%20store");
        assert_eq!(path.directory().unwrap(), Path::new("/var/my store"));
    }

    #[test]
    fn invalid_urls_are_refused() {
        for bad in [
            "",
            "bucket",
            "s3:/x",
            "http://x/y",
            "s3://",
            "s3:///x",
            "s3://-b/x",
            "s3://b/../x",
            "s3://b//x",
            "s3://b/x?sig=1",
            "s3://key:secret@b/x",
            "file://host/x",
            "file://relative",
            "s3://b/\nx",
            "-s3://b",
        ] {
            let error = bad.parse::<StoreUrl>().expect_err(bad).to_string();
            assert!(!error.contains("secret") && !error.contains("sig=1"), "{error}");
        }
    }
}
