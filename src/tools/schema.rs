//! Normalizes schemas so that they can be compared byte by byte.

use super::redact::redact_secrets;

const RANDOM: [&[u8]; 2] = [b"\\restrict ", b"\\unrestrict "];
const VERSIONS: [&[u8]; 2] = [b"-- Dumped from database version ", b"-- Dumped by pg_dump version "];
const TRAILER: &[u8] = b"-- PostgreSQL database dump complete\n";

/// Returns the output of `pg_dump --schema-only` without random keys, versions and secrets, so that
/// it depends only on the schema.
pub fn normalise_schema(sql: &[u8]) -> Vec<u8> {
    redact_secrets(&without_noise(sql))
}

/// Removes the lines that differ between runs. These lines are only before the first statement and
/// after the last one. Equal lines between the statements are part of a function.
fn without_noise(sql: &[u8]) -> Vec<u8> {
    let lines: Vec<&[u8]> = sql.split_inclusive(|b| *b == b'\n').collect();
    let has_prefix = |line: &[u8], prefixes: &[&[u8]]| prefixes.iter().any(|p| line.starts_with(p));
    let is_prologue = |line: &&&[u8]| *line == b"\n" || line.starts_with(b"--") || has_prefix(line, &RANDOM);
    let head = lines.iter().take_while(is_prologue).count();
    let tail = lines.iter().rposition(|line| *line == TRAILER).unwrap_or(lines.len()).max(head);
    let mut out = Vec::with_capacity(sql.len());
    let mut after_random = false;
    for (at, line) in lines.iter().enumerate() {
        let outside = at < head || at > tail;
        let random = outside && has_prefix(line, &RANDOM);
        // An empty line follows the key.
        let dropped = random || (after_random && *line == b"\n") || (outside && has_prefix(line, &VERSIONS));
        if !dropped {
            out.extend_from_slice(line);
        }
        after_random = random;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version 15.9\n-- Dumped by pg_dump version 15.9\n\nSET x = 1;\n\n--\n-- PostgreSQL database dump complete\n--\n\n";
    const NEW: &str = "--\n-- PostgreSQL database dump\n--\n\n\\restrict aB3\n\n-- Dumped from database version 15.18\n-- Dumped by pg_dump version 17.2\n\nSET x = 1;\n\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict aB3\n\n";

    #[test]
    fn versions_and_keys_make_no_difference() {
        let (old, new) = (normalise_schema(OLD.as_bytes()), normalise_schema(NEW.as_bytes()));
        assert_eq!(String::from_utf8_lossy(&old), String::from_utf8_lossy(&new));
        assert_eq!(normalise_schema(&old), old, "twice is once");
    }

    #[test]
    fn what_looks_like_noise_in_a_function_stays() {
        let body = "SET x = 1;\nCREATE FUNCTION f() RETURNS text AS $_$\n\\restrict me\n\n-- Dumped by pg_dump version 1\n-- PostgreSQL database dump complete\n\\unrestrict me\n$_$;\n";
        let sql = NEW.replace("SET x = 1;\n", body);
        assert!(String::from_utf8(normalise_schema(sql.as_bytes())).unwrap().contains(body));
    }

    #[test]
    fn hostile_input_is_taken() {
        for sql in [&b""[..], b"\n", b"\\restrict ", b"\xff\xfe", b"-- PostgreSQL database dump complete\n"] {
            normalise_schema(sql);
        }
    }
}
