//! Generates `docs/json.md`, the reference of outputs and their fields, from the schemas.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::{Map, Value};

use super::{Form, OUTPUTS, Registered, schemas};

/// Returns the reference of all outputs in Markdown.
pub fn reference() -> String {
    let document = Document::new(&schemas().definitions);
    let mut outputs: Vec<(&Registered, &Value)> = OUTPUTS.iter().zip(&schemas().outputs).collect();
    outputs.sort_by_key(|(output, _)| (output.form == Form::Message, output.commands));
    let mut text = String::from(INTRODUCTION);
    let mut before: &[&str] = &[];
    for (output, schema) in outputs {
        if output.form != Form::Message && output.commands != before {
            let commands: Vec<_> = output.commands.iter().map(|command| format!("`{command}`")).collect();
            text.push_str(&format!("\n### {}\n", commands.join(", ")));
            before = output.commands;
        }
        document.output(output, schema, &mut text);
    }
    text.push_str(OBJECTS);
    for name in &document.shared {
        let schema = &document.definitions[*name];
        text.push_str(&format!("\n### {name}\n\n{}\n", description(schema)));
        document.table(schema, &mut text);
    }
    text
}

const INTRODUCTION: &str = "\
<!-- Generated from `src/output`; `make doc` regenerates it. -->

# JSON

With `--json` a command prints its result to standard output as one JSON document, and errors, warnings and log lines to
standard error as one JSON object in each line. Within a version of the program fields may be added; none is renamed or
removed, and none changes its type. Ignore fields that you do not know. The order of fields has no meaning.

Times are text in RFC 3339, in UTC with microseconds: `2026-11-21T03:40:06.123456Z`. Names of fields end with their unit:
`_bytes`, `_s` (seconds). `a.b` is the field `b` of the object `a`, `a[]` is an element of the list `a`, and `a.*` is the
value of every name in the object `a`. The meaning of a field says when the field is `null` or absent.

A command that fails may print nothing to standard output. Its [exit code](exit-codes.md) and the error show the reason.

## Commands
";

const OBJECTS: &str = "\n## Objects\n\nObjects that several commands print.\n";

/// The state of the generator of the document.
struct Document<'a> {
    definitions: &'a Map<String, Value>,
    /// The definitions that have their own section.
    shared: BTreeSet<&'a str>,
}

impl<'a> Document<'a> {
    fn new(definitions: &'a Map<String, Value>) -> Self {
        let mut uses: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
        for (at, schema) in schemas().outputs.iter().enumerate() {
            let mut seen = BTreeSet::new();
            referred(schema, definitions, &mut seen);
            seen.into_iter().for_each(|name| {
                uses.entry(name).or_default().insert(at);
            });
        }
        let shared = uses.into_iter().filter(|(_, outputs)| outputs.len() > 1).map(|(name, _)| name);
        let has_fields = |name: &&str| definitions[*name].get("properties").is_some();
        let shared = shared.filter(has_fields).collect();
        Self { definitions, shared }
    }

    fn output(&self, output: &Registered, schema: &Value, text: &mut String) {
        let when = match (output.form, output.when) {
            (Form::Message, when) => format!("\n## {when}\n\n"),
            (_, "") => "\n".to_owned(),
            (_, when) => format!("\n**{when}.** "),
        };
        let repeated = if output.form == Form::Line { " One JSON object in each line." } else { "" };
        let (name, whole) = self.resolved(schema);
        if let Some(name) = name.filter(|name| self.shared.contains(name)) {
            let _ = writeln!(text, "{when}{}.{repeated}", self.link(name));
            return;
        }
        let _ = writeln!(text, "{when}{}{repeated}", description(whole));
        self.table(whole, text);
    }

    /// Writes the table of the fields below `schema`.
    fn table(&self, schema: &Value, text: &mut String) {
        text.push_str("\n| field | type | meaning |\n|---|---|---|\n");
        self.fields(schema, "", text);
    }

