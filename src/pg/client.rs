//! A blocking connection.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::types::{ToSql, Type};

use super::connect::{Connected, connect, query_error};
use super::{ConnInfo, Error, Result};

/// Rows of text; `None` is NULL.
pub type Rows = Vec<Vec<Option<String>>>;

/// The time that the connection has to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The statements at the start of every session. The search path is empty, so that the owner of a
/// database cannot make the session call functions of theirs. Time limits that the server, the
/// database or the role sets are lifted, because a session holds a lock, a snapshot or a `LISTEN`
/// for hours, busy or idle. Transactions are not read-only by default.
const SESSION: &str = "SELECT pg_catalog.set_config('search_path', '', false); \
    SELECT set_config(name, CASE vartype WHEN 'bool' THEN 'off' ELSE '0' END, false) FROM pg_settings \
    WHERE setting NOT IN ('0', 'off') AND name IN ('statement_timeout', 'lock_timeout', 'transaction_timeout', \
    'idle_in_transaction_session_timeout', 'idle_session_timeout', 'default_transaction_read_only')";

/// A connection to a database. A thread of its own polls the connection while the caller does
/// something else.
pub struct Client {
    // Both are `Some` until drop.
    runtime: Option<Runtime>,
    inner: Option<tokio_postgres::Client>,
    polling: Mutex<Option<JoinHandle<Option<tokio_postgres::Error>>>>,
    info: ConnInfo,
    target: String,
    notified: Arc<Notify>,
}

