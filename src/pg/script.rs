//! Statements of scripts: each is run alone, what it returns is dropped, and it is
//! cancelled when the caller wants to stop.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, TryStreamExt as _};
use tokio_postgres::NoTls;
use tokio_postgres::error::{DbError, ErrorPosition};

use super::tls::{self, Mode};
use super::{Client, Error, Result};

/// How often is asked whether to stop.
const TICK: Duration = Duration::from_millis(50);
/// How long the server is given to end a cancelled statement.
const PATIENCE: Duration = Duration::from_secs(2);

/// A statement that the server refused. Known passwords are replaced in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Five characters of the SQL standard.
    pub sqlstate: String,
    /// The server's words.
    pub message: String,
    /// More of the server's words.
    pub detail: Option<String>,
    /// The server's advice.
    pub hint: Option<String>,
    /// The line of the data of a COPY, without its content.
    pub place: Option<String>,
    /// Which character of the statement it is about, from 1.
    pub position: Option<u32>,
}

/// Why a statement did not come to its end.
#[derive(Debug)]
pub enum Halt<E> {
    /// The server refused it.
    Refused(Box<Refusal>),
    /// The caller wanted to stop.
    Stopped,
    /// The data for it could not be had.
    Data(E),
    /// The connection failed.
    Failed(Error),
}

/// What a script depends on and does not say itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The database.
    pub database: String,
    /// The process of the server.
    pub process: String,
    /// The encoding of the database.
    pub encoding: String,
    /// Whether a backslash is an ordinary character in `'...'`.
    pub standard_strings: bool,
}

impl Client {
    /// Gives the session the search path that it began with: see
    /// [`Client::connect`].
    pub fn reset_search_path(&self) -> Result<()> {
        self.execute("RESET search_path")
    }

    /// Asks the server which session this is.
    pub fn session(&self) -> Result<Session> {
        const SQL: &str = "SELECT pg_catalog.current_database(), pg_catalog.pg_backend_pid(), \
             pg_catalog.current_setting('server_encoding'), \
             pg_catalog.current_setting('standard_conforming_strings')";
        let row = self.query_for(SQL, "the session")?.pop().unwrap_or_default();
        let row: Vec<String> = row.into_iter().flatten().collect();
        let [database, process, encoding, standard] =
            <[_; 4]>::try_from(row).map_err(|_| Error::unexpected("four facts about the session"))?;
        Ok(Session { database, process, encoding, standard_strings: standard == "on" })
    }

    /// Whether a transaction block is open.
    pub fn is_in_transaction(&self) -> Result<bool> {
        // A statement alone is a transaction that begins with it.
        const SQL: &str = "SELECT pg_catalog.transaction_timestamp() OPERATOR(pg_catalog.<>) \
             pg_catalog.statement_timestamp()";
        Ok(self.value(SQL, "the transaction")?.as_deref() == Some("t"))
    }

    /// Text in an encoding, converted by the server as it would be when a client of
    /// that encoding sent it. It is refused when it does not survive the way to us
    /// and back.
    pub fn decode(&self, text: &[u8], encoding: &str) -> Result<String> {
        let sql = format!(
            "SELECT t, pg_catalog.convert_from(pg_catalog.convert_to(t, 'UTF8'), 'UTF8') \
             OPERATOR(pg_catalog.=) t FROM (SELECT pg_catalog.convert_from({}, {}) AS t) AS s",
            hex_literal(text),
            super::quote_literal(encoding)
        );
        let row = self.query_for(&sql, "a text")?.pop().unwrap_or_default();
        match row.as_slice() {
            [Some(text), Some(same)] if same == "t" => Ok(text.clone()),
            _ => Err(Error::unexpected(format!("a text in {encoding} that is the same in UTF8"))),
        }
    }

    /// Runs one statement and drops its rows.
    pub fn run<E>(&self, sql: &str, stop: &dyn Fn() -> bool) -> Result<(), Halt<E>> {
        if sql.contains('\0') {
            return Err(Halt::Failed(Error::unexpected("a NUL in a statement")));
        }
        let run = async {
            let mut answers = pin!(self.inner().simple_query_raw(sql).await?);
            while answers.try_next().await?.is_some() {}
            Ok(())
        };
        self.until(run, stop)?.map_err(|error| self.halt(&error))
    }

    /// Runs `COPY ... FROM STDIN` with the pieces that `next` yields.
    pub fn copy_in<E>(
        &self,
        sql: &str,
        next: &mut dyn FnMut() -> Result<Option<Vec<u8>>, E>,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), Halt<E>> {
        let begun = self.until(self.inner().copy_in::<_, Bytes>(sql), stop)?;
        let mut sink = pin!(begun.map_err(|error| self.halt(&error))?);
        // When this ends early, the sink is dropped, and the server is told that the data failed.
        while let Some(piece) = next().map_err(Halt::Data)? {
            let sent = self.until(sink.feed(Bytes::from(piece)), stop)?;
            sent.map_err(|error| self.halt(&error))?;
        }
        self.until(sink.finish(), stop)?.map(drop).map_err(|error| self.halt(&error))
    }

    /// Waits for `work`, and cancels what the server does when `stop` says so.
    fn until<T, E>(&self, work: impl Future<Output = T>, stop: &dyn Fn() -> bool) -> Result<T, Halt<E>> {
        if stop() {
            return Err(Halt::Stopped);
        }
        self.runtime().block_on(async {
            let mut work = pin!(work);
            loop {
                match tokio::time::timeout(TICK, work.as_mut()).await {
                    Ok(done) => return Ok(done),
                    Err(_) if stop() => break,
                    Err(_) => {}
                }
            }
            let _ = tokio::time::timeout(PATIENCE, self.cancel()).await;
            let _ = tokio::time::timeout(PATIENCE, work).await;
            Err(Halt::Stopped)
        })
    }

    /// Asks the server to end the statement that it is at.
    async fn cancel(&self) {
        let token = self.inner().cancel_token();
        let info = self.conninfo();
        let host = info.hosts().iter().find(|host| host.target() == self.target() && !host.is_socket());
        let connector = host.and_then(|host| tls::connector(info, host, Mode::of(info).ok()?).ok());
        let _ = match connector {
            Some(connector) => token.cancel_query(connector).await,
            None => token.cancel_query(NoTls).await,
        };
    }

    fn halt<E>(&self, error: &tokio_postgres::Error) -> Halt<E> {
        match error.as_db_error() {
            Some(db) => Halt::Refused(Box::new(refusal(db, |text| self.conninfo().redact(text)))),
            None => Halt::Failed(self.explain(self.runtime(), error, "this statement")),
        }
    }
}

fn refusal(db: &DbError, redact: impl Fn(&str) -> String) -> Refusal {
    let place = db.where_().filter(|place| place.starts_with("COPY "));
    // What follows is the content of a row.
    let place = place.map(|place| place.split(": \"").next().unwrap_or_default());
    let position = match db.position() {
        Some(ErrorPosition::Original(position)) => Some(*position),
        _ => None,
    };
    Refusal {
        sqlstate: db.code().code().to_owned(),
        message: redact(db.message()),
        detail: db.detail().map(&redact),
        hint: db.hint().map(&redact),
        place: place.map(&redact),
        position,
    }
}

/// Bytes as an expression of the type `bytea`.
pub fn hex_literal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut hex = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(hex, "{byte:02x}");
    }
    format!("pg_catalog.decode('{hex}', 'hex')")
}
