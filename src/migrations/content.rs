//! Checks of the content of migration files.

use super::tool::Tool;

/// The first bytes of a file that git LFS keeps elsewhere.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";
/// The first bytes of a file that git-crypt has encrypted.
const GIT_CRYPT: &[u8] = b"\0GITCRYPT\0";

/// Returns the text of a file.
///
/// # Errors
/// If the content is not that of a text file: the reason.
pub(super) fn text_of(content: &[u8]) -> Result<&str, String> {
    if content.starts_with(LFS_POINTER) {
        return Err("it is a pointer of git LFS, not the file itself".to_owned());
    }
    if content.starts_with(GIT_CRYPT) {
        return Err("git-crypt has encrypted it".to_owned());
    }
    if content.contains(&0) {
        return Err("it has a NUL byte".to_owned());
    }
    std::str::from_utf8(content).map_err(|_| "it is not UTF-8".to_owned())
}

/// Checks the content of a SQL migration. Tools that keep both directions in one file look for markers
/// line by line, also inside of string literals and comments. So does this function.
///
/// # Errors
/// If the tool would refuse the file: the reason.
pub(super) fn check(tool: Tool, content: &[u8]) -> Result<(), String> {
    let text = text_of(content)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match tool {
        Tool::Goose => forward_first(text, goose_direction, "-- +goose Up", "-- +goose Down"),
        Tool::Dbmate if !text.lines().any(|line| dbmate_direction(line) == Some(Direction::Down)) => {
            Err("it has no '-- migrate:down'".to_owned())
        }
        Tool::Dbmate => forward_first(text, dbmate_direction, "-- migrate:up", "-- migrate:down"),
        Tool::Diesel if content.is_empty() => Err("it is empty".to_owned()),
        _ => Ok(()),
    }
}

/// The direction that a marker begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

/// Fails if there is not exactly one marker of the way up, or one of the way down before it.
fn forward_first(
    text: &str,
    direction: fn(&str) -> Option<Direction>,
    up: &str,
    down: &str,
) -> Result<(), String> {
    let markers: Vec<Direction> = text.lines().filter_map(direction).collect();
    match markers.iter().filter(|marker| **marker == Direction::Up).count() {
        0 => Err(format!("it has no '{up}'")),
        1 if markers[0] == Direction::Down => Err(format!("'{down}' is before '{up}'")),
        1 => Ok(()),
        _ => Err(format!("it has '{up}' several times")),
    }
}

/// goose, internal/sqlparser: annotations are comments `-- +goose WORDS`, of any case.
fn goose_direction(line: &str) -> Option<Direction> {
    let line = line.to_ascii_lowercase();
    match line.trim().strip_prefix("--")?.trim_start().strip_prefix("+goose")?.trim() {
        "up" => Some(Direction::Up),
        "down" => Some(Direction::Down),
        _ => None,
    }
}

/// dbmate, pkg/dbmate/migration.go: blocks begin at lines `-- migrate:up` and `-- migrate:down`, which
/// may have options.
fn dbmate_direction(line: &str) -> Option<Direction> {
    let text = line.trim_end().strip_prefix("--")?.trim_start().strip_prefix("migrate:")?;
    match text.split_whitespace().next()? {
        "up" => Some(Direction::Up),
        "down" => Some(Direction::Down),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(tool: Tool, text: &str) -> String {
        check(tool, text.as_bytes()).unwrap_err()
    }

    #[test]
    fn files_of_the_tool_are_accepted() {
        for (tool, text) in [
            (Tool::Goose, "-- +goose NO TRANSACTION\n--  +GOOSE Up\nselect 1;\n-- +goose Down\nselect 2;\n"),
            (Tool::Dbmate, "\u{feff}-- migrate:up transaction:false\r\nselect 1;\r\n-- migrate:down\r\n"),
            (Tool::Dbmate, "-- migrate:up\nselect '-- migrate:up';\n-- migrate:down\n"),
            (Tool::Sqlx, "select 1"),
            (Tool::Plain, ""),
        ] {
            assert_eq!(check(tool, text.as_bytes()), Ok(()), "{text}");
        }
    }

    #[test]
    fn files_that_the_tool_refuses_are_refused() {
        assert!(refused(Tool::Goose, "select 1;").contains("no '-- +goose Up'"));
        assert!(refused(Tool::Goose, "-- +goose Down\n-- +goose Up\n").contains("before"));
        assert!(refused(Tool::Dbmate, "-- migrate:down\n").contains("no '-- migrate:up'"));
        assert!(refused(Tool::Dbmate, "-- migrate:up\nselect 1;").contains("no '-- migrate:down'"));
        // The tool takes a marker in a string literal for a marker, too.
        assert!(
            refused(Tool::Dbmate, "-- migrate:up\nselect '\n-- migrate:up\n';\n-- migrate:down")
                .contains("several")
        );
        assert!(refused(Tool::Plain, "a\0b").contains("NUL"));
        assert_eq!(check(Tool::Plain, b"\xff").unwrap_err(), "it is not UTF-8");
        assert!(refused(Tool::Plain, "version https://git-lfs.github.com/spec/v1\noid x").contains("LFS"));
        assert!(check(Tool::Plain, b"\0GITCRYPT\0x").unwrap_err().contains("git-crypt"));
    }
}
