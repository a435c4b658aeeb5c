//! The HTTP endpoint of a worker: `/healthz` (liveness), `/readyz` (readiness) and `/metrics`.
//!
//! It changes nothing and has no secrets. It has no authentication, so it should listen on the
//! loopback address or on an address that only the monitoring can reach.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

/// The maximum number of concurrent connections. One more closes the oldest: a client that sends nothing must not
/// keep a liveness probe away.
const CONNECTIONS_MAX: usize = 256;
/// The time within which a client must send its request.
const ASKING: Duration = Duration::from_secs(5);
/// The maximum number of concurrent requests for metrics. Others wait.
const METRICS_MAX: usize = 4;

/// The source of the responses. Its methods may block, so they run in threads of their own.
pub trait StatusSource: Send + Sync {
    /// Returns an error with the reason if the worker is stuck.
    fn health(&self) -> Result<(), String>;
    /// Returns an error with the reason if the worker does not claim jobs.
    fn readiness(&self) -> Result<(), String>;
    /// Returns the metrics as text, and its content type.
    fn metrics(&self) -> Result<(String, &'static str), String>;
}

/// Serves requests until the future is dropped.
pub async fn serve(listener: TcpListener, source: Arc<dyn StatusSource>) -> Infallible {
    let metrics = Arc::new(Semaphore::new(METRICS_MAX));
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                wait_after(&error).await;
                continue;
            }
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() >= CONNECTIONS_MAX
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        let (source, metrics) = (Arc::clone(&source), Arc::clone(&metrics));
        let connection = tokio::spawn(async move {
            let answer =
                service_fn(move |request| answer(request, Arc::clone(&source), Arc::clone(&metrics)));
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(ASKING).keep_alive(false);
            // Errors of clients are ignored.
            let _ = http.serve_connection(TokioIo::new(stream), answer).await;
        });
        open.push_back(connection.abort_handle());
    }
}

/// Without free file descriptors, the next `accept` would fail immediately, too.
async fn wait_after(error: &io::Error) {
    if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn answer(
    request: Request<Incoming>,
    source: Arc<dyn StatusSource>,
    metrics: Arc<Semaphore>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    const TEXT: &str = "text/plain; charset=utf-8";
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET\n".to_owned());
        response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        return Ok(response);
    }
    let path = request.uri().path().to_owned();
    let verdict = |verdict: Result<(), String>| match verdict {
        Ok(()) => response(StatusCode::OK, TEXT, "ok\n".to_owned()),
        Err(why) => response(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{why}\n")),
    };
    let _place = match path.as_str() {
        "/metrics" => Some(metrics.acquire().await.expect("the semaphore is never closed")),
        _ => None,
    };
    let found = tokio::task::spawn_blocking(move || match path.as_str() {
        "/healthz" => verdict(source.health()),
        "/readyz" => verdict(source.readiness()),
        "/metrics" => match source.metrics() {
            Ok((text, kind)) => response(StatusCode::OK, kind, text),
            Err(why) => response(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{why}\n")),
        },
        _ => response(StatusCode::NOT_FOUND, TEXT, "there are /healthz, /readyz and /metrics\n".to_owned()),
    });
    let broken = |_| response(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "internal error\n".to_owned());
    Ok(found.await.unwrap_or_else(broken))
}

fn response(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}
