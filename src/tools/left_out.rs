//! The objects that a restore has left out, because the server refused them.

use super::Error;
use super::lexer::words;
use super::session::beginning;

/// The maximum length of a statement in a message, in characters.
const STATEMENT: usize = 160;
/// The maximum length of a statement that is kept, in bytes.
const STATEMENT_BYTES_MAX: usize = 64 << 10;

/// An object of a dump that could not be restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The statement on one line; empty if only the reason is known.
    statement: String,
    /// True if the literals of the statement may be shown, because the secrets in it are masked.
    is_masked: bool,
    /// The message of the server.
    reason: String,
    /// True if the rows of a table are missing.
    is_data: bool,
    /// The number of further objects that are not named; 0 for an object.
    more: u64,
}

impl LeftOut {
    /// Returns the object of a statement of a plain dump that the server refused.
    pub(super) fn of_statement(sql: &[u8], error: &Error) -> Self {
        let reason = match error {
            Error::Statement { refusal, .. } => refusal.message.clone(),
            other => other.to_string(),
        };
        let is_data = words(sql).next().is_some_and(|(_, word)| word == "copy" || word == "insert");
        let end = sql.len().min(STATEMENT_BYTES_MAX);
        let text = String::from_utf8_lossy(&sql[..end]);
        let statement = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Self { statement, is_masked: false, reason, is_data, more: 0 }
    }

    /// Returns the objects that `pg_restore` has left out, by its standard error. Returns `None` if
    /// `pg_restore` stopped early. Only the end of a long output is kept: then the last one is
    /// [`LeftOut::is_count`].
    pub fn all(stderr: &str) -> Option<Vec<Self>> {
        let (found, total) = parse(stderr);
        let more = total?.saturating_sub(found.len() as u64);
        let count = (more > 0).then(|| Self {
            statement: String::new(),
            is_masked: true,
            reason: format!("and {more} more objects"),
            is_data: false,
            more,
        });
        Some(found.into_iter().filter(|one| !one.is_of_new_database()).chain(count).collect())
    }

    /// Returns true if this is the number of further objects that are not named.
    pub fn is_count(&self) -> bool {
        self.more > 0
    }

    /// Returns true if the object is a table that this name belongs to: its own, that of its schema, or
    /// that of a parent table.
    pub fn is_table(&self, name: &str) -> bool {
        let made = ["CREATE TABLE ", "CREATE UNLOGGED TABLE ", "CREATE FOREIGN TABLE "];
        made.iter().any(|begin| self.statement.starts_with(begin)) && self.names(name)
    }

    /// Returns true if a new database always has the object: a schema `public`, or an extension.
    fn is_of_new_database(&self) -> bool {
        let made = ["CREATE SCHEMA ", "CREATE EXTENSION "];
        self.reason.ends_with("already exists") && made.iter().any(|begin| self.statement.starts_with(begin))
    }

    /// Returns true if the cause is a missing role.
    pub fn lacks_role(&self) -> bool {
        self.reason.contains("role \"") && self.reason.contains("\" does not exist")
    }

    /// Returns true if rows, or a partition with its rows, may be missing in the table `name`.
    pub fn takes_rows_of(&self, name: &str) -> bool {
        let is_partition = self.statement.contains(" ATTACH PARTITION ");
        (self.is_data || is_partition) && self.names(name)
    }

    /// Returns true if the object is the content of the materialized view `name`.
    pub fn is_content_of(&self, name: &str) -> bool {
        self.statement.starts_with("REFRESH MATERIALIZED VIEW ") && self.names(name)
    }

    fn names(&self, name: &str) -> bool {
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        let text = &self.statement;
        let plain = text.match_indices(name).any(|(at, _)| {
            let (before, after) = (text[..at].chars().next_back(), text[at + name.len()..].chars().next());
            !before.is_some_and(is_part) && !after.is_some_and(is_part)
        });
        plain || text.contains(&quoted)
    }

    /// Returns the object without the message of the server and without literals.
    pub fn label(&self) -> String {
        match self.statement.as_str() {
            "" if self.is_count() => self.reason.clone(),
            "" => "an object".to_owned(),
            statement => beginning(statement.trim_end_matches(';').as_bytes()),
        }
    }
}

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let reason = &self.reason;
        let statement = if self.is_masked { &self.statement } else { &self.label() };
        match statement.char_indices().nth(STATEMENT) {
            _ if statement.is_empty() => f.write_str(reason),
            Some((cut, _)) => write!(f, "{}…: {reason}", &statement[..cut]),
            None => write!(f, "{}: {reason}", statement.trim_end_matches(';')),
        }
    }
}

