//! The checksums of migrations, as each tool computes and stores them.

use std::hash::Hasher as _;

use sha2::{Digest as _, Sha256, Sha384};
use siphasher::sip::SipHasher13;

use super::tool::Tool;

/// Returns the checksum that `tool` stores for a migration, in the text form of its state table, or
/// `None` if it stores none or one that cannot be computed from the file.
pub(super) fn checksum(tool: Tool, version: &str, name: &str, content: &[u8]) -> Option<String> {
    match tool {
        // sqlx-core, migrate/migration.rs: SHA-384 of the SQL text; `bytea`.
        Tool::Sqlx => Some(hex(&Sha384::digest(content))),
        // Prisma, schema-engine/core: SHA-256 of the script, as hex digits.
        Tool::Prisma => Some(hex(&Sha256::digest(content))),
        // drizzle-orm, migrator.ts: SHA-256 of the file, as hex digits.
        Tool::Drizzle => Some(hex(&Sha256::digest(content))),
        Tool::Flyway => std::str::from_utf8(content).ok().map(|text| flyway(text).to_string()),
        Tool::Refinery => std::str::from_utf8(content).ok().and_then(|sql| refinery(version, name, sql)),
        _ => None,
    }
}

/// Returns true if a stored checksum is that of the content. Some tools accept several forms.
pub(super) fn is_checksum_of(tool: Tool, stored: &str, version: &str, name: &str, content: &[u8]) -> bool {
    let computed = |content: &[u8]| checksum(tool, version, name, content);
    if computed(content).as_deref() == Some(stored) {
        return true;
    }
    match tool {
        Tool::Prisma => {
            // Prisma accepts both line ends, and older versions wrote hex digits without leading zeros.
            let unix: Vec<u8> = unix_lines(content);
            let windows: Vec<u8> = windows_lines(&unix);
            [content, &unix, &windows].iter().any(|content| {
                let digest = Sha256::digest(content);
                let unpadded: String = digest.iter().map(|byte| format!("{byte:x}")).collect();
                stored == hex(&digest) || stored == unpadded
            })
        }
        _ => false,
    }
}

/// Flyway, ChecksumCalculator: CRC-32 of all lines without their line ends, as a signed integer. A byte
/// order mark at the beginning is left out.
fn flyway(text: &str) -> i32 {
    let mut crc = crc32fast::Hasher::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for line in java_lines(text) {
        crc.update(line.as_bytes());
    }
    crc.finalize().cast_signed()
}

/// Splits a text into lines as `java.io.BufferedReader` does: at LF, CR, and CR LF.
fn java_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.find(['\n', '\r']).unwrap_or(rest.len());
        let (line, after) = rest.split_at(end);
        rest = after.strip_prefix("\r\n").or_else(|| after.strip_prefix(['\n', '\r'])).unwrap_or(after);
        Some(line)
    })
}

/// refinery-core, runner.rs: SipHash-1-3 of name, version and SQL, each as Rust's `Hash` feeds it. A
/// `str` is its bytes and a byte 0xff.
fn refinery(version: &str, name: &str, sql: &str) -> Option<String> {
    let version: i32 = version.parse().ok()?;
    let mut hasher = SipHasher13::new();
    hasher.write(name.as_bytes());
    hasher.write_u8(0xff);
    hasher.write_i32(version);
    hasher.write(sql.as_bytes());
    hasher.write_u8(0xff);
    Some(hasher.finish().to_string())
}

fn unix_lines(content: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(content.len());
    for (at, byte) in content.iter().enumerate() {
        if *byte != b'\r' || content.get(at + 1) != Some(&b'\n') {
            lines.push(*byte);
        }
    }
    lines
}

fn windows_lines(unix: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(unix.len());
    for byte in unix {
        if *byte == b'\n' {
            lines.push(b'\r');
        }
        lines.push(*byte);
    }
    lines
}

/// Returns bytes as lower-case hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flyway_ignores_line_ends_and_the_byte_order_mark() {
        let sum = |text: &str| checksum(Tool::Flyway, "1", "x", text.as_bytes()).unwrap();
        assert_eq!(sum("a\nb\n"), sum("\u{feff}a\r\nb"));
        assert_eq!(sum("a\rb"), sum("ab"));
        // CRC-32 of "123456789" is 0xcbf43926, which is negative as a signed integer.
        assert_eq!(sum("123456789\n"), (0xcbf4_3926_u32.cast_signed()).to_string());
        assert_eq!(checksum(Tool::Flyway, "1", "x", b"\xff"), None);
    }

    #[test]
    fn prisma_accepts_both_line_ends_and_the_old_form() {
        let of = |stored: &str, content: &[u8]| is_checksum_of(Tool::Prisma, stored, "1", "x", content);
        let sum = checksum(Tool::Prisma, "1", "x", b"select 1;\n").unwrap();
        assert_eq!(sum.len(), 64);
        assert!(of(&sum, b"select 1;\n") && of(&sum, b"select 1;\r\n") && !of(&sum, b"select 2;\n"));
        let unpadded: String = Sha256::digest(b"x").iter().map(|byte| format!("{byte:x}")).collect();
        assert!(of(&unpadded, b"x"));
    }

    #[test]
    fn the_sums_of_sqlx_and_refinery_have_their_forms() {
        assert_eq!(checksum(Tool::Sqlx, "1", "x", b"").unwrap().len(), 96);
        assert!(checksum(Tool::Sqlx, "1", "x", b"").unwrap().starts_with("38b060a751ac9638"));
        assert!(checksum(Tool::Refinery, "1", "initial", b"select 1").unwrap().parse::<u64>().is_ok());
        assert_eq!(checksum(Tool::Goose, "1", "x", b""), None);
    }
}
