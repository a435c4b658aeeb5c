//! The backup manifest that PostgreSQL writes with a base backup.

use std::collections::BTreeMap;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::domain::Lsn;

/// The beginning of the line with the checksum of everything before it.
const CHECKSUM: &[u8] = b"\"Manifest-Checksum\"";

/// A manifest with a valid checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The system identifier of the cluster, since PostgreSQL 17.
    pub system_identifier: Option<String>,
    /// The files by path. A path need not be UTF-8.
    pub files: BTreeMap<Vec<u8>, Listed>,
    /// The WAL that recovery needs to reach consistency.
    pub wal: Vec<WalRange>,
}

/// A file in the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The size in bytes.
    pub size: u64,
    /// The CRC-32C, if the manifest uses this algorithm.
    pub crc: Option<u32>,
}

/// A range of WAL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalRange {
    /// The timeline of the range.
    pub timeline: u32,
    /// The start of the range.
    pub start: Lsn,
    /// The end of the range.
    pub end: Lsn,
}

/// The received files of a backup, to be compared with its manifest.
pub(super) type ReceivedFiles = BTreeMap<Vec<u8>, Listed>;

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "System-Identifier")]
    system_identifier: Option<serde_json::Number>,
    #[serde(rename = "Files")]
    files: Vec<FileEntry>,
    #[serde(rename = "WAL-Ranges")]
    wal: Vec<RangeEntry>,
    #[serde(rename = "Manifest-Checksum")]
    checksum: String,
}

#[derive(Deserialize)]
struct FileEntry {
    #[serde(rename = "Path")]
    path: Option<String>,
    #[serde(rename = "Encoded-Path")]
    encoded: Option<String>,
    #[serde(rename = "Size")]
    size: u64,
    #[serde(rename = "Checksum-Algorithm")]
    algorithm: Option<String>,
    #[serde(rename = "Checksum")]
    checksum: Option<String>,
}

#[derive(Deserialize)]
struct RangeEntry {
    #[serde(rename = "Timeline")]
    timeline: u32,
    #[serde(rename = "Start-LSN")]
    start: String,
    #[serde(rename = "End-LSN")]
    end: String,
}

impl Manifest {
    /// Parses a manifest. Fails with a description if it is invalid or its checksum does not match.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let cut = || "the manifest is truncated".to_owned();
        let at = text.windows(CHECKSUM.len()).rposition(|window| window == CHECKSUM).ok_or_else(cut)?;
        let document: Document = serde_json::from_slice(text).map_err(|error| {
            if error.is_eof() { cut() } else { format!("the manifest is damaged: {error}") }
        })?;
        let actual: String = Sha256::digest(&text[..at]).iter().map(|byte| format!("{byte:02x}")).collect();
        if !document.checksum.eq_ignore_ascii_case(&actual) {
            return Err("the manifest does not match its own checksum".to_owned());
        }
        let mut files = BTreeMap::new();
        for file in document.files {
            let path = match (file.path, file.encoded) {
                (Some(path), _) => path.into_bytes(),
                (None, Some(hex)) => {
                    from_hex(&hex).ok_or("the manifest has a path that is not a hexadecimal number")?
                }
                (None, None) => return Err("the manifest has a file without a path".to_owned()),
            };
            let is_crc = file.algorithm.as_deref() == Some("CRC32C");
            let crc = file.checksum.filter(|_| is_crc).and_then(|hex| crc_of(&hex));
            files.insert(path, Listed { size: file.size, crc });
        }
        let lsn = |text: &str| text.parse().map_err(|_| format!("the manifest has an invalid LSN: {text:?}"));
        let wal = document.wal.into_iter().map(|range| {
            Ok(WalRange { timeline: range.timeline, start: lsn(&range.start)?, end: lsn(&range.end)? })
        });
        let system_identifier = document.system_identifier.map(|number| number.to_string());
        Ok(Self { system_identifier, files, wal: wal.collect::<Result<_, String>>()? })
    }

    /// Compares the received files with the manifest. Fails with a description of the first file
    /// that is missing or different, or of missing WAL.
    pub fn compare(&self, arrived: &ReceivedFiles) -> Result<(), String> {
        for (path, listed) in &self.files {
            let shown = String::from_utf8_lossy(path);
            let Some(file) = arrived.get(path) else {
                return Err(format!("{shown} is in the manifest, but was not received"));
            };
            if file.size != listed.size {
                return Err(format!("{shown} has {} bytes, but {} in the manifest", file.size, listed.size));
            }
            if listed.crc.is_some() && file.crc != listed.crc {
                return Err(format!("{shown} has another checksum than in the manifest"));
            }
        }
        self.compare_wal(arrived)
    }

    /// Fails with the name of the first missing WAL segment.
    fn compare_wal(&self, arrived: &ReceivedFiles) -> Result<(), String> {
        let segments = || arrived.iter().filter(|(path, _)| is_segment(path));
        let Some(size) = segments().map(|(_, file)| file.size).next().filter(|size| *size > 0) else {
            return Err("no WAL was received".to_owned());
        };
        for range in &self.wal {
            let last = u64::from(range.end).saturating_sub(1) / size;
            for number in u64::from(range.start) / size..=last {
                let per_file = (1_u64 << 32) / size;
                let name = format!(
                    "pg_wal/{:08X}{:08X}{:08X}",
                    range.timeline,
                    number / per_file,
                    number % per_file
                );
                if arrived.get(name.as_bytes()).is_none_or(|file| file.size != size) {
                    return Err(format!("segment {name} of no WAL was received"));
                }
            }
        }
        Ok(())
    }
}

