//! Canonical JSON. The same facts are the same bytes, and therefore the same git blob in every clone.

use serde_json::{Map, Value};

/// Writes `value` with sorted keys, two spaces of indentation and one newline
/// at the end. Numbers keep the digits they were read with.
pub fn to_canonical_json(value: &Value) -> Vec<u8> {
    let mut bytes =
        serde_json::to_vec_pretty(&sorted(value)).expect("a JSON value with string keys serialises");
    bytes.push(b'\n');
    bytes
}

/// Writes `value` on one line, with sorted keys, no spaces and one newline at the end.
pub fn to_canonical_line(value: &Value) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(&sorted(value)).expect("a JSON value with string keys serialises");
    bytes.push(b'\n');
    bytes
}

/// Sorts the keys at every level. `serde_json` sorts by itself unless some crate in the build enables
/// `preserve_order`. The format must not depend on that.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            Value::Object(
                entries.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::to_canonical_json;

    #[test]
    fn keys_are_sorted_and_numbers_kept() {
        let value =
            serde_json::from_str(r#"{"b":[1.50,{"z":null,"y":18446744073709551616}],"a":"é"}"#).unwrap();
        let text = String::from_utf8(to_canonical_json(&value)).unwrap();
        assert_eq!(
            text,
            "{\n  \"a\": \"é\",\n  \"b\": [\n    1.50,\n    {\n      \"y\": 18446744073709551616,\n      \"z\": null\n    }\n  ]\n}\n"
        );
    }
}
