//! The part of a migration file that goes forward.
//!
//! Tools that keep both directions in one file look for markers line by line, also inside of string
//! literals and comments. So does this module: the part is the one that the tool would run.

use super::tool::Tool;

/// The part of a file that goes forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardPart {
    /// The SQL.
    pub sql: Vec<u8>,
    /// The tool runs it without a transaction.
    pub no_transaction: bool,
}

/// The first bytes of a file that git LFS keeps elsewhere.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";
/// The first bytes of a file that git-crypt has encrypted.
const GIT_CRYPT: &[u8] = b"\0GITCRYPT\0";
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Returns the reason why the content is not that of a migration, if there is one.
pub fn unreadable(content: &[u8]) -> Option<&'static str> {
    if content.starts_with(LFS_POINTER) {
        return Some("it is a pointer of git LFS, not the file itself");
    }
    if content.starts_with(GIT_CRYPT) {
        return Some("git-crypt has encrypted it");
    }
    if content.contains(&0) {
        return Some("it has a NUL byte");
    }
    std::str::from_utf8(content).is_err().then_some("it is not UTF-8")
}

/// Returns the forward part of the file of a migration.
///
/// # Errors
/// If the tool would refuse the file: the reason.
pub fn forward(tool: Tool, content: &[u8]) -> Result<ForwardPart, String> {
    if let Some(reason) = unreadable(content) {
        return Err(reason.to_owned());
    }
    let text = content.strip_prefix(BOM).unwrap_or(content);
    match tool {
        Tool::Goose => goose(text),
        Tool::Dbmate => dbmate(text),
        Tool::Tern => Ok(tern(text)),
        Tool::NodePgMigrate => node_pg_migrate(text),
        _ => Ok(ForwardPart { sql: text.to_vec(), no_transaction: asks_for_no_transaction(tool, text) }),
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

/// goose, internal/sqlparser: annotations are comments `-- +goose WORDS`, of any case.
fn goose(text: &[u8]) -> Result<ForwardPart, String> {
    let (mut sql, mut is_up, mut seen, mut no_transaction) = (Vec::new(), false, false, false);
    for line in lines(text) {
        match annotation(line).as_deref() {
            Some("up") if seen => return Err("it has '-- +goose Up' twice".to_owned()),
            Some("up") => (is_up, seen) = (true, true),
            Some("down") if !seen => return Err("'-- +goose Down' is before '-- +goose Up'".to_owned()),
            Some("down") => is_up = false,
            Some("no transaction") => no_transaction = true,
            _ if is_up => sql.extend_from_slice(line),
            _ => {}
        }
    }
    if seen { Ok(ForwardPart { sql, no_transaction }) } else { Err("it has no '-- +goose Up'".to_owned()) }
}

/// Returns the words of a goose annotation in lower case.
fn annotation(line: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(line).ok()?.trim();
    let text = text.strip_prefix("--")?.trim_start();
    let words = text.strip_prefix("+goose")?;
    Some(words.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase())
}

/// dbmate, pkg/dbmate/migration.go: blocks begin at lines `-- migrate:up` and `-- migrate:down`.
fn dbmate(text: &[u8]) -> Result<ForwardPart, String> {
    let (mut sql, mut is_up, mut seen, mut no_transaction) = (Vec::new(), false, false, false);
    for line in lines(text) {
        match dbmate_marker(line) {
            Some((true, options)) if !seen => {
                (is_up, seen) = (true, true);
                no_transaction = options.split_whitespace().any(|option| option == "transaction:false");
            }
            Some((true, _)) => return Err("it has '-- migrate:up' twice".to_owned()),
            Some((false, _)) if !seen => return Err("'-- migrate:down' is before '-- migrate:up'".to_owned()),
            Some((false, _)) => is_up = false,
            None if is_up => sql.extend_from_slice(line),
            None => {}
        }
    }
    if seen { Ok(ForwardPart { sql, no_transaction }) } else { Err("it has no '-- migrate:up'".to_owned()) }
}

/// Returns true for `up`, and the options, if the line is a marker.
fn dbmate_marker(line: &[u8]) -> Option<(bool, &str)> {
    let text = std::str::from_utf8(line).ok()?.trim_end();
    let text = text.strip_prefix("--")?.trim_start().strip_prefix("migrate:")?;
    let (word, options) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    match word {
        "up" => Some((true, options)),
        "down" => Some((false, options)),
        _ => None,
    }
}

/// tern, migrate/migrate.go: the forward part is before the line that separates the two.
fn tern(text: &[u8]) -> ForwardPart {
    const SEPARATOR: &str = "---- create above / drop below ----";
    const NO_TRANSACTION: &str = "---- tern: disable-tx ----";
    let (mut sql, mut no_transaction) = (Vec::new(), false);
    for line in lines(text) {
        match std::str::from_utf8(line).map(str::trim) {
            Ok(SEPARATOR) => break,
            Ok(NO_TRANSACTION) => no_transaction = true,
            _ => sql.extend_from_slice(line),
        }
    }
    ForwardPart { sql, no_transaction }
}

/// node-pg-migrate, src/sqlMigration.ts: comments `-- Up MigrationFile` and `-- Down MigrationFile` of any case.
/// A file with none of them is the forward part as a whole.
fn node_pg_migrate(text: &[u8]) -> Result<ForwardPart, String> {
    let marker = |line: &[u8]| {
        let text = std::str::from_utf8(line).ok()?.trim().to_ascii_lowercase();
        let words = text.strip_prefix("--")?.trim_start_matches(|c: char| c == '-' || c.is_whitespace());
        let mut words = words.split_whitespace();
        match (words.next(), words.next()) {
            (Some("up"), Some(word)) if word.starts_with("migration") => Some(true),
            (Some("down"), Some(word)) if word.starts_with("migration") => Some(false),
            _ => None,
        }
    };
    let markers: Vec<bool> = lines(text).filter_map(marker).collect();
    if markers.iter().filter(|is_up| **is_up).count() > 1 {
        return Err("it has '-- Up MigrationFile' twice".to_owned());
    }
    // The text before the first marker is forward only if that is the one of the way back.
    let (mut sql, mut is_up) = (Vec::new(), !markers.contains(&true));
    for line in lines(text) {
        match marker(line) {
            Some(up) => is_up = up,
            None if is_up => sql.extend_from_slice(line),
            None => {}
        }
    }
    Ok(ForwardPart { sql, no_transaction: false })
}

/// Returns true if comments before the first statement request it.
fn asks_for_no_transaction(tool: Tool, text: &[u8]) -> bool {
    let wanted = match tool {
        Tool::Sqlx | Tool::Plain => "no-transaction",
        Tool::Atlas => "atlas:txmode none",
        Tool::GraphileMigrate => "! no-transaction",
        _ => return false,
    };
    let comments = lines(text).filter_map(|line| std::str::from_utf8(line).ok()).map(str::trim);
    let mut comments = comments.take_while(|line| line.is_empty() || line.starts_with("--"));
    comments.any(|line| line.trim_start_matches('-').trim() == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(tool: Tool, text: &str) -> String {
        String::from_utf8(forward(tool, text.as_bytes()).unwrap().sql).unwrap()
    }

    fn refused(tool: Tool, text: &str) -> String {
        forward(tool, text.as_bytes()).unwrap_err()
    }

    #[test]
    fn only_the_forward_part_is_run() {
        let goose = "-- +goose NO TRANSACTION\n-- +goose Up\nselect 1;\n-- +goose Down\nselect 2;\n";
        assert_eq!(sql(Tool::Goose, goose), "select 1;\n");
        assert!(forward(Tool::Goose, goose.as_bytes()).unwrap().no_transaction);
        let dbmate = "-- migrate:up transaction:false\nselect 1;\r\n-- migrate:down\nselect 2;";
        assert_eq!(sql(Tool::Dbmate, dbmate), "select 1;\r\n");
        assert!(forward(Tool::Dbmate, dbmate.as_bytes()).unwrap().no_transaction);
        let tern = "select 1;\n---- create above / drop below ----\nselect 2;";
        assert_eq!(sql(Tool::Tern, tern), "select 1;\n");
        assert_eq!(sql(Tool::NodePgMigrate, "-- Up MigrationFile\na\n-- Down MigrationFile\nb"), "a\n");
        assert_eq!(sql(Tool::NodePgMigrate, "a\n--- down migration\nb"), "a\n");
        assert_eq!(sql(Tool::NodePgMigrate, "a\n"), "a\n");
        assert_eq!(sql(Tool::Plain, "\u{feff}select 1"), "select 1");
    }

    #[test]
    fn markers_count_where_the_tool_sees_them() {
        // Also inside of a string: the tool looks at lines only.
        assert_eq!(sql(Tool::Dbmate, "-- migrate:up\nselect '\n-- migrate:down\n';"), "select '\n");
        assert_eq!(
            sql(Tool::Dbmate, "-- migrate:up\nselect '-- migrate:down';"),
            "select '-- migrate:down';"
        );
    }

    #[test]
    fn files_that_the_tool_refuses_are_refused() {
        assert!(refused(Tool::Goose, "select 1;").contains("no '-- +goose Up'"));
        assert!(refused(Tool::Goose, "-- +goose Down\n-- +goose Up\n").contains("before"));
        assert!(refused(Tool::Dbmate, "select 1;").contains("no '-- migrate:up'"));
        assert!(refused(Tool::Plain, "a\0b").contains("NUL"));
        assert_eq!(forward(Tool::Plain, b"\xff").unwrap_err(), "it is not UTF-8");
        assert!(refused(Tool::Plain, "version https://git-lfs.github.com/spec/v1\noid x").contains("LFS"));
        assert!(forward(Tool::Plain, b"\0GITCRYPT\0x").unwrap_err().contains("git-crypt"));
    }

    #[test]
    fn a_comment_at_the_beginning_asks_for_no_transaction() {
        let asks = |tool, text: &str| forward(tool, text.as_bytes()).unwrap().no_transaction;
        assert!(asks(Tool::Sqlx, "-- no-transaction\nselect 1"));
        assert!(asks(Tool::Atlas, "-- atlas:txmode none\n\nselect 1"));
        assert!(!asks(Tool::Sqlx, "select 1;\n-- no-transaction"));
        assert!(!asks(Tool::Flyway, "-- no-transaction"));
        assert!(asks(Tool::GraphileMigrate, "--! Previous: -\n--! no-transaction\nselect 1"));
    }
}
