//! HTTP requests to a cloud: limits on their number and time, and which responses are retried.
//!
//! `object_store` retries only requests that HTTP calls safe or idempotent. All requests of this
//! room may be sent twice: an object that exists is compared with the content that was to be
//! written. Therefore every temporary failure is reported to the crate as an error kind that it
//! retries. The crate counts the attempts and waits between them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

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

/// The maximum number of concurrent requests of one store.
const REQUESTS_MAX: usize = 8;
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

/// Creates HTTP clients that share the limit of concurrent requests.
#[derive(Debug)]
pub(super) struct Connector {
    requests: Arc<Semaphore>,
    patience: Duration,
}

impl Connector {
    /// `patience` is the time without a byte from the server after which a request fails.
    pub(super) fn new(patience: Duration) -> Self {
        Self { requests: Arc::new(Semaphore::new(REQUESTS_MAX)), patience }
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
            patience: if metadata { METADATA } else { self.patience },
            metadata,
        }))
    }
}

#[derive(Debug)]
struct Service {
    inner: HttpClient,
    requests: Arc<Semaphore>,
    patience: Duration,
    metadata: bool,
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if self.metadata {
            // A request for credentials is part of a request that holds a permit already.
            return match self.send(request).await {
                Ok(response) if response.status().is_success() => Ok(response),
                _ => Err(failed(ErrorResponse::new(ErrorKind::NoCredentials, ""))),
            };
        }
        // The semaphore is never closed.
        let _place = self.requests.acquire().await;
        let response = self.send(request).await.map_err(failed)?;
        let status = response.status();
        if status.is_success() || status.as_u16() == 304 {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = body.bytes().await?;
        let answer = ErrorResponse::read(status.as_u16(), &parts.headers, &body);
        match answer.kind {
            // The crate has error variants for these.
            ErrorKind::Missing | ErrorKind::Exists => Ok(HttpResponse::from_parts(parts, body.into())),
            ErrorKind::Temporary => {
                if let Some(wait) = retry_after(&parts.headers) {
                    sleep(wait).await;
                }
                Err(failed(answer))
            }
            _ => Err(failed(answer)),
        }
    }
}

impl Service {
    /// Sends a request and reads the whole response. Fails if the connection breaks before its end.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, ErrorResponse> {
        let upload = request.body().content_length() as u64;
        let limit = self.patience + Duration::from_secs(upload / LINE_MIN);
        let response = match timeout(limit, self.inner.execute(request)).await {
            Ok(response) => response.map_err(|error| ErrorResponse::transport(&error))?,
            Err(_) => return Err(self.timed_out(limit)),
        };
        let (parts, body) = response.into_parts();
        let promised =
            parts.headers.get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
        let body = self.body(body, promised.unwrap_or(0)).await?;
        Ok(HttpResponse::from_parts(parts, body.into()))
    }

    async fn body(&self, body: HttpResponseBody, promised: usize) -> Result<Bytes, ErrorResponse> {
        let mut content = BytesMut::with_capacity(promised.min(32 << 20));
        let mut stream = body.bytes_stream();
        loop {
            match timeout(self.patience, stream.next()).await {
                Ok(Some(part)) => content.extend(part.map_err(|error| ErrorResponse::transport(&error))?),
                Ok(None) => return Ok(content.freeze()),
                Err(_) => return Err(self.timed_out(self.patience)),
            }
            if content.len() > BODY_MAX {
                return Err(ErrorResponse::new(ErrorKind::Permanent, "the response is larger than 1 GiB"));
            }
        }
    }

    fn timed_out(&self, limit: Duration) -> ErrorResponse {
        ErrorResponse::new(ErrorKind::Temporary, &format!("no response within {limit:?}"))
    }
}

/// Converts a response to an error of the crate, which retries errors of the kind `Request`.
fn failed(answer: ErrorResponse) -> HttpError {
    let kind = match answer.kind {
        ErrorKind::Temporary => HttpErrorKind::Request,
        _ => HttpErrorKind::Unknown,
    };
    HttpError::new(kind, answer)
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
