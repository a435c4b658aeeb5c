//! Automatic backups by real workers, from the merge or the schedule to the record, and their
//! notifications.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::notify::Server;
use crate::worker::{Where, Yard};

/// A server that receives notifications, and its runtime.
pub(crate) struct Chat {
    pub(crate) server: Server,
    _runtime: tokio::runtime::Runtime,
}

impl Chat {
    pub(crate) fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { server: runtime.block_on(Server::start(&[200])), _runtime: runtime }
    }

    /// Returns the events of the notifications, in order.
    pub(crate) fn events(&self) -> Vec<String> {
        self.messages().iter().map(|message| message["event"].as_str().unwrap().to_owned()).collect()
    }

    /// Returns the notifications, in order.
    pub(crate) fn messages(&self) -> Vec<Value> {
        let seen = self.server.seen();
        let posts = seen.iter().filter(|it| it.method == "POST");
        posts.map(|it| serde_json::from_slice(&it.body).unwrap()).collect()
    }

    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> Vec<String> {
        let began = Instant::now();
        while self.events().len() < count {
            assert!(began.elapsed() < Duration::from_secs(60), "{:?}", self.events());
            crate::cluster::pause();
        }
        self.events()
    }
}

/// Merges a branch with a new migration into `main`. Returns the new tip.
fn merge(yard: &Yard, file: &str) -> String {
    let sandbox = &yard.shop.sandbox;
    sandbox.git(["switch", "-q", "-c", file, "main"]);
    let _ = sandbox.commit(file, "select 1;", "work");
    sandbox.git(["switch", "-q", "main"]);
    let mut git = sandbox.command("git");
    let _ = sandbox.output(git.args(["merge", "-q", "--no-ff", "-m", "merged", file])).success();
    sandbox.git(["rev-parse", "main"])
}

fn latest(yard: &Yard) -> Value {
    yard.shop.pggit(&["backup", "show", "latest", "--json"]).success().json()
}

#[test]
fn a_merge_becomes_a_backup_that_plain_git_shows() {
    let yard = Yard::new(Where::Refs);
    yard.config("pggit.shop.onMerge", "main");
    let _ = yard.shop.pggit(&["init", "-q"]).success();
    let _ = yard.shop.pggit(&["hooks", "install", "-q"]).success();
    // The commit already has a backup, so no job is missing.
    let _ = yard.shop.pggit(&["backup", "create", "-q"]).success();
    let mut worker = yard.start(&[]);
    let tip = merge(&yard, "0100.sql");
    worker.wait_for("completed");
    let backup = latest(&yard);
    assert_eq!(
        (&backup["commit"], &backup["tags"]["merge"]),
        (&tip.as_str().into(), &tip.as_str().into()),
        "{backup:#}"
    );
    assert!(yard.shop.sandbox.git(["log", "-1", "main"]).contains("Notes (backups):"));
    // The commit recorded in the database takes precedence.
    let _ = yard.shop.pggit(&["mark", "-q", &tip]).success();
    let newer = merge(&yard, "0101.sql");
    worker.wait_for("completed");
    let backup = latest(&yard);
    assert_eq!(
        (&backup["commit"], &backup["tags"]["merge"]),
        (&tip.as_str().into(), &newer.as_str().into()),
        "{backup:#}"
    );
    let lacking = yard.shop.pggit(&["schedule", "catch-up", "--dry-run", "--json"]).success().json();
    assert_eq!(lacking["jobs"], serde_json::json!([]));
    worker.signal(Signal::TERM);
    assert_eq!(worker.wait(), 0);
}

#[test]
fn what_failed_for_good_is_told_once_and_what_works_again_too() {
    let yard = Yard::new(Where::Refs);
    let chat = Chat::new();
    yard.config("pggit.webhook", &chat.server.url);
    yard.config("pggit.shop.heartbeat", &chat.server.url);
    yard.config("pggit.shop.maxAttempts", "2");
    let url = yard.shop.sandbox.git(["config", "pggit.shop.url"]);
    yard.config("pggit.shop.url", "postgresql:///shop?host=/nowhere");
    let job = yard.enqueue(&[]);
    let mut worker = yard.start(&[]);
    yard.wait_for(&job, &["permanently_failed"]);
    assert_eq!(chat.wait_for(1), ["failure"]);
    let told: Value = serde_json::from_slice(&chat.server.seen()[0].body).unwrap();
    assert_eq!(
        (&told["job"], &told["attempts"], &told["database"]),
        (&job.as_str().into(), &2.into(), &"shop".into())
    );
    assert!(
        told["text"].as_str().unwrap().starts_with("backup of shop FAILED permanently after 2 attempts: "),
        "{told:#}"
    );
    // After a repair and a retry, the backup is completed under the same id.
    yard.config("pggit.shop.url", &url);
    let _ = yard.shop.pggit(&["queue", "retry", "-q", &job]).success();
    yard.wait_for(&job, &["completed"]);
    assert_eq!(chat.wait_for(2), ["failure", "recovered"]);
    // A later success sends no notification, only a heartbeat.
    let next = yard.enqueue(&[]);
    yard.wait_for(&next, &["completed"]);
    worker.wait_for("completed");
    worker.signal(Signal::TERM);
    assert_eq!(worker.wait(), 0);
    assert_eq!(chat.events(), ["failure", "recovered"]);
    assert_eq!(chat.server.seen().iter().filter(|it| it.method == "GET").count(), 2);
    let log = yard.shop.pggit(&["queue", "show", &job, "--json"]).success().stdout_text();
    assert!(!log.contains("s3cret"), "{log}");
}

