//! Lists of digests in the format of `b3sum --check`.

use std::fmt::Write;

/// Returns one line: `<hex>  <path>`. In a path, newlines and backslashes are escaped, and the line
/// then begins with a backslash.
pub(super) fn line(hash: blake3::Hash, path: &str) -> String {
    let escaped = path.replace('\\', "\\\\").replace('\n', "\\n");
    let mark = if escaped == path { "" } else { "\\" };
    let mut line = String::new();
    writeln!(line, "{mark}{}  {escaped}", hash.to_hex()).expect("writing to a string cannot fail");
    line
}

/// Parses the entries of a list; `None` if it is damaged.
pub(super) fn parse(text: &str) -> Option<Vec<(blake3::Hash, String)>> {
    text.split_terminator('\n').map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<(blake3::Hash, String)> {
    let (is_escaped, line) = line.strip_prefix('\\').map_or((false, line), |rest| (true, rest));
    let (hex, path) = line.split_once("  ")?;
    let hash = blake3::Hash::from_hex(hex).ok()?;
    let path = if is_escaped { unescape(path)? } else { path.to_owned() };
    Some((hash, path))
}

fn unescape(path: &str) -> Option<String> {
    let mut out = String::with_capacity(path.len());
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next()? {
                'n' => '\n',
                '\\' => '\\',
                _ => return None,
            },
            c => c,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_path_survives_a_round_trip(paths in proptest::collection::vec("[^\u{0}]{1,20}", 0..5)) {
            let entries: Vec<_> = paths.into_iter().map(|path| (blake3::hash(path.as_bytes()), path)).collect();
            let text: String = entries.iter().map(|(hash, path)| line(*hash, path)).collect();
            prop_assert_eq!(parse(&text), Some(entries));
        }

        #[test]
        fn the_parser_does_not_panic(text in "(\\\\|[0-9a-f]{64}  |x|\n| ){0,9}") {
            let _ = parse(&text);
        }
    }
}
