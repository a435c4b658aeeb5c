//! Parses and applies the format of `git pggit backup for-each`. The syntax is that of git: fields
//! between `%(` and `)`, `%%`, and `%` with two hex digits for any byte. All functions are pure.

use crate::backup::displayed_status;
use crate::domain::{Backup, TagKey};

/// A piece of a format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Literal bytes.
    Bytes(Vec<u8>),
    /// The field at this index of [`FIELDS`].
    Field(usize),
    /// The value of a tag.
    Tag(TagKey),
    /// The value of a metadata key.
    Metadata(String),
}

/// The reason why a text is not a valid format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFormat {
    /// A field has no closing parenthesis.
    #[error("the field '{0}' has no ')'")]
    Unterminated(String),
    /// The name of a field is unknown.
    #[error("unknown field '{0}'")]
    Unknown(String),
}

macro_rules! optional {
    ($backup:ident => $value:expr) => {
        |$backup| $value.map(|value| value.to_string()).unwrap_or_default()
    };
}

/// The name of a field, and the function that returns its value for a backup.
type Field = (&'static str, fn(&Backup) -> String);

/// The fields with a fixed name.
const FIELDS: &[Field] = &[
    ("id", |backup| backup.id.to_string()),
    ("name", |backup| backup.name.to_string()),
    ("database", |backup| backup.database.to_string()),
    ("commit", |backup| backup.commit.to_string()),
    ("commit:short", |backup| backup.commit.short().to_owned()),
    ("branch", optional!(backup => backup.branch.as_ref())),
    ("type", |backup| backup.kind.to_string()),
    ("tool", |backup| backup.tool.name.to_string()),
    ("tool:version", optional!(backup => backup.tool.version.as_ref())),
    ("status", |backup| displayed_status(backup).to_owned()),
    ("attempt", optional!(backup => backup.attempt.as_ref().map(|attempt| attempt.number))),
    ("size", optional!(backup => backup.size_bytes)),
    ("stored", optional!(backup => backup.stored_bytes)),
    ("compression", optional!(backup => backup.compression.as_ref())),
    ("location", optional!(backup => backup.location.as_ref())),
    ("digest", optional!(backup => backup.digest.as_ref())),
    ("registered", |backup| backup.registered_at.to_string()),
    ("started", optional!(backup => backup.started_at)),
    ("completed", optional!(backup => backup.completed_at)),
    ("expires", optional!(backup => backup.expires_at)),
    ("host", |backup| backup.host.to_string()),
    ("by", |backup| backup.created_by.to_string()),
    ("tags", Backup::tags_line),
];

/// The fields whose name contains a key after the colon.
const OPEN_FIELDS: [&str; 2] = ["tag:KEY", "metadata:KEY"];

/// Returns the names of all fields.
pub fn names() -> Vec<&'static str> {
    FIELDS.iter().map(|(name, _)| *name).chain(OPEN_FIELDS).collect()
}

/// Parses a format. Fails if a field is unknown or has no closing parenthesis.
pub fn parse(format: &str) -> Result<Vec<Piece>, InvalidFormat> {
    let (mut pieces, mut literal, mut rest) = (Vec::new(), Vec::new(), format);
    while let Some(at) = rest.find('%') {
        literal.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('(') {
            let (name, after) =
                after.split_once(')').ok_or_else(|| InvalidFormat::Unterminated(shown(after)))?;
            if !literal.is_empty() {
                pieces.push(Piece::Bytes(std::mem::take(&mut literal)));
            }
            pieces.push(field(name)?);
            rest = after;
        } else if let Some(after) = rest.strip_prefix('%') {
            literal.push(b'%');
            rest = after;
        } else if let Some(byte) = rest.get(..2).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit())) {
            literal.push(u8::from_str_radix(byte, 16).unwrap_or(b'%'));
            rest = &rest[2..];
        } else {
            // As in git, any other `%` is literal.
            literal.push(b'%');
        }
    }
    literal.extend_from_slice(rest.as_bytes());
    if !literal.is_empty() {
        pieces.push(Piece::Bytes(literal));
    }
    Ok(pieces)
}

fn field(name: &str) -> Result<Piece, InvalidFormat> {
    let unknown = || InvalidFormat::Unknown(shown(name));
    if let Some(at) = FIELDS.iter().position(|(known, _)| *known == name) {
        return Ok(Piece::Field(at));
    }
    match name.split_once(':') {
        Some(("tag", key)) => key.parse().map(Piece::Tag).map_err(|_| unknown()),
        Some(("metadata", key)) if !key.is_empty() => Ok(Piece::Metadata(key.to_owned())),
        _ => Err(unknown()),
    }
}

fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

/// Returns the format with the values of a backup.
pub fn render(pieces: &[Piece], backup: &Backup) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Bytes(bytes) => out.extend_from_slice(bytes),
            Piece::Field(at) => out.extend_from_slice((FIELDS[*at].1)(backup).as_bytes()),
            Piece::Tag(key) => {
                out.extend_from_slice(backup.tags.get(key).map_or("", |value| value.as_str()).as_bytes());
            }
            Piece::Metadata(key) => match backup.metadata.as_map().get(key) {
                Some(serde_json::Value::String(text)) => out.extend_from_slice(text.as_bytes()),
                Some(value) => out.extend_from_slice(value.to_string().as_bytes()),
                None => {}
            },
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(format: &str) -> Vec<u8> {
        match parse(format).unwrap().as_slice() {
            [] => Vec::new(),
            [Piece::Bytes(bytes)] => bytes.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn text_and_escapes_are_git_s() {
        for (format, expected) in [
            ("", &b""[..]),
            ("plain é", "plain é".as_bytes()),
            ("100%%", b"100%"),
            ("a%0ab%00%ffc", b"a\nb\0\xffc"),
            ("%", b"%"),
            ("%z%4", b"%z%4"),
            ("%é", "%é".as_bytes()),
            ("%%(id)", b"%(id)"),
        ] {
            assert_eq!(bytes(format), expected, "{format}");
        }
    }

    #[test]
    fn fields_are_known_or_refused() {
        let pieces = parse("<%(id)%09%(tag:release/2)>%(metadata:a b)").unwrap();
        assert_eq!(pieces.len(), 6);
        assert_eq!(pieces[0], Piece::Bytes(b"<".to_vec()));
        assert_eq!(pieces[5], Piece::Metadata("a b".into()));
        let error = |format: &str| parse(format).unwrap_err().to_string();
        assert_eq!(error("%(id"), "the field 'id' has no ')'");
        assert_eq!(error("%(refname)"), "unknown field 'refname'");
        for bad in ["%()", "%(tag:)", "%(tag:a b)", "%(metadata:)", "%(metadata)", "%(ID)", "%(id )"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(error(&format!("%({})", "x".repeat(10_000))).len() < 100);
    }

    #[test]
    fn every_field_stands_once() {
        let mut names = names();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FIELDS.len() + OPEN_FIELDS.len());
    }
}
