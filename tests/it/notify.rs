//! Notifications to a real server and a real program, and failures of these.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use pggit::config::{Config, Environment, Notifications, Occasion};
use pggit::domain::{Failure, Line};
use pggit::notify::{Delivery, DeliveryPolicy, Message, Notifier, signature};
use tokio::net::TcpListener;

/// One received request.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub signature: Option<String>,
    pub body: Vec<u8>,
}

/// A server with a list of responses, the last of which is repeated: a status, 0 to close the connection,
/// or 1 for no response.
pub struct Server {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub async fn start(answers: &'static [u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/services/s3cret", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let log = Arc::clone(&log);
                let service = service_fn(move |request| answer(request, Arc::clone(&log), answers));
                tokio::spawn(async move {
                    let io = TokioIo::new(stream);
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
                });
            }
        });
        Self { url, seen }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn answer(
    request: Request<Incoming>,
    log: Arc<Mutex<Vec<Seen>>>,
    answers: &'static [u16],
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let signature = request.headers().get("x-pggit-signature").map(|it| it.to_str().unwrap().to_owned());
    let (method, path) = (request.method().to_string(), request.uri().to_string());
    let body = request.into_body().collect().await.unwrap().to_bytes().to_vec();
    let number = {
        let mut log = log.lock().unwrap();
        log.push(Seen { method, path, signature, body });
        log.len() - 1
    };
    match answers.get(number).or(answers.last()).copied().unwrap_or(200) {
        0 => Err(std::io::Error::other("closed")),
        1 => {
            std::future::pending::<Infallible>().await;
            unreachable!()
        }
        status @ 300..=399 => Ok(Response::builder()
            .status(status)
            .header("location", "/elsewhere")
            .body(Full::default())
            .unwrap()),
        status => Ok(Response::builder().status(status).body(Full::default()).unwrap()),
    }
}

fn to(webhook: &str) -> Notifications {
    Notifications {
        webhooks: vec![webhook.to_owned()],
        secret_file: None,
        commands: Vec::new(),
        occasions: BTreeSet::from([Occasion::Failure, Occasion::Success]),
        heartbeat: None,
    }
}

fn failure() -> Message {
    let at = "2026-11-21T03:40:06Z".parse().unwrap();
    let error = Failure { code: Line::lossy("server-unreachable"), message: "no route to host".into() };
    let mut message = Message::new(Occasion::Failure, "shop".parse().unwrap(), at);
    message.error = Some(error);
    message.attempts = Some(5);
    message
}

fn notifier(timeout: Duration, attempts: usize) -> Notifier {
    let patience = DeliveryPolicy { timeout, attempts, delay: Duration::from_millis(5) };
    Notifier::new(patience, Line::lossy("db1")).unwrap()
}

async fn send(to: &Notifications, message: &Message) -> Vec<Delivery> {
    notifier(Duration::from_secs(20), 4).send(to, message).await
}

#[tokio::test]
async fn a_message_is_json_that_a_chat_shows_and_is_signed() {
    let server = Server::start(&[200]).await;
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    fs::write(&key, "swordfish\nsecond line\n").unwrap();
    let to = Notifications { secret_file: Some(key.clone()), ..to(&server.url) };
    let deliveries = send(&to, &failure()).await;
    assert!(deliveries.len() == 1 && deliveries[0].result.is_ok(), "{deliveries:?}");
    let seen = server.seen();
    assert_eq!((seen.len(), seen[0].method.as_str(), seen[0].path.as_str()), (1, "POST", "/services/s3cret"));
    let json: serde_json::Value = serde_json::from_slice(&seen[0].body).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "text": "backup of shop FAILED permanently after 5 attempts: no route to host (db1)",
            "id": "failure-shop-2026-11-21T03:40:06.000000Z",
            "event": "failure", "database": "shop", "at": "2026-11-21T03:40:06.000000Z", "host": "db1", "attempts": 5,
            "error": { "code": "server-unreachable", "message": "no route to host" },
        })
    );
    assert_eq!(seen[0].signature.as_ref().unwrap(), &signature(b"swordfish", &seen[0].body));
    // Without its key no notification is sent.
    fs::remove_file(&key).unwrap();
    let error = send(&to, &failure()).await[0].result.as_ref().unwrap_err().to_string();
    assert!(error.contains("cannot read the key"), "{error}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn who_stumbles_is_asked_again_and_who_says_no_is_not() {
    for (answers, requests, outcome) in [
        (&[500, 0, 503, 204][..], 4, Ok(())),
        (&[429, 200], 2, Ok(())),
        (&[500], 4, Err("answered 500")),
        (&[404], 1, Err("answered 404")),
        (&[302], 1, Err("answered 302: redirects are not followed")),
    ] {
        let server = Server::start(Box::leak(answers.to_vec().into_boxed_slice())).await;
        let deliveries = send(&to(&server.url), &failure()).await;
        let result = deliveries[0].result.as_ref().map_err(ToString::to_string);
        assert_eq!(result, outcome.as_ref().map_err(|why| (*why).to_owned()), "{answers:?}");
        assert_eq!(server.seen().len(), requests, "{answers:?}");
    }
}

