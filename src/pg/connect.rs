//! Opens a connection: selects the host, decides about TLS, and interprets the refusal of a server.

use std::error::Error as _;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::config::{ChannelBinding, SslMode, SslNegotiation};
use tokio_postgres::error::DbError;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, SimpleQueryMessage};

use super::conninfo::Host;
use super::tls::{self, Mode};
use super::{ConnInfo, Error, Result};

/// An open connection, polled by the runtime that opened it.
pub(super) struct Connected {
    pub(super) client: tokio_postgres::Client,
    /// Finishes when the connection ends; the result is the error that broke it.
    pub(super) polling: JoinHandle<Option<tokio_postgres::Error>>,
    pub(super) target: String,
    /// Notified when a notification arrives, and when the connection ends.
    pub(super) notified: Arc<Notify>,
}

/// Polls a connection until it ends.
fn keep_polling<S, T>(mut connection: Connection<S, T>, target: String, client: Client) -> Connected
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let notified = Arc::new(Notify::new());
    let wake = Arc::clone(&notified);
    let polling = tokio::spawn(async move {
        let end = loop {
            match poll_fn(|context| connection.poll_message(context)).await {
                Some(Ok(AsyncMessage::Notification(_))) => wake.notify_one(),
                Some(Ok(_)) => {}
                Some(Err(error)) => break Some(error),
                None => break None,
            }
        };
        wake.notify_one();
        end
    });
    Connected { client, polling, target, notified }
}

/// The default idle time before a TCP keepalive probe is sent. Firewalls and load balancers forget
/// idle connections after some minutes, and a session may hold a lock or a snapshot for hours.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);

/// Settings that make a connection safer and that this client does not support.
const REFUSED: [&str; 4] = ["requirepeer", "require_auth", "sslcrldir", "replication"];

/// Tries the hosts in order until one accepts the connection and has the requested
/// `target_session_attrs`.
pub(super) async fn connect(info: &ConnInfo, application: &str) -> Result<Connected> {
    refuse_unsupported(info)?;
    let attrs = SessionAttrs::of(info)?;
    let mut failure = Error::conninfo("no host is given");
    for pass in attrs.passes() {
        for host in info.hosts() {
            match connect_host(info, host, application, *pass).await {
                Ok(connected) => return Ok(connected),
                // As in libpq, a server that answers and refuses ends the search.
                Err(error @ (Error::Unreachable { .. } | Error::Starting { .. })) => failure = error,
                Err(error) => return Err(error),
            }
        }
    }
    Err(failure)
}

fn refuse_unsupported(info: &ConnInfo) -> Result<()> {
    if let Some(keyword) = REFUSED.into_iter().find(|keyword| info.setting(keyword).is_some()) {
        return Err(Error::conninfo(format!("{keyword} is not supported")));
    }
    for (keyword, value) in [("gssencmode", "require"), ("sslcertmode", "require")] {
        if info.setting(keyword) == Some(value) {
            return Err(Error::conninfo(format!("{keyword}={value} is not supported")));
        }
    }
    Ok(())
}

/// The values of `target_session_attrs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SessionAttrs {
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

impl SessionAttrs {
    fn of(info: &ConnInfo) -> Result<Self> {
        Ok(match info.setting("target_session_attrs") {
            None | Some("any") => Self::Any,
            Some("read-write") => Self::ReadWrite,
            Some("read-only") => Self::ReadOnly,
            Some("primary") => Self::Primary,
            Some("standby") => Self::Standby,
            Some("prefer-standby") => Self::PreferStandby,
            Some(_) => return Err(Error::conninfo("unknown value of target_session_attrs")),
        })
    }

