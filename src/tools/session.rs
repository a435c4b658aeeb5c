//! A script in a session of its own. It is run statement by statement, over a connection that the
//! script cannot switch to another database.
//!
//! The client encoding is always UTF8, so that messages of the server can be read. Statements in
//! another encoding are converted one by one. The data of a COPY are sent unchanged, with their
//! encoding as an option of COPY.

use std::borrow::Cow;
use std::io::Read;
use std::time::{Duration, Instant};

use super::Error;
use super::lexer::{Token, next_token};
use super::splitter::{BadScript, Piece, SplitError, Splitter, UNKNOWN_STRINGS, copies_out, setting};
use crate::pg::{self, Client, ConnInfo, Halt, Refusal, hex_literal, quote_literal};
use crate::process;
use crate::process::interrupt;

const UTF8: &str = "UTF8";
/// The encoding SQL_ASCII, which means that a database has none.
const NONE: &str = "SQLASCII";
/// The number of characters of a statement that are shown.
const SHOWN: usize = 72;

/// The limits of a script: a deadline and an interrupt by the user.
#[derive(Debug, Clone, Copy)]
pub(super) struct ScriptLimits {
    begun: Instant,
    after: Option<Duration>,
}

impl ScriptLimits {
    pub(super) fn new(after: Option<Duration>) -> Self {
        Self { begun: Instant::now(), after }
    }

    fn is_over(self) -> bool {
        interrupt::requested().is_some() || self.after.is_some_and(|after| self.begun.elapsed() >= after)
    }

    fn error(self, script: &str) -> Error {
        Error::Process(match interrupt::requested() {
            Some(signal) => process::Error::Interrupted { signal },
            None => {
                process::Error::Deadline { program: script.into(), after: self.after.unwrap_or_default() }
            }
        })
    }
}

/// The session of one script.
pub(super) struct Session<'a> {
    client: Client,
    /// The name of the script.
    script: &'a str,
    began: pg::Session,
    /// The encoding of the script.
    encoding: String,
    patience: ScriptLimits,
}

impl<'a> Session<'a> {
    /// Connects, and resets the search path to the default of the database and the role.
    pub(super) fn open(info: &ConnInfo, script: &'a str, patience: ScriptLimits) -> Result<Self, Error> {
        let client = Client::connect(info, "git-pggit")?;
        client.reset_search_path()?;
        let began = client.session()?;
        let session = Self { client, script, began, encoding: UTF8.to_owned(), patience };
        session.expect_database(info.dbname())?;
        Ok(session)
    }

    /// Returns true if a backslash is an ordinary character in `'...'`.
    pub(super) fn standard_strings(&self) -> bool {
        self.began.standard_strings
    }

    fn expect_database(&self, expected: &str) -> Result<pg::Session, Error> {
        let now = self.client.session()?;
        let is_same = now.database == expected && now.process == self.began.process;
        let wrong = || Error::WrongDatabase { script: self.script.to_owned(), expected: expected.to_owned() };
        if is_same { Ok(now) } else { Err(wrong()) }
    }

    /// Fails unless this is still the session that was opened, in the intended database, and the script
    /// was split by the rules of the server. `line` is the last line of the script.
    pub(super) fn is_as_expected(&self, standard_strings: bool, line: u64) -> Result<(), Error> {
        match self.expect_database(&self.began.database)?.standard_strings == standard_strings {
            true => Ok(()),
            false => Err(self.bad(line, UNKNOWN_STRINGS)),
        }
    }

    /// Returns true if the script has left a transaction open.
    pub(super) fn is_in_transaction(&self) -> Result<bool, Error> {
        Ok(self.client.is_in_transaction()?)
    }

    /// Runs a statement of this program. Errors are reported at `line` of the script.
    pub(super) fn run(&self, sql: &str, line: u64) -> Result<(), Error> {
        let ran = self.client.run(sql, &|| self.patience.is_over());
        ran.map_err(|halt| self.halted(halt, sql.as_bytes(), line))
    }

