//! Selects the parts of messages of programs and servers that may be recorded: enough to understand the
//! failure, and no content of a database. Pure.

use crate::recovery;
use crate::tools::classify;

/// The maximum size of the server log that is kept as evidence, in bytes.
const TAIL: usize = 4 << 10;
/// The maximum length of a reason, in characters.
const REASON: usize = 400;

/// A row or a statement follows these labels.
const QUOTING: [&str; 6] = ["DETAIL:", "CONTEXT:", "STATEMENT:", "QUERY:", "HINT:", "Command was:"];

/// Messages that quote a value. Those that end with a quotation mark are followed by it.
const ABOUT_VALUES: [&str; 6] = [
    "invalid input syntax for ",
    "value \"",
    "value out of range",
    "malformed ",
    "invalid value",
    "hexadecimal",
];

/// Returns the last lines of a server log.
pub(super) fn log_tail(log: &str) -> String {
    let kept: Vec<&str> = log.lines().filter(|line| !quotes(line)).collect();
    let (mut length, mut from) = (0, kept.len());
    while from > 0 && length + kept[from - 1].len() < TAIL {
        from -= 1;
        length += kept[from].len() + 1;
    }
    kept[from..].join("\n")
}

fn quotes(line: &str) -> bool {
    QUOTING.iter().any(|word| line.contains(word))
}

/// Returns the first complaint of a client program, without the values that it quotes.
pub(super) fn first_error(stderr: &str) -> String {
    let complains =
        |line: &&str| ["error:", "ERROR:", "FATAL:", "fatal:"].iter().any(|word| line.contains(word));
    let first =
        stderr.lines().find(complains).or_else(|| stderr.lines().find(|line| !line.trim().is_empty()));
    short(first.unwrap_or("no output").trim())
}

/// Returns the last complaint of a server.
pub(super) fn last_error(log: &str) -> String {
    short(recovery::last_word(log))
}

/// Returns `text` on one line and shortened to the length of a reason, without the values of rows.
pub(super) fn short(text: &str) -> String {
    let line = without_value(&text.split_ascii_whitespace().collect::<Vec<_>>().join(" "));
    match line.char_indices().nth(REASON) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line,
    }
}

/// Replaces the value that a message about invalid data quotes.
fn without_value(line: &str) -> String {
    let kept = || {
        let after = ABOUT_VALUES.iter().filter_map(|phrase| Some(line.find(phrase)? + phrase.len())).min()?;
        let from = match line[..after].strip_suffix('"') {
            Some(_) => after,
            None => after + line[after..].find(": \"")? + 3,
        };
        let to = from + line[from..].rfind('"')?;
        Some(format!("{}...{}", &line[..from], &line[to..]))
    };
    kept().unwrap_or_else(|| line.to_owned())
}

/// Returns true if the first complaint is a missing role.
pub(super) fn lacks_role(stderr: &str) -> bool {
    let complaint = first_error(stderr);
    complaint.contains("role \"") && complaint.contains("\" does not exist")
}

/// Returns true if the server log says that the kernel or an administrator has ended a process of the
/// server. A crash of the server itself ends with another signal.
pub(super) fn was_killed(log: &str) -> bool {
    log.lines().any(|line| line.contains("LOG:") && line.contains("was terminated by signal 9"))
}

/// Returns the first complaint of pg_amcheck, which writes the name of a relation and then an indented
/// message; `None` if the cause of each is the machine and not the data.
pub(super) fn of_amcheck(said: &str) -> Option<String> {
    let is_message = |line: &&str| line.starts_with(' ') && !line.trim().is_empty();
    let messages: Vec<&str> = said.lines().filter(is_message).collect();
    let is_limit = |line: &&str| line.contains("ERROR:") && (is_of_machine(line) || classify(line).retry());
    if !messages.is_empty() && messages.iter().all(is_limit) {
        return None;
    }
    Some(short(said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default()))
}

