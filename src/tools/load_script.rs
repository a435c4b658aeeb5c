//! Loads a plain dump, which is a script, over a connection of this program.

use std::io::Read;
use std::time::Duration;

use super::classify::of_sqlstate;
use super::dump_check::DumpValidator;
use super::left_out::LeftOut;
use super::lexer::words;
use super::load_options::LoadOptions;
use super::session::{ScriptLimits, Session};
use super::splitter::{BadScript, Piece, Skip, SplitError, Splitter, setting};
use super::{Connection, Error, Format, Program};
use crate::pg::ConnInfo;
use crate::progress::Progress;

/// A plain dump that was loaded.
#[derive(Debug, Default)]
pub struct LoadedScript {
    /// The size in bytes.
    pub bytes: u64,
    /// The objects that were left out, if the load kept going.
    pub left_out: Vec<LeftOut>,
}

/// Runs the plain dump from `input` statement by statement; see
/// [`super::adapter::RestoreStep::Script`]. Only the transactions that pg_dump itself writes are used: in
/// one transaction a large dump would need more locks than a server has. Fails as
/// [`super::load_stream`] does.
pub fn load_script(
    connection: &Connection,
    name: &str,
    input: &mut dyn Read,
    (options, deadline): (LoadOptions, Option<Duration>),
    progress: &dyn Progress,
) -> Result<LoadedScript, Error> {
    let open = |info: &ConnInfo| Session::open(info, name, ScriptLimits::new(deadline));
    let info = connection.info()?;
    let mut session = open(&info)?;
    let mut watched = Watched { input, validator: DumpValidator::default(), progress };
    let mut pieces = Splitter::new(&mut watched, Skip::Dump, session.standard_strings());
    let (mut line, mut in_transaction) = (1, false);
    let (mut left_out, mut settings) = (Vec::new(), Vec::<Piece>::new());
    let transactions = |session: &Session<'_>, line| {
        let reason = "a dump that begins or ends transactions".to_owned();
        session.fault(SplitError::Script(BadScript { line, reason }))
    };
    while let Some(piece) = pieces.next().map_err(|fault| session.fault(fault))? {
        line = piece.line;
        let word = words(&piece.sql).next().map(|(_, word)| word);
        match word.as_deref() {
            // pg_dump puts large objects between these two.
            Some(word @ ("begin" | "commit"))
                if is_one_word(&piece.sql) && in_transaction == (word == "commit") =>
            {
                in_transaction = !in_transaction;
                session.run(&word.to_ascii_uppercase(), line)?;
            }
            Some("begin" | "start" | "commit" | "end" | "rollback" | "abort") => {
                return Err(transactions(&session, line));
            }
            _ if options.no_tablespaces && sets_tablespace(&piece) => {}
            _ => match session.send(&piece, &mut pieces) {
                Err(error) if options.keep_going && is_of_object(&error) => {
                    if !is_consequence(&error) {
                        left_out.push(LeftOut::of_statement(&piece.sql, &error));
                    }
                    pieces.skip_data().map_err(|fault| session.fault(fault))?;
                    if piece.data {
                        // The driver does not read the end of the answer to a COPY that was refused.
                        session = open(&info)?;
                        settings.iter().try_for_each(|piece| session.send(piece, &mut pieces))?;
                    }
                }
                other => {
                    other?;
                    settings.extend(is_of_session(&piece).then_some(piece));
                }
            },
        }
    }
    if in_transaction {
        return Err(transactions(&session, line));
    }
    let standard_strings = pieces.standard_strings();
    drop(pieces);
    watched.validator.finish(Format::Plain, Program::PgDump)?;
    session.is_as_expected(standard_strings, line)?;
    Ok(LoadedScript { bytes: watched.validator.bytes(), left_out })
}

fn is_one_word(sql: &[u8]) -> bool {
    sql.iter().all(u8::is_ascii_alphabetic)
}

/// Returns true if only an earlier error in the same transaction is the cause of an error.
fn is_consequence(error: &Error) -> bool {
    matches!(error, Error::Statement { refusal, .. } if refusal.sqlstate == "25P02")
}

/// Returns true if the statement is a setting of the session.
fn is_of_session(piece: &Piece) -> bool {
    let mut words = words(&piece.sql).map(|(_, word)| word);
    match words.next().as_deref() {
        Some("set") => true,
        Some("select") => words.any(|word| word == "set_config"),
        _ => false,
    }
}

fn sets_tablespace(piece: &Piece) -> bool {
    setting(&piece.sql).is_some_and(|(name, _)| name == "default_tablespace")
}

/// Returns true if the server refused a statement because of the statement, and not because of a limit
/// of the server.
fn is_of_object(error: &Error) -> bool {
    matches!(error, Error::Statement { refusal, .. } if !of_sqlstate(&refusal.sqlstate).retry())
}

/// A reader that checks the data for completeness and reports progress.
struct Watched<'a> {
    input: &'a mut dyn Read,
    validator: DumpValidator,
    progress: &'a dyn Progress,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.input.read(buffer)?;
        self.validator.feed(&buffer[..n]);
        self.progress.advance(n as u64);
        Ok(n)
    }
}