    /// Writes a row for each field below `schema`, which is at `path`.
    fn fields(&self, schema: &Value, path: &str, text: &mut String) {
        let variants = alternatives(schema);
        let several = variants.iter().filter(|variant| !is_null(variant)).count() > 1;
        for variant in variants {
            let (name, variant) = self.resolved(variant);
            if path.is_empty() || !name.is_some_and(|name| self.shared.contains(name)) {
                self.own_fields(variant, path, several, text);
            }
        }
        self.own_fields(schema, path, false, text);
        if let Some(items) = schema.get("items") {
            self.nested(items, &format!("{path}[]"), text);
        }
        if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
            self.nested(values, &format!("{path}.*"), text);
        }
    }

    /// Writes the rows of the properties of `schema`. `one_of_several` is true if it is one of several
    /// alternatives.
    fn own_fields(&self, schema: &Value, path: &str, one_of_several: bool, text: &mut String) {
        let Some(properties) = schema["properties"].as_object() else { return };
        let required: Vec<&str> = schema["required"]
            .as_array()
            .map_or(vec![], |required| required.iter().filter_map(Value::as_str).collect());
        let condition = condition_of(schema);
        let tagged = properties.len() == 1 && one_of_several && condition.is_empty();
        for (field, property) in properties {
            let path = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
            let present = required.contains(&field.as_str()) && (!one_of_several || !condition.is_empty());
            let meaning = match described(property, self) {
                own if own.is_empty() && tagged => {
                    format!("{}; absent otherwise.", description(schema).trim_end_matches('.'))
                }
                own if own.is_empty() && property.get("const").is_some() => {
                    format!(
                        "{}: {}",
                        self.words(property).trim_start_matches(" One of ").trim_end_matches('.'),
                        description(schema)
                    )
                }
                own => format!("{condition}{own}{}", self.words(property)),
            };
            let absent = if present { "" } else { " or absent" };
            let _ = writeln!(text, "| `{path}` | {}{absent} | {meaning} |", self.type_of(property));
            self.nested(property, &path, text);
        }
        if schema["additionalProperties"] == true {
            let path = if path.is_empty() { "*".to_owned() } else { format!("{path}.*") };
            let _ = writeln!(text, "| `{path}` | any | Further fields. |");
        }
    }

    /// Writes the rows below a field unless its type has its own section.
    fn nested(&self, schema: &Value, path: &str, text: &mut String) {
        let (name, schema) = self.resolved(schema);
        if !name.is_some_and(|name| self.shared.contains(name)) {
            self.fields(schema, path, text);
        }
    }

    /// Resolves a reference: returns its name and its target, or the schema itself without a name.
    fn resolved(&self, schema: &'a Value) -> (Option<&'a str>, &'a Value) {
        match reference_of(schema) {
            Some(name) => (Some(name), &self.definitions[name]),
            None => (None, schema),
        }
    }

    fn link(&self, name: &str) -> String {
        format!("[{name}](#{})", name.to_lowercase())
    }

    /// Returns the type in words.
    fn type_of(&self, schema: &Value) -> String {
        if let Some(name) = reference_of(schema) {
            return match self.shared.contains(name) {
                true => self.link(name),
                false => self.type_of(&self.definitions[name]),
            };
        }
        let others = alternatives(schema);
        if !others.is_empty() {
            let mut types: Vec<String> = vec![];
            for other in others {
                let other = self.type_of(other);
                if !types.contains(&other) {
                    types.push(other);
                }
            }
            return types.join(" or ");
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ if schema.get("const").is_some() || schema.get("enum").is_some() => vec!["string"],
            _ => vec!["any"],
        };
        let words = types.iter().map(|word| match (*word, schema["format"].as_str()) {
            ("string", Some("date-time")) => "time".to_owned(),
            ("string", Some("uuid")) => "UUID".to_owned(),
            ("array", _) => match schema.get("items") {
                Some(items) => match self.type_of(items) {
                    words if words.starts_with('[') || words.contains(' ') => format!("list of {words}"),
                    word => format!("list of {word}s"),
                },
                None => "list".to_owned(),
            },
            ("object", _) => match schema.get("additionalProperties").filter(|values| values.is_object()) {
                Some(values) => format!("object with a value of type {} for each name", self.type_of(values)),
                None => "object".to_owned(),
            },
            (word, _) => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(" or ")
    }

    /// Returns the possible values of a string in words, or an empty text.
    fn words(&self, schema: &Value) -> String {
        let mut words = vec![];
        self.constants(schema, &mut words);
        match words.is_empty() {
            true => String::new(),
            false => format!(" One of {}.", words.join(", ")),
        }
    }

    fn constants(&self, schema: &Value, words: &mut Vec<String>) {
        if let Some(name) = reference_of(schema) {
            return self.constants(&self.definitions[name], words);
        }
        let quoted = |value: &Value| value.as_str().map(|word| format!("`{word}`"));
        words.extend(schema.get("const").and_then(quoted));
        words.extend(schema["enum"].as_array().into_iter().flatten().filter_map(quoted));
        for other in alternatives(schema) {
            self.constants(other, words);
        }
        if let Some(items) = schema.get("items") {
            self.constants(items, words);
        }
    }
}

/// Adds the names of all definitions that `schema` refers to, directly or indirectly.
fn referred<'a>(schema: &'a Value, definitions: &'a Map<String, Value>, seen: &mut BTreeSet<&'a str>) {
    if let Some(name) = reference_of(schema)
        && seen.insert(name)
    {
        referred(&definitions[name], definitions, seen);
    }
    match schema {
        Value::Object(object) => object.values().for_each(|value| referred(value, definitions, seen)),
        Value::Array(list) => list.iter().for_each(|value| referred(value, definitions, seen)),
        _ => {}
    }
}

fn reference_of(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/")
}

/// Returns the alternatives of a schema.
fn alternatives(schema: &Value) -> Vec<&Value> {
    let lists = ["oneOf", "anyOf"].into_iter().filter_map(|word| schema[word].as_array());
    lists.flatten().collect()
}

fn is_null(schema: &Value) -> bool {
    schema["type"] == "null"
}

/// Returns the condition under which the fields of an alternative are present; empty without a constant
/// field.
fn condition_of(variant: &Value) -> String {
    let fields = variant["properties"].as_object();
    let tag =
        fields.into_iter().flatten().find_map(|(name, field)| Some((name, field.get("const")?.as_str()?)));
    tag.map_or(String::new(), |(name, word)| format!("If `{name}` is `{word}`: "))
}

/// Returns the description of a field, with a fallback to that of its type.
fn described(schema: &Value, document: &Document<'_>) -> String {
    let own = description(schema);
    match reference_of(schema) {
        Some(name) if own.is_empty() => description(&document.definitions[name]),
        _ => own,
    }
}

/// Returns the comment in one line. Vertical bars are escaped, because they would end the cell.
fn description(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_says_what_it_means_and_when_it_is_missing() {
        let text = reference();
        let rows = text.lines().filter(|line| line.starts_with("| `"));
        let wrong: Vec<&str> = rows
            .filter(|row| {
                let cells: Vec<&str> = row.split(" | ").collect();
                let [_, types, meaning] = cells[..] else { return true };
                let meaning = meaning.to_lowercase();
                let said = |word: &str| !types.ends_with(word) || meaning.contains(word);
                meaning.trim_matches(['|', ' ']).is_empty() || !said("null") || !said("absent")
            })
            .collect();
        assert!(wrong.is_empty(), "fields without a meaning:\n{}", wrong.join("\n"));
    }
}
