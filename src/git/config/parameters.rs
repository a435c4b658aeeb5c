//! Parses `GIT_CONFIG_PARAMETERS`, in which `git -c key=value` passes values to the programs that it
//! starts. `gix` does not read it.

use super::{Entry, Scope, split_key};

/// Returns all values in `text`; `None` if it is malformed.
pub(super) fn parse(text: &[u8]) -> Option<Vec<Entry>> {
    let (mut rest, mut entries) = (text.trim_ascii_start(), Vec::new());
    while !rest.is_empty() {
        let (word, after) = quoted(rest)?;
        let (key, value, after) = match after.strip_prefix(b"=") {
            // 'key'='value', or 'key'= for a key without a value.
            Some(after) if after.starts_with(b"'") => {
                let (value, after) = quoted(after)?;
                (word, Some(value), after)
            }
            Some(after) => (word, None, after),
            // 'key=value', as git wrote it before 2.31.
            None => match word.iter().position(|b| *b == b'=') {
                Some(at) => (word[..at].to_vec(), Some(word[at + 1..].to_vec()), after),
                None => (word, None, after),
            },
        };
        entries.push(entry(&key, value)?);
        if !after.is_empty() && !after[0].is_ascii_whitespace() {
            return None;
        }
        rest = after.trim_ascii_start();
    }
    Some(entries)
}

fn entry(key: &[u8], value: Option<Vec<u8>>) -> Option<Entry> {
    let (section, subsection, key) = split_key(std::str::from_utf8(key).ok()?)?;
    Some(Entry {
        section: section.to_ascii_lowercase(),
        subsection: subsection.map(|s| s.as_bytes().to_vec()),
        key: key.to_owned(),
        value,
        scope: Scope::Command,
        origin: "command line".to_owned(),
        trusted: true,
    })
}

/// Parses one word in single quotes, in which git writes `'` and `!` as `'\''` and `'\!'`. Returns the
/// word and the rest of the text.
fn quoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (mut rest, mut word) = (text.strip_prefix(b"'")?, Vec::new());
    loop {
        let end = rest.iter().position(|b| *b == b'\'')?;
        word.extend_from_slice(&rest[..end]);
        rest = &rest[end + 1..];
        match rest {
            [b'\\', escaped @ (b'\'' | b'!'), b'\'', after @ ..] => {
                word.push(*escaped);
                rest = after;
            }
            _ => return Some((word, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Vec<(String, Option<String>)>> {
        let text_of = |v: Vec<u8>| String::from_utf8(v).unwrap();
        Some(parse(text.as_bytes())?.into_iter().map(|e| (e.name(), e.value.map(text_of))).collect())
    }

    #[test]
    fn every_form_git_writes_is_read() {
        let text =
            r"'pggit.a.b'='c' 'pggit.a.d'= 'x.y'='it'\''s' 'alias.e'=''\!'env' 'old.key=v=w' 'old.bare'";
        let expected = [
            ("pggit.a.b", Some("c")),
            ("pggit.a.d", None),
            ("x.y", Some("it's")),
            ("alias.e", Some("!env")),
            ("old.key", Some("v=w")),
            ("old.bare", None),
        ];
        let expected: Vec<_> =
            expected.iter().map(|(k, v)| ((*k).to_owned(), v.map(str::to_owned))).collect();
        assert_eq!(read(text).unwrap(), expected);
        assert_eq!(read("").unwrap(), []);
    }

    #[test]
    fn malformed_text_is_refused() {
        for text in ["a.b=c", "'a.b", "'a.b'='c", "'a.b'x", "'nodot'='c'", "'a.b'='c''d.e'='f'"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_input_causes_a_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60), text in "['a.=\\\\! ]{0,30}") {
            let _ = (parse(&bytes), parse(text.as_bytes()));
        }
    }
}
