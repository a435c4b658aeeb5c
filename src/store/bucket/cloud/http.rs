//! HTTP requests to a cloud: limits on their number and time, and their retries.
//!
//! All requests of this room may be sent twice: an object that exists is compared with the content
//! that was to be written. Therefore every temporary failure is retried, and here. The retries of
//! `object_store` are switched off: they skip requests that HTTP does not call idempotent, their
//! pauses are random between a minimum and twice the last pause and hardly grow, they report
//! nothing, and a signal does not end them.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService, ReqwestConnector,
};
use object_store::{ClientConfigKey, ClientOptions, HeaderMap, HeaderValue};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::error_response::{ErrorKind, ErrorResponse};
use super::retry::{Outage, Retries, RetryLimits, jitter};
use crate::process::interrupt::{self, Signal};

/// The maximum number of concurrent requests of one store.
pub(super) const REQUESTS_MAX: usize = 16;
/// The slowest upload that does not time out, in bytes per second.
const LINE_MIN: u64 = 32 << 10;
/// The maximum size of a response body, in bytes. A pack has at most 18 MiB, a WAL file may have 1
/// GiB.
const BODY_MAX: usize = 1 << 30;
/// The longest `Retry-After` that is respected.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(5);
/// The timeout of the instance metadata service of a cloud. It answers at once or does not exist.
const METADATA: Duration = Duration::from_secs(2);
/// The time without a byte from the server after which a request of an interrupted process fails.
const INTERRUPTED: Duration = Duration::from_secs(5);
/// The interval between two looks for a signal.
const LOOK: Duration = Duration::from_millis(50);

/// Creates HTTP clients that share the limit of concurrent requests.
#[derive(Debug)]
pub(super) struct Connector {
    requests: Arc<Semaphore>,
    limits: RetryLimits,
    outage: Arc<Outage>,
}

impl Connector {
    pub(super) fn new(limits: RetryLimits, outage: Outage) -> Self {
        Self { requests: Arc::new(Semaphore::new(REQUESTS_MAX)), limits, outage: Arc::new(outage) }
    }

    /// The options of all clients.
    pub(super) fn options() -> ClientOptions {
        // Timeouts are applied here, because the timeout of the crate is the same for all sizes.
        let agent = HeaderValue::from_static(concat!("git-pggit/", env!("CARGO_PKG_VERSION")));
        ClientOptions::new().with_user_agent(agent).with_timeout_disabled().with_connect_timeout(CONNECT)
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        // The crate shortens the connect timeout for the instance metadata service, and only for
        // it.
        let connect = |options: &ClientOptions| options.get_config_value(&ClientConfigKey::ConnectTimeout);
        let metadata = connect(options) != connect(&Self::options());
        Ok(HttpClient::new(Service {
            inner: ReqwestConnector::default().connect(options)?,
            requests: Arc::clone(&self.requests),
            limits: self.limits,
            outage: Arc::clone(&self.outage),
            metadata,
        }))
    }
}

#[derive(Debug)]
struct Service {
    inner: HttpClient,
    requests: Arc<Semaphore>,
    limits: RetryLimits,
    outage: Arc<Outage>,
    metadata: bool,
}

/// A failed attempt.
struct Failed {
    answer: ErrorResponse,
    /// The `Retry-After` of the server.
    wanted: Option<Duration>,
    timed_out: bool,
}

impl From<ErrorResponse> for Failed {
    fn from(answer: ErrorResponse) -> Self {
        Self { answer, wanted: None, timed_out: false }
    }
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if self.metadata {
            // A request for credentials is part of a request that holds a permit already.
            return match self.send(request, METADATA).await {
                Ok(response) if response.status().is_success() => Ok(response),
                _ => Err(failed(ErrorResponse::new(ErrorKind::NoCredentials, ""))),
            };
        }
        self.retried(&request).await.map_err(failed)
    }
}

