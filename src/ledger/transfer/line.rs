//! One line of an export. Pure.

use serde_json::{Map, Value, json};

use crate::domain::{BackupId, Event, to_canonical_line};

/// Maximum length of a line in bytes, with its newline.
pub const LINE_BYTES_MAX: usize = 256 << 20;

/// The version of the export format.
const FORMAT: u32 = 1;
const KIND: &str = "pggit-ledger";

/// A parsed line.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Line {
    /// The first line, with the number of backups that follow.
    Header {
        backups: u64,
    },
    Event(Box<Event>),
    /// The schema that was recorded with a backup.
    Schema {
        backup: BackupId,
        sql: Vec<u8>,
    },
}

impl Line {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let value: Value =
            serde_json::from_slice(bytes).map_err(|error| format!("not valid JSON: {error}"))?;
        let Value::Object(fields) = &value else { return Err("not a JSON object".to_owned()) };
        if fields.get("kind").and_then(Value::as_str) == Some(KIND) {
            return Self::header(fields);
        }
        if fields.contains_key("schema") {
            return Self::schema(fields);
        }
        Event::parse(bytes).map(|event| Self::Event(Box::new(event))).map_err(|error| error.to_string())
    }

    fn header(fields: &Map<String, Value>) -> Result<Self, String> {
        if fields.get("format").and_then(Value::as_u64) != Some(u64::from(FORMAT)) {
            return Err(format!("the export has an unsupported format; the supported one is {FORMAT}"));
        }
        let backups = fields.get("backups").and_then(Value::as_u64);
        Ok(Self::Header { backups: backups.ok_or("the header has no number of backups")? })
    }

    fn schema(fields: &Map<String, Value>) -> Result<Self, String> {
        let text = |key: &str| fields.get(key).and_then(Value::as_str);
        let id = text("schema").unwrap_or_default().parse().map_err(|invalid| format!("`schema`: {invalid}"));
        let sql = match (text("sql"), text("hex")) {
            (Some(sql), None) => sql.as_bytes().to_vec(),
            (None, Some(hex)) => unhex(hex).ok_or("`hex` is not hexadecimal")?,
            _ => return Err("a schema has either `sql` or `hex`".to_owned()),
        };
        Ok(Self::Schema { backup: id?, sql })
    }

    /// Returns the line with its newline.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let value = match self {
            Self::Header { backups } => json!({ "format": FORMAT, "kind": KIND, "backups": backups }),
            Self::Event(event) => event.to_value(),
            Self::Schema { backup, sql } => match std::str::from_utf8(sql) {
                Ok(sql) => json!({ "schema": backup, "sql": sql }),
                Err(_) => json!({ "schema": backup, "hex": hex(sql) }),
            },
        };
        to_canonical_line(&value)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    let whole = digits.len().is_multiple_of(2);
    whole.then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Line;

    const ID: &str = "01a1fc4d-1b4e-7a30-a139-0dfc0e59e1a5";

    #[test]
    fn lines_survive_a_round_trip() {
        for sql in [&b"create table \"\xc3\xa9\";\n"[..], b"\xff\x00", b""] {
            let line = Line::Schema { backup: ID.parse().unwrap(), sql: sql.to_vec() };
            assert_eq!(Line::parse(&line.to_bytes()).unwrap(), line);
        }
        let header = Line::Header { backups: 3 };
        assert_eq!(header.to_bytes(), b"{\"backups\":3,\"format\":1,\"kind\":\"pggit-ledger\"}\n");
        assert_eq!(Line::parse(&header.to_bytes()).unwrap(), header);
    }

    #[test]
    fn an_invalid_line_is_refused() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"kind":"pggit-ledger","format":2,"backups":1}"#,
            r#"{"kind":"pggit-ledger","format":1}"#,
            r#"{"schema":"../x","sql":""}"#,
            r#"{"schema":"01a1fc4d-1b4e-7a30-a139-0dfc0e59e1a5"}"#,
            r#"{"schema":"01a1fc4d-1b4e-7a30-a139-0dfc0e59e1a5","hex":"abc"}"#,
        ] {
            assert!(Line::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_input_causes_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "\\{\"(schema|kind|hex|sql)\":\"?[^}]{0,20}\"?\\}") {
            let _ = Line::parse(&bytes);
            let _ = Line::parse(text.as_bytes());
        }
    }
}
