//! Parses `backup_label` and `tablespace_map`.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use crate::domain::Lsn;

/// The start of a base backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label {
    /// The WAL position.
    pub(super) start: Lsn,
    /// The timeline.
    pub(super) timeline: u32,
}

impl Label {
    /// Parses a label. Returns `None` if a required line is missing.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
        let start = value("START WAL LOCATION")?.split_ascii_whitespace().next()?.parse().ok()?;
        Some(Self { start, timeline: value("START TIMELINE")?.parse().ok()? })
    }
}

/// A tablespace and its original directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapped {
    pub(super) oid: u32,
    pub(super) location: PathBuf,
}

/// Parses a `tablespace_map`. Returns `None` if the text is invalid.
pub(super) fn parse_map(text: &[u8]) -> Option<Vec<Mapped>> {
    let (mut lines, mut line, mut bytes) = (Vec::new(), Vec::new(), text.iter());
    while let Some(byte) = bytes.next() {
        match byte {
            b'\n' => lines.push(std::mem::take(&mut line)),
            b'\\' => line.push(*bytes.next()?),
            byte => line.push(*byte),
        }
    }
    let mapped = lines.into_iter().map(|line| {
        let space = line.iter().position(|byte| *byte == b' ')?;
        let oid = std::str::from_utf8(&line[..space]).ok()?.parse().ok()?;
        let location = PathBuf::from(OsString::from_vec(line[space + 1..].to_vec()));
        location.is_absolute().then_some(Mapped { oid, location })
    });
    if line.is_empty() { mapped.collect() } else { None }
}

/// Returns a `tablespace_map` in the format of PostgreSQL.
pub(super) fn write_map(mapped: &[Mapped]) -> Vec<u8> {
    let mut text = Vec::new();
    for Mapped { oid, location } in mapped {
        text.extend_from_slice(format!("{oid} ").as_bytes());
        for byte in location.as_os_str().as_bytes() {
            if matches!(byte, b'\n' | b'\r' | b'\\') {
                text.push(b'\\');
            }
            text.push(*byte);
        }
        text.push(b'\n');
    }
    text
}

/// Returns the new directory of the tablespace that was at `location`.
pub(super) fn moved(location: &Path, mapping: &[(PathBuf, PathBuf)]) -> PathBuf {
    let mapped = mapping.iter().find(|(from, _)| from == location);
    mapped.map_or(location, |(_, to)| to).to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_label_is_read() {
        let text = b"START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\nCHECKPOINT LOCATION: 0/2000060\n\
            BACKUP METHOD: streamed\nLABEL: x\nSTART TIMELINE: 3\n";
        let label = Label::parse(text).unwrap();
        assert_eq!((label.start.to_string().as_str(), label.timeline), ("0/2000028", 3));
        for cut in [0, 20, 30, text.len() - 4] {
            assert_eq!(Label::parse(&text[..cut]), None);
        }
    }

    proptest! {
        #[test]
        fn every_location_comes_back(tail in proptest::collection::vec(1_u8.., 0..40), oid: u32) {
            let location = PathBuf::from(OsString::from_vec([b"/".to_vec(), tail].concat()));
            let mapped = vec![Mapped { oid, location }];
            let text = write_map(&mapped);
            prop_assert_eq!(parse_map(&text), Some(mapped));
            prop_assert_eq!(parse_map(&text[..text.len() - 1]), None);
        }

        #[test]
        fn nothing_breaks_the_parsers(text: Vec<u8>) {
            let _ = (Label::parse(&text), parse_map(&text));
        }
    }
}