impl Service {
    /// Sends a request, again after each temporary failure until a limit is reached.
    async fn retried(&self, request: &HttpRequest) -> Result<HttpResponse, ErrorResponse> {
        let mut retries = Retries::new(self.limits);
        let mut last: Option<ErrorResponse> = None;
        // The begin of the failures; `None` before the first one.
        let mut since: Option<Instant> = None;
        loop {
            // The semaphore is never closed. A request that waits for the server does not block others.
            let place = self.requests.acquire().await;
            let begun = Instant::now();
            let own = since.map_or(Duration::ZERO, |since| since.elapsed());
            let (patience, is_shortened) = retries.patience(own.max(self.outage.elapsed()));
            let attempt = self.attempt(request, patience);
            // A signal does not break off a request that may be about to succeed.
            let answer = match since {
                None => attempt.await,
                Some(_) => unless_interrupted(attempt)
                    .await
                    .unwrap_or_else(|signal| Err(ErrorResponse::interrupted(signal).into())),
            };
            drop(place);
            let Failed { answer, wanted, timed_out } = match answer {
                Err(failure) if failure.answer.kind == ErrorKind::Temporary => failure,
                answer => {
                    if answer.as_ref().map_or_else(|failure| failure.answer.has_response, |_| true) {
                        self.outage.is_over();
                    }
                    return answer.map_err(|failure| failure.answer);
                }
            };
            // An upload may have worked for minutes before its connection broke.
            let earliest = Instant::now().checked_sub(patience).filter(|_| !timed_out);
            let earliest = earliest.map_or(begun, |earliest| earliest.max(begun));
            let own = *since.get_or_insert(earliest);
            self.outage.goes_on(own);
            let elapsed = own.elapsed().max(self.outage.elapsed());
            // The end of a shortened attempt says less than the failure before it.
            let answer = match last.take() {
                Some(last) if timed_out && is_shortened => last,
                _ => answer,
            };
            let Some(pause) = retries.pause(elapsed, wanted, jitter()) else { return Err(answer) };
            tracing::debug!(reason = answer.detail, pause_ms = pause.as_millis(), "request failed");
            self.outage.waits(elapsed + pause, &answer);
            unless_interrupted(sleep(pause)).await.map_err(ErrorResponse::interrupted)?;
            last = Some(answer);
        }
    }

    /// Sends a request once, and interprets the response.
    async fn attempt(&self, request: &HttpRequest, patience: Duration) -> Result<HttpResponse, Failed> {
        let response = self.send(request.clone(), patience).await?;
        let status = response.status();
        if status.is_success() || status.as_u16() == 304 {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = body.bytes().await.map_err(|error| ErrorResponse::transport(&error))?;
        let answer = ErrorResponse::read(status.as_u16(), &parts.headers, &body);
        match answer.kind {
            // The crate has error variants for these.
            ErrorKind::Missing | ErrorKind::Exists => Ok(HttpResponse::from_parts(parts, body.into())),
            _ => Err(Failed { answer, wanted: retry_after(&parts.headers), timed_out: false }),
        }
    }

    /// Sends a request and reads the whole response. Fails if the connection breaks before its end, or
    /// after the time `patience` without a byte from the server.
    async fn send(&self, request: HttpRequest, patience: Duration) -> Result<HttpResponse, Failed> {
        let patience = match interrupt::requested() {
            Some(_) => patience.min(INTERRUPTED),
            None => patience,
        };
        let upload = request.body().content_length() as u64;
        let limit = patience + Duration::from_secs(upload / LINE_MIN);
        let response = match timeout(limit, self.inner.execute(request)).await {
            Ok(response) => response.map_err(|error| ErrorResponse::transport(&error))?,
            Err(_) => return Err(timed_out(limit)),
        };
        let (parts, body) = response.into_parts();
        let promised =
            parts.headers.get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
        let body = read(body, promised.unwrap_or(0), patience).await?;
        Ok(HttpResponse::from_parts(parts, body.into()))
    }
}

async fn read(body: HttpResponseBody, promised: usize, patience: Duration) -> Result<Bytes, Failed> {
    let mut content = BytesMut::with_capacity(promised.min(32 << 20));
    let mut stream = body.bytes_stream();
    loop {
        match timeout(patience, stream.next()).await {
            Ok(Some(part)) => content.extend(part.map_err(|error| ErrorResponse::transport(&error))?),
            Ok(None) => return Ok(content.freeze()),
            Err(_) => return Err(timed_out(patience)),
        }
        if content.len() > BODY_MAX {
            return Err(ErrorResponse::new(ErrorKind::Permanent, "the response is larger than 1 GiB").into());
        }
    }
}

fn timed_out(limit: Duration) -> Failed {
    let answer = ErrorResponse::new(ErrorKind::Temporary, &format!("no response within {limit:?}"));
    Failed { answer, wanted: None, timed_out: true }
}

/// Returns the result of `work`, or the signal that asked this process to exit meanwhile or before.
async fn unless_interrupted<T>(work: impl Future<Output = T>) -> Result<T, Signal> {
    let signal = async {
        loop {
            if let Some(signal) = interrupt::requested() {
                return signal;
            }
            sleep(LOOK).await;
        }
    };
    tokio::select! {
        biased;
        done = work => Ok(done),
        signal = signal => Err(signal),
    }
}

/// Converts a response to an error of the crate.
fn failed(answer: ErrorResponse) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, answer)
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

impl fmt::Display for ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for ErrorResponse {}
