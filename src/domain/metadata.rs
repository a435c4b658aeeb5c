//! Facts about a backup in the terms of the tool that made it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Invalid;

const WHAT: &str = "metadata";
const DEPTH_MAX: usize = 32;

/// A JSON object of up to 1 MiB and 32 levels. Keys that announce a secret are refused, because records
/// are shared and permanent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct Metadata(Map<String, Value>);

impl schemars::JsonSchema for Metadata {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Metadata".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "object" })
    }
}

impl Metadata {
    /// The maximum size of the JSON text, in bytes.
    pub const BYTES_MAX: usize = 1 << 20;

    /// Reads metadata from JSON text. Fails if the text is too long or is not valid metadata.
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        if bytes.len() > Self::BYTES_MAX {
            return Err(refuse(format!(
                "it has {} bytes, and the limit is {}",
                bytes.len(),
                Self::BYTES_MAX
            )));
        }
        let value: Value =
            serde_json::from_slice(bytes).map_err(|error| refuse(format!("not valid JSON: {error}")))?;
        Self::try_from(value)
    }

    /// Returns true if there are no facts.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the facts.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Adds or replaces one fact.
    pub fn insert(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    /// Adds the facts of `patch`. A `null` removes the fact.
    pub fn apply(&mut self, patch: &Self) {
        for (key, value) in &patch.0 {
            match value {
                Value::Null => drop(self.0.remove(key)),
                value => drop(self.0.insert(key.clone(), value.clone())),
            }
        }
    }
}

fn refuse(reason: impl Into<String>) -> Invalid {
    Invalid { what: WHAT, value: "document".to_owned(), reason: reason.into() }
}

fn check(value: &Value, depth: usize, path: &str) -> Result<(), Invalid> {
    if depth > DEPTH_MAX {
        return Err(refuse(format!("it is nested more than {DEPTH_MAX} levels deep")));
    }
    match value {
        Value::Object(map) => map.iter().try_for_each(|(key, value)| {
            let path = format!("{path}.{key}");
            if announces_secret(key) && !matches!(value, Value::Bool(_) | Value::Null) {
                return Err(refuse(format!(
                    "`{}` looks like a secret, and records are shared",
                    path.trim_start_matches('.')
                )));
            }
            check(value, depth + 1, &path)
        }),
        Value::Array(items) => items.iter().try_for_each(|item| check(item, depth + 1, path)),
        Value::String(text) if has_url_password(text) => Err(refuse(format!(
            "`{}` holds a URL with a password, and records are shared",
            path.trim_start_matches('.')
        ))),
        _ => Ok(()),
    }
}

fn announces_secret(key: &str) -> bool {
    let key: String = key.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    ["password", "passwd", "passphrase", "secret", "token", "apikey", "accesskey", "secretkey", "privatekey"]
        .iter()
        .any(|word| key.ends_with(word))
}

/// Returns true if `text` contains `scheme://user:password@host`.
fn has_url_password(text: &str) -> bool {
    text.match_indices("://").any(|(at, separator)| {
        let rest = &text[at + separator.len()..];
        let authority =
            rest.split(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#')).next().unwrap_or("");
        authority
            .rsplit_once('@')
            .is_some_and(|(user, _)| user.split_once(':').is_some_and(|(_, word)| !word.is_empty()))
    })
}

impl TryFrom<Value> for Metadata {
    type Error = Invalid;

    fn try_from(value: Value) -> Result<Self, Invalid> {
        check(&value, 0, "")?;
        match value {
            Value::Object(map) => Ok(Self(map)),
            _ => Err(refuse("it is not a JSON object")),
        }
    }
}

impl From<Metadata> for Value {
    fn from(metadata: Metadata) -> Self {
        Value::Object(metadata.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Metadata;

    #[test]
    fn what_is_not_a_small_object_is_refused() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100), "]".repeat(100));
        let huge = format!("{{\"a\":\"{}\"}}", "x".repeat(50 << 20));
        for bad in [
            "",
            "[]",
            "1",
            "{",
            deep.as_str(),
            huge.as_str(),
            r#"{"a":{"db_password":"hunter2"}}"#,
            r#"{"a":["see postgres://ada:hunter2@db/shop"]}"#,
        ] {
            let error = Metadata::parse(bad.as_bytes()).unwrap_err().to_string();
            assert!(!error.contains("hunter2") && error.len() < 300, "{error}");
        }
        assert!(
            Metadata::parse(
                br#"{"reason":"x","n":[1,{"b":null}],"has_password":false,"at":"s3://ada@b:1/x:y@z"}"#
            )
            .is_ok()
        );
    }

    #[test]
    fn a_patch_adds_replaces_and_removes() {
        let mut facts = Metadata::parse(br#"{"a":1,"b":2}"#).unwrap();
        facts.apply(&Metadata::parse(br#"{"a":null,"c":3}"#).unwrap());
        assert_eq!(facts, Metadata::parse(br#"{"b":2,"c":3}"#).unwrap());
    }
}
