//! What happens around every request: so many at once, so long, and what an
//! answer means for those that come after it.
//!
//! The crate below tries again only what the words of HTTP call safe. All that we
//! ask of a cloud may be asked twice: an object that is there already is compared
//! with what was to be written. So everything that may go better next time is
//! said to it in the words that it tries again for, and it counts and waits.

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

use super::answer::{Answer, Meaning};

/// How many requests there are at once for one store.
const REQUESTS_MAX: usize = 8;
/// How slow a line may be, in bytes per second, before its uploads take too long.
const LINE_MIN: u64 = 32 << 10;
/// Nothing that we read is larger; a pack has 17 MiB.
const BODY_MAX: usize = 1 << 30;
/// Longer than this nobody is waited for who asks for it.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(5);
/// Where a machine asks who it is there is an answer at once, or nobody.
const METADATA: Duration = Duration::from_secs(2);

/// Makes clients that share a bound.
#[derive(Debug)]
pub(super) struct Connector {
    requests: Arc<Semaphore>,
    patience: Duration,
}

impl Connector {
    /// `patience` is how long a server may be silent.
    pub(super) fn new(patience: Duration) -> Self {
        Self { requests: Arc::new(Semaphore::new(REQUESTS_MAX)), patience }
    }

    /// What all clients have in common.
    pub(super) fn options() -> ClientOptions {
        // Time is counted here: the crate's limit is one for all sizes.
        let agent = HeaderValue::from_static(concat!("git-pggit/", env!("CARGO_PKG_VERSION")));
        ClientOptions::new().with_user_agent(agent).with_timeout_disabled().with_connect_timeout(CONNECT)
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        // The crate shortens this for the machine's own address, and only there.
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
            // It is asked for a credential by a request that has its place already.
            return match self.ask(request).await {
                Ok(response) if response.status().is_success() => Ok(response),
                _ => Err(failed(Answer::new(Meaning::NoCredentials, ""))),
            };
        }
        // It is closed never.
        let _place = self.requests.acquire().await;
        let response = self.ask(request).await.map_err(failed)?;
        let status = response.status();
        if status.is_success() || status.as_u16() == 304 {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = body.bytes().await?;
        let answer = Answer::read(status.as_u16(), &parts.headers, &body);
        match answer.meaning {
            // What the crate has a word for.
            Meaning::Missing | Meaning::There => Ok(HttpResponse::from_parts(parts, body.into())),
            Meaning::Later => {
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
    /// The whole answer: one that breaks off is none.
    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, Answer> {
        let upload = request.body().content_length() as u64;
        let limit = self.patience + Duration::from_secs(upload / LINE_MIN);
        let response = match timeout(limit, self.inner.execute(request)).await {
            Ok(response) => response.map_err(|error| Answer::transport(&error))?,
            Err(_) => return Err(self.silent(limit)),
        };
        let (parts, body) = response.into_parts();
        let promised =
            parts.headers.get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
        let body = self.body(body, promised.unwrap_or(0)).await?;
        Ok(HttpResponse::from_parts(parts, body.into()))
    }

    async fn body(&self, body: HttpResponseBody, promised: usize) -> Result<Bytes, Answer> {
        let mut content = BytesMut::with_capacity(promised.min(32 << 20));
        let mut stream = body.bytes_stream();
        loop {
            match timeout(self.patience, stream.next()).await {
                Ok(Some(part)) => content.extend(part.map_err(|error| Answer::transport(&error))?),
                Ok(None) => return Ok(content.freeze()),
                Err(_) => return Err(self.silent(self.patience)),
            }
            if content.len() > BODY_MAX {
                return Err(Answer::new(Meaning::Refused, "the answer never ends"));
            }
        }
    }

    fn silent(&self, limit: Duration) -> Answer {
        Answer::new(Meaning::Later, &format!("no answer within {limit:?}"))
    }
}

/// An answer in the words of the crate below: `Request` it tries again.
fn failed(answer: Answer) -> HttpError {
    let kind = match answer.meaning {
        Meaning::Later => HttpErrorKind::Request,
        _ => HttpErrorKind::Unknown,
    };
    HttpError::new(kind, answer)
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Answer {}
