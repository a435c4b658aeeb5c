//! Quoting for SQL.

/// Returns `name` as an identifier in double quotes.
///
/// It must not contain a NUL; the client refuses that.
pub fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns `text` as a string constant that is valid with any value of
/// `standard_conforming_strings`.
pub fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        // The space separates the E from a preceding word.
        format!(" E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn identifiers() {
        let cases = [
            ("a", "\"a\""),
            ("A b", "\"A b\""),
            ("a\"b", "\"a\"\"b\""),
            ("", "\"\""),
            ("'; \n--", "\"'; \n--\""),
        ];
        for (name, quoted) in cases {
            assert_eq!(quote_ident(name), quoted);
        }
    }

    #[test]
    fn literals() {
        let cases = [("a", "'a'"), ("it's", "'it''s'"), ("\\'", " E'\\\\'''"), ("", "''"), ("ü\n", "'ü\n'")];
        for (text, quoted) in cases {
            assert_eq!(quote_literal(text), quoted);
        }
    }

    proptest! {
        #[test]
        fn a_quote_never_ends_early(text in "[a'\"\\\\;\n-]{0,12}") {
            let ident = quote_ident(&text);
            prop_assert_eq!(ident[1..ident.len() - 1].replace("\"\"", ""), text.replace('"', ""));
            let literal = quote_literal(&text);
            let body = literal.trim_start_matches(" E");
            prop_assert!(!body[1..body.len() - 1].replace("''", "").contains('\''));
        }
    }
}
