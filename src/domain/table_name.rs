//! Names of tables in the configuration and on the command line.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Invalid, text_schema};

/// The name of a table, with or without its schema. Text outside of double quotes is literal: there are
/// no patterns, and capital letters stay capital.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TableName {
    /// The schema. Without one, the name means every table of that name that is found through the
    /// search path.
    pub schema: Option<String>,
    /// The name.
    pub name: String,
}

impl TryFrom<String> for TableName {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<TableName> for String {
    fn from(name: TableName) -> Self {
        name.to_string()
    }
}

text_schema!(TableName);

impl FromStr for TableName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refuse =
            || Invalid::new("name of a table", text, "expected table, schema.table or \"odd.schema\".table");
        let (mut parts, mut part, mut quoted) = (Vec::new(), String::new(), false);
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '"' if quoted && chars.next_if_eq(&'"').is_some() => part.push('"'),
                '"' => quoted = !quoted,
                '.' if !quoted => parts.push(std::mem::take(&mut part)),
                '\0' => return Err(refuse()),
                c => part.push(c),
            }
        }
        parts.push(part);
        if quoted || parts.iter().any(String::is_empty) {
            return Err(refuse());
        }
        let name = parts.pop().ok_or_else(refuse)?;
        let schema = parts.pop();
        if parts.is_empty() { Ok(Self { schema, name }) } else { Err(refuse()) }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quote = |part: &str| match part.contains(['.', '"']) {
            true => format!("\"{}\"", part.replace('"', "\"\"")),
            false => part.to_owned(),
        };
        if let Some(schema) = &self.schema {
            write!(f, "{}.", quote(schema))?;
        }
        f.write_str(&quote(&self.name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dots_and_quotes_are_understood() {
        let read = |text: &str| text.parse::<TableName>().ok().map(|table| (table.schema, table.name));
        let some = |schema: Option<&str>, name: &str| Some((schema.map(str::to_owned), name.to_owned()));
        assert_eq!(read("orders"), some(None, "orders"));
        assert_eq!(read("Sales.Orders"), some(Some("Sales"), "Orders"));
        assert_eq!(read("\"a.b\".\"say \"\"hi\"\"\""), some(Some("a.b"), "say \"hi\""));
        assert_eq!(read("--orders*"), some(None, "--orders*"));
        for bad in ["", ".", "a.", ".a", "a.b.c", "\"a", "\"\"", "a\0b"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(schema in proptest::option::of("[^\0]{1,8}"), name in "[^\0]{1,8}") {
            let table = TableName { schema, name };
            prop_assert_eq!(table.to_string().parse(), Ok(table));
        }
    }
}