/// Returns true if the cause of a complaint is the machine and not the backup.
pub(super) fn is_of_machine(words: &str) -> bool {
    [
        "No space left on device",
        "Disk quota exceeded",
        "could not create shared memory",
        "could not map anonymous shared memory",
        "Cannot allocate memory",
        "out of memory",
        "out of shared memory",
        "could not fork",
        "too many clients already",
        "remaining connection slots",
        // The kernel ends processes if memory is short.
        "was terminated by signal 9",
        "Permission denied",
        "could not open extension control file",
        "is not available",
        "could not access file \"",
        "invalid locale name",
        "locale name",
        "collation \"",
        "ICU is not supported",
        "could not load library",
        "too many open files",
    ]
    .iter()
    .any(|phrase| words.contains(phrase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_log_the_end_is_kept_without_rows_and_statements() {
        let log = "LOG:  a\nERROR:  duplicate key\nDETAIL:  Key (name)=(Ada) already exists.\nSTATEMENT:  INSERT secret\n";
        assert_eq!(log_tail(log), "LOG:  a\nERROR:  duplicate key");
        let long = "x".repeat(100) + "\n";
        let tail = log_tail(&long.repeat(1000));
        assert!(tail.len() <= TAIL && tail.len() > TAIL - 200);
        assert_eq!(log_tail(""), "");
    }

    #[test]
    fn a_limit_of_the_machine_is_no_damage() {
        for limit in [
            "ERROR:  out of shared memory",
            "ERROR: could not extend file \"base/1/2\": No space left on device",
            "FATAL: sorry, too many clients already",
            "LOG:  startup process (PID 7) was terminated by signal 9: Killed",
        ] {
            assert!(is_of_machine(limit), "{limit}");
        }
        assert!(!is_of_machine("ERROR: invalid page in block 3 of relation base/1/2"));
        assert!(was_killed("2026 UTC LOG:  server process (PID 7) was terminated by signal 9: Killed\n"));
        assert!(!was_killed(
            "2026 UTC LOG:  server process (PID 7) was terminated by signal 11: Segmentation fault\n"
        ));
        assert!(!was_killed("2026 UTC WARNING:  a table was terminated by signal 9\n"));
        let damage = "btree index \"shop.public.i\":\n    ERROR:  item order invariant violated\n";
        let limit = "heap table \"shop.public.t\":\n    ERROR:  out of memory\n";
        assert_eq!(of_amcheck(limit), None);
        assert_eq!(of_amcheck(damage).unwrap(), "btree index \"shop.public.i\":");
        assert!(of_amcheck(&format!("{limit}{damage}")).is_some() && of_amcheck("").is_some());
    }

    #[test]
    fn values_of_rows_are_left_out() {
        for (said, kept) in [
            (
                "invalid input syntax for type money: \"12,50 \"x\" \"",
                "invalid input syntax for type money: \"...\"",
            ),
            ("value \"99\" is out of range for type \"my int\"", "value \"...\""),
            ("date/time field value out of range: \"13\"", "date/time field value out of range: \"...\""),
            ("malformed array literal: \"{secret\"", "malformed array literal: \"...\""),
            ("relation \"t\" already exists", "relation \"t\" already exists"),
            ("invalid input syntax for type json", "invalid input syntax for type json"),
        ] {
            assert_eq!(short(said), kept);
        }
    }

    #[test]
    fn of_a_program_the_first_complaint_is_kept() {
        let stderr = "pg_restore: connecting\npg_restore: error: could not execute query: ERROR:  no\nCommand was: CREATE x";
        assert_eq!(first_error(stderr), "pg_restore: error: could not execute query: ERROR: no");
        assert_eq!(first_error("\n only this\n"), "only this");
        assert_eq!(first_error(""), "no output");
        assert!(short(&"ä".repeat(1000)).chars().count() == REASON + 1);
    }
}
