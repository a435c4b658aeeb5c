//! Password files: `host:port:database:user:password` lines.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::secret::Secret;

/// A password file that was read.
#[derive(Clone)]
pub(super) struct PassFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// The reason why a password file is ignored.
pub(super) enum IgnoreReason {
    Absent,
    NotAFile,
    TooOpen,
    Unreadable(io::Error),
}

impl PassFile {
    /// Reads `path`. Fails if users other than its owner may read it, as in libpq.
    pub(super) fn read(path: &Path) -> Result<Self, IgnoreReason> {
        let meta = fs::metadata(path).map_err(|_| IgnoreReason::Absent)?;
        if !meta.is_file() {
            return Err(IgnoreReason::NotAFile);
        }
        if meta.mode() & 0o077 != 0 {
            return Err(IgnoreReason::TooOpen);
        }
        let bytes = fs::read(path).map_err(IgnoreReason::Unreadable)?;
        Ok(Self { path: path.to_owned(), bytes })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the password of the first line that matches all four fields.
    pub(super) fn find(&self, host: &str, port: &str, dbname: &str, user: &str) -> Option<Secret> {
        let wanted = [host, port, dbname, user];
        self.bytes.split(|&b| b == b'\n').filter(|line| !line.starts_with(b"#")).find_map(|line| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let password = wanted.iter().try_fold(line, |rest, field| after_match(rest, field.as_bytes()))?;
            String::from_utf8(unescape(password)).ok().map(Secret::new)
        })
    }
}

impl fmt::Debug for PassFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PassFile").field(&self.path).finish()
    }
}

/// Returns the rest of `line` after its first field, if that field matches `wanted`.
fn after_match<'a>(line: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    if let Some(rest) = line.strip_prefix(b"*:") {
        return Some(rest);
    }
    let rest = after_field(line)?;
    let field = &line[..line.len() - rest.len() - 1];
    (unescape(field) == wanted).then_some(rest)
}

fn after_field(line: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    while at < line.len() {
        match line[at] {
            b':' => return Some(&line[at + 1..]),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    None
}

/// Removes the backslashes up to the next unescaped colon.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = field.iter().copied();
    let mut plain = Vec::with_capacity(field.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b':' => break,
            b'\\' => plain.push(bytes.next().unwrap_or(b'\\')),
            byte => plain.push(byte),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str, host: &str, port: &str, dbname: &str, user: &str) -> Option<String> {
        let file = PassFile { path: PathBuf::new(), bytes: text.as_bytes().to_vec() };
        file.find(host, port, dbname, user).map(|secret| secret.reveal().to_owned())
    }

    #[test]
    fn fields_match_as_in_libpq() {
        let cases = [
            ("h:1:d:u:p", Some("p")),
            ("*:*:*:*:p", Some("p")),
            ("h:1:d:u:p\r\nh:1:d:u:q", Some("p")),
            ("#h:1:d:u:p\nh:1:d:u:q", Some("q")),
            ("x:1:d:u:p\nh:1:*:u:q", Some("q")),
            ("h:1:d:u:a\\:b\\\\c", Some("a:b\\c")),
            ("h:1:d:u:p:tail", Some("p")),
            ("h:1:d:u", None),
            ("h*:1:d:u:p", None),
            ("h:1:d:uu:p", None),
            ("", None),
        ];
        for (text, password) in cases {
            assert_eq!(find(text, "h", "1", "d", "u").as_deref(), password, "{text:?}");
        }
        assert_eq!(find("\\:\\:1:1:d:u:p", "::1", "1", "d", "u").as_deref(), Some("p"));
    }
}