    /// Runs a statement of the script with the data that follow it.
    pub(super) fn send<R: Read>(&mut self, piece: &Piece, pieces: &mut Splitter<R>) -> Result<(), Error> {
        if let Some(encoding) = client_encoding(&piece.sql) {
            self.encoding = encoding;
            return Ok(());
        }
        if copies_out(&piece.sql) {
            return Err(self.bad(piece.line, "COPY ... TO stdout: no program reads the output"));
        }
        if piece.data {
            let sql = self.copy(piece)?;
            let stop = || self.patience.is_over();
            let copied = self.client.copy_in(&sql, &mut || pieces.data(), &stop);
            return copied.map_err(|halt| self.halted(halt, &piece.sql, piece.line));
        }
        let sql = self.text(piece)?;
        let ran = self.client.run(&sql, &|| self.patience.is_over());
        ran.map_err(|halt| self.halted(halt, &piece.sql, piece.line))
    }

    /// Returns a COPY statement that declares the encoding of the script for its data.
    fn copy<'p>(&self, piece: &'p Piece) -> Result<Cow<'p, str>, Error> {
        let text = self.text(piece)?;
        if self.encoding == UTF8 {
            return Ok(text);
        }
        // pg_dump writes COPY without options, and the server accepts only one list of options.
        if !text.to_ascii_lowercase().ends_with(" stdin") {
            let reason = format!("COPY with options, in a script in {}", self.encoding);
            return Err(self.bad(piece.line, reason));
        }
        Ok(format!("{text} WITH (ENCODING {})", quote_literal(&self.encoding)).into())
    }

    /// Returns a statement in UTF-8.
    fn text<'p>(&self, piece: &'p Piece) -> Result<Cow<'p, str>, Error> {
        let database = encoding_name(&self.began.encoding);
        let is_none = encoding_name(&self.encoding) == NONE;
        // A database in SQL_ASCII stores all bytes unchanged.
        let as_it_is = self.encoding == UTF8 || database == NONE || (is_none && database == UTF8);
        match std::str::from_utf8(&piece.sql) {
            Ok(text) if as_it_is || text.is_ascii() => Ok(text.into()),
            Err(_) if self.encoding == UTF8 => Err(self.bad(piece.line, "a statement that is not UTF-8")),
            Err(_) if database == NONE && piece.data => {
                let reason = "COPY with a name that is not UTF-8, into a database without an encoding";
                Err(self.bad(piece.line, reason))
            }
            Err(_) if database == NONE => {
                let bytes = hex_literal(&piece.sql);
                Ok(format!("DO $$BEGIN EXECUTE pg_catalog.convert_from({bytes}, 'SQL_ASCII'); END$$").into())
            }
            _ => match self.client.decode(&piece.sql, &self.encoding) {
                Ok(text) => Ok(text.into()),
                Err(error) => Err(self.bad(piece.line, format!("{}: {error}", self.encoding))),
            },
        }
    }

    fn bad(&self, line: u64, reason: impl Into<String>) -> Error {
        bad(self.script, BadScript { line, reason: reason.into() })
    }

    /// Converts a fault of the splitter to an error.
    pub(super) fn fault(&self, fault: SplitError) -> Error {
        fault_of(self.script, fault)
    }

    fn halted(&self, halt: Halt<SplitError>, sql: &[u8], line: u64) -> Error {
        match halt {
            Halt::Refused(refusal) => {
                let line = line + lines_before(sql, &refusal);
                Error::Statement { script: self.script.to_owned(), line, statement: beginning(sql), refusal }
            }
            Halt::Stopped => self.patience.error(self.script),
            Halt::Data(fault) => self.fault(fault),
            Halt::Failed(error) => error.into(),
        }
    }
}

