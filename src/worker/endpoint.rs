//! What a worker answers over HTTP: `/healthz` (it lives), `/readyz` (it takes
//! jobs) and `/metrics`.
//!
//! Nothing is changed over this door and nothing secret is behind it; it has no
//! locks of its own and belongs to an address that only the own machine or the
//! monitoring reaches.

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

/// How many are answered at once; others wait.
const CONNECTIONS_MAX: usize = 32;
/// How long somebody may take to ask.
const ASKING: Duration = Duration::from_secs(10);

/// Knows the answers. They may take a while: they are asked for in a thread of
/// their own.
pub trait Source: Send + Sync {
    /// Whether the worker lives; what is wrong if not.
    fn health(&self) -> Result<(), String>;
    /// Whether it takes jobs; what is wrong if not.
    fn readiness(&self) -> Result<(), String>;
    /// The numbers, and the type of their text.
    fn metrics(&self) -> Result<(String, &'static str), String>;
}

/// Answers for ever. Who ends the future closes the door.
pub async fn serve(listener: TcpListener, source: Arc<dyn Source>) -> Infallible {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&connections).acquire_owned().await.expect("nobody closes it");
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                wait_after(&error).await;
                continue;
            }
        };
        let source = Arc::clone(&source);
        tokio::spawn(async move {
            let answer = service_fn(move |request| answer(request, Arc::clone(&source)));
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(ASKING).keep_alive(false);
            // Who goes away or talks nonsense is no business of ours.
            let _ = http.serve_connection(TokioIo::new(stream), answer).await;
            drop(place);
        });
    }
}

/// Without file descriptors the next attempt would fail at once, too.
async fn wait_after(error: &io::Error) {
    if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn answer(
    request: Request<Incoming>,
    source: Arc<dyn Source>,
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
