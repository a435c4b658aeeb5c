//! Validates JSON against the schemas of the program: its fields, their types, and that there are no other
//! fields.

use std::ffi::OsStr;
use std::sync::LazyLock;

use jsonschema::Validator;
use pggit::output::{Form, OUTPUTS, Registered, Schemas, schemas};
use serde_json::Value;

/// Returns the differences of standard output and standard error of a `git-pggit` with these arguments from
/// the documentation.
pub fn violations<'a>(
    arguments: impl Iterator<Item = &'a OsStr>,
    stdout: &[u8],
    stderr: &[u8],
) -> Vec<String> {
    let arguments: Vec<&str> = arguments.map(|it| it.to_str().unwrap_or_default()).collect();
    // Arguments after it belong to another program.
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

/// Returns true if the command prints stored bytes, or the output of other programs.
fn prints_raw(arguments: &[&str]) -> bool {
    let raw = ["cat", "cat-artifact", "export", "for-each", "schema", "with"];
    arguments.iter().any(|argument| raw.contains(argument))
}

/// Returns the outputs of the command.
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

/// Validators of all outputs.
static VALIDATORS: LazyLock<Vec<Validator>> = LazyLock::new(|| {
    let Schemas { outputs, definitions } = schemas();
    let validator = |output: &Value| {
        let mut schema = output.clone();
        if let Value::Object(schema) = &mut schema {
            schema.insert("$defs".to_owned(), Value::Object(definitions.clone()));
        }
        jsonschema::validator_for(&schema).expect("a schema")
    };
    outputs.iter().map(validator).collect()
});

/// Returns nothing if the value is valid as one of the outputs. Otherwise returns the errors of the output
/// with the fewest.
fn best(value: &Value, outputs: &[usize]) -> Vec<String> {
    let errors = outputs.iter().map(|at| {
        let errors = VALIDATORS[*at].iter_errors(value);
        errors.map(|error| format!("${}: {error}", error.instance_path())).collect::<Vec<_>>()
    });
    errors.min_by_key(Vec::len).unwrap_or_default()
}

#[test]
fn what_is_not_in_a_schema_is_found() {
    let check = |json: &str| {
        let arguments = ["--json", "store", "key", "generate", "x"].map(OsStr::new);
        violations(arguments.into_iter(), json.as_bytes(), b"")
    };
    assert_eq!(check(r#"{"file":"x","recipient":"age1"}"#), Vec::<String>::new());
    let found = |json: &str, words: &[&str]| {
        let violations = check(json);
        assert!(
            violations.len() == 1 && words.iter().all(|word| violations[0].contains(word)),
            "{violations:?}"
        );
    };
    found(r#"{"file":"x","recipient":1}"#, &["$/recipient", "string"]);
    found(r#"{"file":"x"}"#, &["recipient", "required"]);
    found(r#"{"file":"x","recipient":"age1","other":[]}"#, &["other", "unexpected"]);
    let warning = br#"{"warning":{"message":"x","text":"x"}}"#;
    let violations = violations([OsStr::new("--json")].into_iter(), b"", warning);
    assert!(violations.len() == 1 && violations[0].contains("text"), "{violations:?}");
}