impl Client {
    /// Connects to the first host of `info` that accepts. `application` is the application name in
    /// the activity views of the server, unless `info` has one. Fails if no host accepts the
    /// connection.
    pub fn connect(info: &ConnInfo, application: &str) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("pg").enable_all().build();
        let runtime =
            runtime.map_err(|error| Error::unexpected(format!("no thread for a connection: {error}")))?;
        let connected = match runtime.block_on(connect(info, application)) {
            Ok(connected) => connected,
            Err(error) => {
                // A hanging name lookup must not block the caller.
                runtime.shutdown_background();
                return Err(error);
            }
        };
        let Connected { client, polling, target, notified } = connected;
        let polling = Mutex::new(Some(polling));
        let (runtime, inner, info) = (Some(runtime), Some(client), info.clone());
        let client = Self { runtime, inner, polling, info, target, notified };
        client.execute(SESSION)?;
        Ok(client)
    }

    /// Returns the settings of the connection.
    pub fn conninfo(&self) -> &ConnInfo {
        &self.info
    }

    /// Returns the host and port of the server.
    pub fn target(&self) -> &str {
        &self.target
    }

    pub(super) fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("a client loses its runtime only when it is dropped")
    }

    pub(super) fn inner(&self) -> &tokio_postgres::Client {
        self.inner.as_ref().expect("a client loses its connection only when it is dropped")
    }

    /// Runs statements and discards their rows. The search path is empty. Fails if the server
    /// refuses one.
    pub fn execute(&self, sql: &str) -> Result<()> {
        self.query_for(sql, "this statement").map(drop)
    }

    /// Runs statements and returns their rows as text. The search path is empty. Fails if the
    /// server refuses one.
    pub fn query(&self, sql: &str) -> Result<Rows> {
        self.query_for(sql, "this statement")
    }

    /// Runs one statement, in which `$1` and so on stand for `values`, and returns its rows. All
    /// values and columns are of type text. The activity views of the server show the statement without
    /// the values.
    pub fn query_with(&self, sql: &str, values: &[Option<String>]) -> Result<Rows> {
        if sql.contains('\0') || values.iter().flatten().any(|value| value.contains('\0')) {
            return Err(Error::unexpected("a NUL in a statement"));
        }
        let (runtime, inner) = (self.runtime(), self.inner());
        let values: Vec<(&(dyn ToSql + Sync), Type)> =
            values.iter().map(|value| (value as &(dyn ToSql + Sync), Type::TEXT)).collect();
        let rows = runtime.block_on(inner.query_typed(sql, &values));
        let rows = rows.map_err(|error| self.explain(runtime, &error, "this statement"))?;
        let column = |row: &tokio_postgres::Row, at: usize| {
            row.try_get(at).map_err(|_| Error::unexpected("a column that is not text"))
        };
        rows.iter().map(|row| (0..row.len()).map(|at| column(row, at)).collect()).collect()
    }

    /// Waits up to `patience` for a notification on a channel of `LISTEN`. Returns true if there
    /// was at least one. Fails if the connection is closed.
    pub fn wait_notified(&self, patience: Duration) -> Result<bool> {
        let (Some(runtime), Some(inner)) = (&self.runtime, &self.inner) else {
            unreachable!("a client loses its connection only when it is dropped")
        };
        let waited =
            runtime.block_on(async { tokio::time::timeout(patience, self.notified.notified()).await });
        if inner.is_closed() {
            let detail = "the server has closed it".to_owned();
            return Err(Error::ConnectionLost { target: self.target.clone(), detail });
        }
        Ok(waited.is_ok())
    }

    /// Runs a query that is an assertion. Returns true if its value is true; NULL is not. Returns
    /// `None` if it is not one query with one column of type boolean and one row. Fails if the
    /// server refuses it.
    pub fn is_true(&self, sql: &str) -> Result<Option<bool>> {
        if sql.contains('\0') {
            return Err(Error::unexpected("a NUL in a statement"));
        }
        let (Some(runtime), Some(inner)) = (&self.runtime, &self.inner) else {
            unreachable!("a client loses its connection only when it is dropped")
        };
        // A simple query could have several statements, with COMMIT as the first one.
        let answer = async {
            let statement = inner.prepare(sql).await?;
            let is_assertion = matches!(statement.columns(), [only] if *only.type_() == Type::BOOL);
            if !is_assertion || !statement.params().is_empty() {
                return Ok(None);
            }
            let mut rows = pin!(inner.query_raw(&statement, Vec::<String>::new()).await?);
            let first = rows.try_next().await?;
            // A stream must not be polled after its end.
            let second = if first.is_some() { rows.try_next().await? } else { None };
            let answer = first.filter(|_| second.is_none()).map(|row| row.try_get::<_, Option<bool>>(0));
            Ok(answer.transpose()?.map(|answer| answer == Some(true)))
        };
        runtime.block_on(answer).map_err(|error| self.explain(runtime, &error, "this query"))
    }

    /// Runs `COPY ... TO STDOUT` and calls `row` with each row.
    ///
    /// # Errors
    /// If the server refuses it, or the connection fails.
    pub fn copy_out(&self, sql: &str, mut row: impl FnMut(&[u8])) -> Result<()> {
        let (Some(runtime), Some(inner)) = (&self.runtime, &self.inner) else {
            unreachable!("a client loses its connection only when it is dropped")
        };
        let copied = async {
            let mut stream = pin!(inner.copy_out(sql).await?);
            while let Some(bytes) = stream.try_next().await? {
                // The server sends each row in a separate message.
                row(&bytes);
            }
            Ok(())
        };
        runtime.block_on(copied).map_err(|error| self.explain(runtime, &error, "this table"))
    }

    /// Runs statements. If permission is denied, the error names `what`.
    pub(super) fn query_for(&self, sql: &str, what: &str) -> Result<Rows> {
        if sql.contains('\0') {
            return Err(Error::unexpected("a NUL in a statement"));
        }
        let (Some(runtime), Some(inner)) = (&self.runtime, &self.inner) else {
            unreachable!("a client loses its connection only when it is dropped")
        };
        let messages =
            runtime.block_on(inner.simple_query(sql)).map_err(|error| self.explain(runtime, &error, what))?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        rows.map(|row| (0..row.len()).map(|at| self.text(&row, at)).collect()).collect()
    }

    /// Returns the first column of the first row.
    pub(super) fn value(&self, sql: &str, what: &str) -> Result<Option<String>> {
        let mut rows = self.query_for(sql, what)?;
        Ok(if rows.is_empty() { None } else { rows.swap_remove(0).into_iter().next().flatten() })
    }

    fn text(&self, row: &tokio_postgres::SimpleQueryRow, at: usize) -> Result<Option<String>> {
        let text = row.try_get(at).map_err(|_| Error::unexpected("a text that is not UTF-8"))?;
        Ok(text.map(str::to_owned))
    }

    pub(super) fn explain(&self, runtime: &Runtime, error: &tokio_postgres::Error, what: &str) -> Error {
        let redact = |text: &str| self.info.redact(text);
        if let Some(db) = error.as_db_error() {
            let detail = redact(db.message());
            return match db.code().code() {
                "42501" => Error::PermissionDenied { what: what.to_owned(), detail },
                "57P01" | "57P02" => Error::ConnectionLost { target: self.target.clone(), detail },
                _ => query_error(db, redact),
            };
        }
        // The error of the polling task is more precise than the error of the request.
        let polling = self.polling.lock().unwrap_or_else(PoisonError::into_inner).take();
        let limit = |polling| async { tokio::time::timeout(CLOSE_TIMEOUT, polling).await };
        let end = polling.and_then(|polling| runtime.block_on(limit(polling)).ok()?.ok()?);
        let reason = end.as_ref().unwrap_or(error);
        let source = std::error::Error::source(reason);
        let detail = reason.as_db_error().map(|db| db.message().to_owned());
        let detail = detail.or_else(|| source.map(ToString::to_string)).unwrap_or_else(|| reason.to_string());
        Error::ConnectionLost { target: self.target.clone(), detail: redact(&detail) }
    }
}

/// Closes the connection properly, so that the server log has no warning and the database can be
/// renamed or dropped immediately.
impl Drop for Client {
    fn drop(&mut self) {
        drop(self.inner.take());
        let polling = self.polling.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = self.runtime.take() {
            if let Some(polling) = polling {
                let _ = runtime.block_on(async { tokio::time::timeout(CLOSE_TIMEOUT, polling).await });
            }
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.info).finish()
    }
}