/// Returns the errors that `pg_restore` reports, and the number of errors at its end.
fn parse(stderr: &str) -> (Vec<LeftOut>, Option<u64>) {
    let mut found: Vec<LeftOut> = Vec::new();
    let (mut in_statement, mut total) = (false, None);
    for line in stderr.lines() {
        if let Some(said) = line.strip_prefix("pg_restore: ") {
            in_statement = false;
            if let Some((_, number)) = said.split_once("errors ignored on restore: ") {
                total = number.trim().parse().ok();
            }
            let Some((before, why)) = said.split_once("ERROR:") else { continue };
            let before = before.trim_start_matches("error: ").trim().trim_end_matches(':');
            let is_data = before.starts_with("COPY failed for table ");
            let statement = if before == "could not execute query" { "" } else { before };
            let (statement, reason) = (statement.to_owned(), why.trim().to_owned());
            found.push(LeftOut { statement, is_masked: true, reason, is_data, more: 0 });
        } else if let (Some(sql), Some(last)) = (line.strip_prefix("Command was: "), found.last_mut()) {
            (in_statement, last.statement) = (true, sql.trim().to_owned());
            // A dump may have its rows as INSERT statements.
            last.is_data |= ["COPY ", "INSERT "].iter().any(|begin| last.statement.starts_with(begin));
        } else if let (true, Some(last)) = (in_statement, found.last_mut()) {
            let line = line.trim();
            if !line.is_empty() {
                last.statement.push(' ');
                last.statement.push_str(line);
            }
        }
    }
    (found, total)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "pg_restore: error: could not execute query: ERROR:  relation \"x\" does not exist\n\
                    Command was: ALTER TABLE ONLY public.b\n    ADD CONSTRAINT f FOREIGN KEY (i) REFERENCES x(i);\n\n\n\
                    pg_restore: error: could not execute query: ERROR:  schema \"public\" already exists\n\
                    Command was: CREATE SCHEMA public;\n\n\n\
                    pg_restore: error: COPY failed for table \"t\": ERROR:  division by zero\n\
                    CONTEXT:  COPY t, line 1: \"secret\"\n\
                    pg_restore: error: could not execute query: ERROR:  relation \"visits\" does not exist\n\
                    Command was: REFRESH MATERIALIZED VIEW public.page_list;\n\n\n\
                    pg_restore: warning: errors ignored on restore: 4\n";

    #[test]
    fn what_was_left_out_is_named() {
        let all = LeftOut::all(SAID).unwrap();
        let shown: Vec<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "ALTER TABLE ONLY public.b ADD CONSTRAINT f FOREIGN KEY (i) REFERENCES x(i): \
                 relation \"x\" does not exist",
                "COPY failed for table \"t\": division by zero",
                "REFRESH MATERIALIZED VIEW public.page_list: relation \"visits\" does not exist",
            ]
        );
        assert_eq!(all[2].label(), "REFRESH MATERIALIZED VIEW public.page_list");
        assert_eq!(LeftOut::all("pg_restore: error: could not read from input file: end of file\n"), None);
        let cut = SAID.split_once("pg_restore: error: COPY").unwrap().1;
        let last = LeftOut::all(cut).unwrap().pop().unwrap();
        assert!(last.is_count() && last.label() == "and 3 more objects", "{last}");
    }

    #[test]
    fn it_is_known_what_is_missing_in_a_table() {
        let all = LeftOut::all(SAID).unwrap();
        let takes = |name: &str| all.iter().any(|one| one.takes_rows_of(name));
        assert_eq!((takes("t"), takes("b"), takes("table2")), (true, false, false));
        assert!(all[2].is_content_of("page_list") && !all[2].is_content_of("page"));
        let attach = LeftOut {
            statement: "ALTER TABLE ONLY public.p ATTACH PARTITION public.\"P 1\" FOR VALUES IN (1)".into(),
            is_masked: true,
            reason: "x".into(),
            is_data: false,
            more: 0,
        };
        assert!(attach.takes_rows_of("p") && attach.takes_rows_of("P 1") && !attach.takes_rows_of("q"));
    }
}