    fn passes(self) -> &'static [Self] {
        match self {
            Self::Any => &[Self::Any],
            Self::ReadWrite => &[Self::ReadWrite],
            Self::ReadOnly => &[Self::ReadOnly],
            Self::Primary => &[Self::Primary],
            Self::Standby => &[Self::Standby],
            Self::PreferStandby => &[Self::Standby, Self::Any],
        }
    }

    /// Returns the query for the server and the required result.
    fn query(self) -> Option<(&'static str, &'static str)> {
        const READ_ONLY: &str = "SHOW transaction_read_only";
        const STANDBY: &str = "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'on' ELSE 'off' END";
        match self {
            Self::Any | Self::PreferStandby => None,
            Self::ReadWrite => Some((READ_ONLY, "off")),
            Self::ReadOnly => Some((READ_ONLY, "on")),
            Self::Primary => Some((STANDBY, "off")),
            Self::Standby => Some((STANDBY, "on")),
        }
    }
}

async fn connect_host(
    info: &ConnInfo,
    host: &Host,
    application: &str,
    attrs: SessionAttrs,
) -> Result<Connected> {
    let attempt = async {
        let connected = connect_with_fallback(info, host, application).await?;
        let Some((query, answer)) = attrs.query() else { return Ok(connected) };
        let rows = connected.client.simple_query(query).await.map_err(|error| explain(&error, info, host))?;
        let is_wanted =
            rows.iter().any(|row| matches!(row, SimpleQueryMessage::Row(row) if row.get(0) == Some(answer)));
        let detail = "the server does not match target_session_attrs".to_owned();
        if is_wanted { Ok(connected) } else { Err(Error::Unreachable { target: host.target(), detail }) }
    };
    match seconds(info, "connect_timeout")?.filter(|&seconds| seconds > 0) {
        // libpq raises a timeout of one second to two.
        Some(limit) => {
            tokio::time::timeout(Duration::from_secs(limit.max(2)), attempt).await.unwrap_or_else(|_| {
                Err(Error::Unreachable { target: host.target(), detail: "timeout expired".to_owned() })
            })
        }
        None => attempt.await,
    }
}

/// The mode `allow` tries without TLS first, `prefer` with TLS; both then try the other way.
async fn connect_with_fallback(info: &ConnInfo, host: &Host, application: &str) -> Result<Connected> {
    let mode = if host.is_socket() { Mode::Disable } else { Mode::of(info)? };
    let modes: &[SslMode] = match mode {
        Mode::Disable => &[SslMode::Disable],
        Mode::Allow => &[SslMode::Disable, SslMode::Require],
        Mode::Prefer => &[SslMode::Prefer, SslMode::Disable],
        Mode::Require | Mode::VerifyCa | Mode::VerifyFull => &[SslMode::Require],
    };
    let mut failure = None;
    for tls_mode in modes {
        match connect_once(info, host, application, mode, *tls_mode).await {
            Ok(connected) => return Ok(connected),
            Err((error, may_retry)) => {
                if !may_retry {
                    return Err(error);
                }
                // The error of the preferred way is reported.
                failure.get_or_insert(error);
            }
        }
    }
    Err(failure.expect("there is at least one way, and it has failed"))
}

/// Tries one way. The flag of an error is true if the other way, with or without TLS, may succeed.
async fn connect_once(
    info: &ConnInfo,
    host: &Host,
    application: &str,
    mode: Mode,
    tls_mode: SslMode,
) -> Result<Connected, (Error, bool)> {
    let final_error = |error| (error, false);
    let mut config = config(info, host, application).map_err(final_error)?;
    config.ssl_mode(tls_mode);
    let refused = |error: tokio_postgres::Error| {
        let may_retry = is_tls(&error) || error.as_db_error().is_some_and(|db| db.code().code() == "28000");
        (explain(&error, info, host), may_retry)
    };
    let target = host.target();
    if tls_mode == SslMode::Disable {
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.map_err(refused)?;
        return Ok(keep_polling(connection, target, client));
    }
    let connector = tls::connector(info, host, mode).map_err(|error| (error, true))?;
    let (client, connection) = config.connect(connector).await.map_err(refused)?;
    Ok(keep_polling(connection, target, client))
}

