//! The checksums of migrations, as each tool computes and stores them.

use std::hash::Hasher as _;

use sha2::{Digest as _, Sha256, Sha384};
use siphasher::sip::SipHasher13;

use super::tool::Tool;

/// Returns the checksums that `tool` accepts for a migration with this content, in the text form of its
/// state table. None if the tool stores no checksum, or one that cannot be computed from the file.
pub(super) fn checksums(tool: Tool, version: &str, name: &str, content: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(content);
    match tool {
        // sqlx-core, migrate/migration.rs: SHA-384 of the SQL text; `bytea`.
        Tool::Sqlx => vec![hex(&Sha384::digest(content))],
        Tool::Prisma => prisma(content),
        // drizzle-orm, migrator.ts: SHA-256 of the file, as hex digits.
        Tool::Drizzle => vec![hex(&Sha256::digest(content))],
        Tool::Flyway => text.map(|text| flyway(text).to_string()).into_iter().collect(),
        Tool::Refinery => text.map_or_else(|_| Vec::new(), |sql| refinery(version, name, sql)),
        _ => Vec::new(),
    }
}

/// Prisma, schema-engine: SHA-256 of the script, as hex digits. It accepts both line ends, and older
/// versions wrote hex digits without leading zeros.
fn prisma(content: &[u8]) -> Vec<String> {
    let unix = unix_lines(content);
    let windows = windows_lines(&unix);
    let digests = [content, &unix, &windows].map(Sha256::digest);
    let unpadded = |digest: &[u8]| digest.iter().map(|byte| format!("{byte:x}")).collect();
    digests.iter().flat_map(|digest| [hex(digest), unpadded(digest)]).collect()
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
/// `str` is its bytes and a byte 0xff. The version is an `i32`, or an `i64` with the feature
/// `int8-versions`.
fn refinery(version: &str, name: &str, sql: &str) -> Vec<String> {
    let hash = |write_version: &dyn Fn(&mut SipHasher13)| {
        let mut hasher = SipHasher13::new();
        hasher.write(name.as_bytes());
        hasher.write_u8(0xff);
        write_version(&mut hasher);
        hasher.write(sql.as_bytes());
        hasher.write_u8(0xff);
        hasher.finish().to_string()
    };
    let narrow = version.parse::<i32>().map(|version| hash(&|hasher| hasher.write_i32(version)));
    let wide = version.parse::<i64>().map(|version| hash(&|hasher| hasher.write_i64(version)));
    narrow.into_iter().chain(wide).collect()
}

/// Returns a text with line ends of Unix.
pub fn unix_lines(content: &[u8]) -> Vec<u8> {
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
    use std::hash::{DefaultHasher, Hash as _};

    use super::*;

    #[test]
    fn flyway_ignores_line_ends_and_the_byte_order_mark() {
        let sum = |text: &str| checksums(Tool::Flyway, "1", "x", text.as_bytes());
        assert_eq!(sum("a\nb\n"), sum("\u{feff}a\r\nb"));
        assert_eq!(sum("a\rb"), sum("ab"));
        // CRC-32 of "123456789" is 0xcbf43926, which is negative as a signed integer.
        assert_eq!(sum("123456789\n"), [(0xcbf4_3926_u32.cast_signed()).to_string()]);
        assert!(checksums(Tool::Flyway, "1", "x", b"\xff").is_empty());
    }

    #[test]
    fn prisma_accepts_both_line_ends_and_the_old_form() {
        let accepted = |content: &[u8]| checksums(Tool::Prisma, "1", "x", content);
        let stored = hex(&Sha256::digest(b"select 1;\n"));
        assert!(accepted(b"select 1;\n").contains(&stored) && accepted(b"select 1;\r\n").contains(&stored));
        assert!(!accepted(b"select 2;\n").contains(&stored));
        let unpadded: String = Sha256::digest(b"x").iter().map(|byte| format!("{byte:x}")).collect();
        assert!(accepted(b"x").contains(&unpadded));
    }

    #[test]
    fn the_sum_of_sqlx_is_sha_384_in_hexadecimal() {
        let sums = checksums(Tool::Sqlx, "1", "x", b"");
        assert!(sums.len() == 1 && sums[0].len() == 96 && sums[0].starts_with("38b060a751ac9638"));
        assert!(checksums(Tool::Goose, "1", "x", b"").is_empty());
    }

    #[test]
    fn the_sums_of_refinery_are_those_of_rusts_hash() {
        // `DefaultHasher` is SipHash-1-3 with zero keys, too.
        let mut narrow = DefaultHasher::new();
        "initial".hash(&mut narrow);
        7_i32.hash(&mut narrow);
        "select 1".hash(&mut narrow);
        let mut wide = DefaultHasher::new();
        "initial".hash(&mut wide);
        7_i64.hash(&mut wide);
        "select 1".hash(&mut wide);
        let expected = [narrow.finish().to_string(), wide.finish().to_string()];
        assert_eq!(checksums(Tool::Refinery, "7", "initial", b"select 1"), expected);
    }
}