fn is_segment(path: &[u8]) -> bool {
    path.strip_prefix(b"pg_wal/")
        .is_some_and(|name| name.len() == 24 && name.iter().all(u8::is_ascii_hexdigit))
}

/// Parses a CRC-32C. PostgreSQL writes the bytes in memory order.
fn crc_of(hex: &str) -> Option<u32> {
    let bytes: [u8; 4] = from_hex(hex)?.try_into().ok()?;
    Some(u32::from_le_bytes(bytes))
}

fn from_hex(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        hex.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILES: &str = "{ \"PostgreSQL-Backup-Manifest-Version\": 2,\n\"System-Identifier\": 7711761116219939848,\n\"Files\": [\n\
        { \"Path\": \"base/1/1259\", \"Size\": 8192, \"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"794fd069\" },\n\
        { \"Encoded-Path\": \"62ff\", \"Size\": 0 }\n],\n\"WAL-Ranges\": [\n\
        { \"Timeline\": 1, \"Start-LSN\": \"0/FF000028\", \"End-LSN\": \"1/1000100\" }\n],\n";

    fn whole() -> Vec<u8> {
        let sum: String = Sha256::digest(FILES).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{FILES}\"Manifest-Checksum\": \"{sum}\"}}\n").into_bytes()
    }

    fn arrived() -> ReceivedFiles {
        let wal = ["0000000100000000000000FF", "000000010000000100000000", "000000010000000100000001"];
        let wal =
            wal.map(|name| (format!("pg_wal/{name}").into_bytes(), Listed { size: 16 << 20, crc: None }));
        let crc = Some(u32::from_le_bytes([0x79, 0x4f, 0xd0, 0x69]));
        let files = [
            (b"base/1/1259".to_vec(), Listed { size: 8192, crc }),
            (b"b\xff".to_vec(), Listed { size: 0, crc: None }),
        ];
        files.into_iter().chain(wal).collect()
    }

    #[test]
    fn a_whole_manifest_is_read_and_compared() {
        let manifest = Manifest::parse(&whole()).unwrap();
        assert_eq!(manifest.system_identifier.as_deref(), Some("7711761116219939848"));
        assert_eq!(manifest.compare(&arrived()), Ok(()));
        for missing in arrived().into_keys() {
            let mut less = arrived();
            less.remove(&missing);
            assert!(manifest.compare(&less).unwrap_err().contains("received"));
        }
        let mut other = arrived();
        other.get_mut(&b"base/1/1259"[..]).unwrap().crc = Some(1);
        assert!(manifest.compare(&other).unwrap_err().contains("another checksum"));
        other.get_mut(&b"base/1/1259"[..]).unwrap().size = 1;
        assert!(manifest.compare(&other).unwrap_err().contains("has 1 bytes"));
    }

    proptest! {
        #[test]
        fn a_manifest_that_was_changed_or_cut_is_none(at in 0..FILES.len() + 80, byte: u8) {
            let whole = whole();
            let at = at.min(whole.len() - 3);
            prop_assert!(Manifest::parse(&whole[..at]).is_err());
            let mut changed = whole.clone();
            changed[at] = byte;
            // The manifest checksum covers only the text before it. So the checksum itself may be
            // in upper case, and other white space may follow it.
            let is_space = whole[at].is_ascii_whitespace() && byte.is_ascii_whitespace();
            let covered = whole.windows(CHECKSUM.len()).rposition(|window| window == CHECKSUM).unwrap();
            if !(changed.eq_ignore_ascii_case(&whole) || (is_space && at >= covered)) {
                prop_assert!(Manifest::parse(&changed).is_err());
            }
        }
    }
}
