//! Running the statements of scripts one by one. Rows are discarded. A statement is cancelled if
//! the caller wants to stop.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, TryStreamExt as _};
use tokio_postgres::NoTls;
use tokio_postgres::error::{DbError, ErrorPosition};

use super::tls::{self, Mode};
use super::{Client, Error, Result};

/// The interval at which the caller is asked whether to stop.
const TICK: Duration = Duration::from_millis(50);
/// The time that the server has to end a cancelled statement.
const PATIENCE: Duration = Duration::from_secs(2);

/// A statement that the server refused. Secrets of the connection are replaced in its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The five-character SQLSTATE code.
    pub sqlstate: String,
    /// The error message.
    pub message: String,
    /// The detail of the error message.
    pub detail: Option<String>,
    /// The hint of the error message.
    pub hint: Option<String>,
    /// The table and line of a COPY, without the content of the line.
    pub place: Option<String>,
    /// The position of the error in the statement, in characters from 1.
    pub position: Option<u32>,
}

/// The reason why a statement was not completed.
#[derive(Debug)]
pub enum Halt<E> {
    /// The server refused the statement.
    Refused(Box<Refusal>),
    /// The caller wanted to stop.
    Stopped,
    /// The data of a COPY could not be read.
    Data(E),
    /// The connection failed.
    Failed(Error),
}

/// The properties of a session on which the meaning of a script depends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The name of the database.
    pub database: String,
    /// The process id of the backend.
    pub process: String,
    /// The encoding of the database.
    pub encoding: String,
    /// True if a backslash is an ordinary character in `'...'` (`standard_conforming_strings`).
    pub standard_strings: bool,
}

impl Client {
    /// Resets the search path to the value before [`Client::connect`] emptied it. Fails if the
    /// connection is lost.
    pub fn reset_search_path(&self) -> Result<()> {
        self.execute("RESET search_path")
    }

    /// Reads the properties of the session from the server. Fails if the query fails.
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

    /// Returns true if a transaction block is open. Fails if the query fails.
    pub fn is_in_transaction(&self) -> Result<bool> {
        // Outside a transaction block, the transaction begins with the statement.
        const SQL: &str = "SELECT pg_catalog.transaction_timestamp() OPERATOR(pg_catalog.<>) \
             pg_catalog.statement_timestamp()";
        Ok(self.value(SQL, "the transaction")?.as_deref() == Some("t"))
    }

    /// Decodes text from an encoding. The server converts it as it would for a client of that
    /// encoding. Fails if the text cannot be converted to UTF-8 and back without change.
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

    /// Runs one statement and discards its rows. Fails if the server refuses it, `stop` returns
    /// true, or the connection fails.
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

    /// Runs `COPY ... FROM STDIN` with the chunks that `next` returns. Fails if the server refuses
    /// it, `next` fails, `stop` returns true, or the connection fails.
    pub fn copy_in<E>(
        &self,
        sql: &str,
        next: &mut dyn FnMut() -> Result<Option<Vec<u8>>, E>,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), Halt<E>> {
        let begun = self.until(self.inner().copy_in::<_, Bytes>(sql), stop)?;
        let mut sink = pin!(begun.map_err(|error| self.halt(&error))?);
        // On an early return the sink is dropped, which reports a failed COPY to the server.
        while let Some(piece) = next().map_err(Halt::Data)? {
            let sent = self.until(sink.feed(Bytes::from(piece)), stop)?;
            sent.map_err(|error| self.halt(&error))?;
        }
        self.until(sink.finish(), stop)?.map(drop).map_err(|error| self.halt(&error))
    }

    /// Waits for `work`. If `stop` returns true, cancels the statement.
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

    /// Asks the server to cancel the current statement.
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
    // The rest is the content of a row.
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

/// Returns an expression of type `bytea` with this value.
pub fn hex_literal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut hex = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(hex, "{byte:02x}");
    }
    format!("pg_catalog.decode('{hex}', 'hex')")
}
