//! Holds JSON against the schemas of the program: its fields, their types, and
//! that there are no others.

use std::ffi::OsStr;

use pggit::cli::output::{Form, OUTPUTS, Registered, Schemas, schemas};
use serde_json::Value;

/// Why standard output and standard error of a `git-pggit` with these arguments
/// are not as documented.
pub fn violations<'a>(
    arguments: impl Iterator<Item = &'a OsStr>,
    stdout: &[u8],
    stderr: &[u8],
) -> Vec<String> {
    let arguments: Vec<&str> = arguments.map(|it| it.to_str().unwrap_or_default()).collect();
    // The words after it belong to another program.
    let arguments = arguments.split(|argument| *argument == "--").next().unwrap_or_default();
    if !arguments.contains(&"--json") {
        return vec![];
    }
    let mut violations = messages(stderr);
    let outputs = outputs_of(arguments);
    let whole = serde_json::from_slice::<Value>(stdout);
    let documents = match whole {
        Ok(document) => vec![document],
        Err(_) => {
            stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
        }
    };
    if outputs.is_empty() && documents.iter().any(Value::is_object) && !prints_raw(arguments) {
        violations.push("no output is registered for the command".to_owned());
    }
    violations.extend(documents.iter().flat_map(|document| best(document, &outputs)));
    violations
}

/// Whether the command prints stored bytes or lets other programs print.
fn prints_raw(arguments: &[&str]) -> bool {
    let raw = ["cat", "cat-artifact", "export", "for-each", "schema", "with"];
    arguments.iter().any(|argument| raw.contains(argument))
}

/// The outputs of the command that is run.
fn outputs_of(arguments: &[&str]) -> Vec<usize> {
    let command = OUTPUTS.iter().flat_map(|output| output.commands).filter_map(|command| {
        let words: Vec<&str> = command.split(' ').collect();
        let at = arguments.windows(words.len()).position(|found| found == words)?;
        Some((at, usize::MAX - words.len(), *command))
    });
    let Some((.., command)) = command.min() else { return vec![] };
    let of_it = |output: &Registered| output.commands.contains(&command);
    OUTPUTS.iter().enumerate().filter(|(_, output)| of_it(output)).map(|(at, _)| at).collect()
}

fn messages(stderr: &[u8]) -> Vec<String> {
    let messages: Vec<usize> =
        OUTPUTS.iter().enumerate().filter(|(_, it)| it.form == Form::Message).map(|(at, _)| at).collect();
    let lines = stderr.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{"));
    let lines = lines.filter_map(|line| serde_json::from_slice(line).ok());
    lines.flat_map(|line: Value| best(&line, &messages)).collect()
}

/// Nothing if the value is as one of the outputs; otherwise what is wrong with
/// it by the one that it resembles most.
fn best(value: &Value, outputs: &[usize]) -> Vec<String> {
    let schemas = schemas();
    let errors = outputs.iter().map(|at| errors(value, &schemas.outputs[*at], schemas, "$"));
    errors.min_by_key(Vec::len).unwrap_or_default()
}

/// The differences of `value`, which is at `path`, from its schema.
fn errors(value: &Value, schema: &Value, schemas: &Schemas, path: &str) -> Vec<String> {
    let Value::Object(keywords) = schema else {
        return if *schema == false { vec![format!("{path} is not in the schema")] } else { vec![] };
    };
    let mut found = vec![];
    for (keyword, of) in keywords {
        match keyword.as_str() {
            "$ref" => {
                let name = of.as_str().and_then(|of| of.strip_prefix("#/$defs/")).expect("a definition");
                found.extend(errors(value, &schemas.definitions[name], schemas, path));
            }
            "type" => found.extend(type_error(value, of, path)),
            "const" if value != of => found.push(format!("{path} is {value}, not {of}")),
            "enum" if !of.as_array().is_some_and(|list| list.contains(value)) => {
                found.push(format!("{path} is {value}, none of {of}"));
            }
            "required" => found.extend(missing(value, of, path)),
            "properties" | "additionalProperties" => {}
            "items" => {
                for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(errors(item, of, schemas, &format!("{path}[{at}]")));
                }
            }
            "oneOf" | "anyOf" => {
                let of = of.as_array().expect("a list");
                let tried = of.iter().map(|one| errors(value, one, schemas, path));
                found.extend(tried.min_by_key(Vec::len).unwrap_or_default());
            }
            "minimum" | "maximum" => {
                let (limit, it) = (of.as_f64().expect("a number"), value.as_f64());
                if it.is_some_and(|it| if keyword == "minimum" { it < limit } else { it > limit }) {
                    found.push(format!("{path} is {value}, its {keyword} is {of}"));
                }
            }
            "const" | "enum" | "format" | "title" | "description" | "default" | "$schema" => {}
            other => panic!("the schema at {path} has `{other}`, which nothing checks"),
        }
    }
    found.extend(field_errors(value, schema, schemas, path));
    found
}

fn type_error(value: &Value, types: &Value, path: &str) -> Option<String> {
    let types: Vec<&str> = match types {
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    let is = |name: &&str| match *name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("type `{other}`"),
    };
    (!types.iter().any(is)).then(|| format!("{path} is {value}, not {}", types.join(" or ")))
}

fn missing(value: &Value, required: &Value, path: &str) -> Vec<String> {
    let Value::Object(fields) = value else { return vec![] };
    let required = required.as_array().into_iter().flatten().filter_map(Value::as_str);
    required
        .filter(|name| !fields.contains_key(*name))
        .map(|name| format!("{path}.{name} is missing"))
        .collect()
}

fn field_errors(value: &Value, schema: &Value, schemas: &Schemas, path: &str) -> Vec<String> {
    let (known, others) = (&schema["properties"], schema.get("additionalProperties"));
    let fields = value.as_object().into_iter().flatten();
    fields
        .flat_map(|(name, field)| match known.get(name).or(others) {
            Some(schema) => errors(field, schema, schemas, &format!("{path}.{name}")),
            None => vec![],
        })
        .collect()
}

#[test]
fn what_is_not_in_a_schema_is_found() {
    let check = |json: &str| {
        let arguments = ["--json", "store", "key", "generate", "x"].map(OsStr::new);
        violations(arguments.into_iter(), json.as_bytes(), b"")
    };
    assert_eq!(check(r#"{"file":"x","recipient":"age1"}"#), Vec::<String>::new());
    assert_eq!(check(r#"{"file":"x","recipient":1}"#), ["$.recipient is 1, not string"]);
    assert_eq!(check(r#"{"file":"x"}"#), ["$.recipient is missing"]);
    assert_eq!(check(r#"{"file":"x","recipient":"age1","other":[]}"#), ["$.other is not in the schema"]);
    assert_eq!(
        violations([OsStr::new("--json")].into_iter(), b"", br#"{"warning":{"message":"x","text":"x"}}"#),
        ["$.warning.text is not in the schema"]
    );
}
