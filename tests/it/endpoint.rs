//! The HTTP responses of a worker to raw requests.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use pggit::domain::{JobKind, JobState};
use pggit::ledger::Ledger;
use pggit::queue::Stats;
use pggit::report::metrics::{CONTENT_TYPE, Counters, Reading, metrics};
use pggit::worker::http::{StatusSource, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::sandbox::Sandbox;

struct Fixed(Result<(), String>);

impl StatusSource for Fixed {
    fn health(&self) -> Result<(), String> {
        Ok(())
    }

    fn readiness(&self) -> Result<(), String> {
        self.0.clone()
    }

    fn metrics(&self) -> Result<(String, &'static str), String> {
        match &self.0 {
            Ok(()) => Ok(("# EOF\n".to_owned(), CONTENT_TYPE)),
            Err(_) => panic!("a bug"),
        }
    }
}

async fn start(readiness: Result<(), String>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, Arc::new(Fixed(readiness))));
    address
}

/// Sends bytes and reads until the server closes the connection.
async fn ask(address: std::net::SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

async fn get(address: std::net::SocketAddr, path: &str) -> String {
    ask(address, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await
}

#[tokio::test]
async fn there_are_three_answers_and_no_fourth() {
    let address = start(Ok(())).await;
    assert!(get(address, "/healthz").await.ends_with("\r\n\r\nok\n"));
    assert!(get(address, "/readyz?verbose=1").await.starts_with("HTTP/1.1 200 OK\r\n"));
    let text = get(address, "/metrics").await;
    assert!(
        text.contains("content-type: application/openmetrics-text") && text.ends_with("# EOF\n"),
        "{text}"
    );
    assert!(get(address, "/").await.starts_with("HTTP/1.1 404"));
    assert!(get(address, "/../../etc/passwd").await.starts_with("HTTP/1.1 404"));
    let post = ask(address, b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await;
    assert!(post.starts_with("HTTP/1.1 405") && post.contains("allow: GET, HEAD"), "{post}");
    let head = ask(address, b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
}

#[tokio::test]
async fn what_is_wrong_is_said_and_nothing_stops_the_answers() {
    let address = start(Err("the queue cannot be reached".to_owned())).await;
    let ready = get(address, "/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 503") && ready.ends_with("the queue cannot be reached\n"), "{ready}");
    assert!(get(address, "/metrics").await.starts_with("HTTP/1.1 500"));
    let _ = ask(address, b"\x16\x03\x01 nonsense\r\n\r\n").await;
    // Clients that connect and send nothing do not block others.
    let silent: Vec<_> = futures_of(address, 300).await;
    let answer = tokio::time::timeout(Duration::from_secs(20), get(address, "/healthz")).await.unwrap();
    assert!(answer.ends_with("ok\n"));
    drop(silent);
}

async fn futures_of(address: std::net::SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(TcpStream::connect(address).await.unwrap());
    }
    streams
}

#[test]
fn numbers_are_those_of_the_ledger_and_of_the_queue() {
    let sandbox = Sandbox::new();
    let _ = sandbox.commit("0001.sql", "create table a ();", "one");
    for (name, size) in [("one", "1000"), ("two", "2000")] {
        let args =
            ["backup", "register", "-d", "shop", "--tool", "x", "--location", "file:///x", "--name", name];
        let _ = sandbox.pggit(args.iter().chain(&["--size", size])).success();
    }
    let _ = sandbox.pggit(["backup", "register", "-d", "shop", "--tool", "x", "--in-progress"]).success();
    let repository = pggit::git::Repository::open(&sandbox.repo()).unwrap();
    let (clock, host) = (pggit::clock::System, "db1".parse().unwrap());
    let overview = Ledger::new(&repository, &clock, &host).overview().unwrap();
    let stats = Stats {
        by_state: vec![(JobState::Ready, 3), (JobState::PermanentlyFailed, 1)],
        due: 2,
        oldest_due_s: 61,
        ..Stats::default()
    };
    let counters = Counters::default();
    let shop = "shop".parse().unwrap();
    counters.count(JobKind::Backup, &shop, "completed", Duration::from_millis(2500));
    let databases = ["shop".parse().unwrap(), "never".parse().unwrap()];
    let now = pggit::clock::Clock::now(&clock);
    let reading = Reading {
        worker: "it's \"me\"\n",
        queue: &stats,
        backups: &overview,
        databases: &databases,
        missed: &BTreeSet::from(["never".parse().unwrap()]),
        now,
    };
    let text = metrics(&reading, &counters);
    for line in [
        "pggit_worker_up{worker=\"it's \\\"me\\\"\\n\"} 1",
        "pggit_jobs{state=\"ready\"} 3",
        "pggit_jobs{state=\"permanently_failed\"} 1",
        "pggit_jobs{state=\"paused\"} 0",
        "pggit_queue_due_jobs 2",
        "pggit_queue_lag_seconds 61",
        "pggit_backups{database=\"shop\",status=\"completed\"} 2",
        "pggit_backups{database=\"shop\",status=\"in_progress\"} 1",
        "pggit_last_backup_size_bytes{database=\"shop\"} 2000",
        "pggit_backup_missed{database=\"never\"} 1",
        "pggit_backup_missed{database=\"shop\"} 0",
        "pggit_worker_attempts_total{kind=\"backup\",database=\"shop\",outcome=\"completed\"} 1",
        "pggit_worker_attempt_duration_seconds_bucket{le=\"5.0\",kind=\"backup\",database=\"shop\"} 1",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(!text.contains("last_backup_age_seconds{database=\"never\"}"), "{text}");
    assert!(text.contains("pggit_last_backup_age_seconds{database=\"shop\"} "), "{text}");
}
