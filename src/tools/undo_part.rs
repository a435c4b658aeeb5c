//! Finds the part of a migration file that undoes the rest, by the markers of tools that write both
//! directions into one file.

use super::lexer::{Token, next_token, words};

/// The number of characters of the marker that are shown.
const SHOWN_CHARS: usize = 60;

/// The line at which the part begins that undoes a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoPart {
    /// The line number, from 1.
    pub line: usize,
    /// The text of the line, without control characters and possibly truncated.
    pub text: String,
}

/// Returns the first line of `sql` that begins a part which undoes the rest. Only comments can be
/// markers, not text in strings.
pub fn undo_part(sql: &[u8]) -> Option<UndoPart> {
    // Rows of a COPY are not SQL. A quote in them could hide a marker from the lexer.
    let mut in_doubt = if copies_rows(sql) { 0 } else { sql.len() };
    let mut at = 0;
    while at < sql.len() {
        let (token, end) = next_token(sql, at);
        match token {
            Token::Space if sql[at..].starts_with(b"--") && is_marker(&sql[at..end]) => {
                return Some(part(sql, at, end));
            }
            Token::Space | Token::Word => {}
            // The last token may be an unclosed quote.
            _ if end == sql.len() => in_doubt = in_doubt.min(at),
            _ => {}
        }
        at = end;
    }
    let mut at = in_doubt;
    for line in sql[in_doubt..].split_inclusive(|byte| *byte == b'\n') {
        let text = line.trim_ascii_start();
        if text.starts_with(b"--") && is_marker(text) {
            return Some(part(sql, at, at + line.len()));
        }
        at += line.len();
    }
    None
}

fn part(sql: &[u8], at: usize, end: usize) -> UndoPart {
    let text = String::from_utf8_lossy(&sql[at..end]);
    let text = text.trim().chars().filter(|c| !c.is_control()).take(SHOWN_CHARS).collect();
    UndoPart { line: 1 + sql[..at].iter().filter(|byte| **byte == b'\n').count(), text }
}

fn copies_rows(sql: &[u8]) -> bool {
    let mut before = String::new();
    words(sql).any(|(_, word)| {
        let found = before == "from" && word == "stdin";
        before = word;
        found
    })
}

/// Returns true if a line comment is a marker of goose, sql-migrate, micrate, dbmate, rambler,
/// node-pg-migrate or tern, or consists only of `down` or `undo`, as the markers of MyBatis, shmig and
/// Play do.
fn is_marker(comment: &[u8]) -> bool {
    let text = String::from_utf8_lossy(comment).to_ascii_lowercase();
    let text = text.trim_start_matches(|c: char| c == '-' || c.is_whitespace());
    let spaced: Vec<&str> = text.split_whitespace().collect();
    let of_a_tool = matches!(
        spaced.as_slice(),
        ["migrate:down" | "migrate:rollback", ..]
            | ["+goose" | "+migrate" | "+micrate" | "rambler", "down", ..]
            | ["down", "migration" | "migration:", ..]
    );
    let plain: Vec<&str> =
        text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    of_a_tool
        || matches!(plain.as_slice(), ["down" | "downs" | "undo"] | ["create", "above", "drop", "below"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_markers_of_the_tools_are_known() {
        for marker in [
            "-- migrate:down",
            "--migrate:down transaction:false",
            "-- +goose Down",
            "--+goose   DOWN",
            "-- +migrate Down",
            "-- +migrate Down notransaction",
            "-- +micrate Down",
            "-- rambler down",
            "-- Down Migration",
            "---- create above / drop below ----",
            "-- //@UNDO",
            "-- ==== DOWN ====",
            "# --- !Downs".trim_start_matches("# "),
            "-- @down",
        ] {
            for sql in [
                format!("{marker}\ndrop table t;\n"),
                format!("create table t (a int);\r\n  {marker}\r\ndrop table t;"),
                format!("\u{feff}-- up\ncreate table \"it's\" ();{marker}"),
            ] {
                let found = undo_part(sql.as_bytes()).unwrap_or_else(|| panic!("{sql}"));
                assert_eq!(found.text, marker);
                assert!(sql.lines().nth(found.line - 1).unwrap().contains("--"), "{sql}");
            }
        }
        let found = undo_part(b"create table t ();\n\n-- +goose Down\ndrop table t;").unwrap();
        assert_eq!(found, UndoPart { line: 3, text: "-- +goose Down".to_owned() });
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        for sql in [
            "",
            "create table t (); -- goes down well",
            "-- migrate:up\ncreate table t ();",
            "-- +goose Up\n-- +goose StatementBegin\ncreate table t ();",
            "-- how to undo it: drop table t",
            "--rollback drop table t;",
            "/* \n-- +goose Down\n*/ create table t ();",
            "select '\n-- migrate:down\n' as text;",
            "create function f() returns int language sql as $$\n-- +goose Down\nselect 1 $$;",
            "select \"\n-- migrate:down\n\" from t;",
            "insert into t values ('it''s\n-- migrate:down\n');",
        ] {
            assert_eq!(undo_part(sql.as_bytes()), None, "{sql}");
        }
    }

    #[test]
    fn what_hides_a_marker_from_the_lexer_does_not_hide_it() {
        let sql = "copy t from stdin;\nit's\n\\.\n-- migrate:down\ndelete from t where a <> '';\n";
        assert_eq!(undo_part(sql.as_bytes()).unwrap().line, 4);
        let sql = "select 'not closed;\n-- migrate:down\ndelete from t;\n";
        assert_eq!(undo_part(sql.as_bytes()).unwrap().line, 2);
        for hostile in [&b"--"[..], b"\xff\xfe--\xff", b"$", b"$a", b"'", b"copy t from stdin;\n\xff--\n"] {
            assert_eq!(undo_part(hostile), None);
        }
    }
}
