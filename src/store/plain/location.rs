//! Paths as `file://` URIs.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use crate::store::Error;

const SCHEME: &str = "file://";

/// An absolute path as `file://` URI. All bytes but plain ASCII are percent-encoded, so that each
/// Unix path has exactly one URI.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileUri(String);

impl FileUri {
    /// Returns the URI of `path`. Fails if it is relative, or contains `..` or a NUL byte.
    pub fn from_path(path: &Path) -> Result<Self, Error> {
        let refuse = |reason| Error::BadLocation { location: path.to_string_lossy().into_owned(), reason };
        check_path(path).map_err(refuse)?;
        let mut uri = String::from(SCHEME);
        for byte in path.as_os_str().as_bytes() {
            match byte {
                b'/' | b'-' | b'.' | b'_' | b'~' => uri.push(char::from(*byte)),
                b if b.is_ascii_alphanumeric() => uri.push(char::from(*b)),
                b => uri.push_str(&format!("%{b:02X}")),
            }
        }
        Ok(Self(uri))
    }

    /// Returns the path.
    pub fn to_path(&self) -> PathBuf {
        decode(&self.0[SCHEME.len()..]).expect("a FileUri is made of a path or checked")
    }

    /// Returns the URI.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FileUri {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |reason| Error::BadLocation { location: text.chars().take(200).collect(), reason };
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| refuse("not a file:// URI"))?;
        let rest = rest.strip_prefix("localhost").filter(|rest| rest.starts_with('/')).unwrap_or(rest);
        let path = decode(rest).ok_or_else(|| refuse("its percent-encoding is invalid"))?;
        check_path(&path).map_err(refuse)?;
        Self::from_path(&path)
    }
}

impl fmt::Display for FileUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check_path(path: &Path) -> Result<(), &'static str> {
    if !path.is_absolute() {
        return Err("not an absolute path on this machine");
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err("contains '..'");
    }
    if path.as_os_str().as_bytes().contains(&0) {
        return Err("contains a NUL byte");
    }
    Ok(())
}

fn decode(text: &str) -> Option<PathBuf> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let digit = |b: &u8| char::from(*b).to_digit(16);
                bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
                tail
            }
            (b'%' | b'?' | b'#', _) => return None,
            (byte, tail) => {
                bytes.push(*byte);
                tail
            }
        };
    }
    Some(OsString::from_vec(bytes).into())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn special_bytes_are_encoded() {
        let path = Path::new(OsStr::from_bytes(b"/a b/%\xff\n?#'\"/~x-1.y_z"));
        let uri = FileUri::from_path(path).unwrap();
        assert_eq!(uri.as_str(), "file:///a%20b/%25%FF%0A%3F%23%27%22/~x-1.y_z");
        assert_eq!(uri.to_path(), path);
    }

    #[test]
    fn other_locations_are_refused() {
        for bad in [
            "",
            "/x",
            "file:/x",
            "file://host/x",
            "file://x",
            "s3://b/x",
            "file:///a/../b",
            "file:///%2e%2e/b",
            "file:///a%00",
            "file:///a%",
            "file:///a%4",
            "file:///a%zz",
            "file:///a?b",
            "file:///a#b",
            "FILE:///x",
        ] {
            assert!(bad.parse::<FileUri>().is_err(), "{bad}");
        }
        assert_eq!("file://localhost/x y".parse::<FileUri>().unwrap().as_str(), "file:///x%20y");
        assert!(FileUri::from_path(Path::new("relative")).is_err());
    }

    proptest! {
        #[test]
        fn every_path_survives_a_round_trip(bytes in proptest::collection::vec(1_u8.., 0..60)) {
            let path = PathBuf::from(OsString::from_vec([b"/", &bytes[..]].concat()));
            prop_assume!(!path.components().any(|part| part == Component::ParentDir));
            let uri = FileUri::from_path(&path).unwrap();
            prop_assert!(uri.as_str().is_ascii());
            prop_assert_eq!(uri.to_path().into_os_string(), path.into_os_string());
            prop_assert_eq!(uri.as_str().parse::<FileUri>().unwrap(), uri);
        }

        #[test]
        fn the_parser_does_not_panic(text in "(file://)?.{0,40}") {
            let _ = text.parse::<FileUri>();
        }
    }
}