#[tokio::test]
async fn who_does_not_answer_is_given_up_and_no_token_is_told() {
    let slow = Server::start(&[1]).await;
    let began = Instant::now();
    let deliveries = notifier(Duration::from_millis(100), 2).send(&to(&slow.url), &failure()).await;
    assert!(began.elapsed() < Duration::from_secs(15));
    assert_eq!(slow.seen().len(), 2);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gone = send(&to(&format!("http://{closed}/s3cret")), &failure()).await;
    for delivery in deliveries.iter().chain(&gone) {
        let said = format!("{delivery:?} {}", delivery.result.as_ref().unwrap_err());
        assert!(!said.contains("s3cret"), "{said}");
    }
    assert!(!format!("{:?}", to(&slow.url)).contains("s3cret"));
}

#[tokio::test]
async fn only_who_wants_to_know_is_told_and_hearts_beat_after_success() {
    let server = Server::start(&[200]).await;
    let heart = Server::start(&[200]).await;
    let mut to = Notifications { heartbeat: Some(heart.url.clone()), ..to(&server.url) };
    to.occasions = BTreeSet::from([Occasion::Missed]);
    assert!(send(&to, &failure()).await.is_empty());
    let at = "2026-11-21T03:40:06Z".parse().unwrap();
    let success = Message::new(Occasion::Success, "shop".parse().unwrap(), at);
    assert!(send(&to, &success).await[0].result.is_ok());
    assert_eq!((server.seen().len(), heart.seen().len()), (0, 1));
    assert_eq!(heart.seen()[0].method, "GET");
    let missed = Message { occasion: Occasion::Missed, slot: Some(at), ..success };
    assert!(send(&to, &missed).await[0].result.is_ok());
    let json: serde_json::Value = serde_json::from_slice(&server.seen()[0].body).unwrap();
    assert_eq!(json["planned_for"], "2026-11-21T03:40:06.000000Z");
    assert_eq!(heart.seen().len(), 1);
}

#[tokio::test]
async fn programs_read_the_message_and_no_shell_reads_anything() {
    let dir = tempfile::tempdir().unwrap();
    let (program, out) = (dir.path().join("tell me;"), dir.path().join("out"));
    fs::write(&program, format!("#!/bin/sh\nprintf '%s\\n' \"$@\" >'{0}'; cat >>'{0}'\n", out.display()))
        .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let words = |rest: &[&str]| {
        [&[program.to_str().unwrap()], rest].concat().into_iter().map(str::to_owned).collect()
    };
    let commands = vec![words(&["$HOME", "`id`", "--x=;"]), vec!["/nonexistent/program".to_owned()]];
    let to = Notifications { webhooks: Vec::new(), commands, ..to("http://unused") };
    let deliveries = send(&to, &failure()).await;
    let failed: Vec<_> = deliveries.iter().filter(|it| it.result.is_err()).map(|it| it.to.as_str()).collect();
    assert_eq!(failed, ["/nonexistent/program"]);
    let text = fs::read_to_string(&out).unwrap();
    let json = text.strip_prefix("$HOME\n`id`\n--x=;\n").unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(json).unwrap()["event"], "failure");
}

#[test]
fn what_a_clone_says_about_messages_does_not_count() {
    let text = b"[pggit \"shop\"]\nwebhook = https://evil.example/x\nnotifyCommand = /bin/evil\nheartbeat = http://evil/\nnotifyOn = all\n";
    let committed = pggit::git::config::parse_blob(text, ".pggitconfig").unwrap();
    let config = Config::load([], &committed, &Environment::default());
    let found = config.notifications(&"shop".parse().unwrap()).unwrap();
    assert!(found.webhooks.is_empty() && found.commands.is_empty() && found.heartbeat.is_none());
    assert_eq!(found.occasions.len(), Occasion::ALL.len());
    assert_eq!(config.warnings().len(), 3);
    // Refused values are not printed: they may contain a token.
    for bad in ["ftp://x/s3cret", "https://user:s3cret@x/", "https:// s3cret"] {
        let text = format!("[pggit]\nwebhook = \"{bad}\"\n");
        let mut entries = pggit::git::config::parse_blob(text.as_bytes(), "x").unwrap();
        entries.iter_mut().for_each(|it| {
            it.scope = pggit::git::config::Scope::Local;
            it.trusted = true;
        });
        let config = Config::load(&entries, [], &Environment::default());
        let error = config.notifications(&"shop".parse().unwrap()).unwrap_err().to_string();
        assert!(error.contains("pggit.webhook") && !error.contains("s3cret"), "{error}");
        assert!(!format!("{:?}", config.rows()).contains("s3cret"));
    }
}