fn config(info: &ConnInfo, host: &Host, application: &str) -> Result<Config> {
    let mut config = Config::new();
    if host.name().starts_with('@') {
        return Err(Error::conninfo("sockets in the abstract namespace are not supported"));
    }
    config.host(host.name_or_address()).port(host.port()).user(info.user()).dbname(info.dbname());
    if let Some(address) = host.address() {
        config.hostaddr(address);
    }
    if let Some(password) = info.password_for(host) {
        config.password(password.reveal());
    }
    if let Some(options) = info.setting("options") {
        config.options(options);
    }
    config.application_name(info.setting("application_name").unwrap_or(application));
    config.channel_binding(match info.setting("channel_binding") {
        None | Some("prefer") => ChannelBinding::Prefer,
        Some("disable") => ChannelBinding::Disable,
        Some("require") => ChannelBinding::Require,
        Some(_) => return Err(Error::conninfo("unknown value of channel_binding")),
    });
    if info.setting("sslnegotiation") == Some("direct") {
        config.ssl_negotiation(SslNegotiation::Direct);
    }
    config.keepalives(info.setting("keepalives") != Some("0"));
    let positive = |keyword: &str| Ok::<_, Error>(seconds(info, keyword)?.filter(|&value| value > 0));
    config.keepalives_idle(positive("keepalives_idle")?.map_or(KEEPALIVE_IDLE, Duration::from_secs));
    positive("keepalives_interval")?
        .map(|interval| config.keepalives_interval(Duration::from_secs(interval)));
    let count = positive("keepalives_count")?.and_then(|count| u32::try_from(count).ok());
    count.map(|count| config.keepalives_retries(count));
    positive("tcp_user_timeout")?.map(|limit| config.tcp_user_timeout(Duration::from_millis(limit)));
    Ok(config)
}

/// Returns the value of a setting, in its unit; `None` if it is absent or negative.
fn seconds(info: &ConnInfo, keyword: &str) -> Result<Option<u64>> {
    let number = |text: &str| text.trim().parse::<i64>();
    let value = info.setting(keyword).map(number).transpose();
    let value = value.map_err(|_| Error::conninfo(format!("{keyword} is not a whole number")))?;
    Ok(value.and_then(|value| u64::try_from(value).ok()))
}

/// Returns the cause of an error of the client library, whose own message has only the kind.
fn cause(error: &tokio_postgres::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

fn is_tls(error: &tokio_postgres::Error) -> bool {
    error.to_string() == "error performing TLS handshake"
}

/// Converts an error of connecting.
fn explain(error: &tokio_postgres::Error, info: &ConnInfo, host: &Host) -> Error {
    if let Some(db) = error.as_db_error() {
        return explain_refusal(db, info);
    }
    let detail = info.redact(&cause(error));
    if is_tls(error) {
        return Error::Tls { detail };
    }
    if detail == "password missing" {
        return Error::AuthFailed { user: info.user().to_owned(), detail: "no password supplied".to_owned() };
    }
    if error.to_string() == "authentication error" {
        return Error::AuthFailed { user: info.user().to_owned(), detail };
    }
    Error::Unreachable { target: host.target(), detail }
}

fn explain_refusal(db: &DbError, info: &ConnInfo) -> Error {
    let detail = info.redact(db.message());
    let dbname = || info.dbname().to_owned();
    match db.code().code() {
        "28P01" | "28000" => Error::AuthFailed { user: info.user().to_owned(), detail },
        "3D000" => Error::DatabaseMissing { dbname: dbname() },
        "53300" => Error::TooManyConnections { detail },
        "57P03" => Error::Starting { detail },
        "42501" => Error::PermissionDenied { what: format!("database {:?}", info.dbname()), detail },
        _ => query_error(db, |text| info.redact(text)),
    }
}

/// Converts an error of the server, with secrets replaced.
pub(super) fn query_error(db: &DbError, redact: impl Fn(&str) -> String) -> Error {
    Error::Query {
        sqlstate: db.code().code().to_owned(),
        message: redact(db.message()),
        hint: db.hint().map(&redact),
        detail: db.detail().map(&redact),
    }
}