#[test]
fn what_is_due_is_made_once() {
    let yard = Yard::new(Where::Refs);
    let chat = Chat::new();
    yard.config("pggit.webhook", &chat.server.url);
    yard.config("pggit.notifyOn", "all");
    yard.config("pggit.shop.schedule", "0 0 1 1 *");
    // Invalid settings of other databases do not stop the worker.
    yard.config("pggit.a.schedule", "sometimes");
    yard.config("pggit.b.schedule", "daily");
    yard.config("pggit.b.maxAttempts", "many");
    let mut worker = yard.start(&[]);
    worker.wait_for("completed");
    assert_eq!(chat.wait_for(1), ["success"]);
    worker.signal(Signal::TERM);
    assert_eq!(worker.wait(), 0);
    assert_eq!(latest(&yard)["tags"]["schedule"], "cron");
    let list = yard.shop.pggit(&["schedule", "list", "-d", "shop", "--json"]).success().json();
    assert_eq!(
        (&list["schedules"][0]["state"], &list["schedules"][0]["due"]),
        (&"ok".into(), &false.into()),
        "{list:#}"
    );
    let again = yard.shop.pggit(&["schedule", "run", "--json", "-d", "shop"]).success().json();
    assert_eq!(again["jobs"], serde_json::json!([]));
}

#[test]
fn what_is_missing_is_told_once() {
    let yard = Yard::new(Where::Refs);
    let chat = Chat::new();
    yard.config("pggit.webhook", &chat.server.url);
    yard.config("pggit.shop.schedule", "0 0 1 1 *");
    yard.config("pggit.shop.missedAfter", "1s");
    yard.config("pggit.shop.onMerge", "main");
    // The job is paused, so the backup is missing after the time limit.
    let run = yard.shop.pggit(&["schedule", "run", "--json"]).success().json();
    let job = run["jobs"][0]["job"].as_str().unwrap().to_owned();
    let _ = yard.shop.pggit(&["queue", "pause", "-q", &job]).success();
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(2100) {
        let list = yard.shop.pggit(&["schedule", "list", "--json"]).success().json();
        assert_eq!(list["schedules"][0]["state"], "missed", "{list:#}");
    }
    for round in 0..2 {
        // The scheduler checks branches after schedules.
        let _ = yard.shop.sandbox.commit(&format!("020{round}.sql"), "select 1;", "a migration");
        let mut worker = yard.start_before(&[]);
        if round == 0 {
            worker.wait_for("a backup is missing");
        }
        worker.wait_for("scheduler enqueued a backup");
        worker.signal(Signal::TERM);
        assert_eq!(worker.wait(), 0);
        // A worker sends all pending notifications before it exits.
        assert_eq!(chat.events(), ["missed"]);
    }
}

#[test]
fn a_backup_that_cannot_be_relied_on_is_told() {
    let yard = Yard::new(Where::Refs);
    let chat = Chat::new();
    yard.config("pggit.webhook", &chat.server.url);
    let backup = yard.enqueue(&[]);
    assert_eq!(yard.work()["completed"], 1);
    let backup = yard.job(&backup)["backup_id"].as_str().unwrap().to_owned();
    let verify = || yard.enqueue(&["--verify", "latest", "--how", "checksum"]);
    verify();
    assert_eq!(yard.work()["completed"], 1);
    // A passed verification sends no notification.
    assert!(chat.events().is_empty());
    // Corrupts one byte of the artifact.
    let files = walkdir::WalkDir::new(yard.shop.backups_dir()).into_iter().flatten();
    let largest = files.filter(|entry| entry.file_type().is_file() && !entry.path().ends_with("record.json"));
    let largest = largest.max_by_key(|entry| entry.metadata().unwrap().len()).unwrap().into_path();
    let mut bytes = std::fs::read(&largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&largest, bytes).unwrap();
    let job = verify();
    assert_eq!(yard.work()["failed"], 1);
    let messages = chat.messages();
    assert_eq!(messages.len(), 1, "{messages:#?}");
    let said = |name: &str| messages[0][name].as_str().unwrap().to_owned();
    assert_eq!((said("event"), said("backup"), said("job")), ("verification".to_owned(), backup, job));
    assert!(
        said("text").starts_with("a backup of shop CANNOT be relied on: verification failed"),
        "{messages:#?}"
    );
    // The notification is sent once.
    yard.work();
    assert_eq!(chat.events(), ["verification"]);
}

#[test]
fn a_worker_answers_how_it_is() {
    let yard = Yard::new(Where::Refs);
    let job = yard.enqueue(&[]);
    let mut worker = yard.start_before(&["--listen", "127.0.0.1:0"]);
    let address = worker.wait_for("listening on")["address"].as_str().unwrap().to_owned();
    worker.wait_for("worker started");
    yard.wait_for(&job, &["completed"]);
    worker.wait_for("completed");
    let get = |path: &str| {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    assert!(get("/healthz").starts_with("HTTP/1.1 200") && get("/readyz").ends_with("ok\n"));
    let text = get("/metrics");
    for line in [
        "pggit_jobs{state=\"completed\"} 1",
        "pggit_backups{database=\"shop\",status=\"completed\"} 1",
        "pggit_worker_attempts_total{kind=\"backup\",database=\"shop\",outcome=\"completed\"} 1",
        "pggit_queue_due_jobs 0",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    // The port is in use.
    let taken = yard.shop.pggit(&["worker", "--once", "--listen", &address]).fails(129).stderr_text();
    assert!(taken.contains(&format!("cannot listen at {address}")), "{taken}");
    worker.signal(Signal::TERM);
    assert_eq!(worker.wait(), 0);
}