pub(super) fn bad(script: &str, bad: BadScript) -> Error {
    Error::Script { script: script.to_owned(), line: bad.line, reason: bad.reason }
}

pub(super) fn fault_of(script: &str, fault: SplitError) -> Error {
    match fault {
        SplitError::Read(error) => Error::Place(error),
        SplitError::Script(found) => bad(script, found),
    }
}

/// Returns the client encoding that a statement sets.
pub(super) fn client_encoding(sql: &[u8]) -> Option<String> {
    let (_, value) = setting(sql).filter(|(name, _)| name == "client_encoding")?;
    let name = encoding_name(&value);
    Some(match name.as_str() {
        "DEFAULT" | "UNICODE" | UTF8 => UTF8.to_owned(),
        _ => value.to_ascii_uppercase(),
    })
}

/// Normalizes the name of an encoding as the server does.
fn encoding_name(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

/// Returns the number of lines of a statement before the position of the error.
fn lines_before(sql: &[u8], refusal: &Refusal) -> u64 {
    let position = refusal.position.map_or(0, |position| usize::try_from(position).unwrap_or_default());
    let text = String::from_utf8_lossy(sql);
    text.chars().take(position.saturating_sub(1)).filter(|c| *c == '\n').count() as u64
}

/// Returns the beginning of a statement up to its first literal, which may be a password or other data.
pub(super) fn beginning(sql: &[u8]) -> String {
    let (mut at, mut shown) = (0, String::new());
    while at < sql.len() {
        let (token, end) = next_token(sql, at);
        match token {
            Token::Space if !shown.ends_with(' ') => shown.push(' '),
            Token::Space => {}
            Token::Literal { .. } => break,
            // A token of this kind with several characters is a dollar-quoted string.
            Token::Other if end - at > 1 => break,
            Token::Word | Token::Quoted | Token::Other => {
                shown.push_str(&String::from_utf8_lossy(&sql[at..end]));
            }
        }
        at = end;
        if shown.chars().count() > SHOWN {
            break;
        }
    }
    let whole = at == sql.len() && shown.chars().count() <= SHOWN;
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    match whole {
        true => shown,
        false => shown.chars().take(SHOWN).collect::<String>() + " ...",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_statement_nothing_is_shown_that_could_be_a_secret() {
        for (sql, shown) in [
            ("select 1", "select 1"),
            ("create role a\n\tpassword 'x'", "create role a password ..."),
            (
                "create user mapping for a server s options (user E'u', password 'x')",
                "create user mapping for a server s options (user ...",
            ),
            ("create function f() returns int as $$ 'x' $$", "create function f() returns int as ..."),
        ] {
            assert_eq!(beginning(sql.as_bytes()), shown);
        }
        let long = format!("select {}", "a, ".repeat(100));
        assert!(beginning(long.as_bytes()).len() < 80 && beginning(long.as_bytes()).ends_with(" ..."));
    }

    #[test]
    fn encodings_are_known_by_all_their_names() {
        for utf8 in ["SET client_encoding = 'UTF8'", "set names 'utf-8'", "set client_encoding to default"] {
            assert_eq!(client_encoding(utf8.as_bytes()).as_deref(), Some(UTF8), "{utf8}");
        }
        assert_eq!(client_encoding(b"SET client_encoding = 'latin1'").as_deref(), Some("LATIN1"));
        assert_eq!(encoding_name("SQL_ASCII"), NONE);
        assert_eq!(client_encoding(b"SET search_path = 'x'"), None);
    }

    #[test]
    fn the_line_is_that_of_the_complaint() {
        let refusal = |position| Refusal {
            sqlstate: "42601".into(),
            message: String::new(),
            detail: None,
            hint: None,
            place: None,
            position,
        };
        assert_eq!(lines_before("select\n'ä',\n x".as_bytes(), &refusal(Some(14))), 2);
        assert_eq!(lines_before(b"select\n1", &refusal(None)), 0);
    }
}
