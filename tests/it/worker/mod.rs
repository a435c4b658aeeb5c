//! The worker: jobs become backups in spite of faults.

mod chaos;
mod faults;
mod limits;
mod steps;
mod wire;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::cluster::{Cluster, pause};
use crate::create::Shop;

/// The type of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    Refs,
    Postgres,
}

/// A shop whose backups are made by workers.
pub struct Yard {
    pub shop: Shop,
}

impl Yard {
    pub fn new(place: Where) -> Self {
        Self::of(Shop::new(), place)
    }

    pub fn of(shop: Shop, place: Where) -> Self {
        let yard = Self { shop };
        yard.config("pggit.shop.retryDelay", "1s");
        yard.config("pggit.shop.retryDelayMax", "1s");
        yard.config("pggit.lease", "3s");
        if place == Where::Postgres {
            let database = yard.shop.cluster.create_database("queue");
            yard.config("pggit.queue", &yard.shop.cluster.url(&database));
            yard.shop.pggit(&["queue", "init"]).success();
        }
        yard
    }

    pub fn config(&self, key: &str, value: &str) {
        self.shop.sandbox.git(["config", key, value]);
    }

    pub fn enqueue(&self, args: &[&str]) -> String {
        let output = self.shop.pggit(&[&["queue", "enqueue", "-q"], args].concat()).success();
        output.stdout_text().trim().to_owned()
    }

    pub fn job(&self, id: &str) -> Value {
        self.shop.pggit(&["queue", "show", id, "--json"]).success().json()
    }

    /// Waits until a job is in one of these states.
    #[track_caller]
    pub fn wait_for(&self, id: &str, states: &[&str]) -> Value {
        let began = Instant::now();
        loop {
            let job = self.job(id);
            if states.contains(&job["state"].as_str().unwrap()) {
                return job;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{job:#}");
            pause();
        }
    }

    /// Runs a worker until no job is left.
    pub fn work(&self) -> Value {
        self.shop.pggit(&["worker", "--until-idle", "--json"]).success().json()
    }

    /// Starts a worker that runs until it is stopped. Waits until it has started.
    pub fn start(&self, args: &[&str]) -> Running {
        let mut worker = self.start_before(args);
        worker.wait_for("worker started");
        worker
    }

    /// Starts a worker without waiting.
    pub fn start_before(&self, args: &[&str]) -> Running {
        let mut command = self.shop.sandbox.pggit_command();
        command.arg("worker").arg("--json").args(args);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let running = Arc::new(());
        end_after_all(child.id(), Arc::downgrade(&running));
        Running { child, log, _running: running }
    }
}

/// Kills the worker after a time limit, so that a test that waits for a missing log line fails.
fn end_after_all(pid: u32, running: Weak<()>) {
    std::thread::spawn(move || {
        let (end, began) = (Duration::from_secs(180), Instant::now());
        while let Some(left) = end.checked_sub(began.elapsed()) {
            std::thread::park_timeout(left);
        }
        if running.upgrade().is_some() {
            let _ = kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL);
        }
    });
}

/// A worker that is killed when this is dropped.
pub struct Running {
    pub child: Child,
    log: BufReader<std::process::ChildStderr>,
    _running: Arc<()>,
}

impl Running {
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.child.id() as i32).unwrap(), signal).unwrap();
    }

    /// Reads the log up to a line with this text.
    #[track_caller]
    pub fn wait_for(&mut self, words: &str) -> Value {
        let (mut all, mut line) = (String::new(), String::new());
        loop {
            line.clear();
            assert_ne!(self.log.read_line(&mut line).unwrap(), 0, "no {words:?} in {all}");
            if line.contains(words) {
                return serde_json::from_str(&line).expect("the log is JSON");
            }
            all.push_str(&line);
        }
    }

    pub fn wait(mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A session that locks a table, so that pg_dump waits.
pub struct Holder<'a> {
    psql: Child,
    cluster: &'a Cluster,
    database: String,
}

impl<'a> Holder<'a> {
    pub fn of(cluster: &'a Cluster, database: &str) -> Self {
        let mut psql = crate::cluster::client("psql");
        let sql = "begin; lock table orders in access exclusive mode; select 'held'; select pg_sleep(1000)";
        psql.args(["-XAtq", "-d"]).arg(cluster.conninfo(database)).args(["-c", "set x.y = ''", "-c", sql]);
        let child = psql.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let held = "exists (select from pg_locks where mode = 'AccessExclusiveLock' and granted and relation = \
                    'orders'::regclass)";
        cluster.wait_until(database, held);
        Self { psql: child, cluster, database: database.to_owned() }
    }

    /// Waits until a session waits for the lock of the table.
    pub fn wait_for_dump(cluster: &Cluster, database: &str) {
        let waits = "exists (select from pg_locks where not granted and relation = 'orders'::regclass)";
        cluster.wait_until(database, waits);
    }
}

impl Drop for Holder<'_> {
    fn drop(&mut self) {
        // The server continues the sleep even if its client has exited.
        let end = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query \
                   like 'begin; lock table%'";
        self.cluster.psql(&self.database, end);
        let _ = self.psql.wait();
    }
}

/// Returns the process ids of all pg_dump processes of this yard.
pub fn tools(yard: &Yard) -> Vec<i32> {
    let here = [yard.shop.cluster.dir(), yard.shop.sandbox.path()].map(|dir| dir.display().to_string());
    let is_ours = |pid: &i32| {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&command).into_owned();
        words.split('\0').next().is_some_and(|program| program.ends_with("pg_dump"))
            && here.iter().any(|dir| words.contains(dir))
            && words.contains(&yard.shop.database)
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
    pids.filter(is_ours).collect()
}

/// Waits until no attempt runs in the repository of this yard. The process of an attempt exits shortly
/// after its worker was killed, and may register its backup until then.
#[track_caller]
pub fn wait_for_attempts(yard: &Yard) {
    let repo = yard.shop.sandbox.repo().canonicalize().unwrap();
    let is_attempt = |process: &std::fs::DirEntry| {
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        command.split(|byte| *byte == 0).any(|word| word == b"run-job")
            && std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&repo))
    };
    let began = Instant::now();
    while std::fs::read_dir("/proc").unwrap().flatten().any(|process| is_attempt(&process)) {
        assert!(began.elapsed() < Duration::from_secs(60), "an attempt is left");
        pause();
    }
}

/// Asserts that no tool is left. (The server may still run the session of a tool that has exited while it
/// waits for a lock.)
#[track_caller]
pub fn assert_no_tool(yard: &Yard) {
    let began = Instant::now();
    while !tools(yard).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(20), "a pg_dump is left");
        pause();
    }
}

fn jobs_become_backups(place: Where) {
    let yard = Yard::new(place);
    let first = yard.enqueue(&["--name", "first", "--label", "nightly", "--commit", "HEAD~1"]);
    let output = yard.shop.pggit(&["backup", "create", "--enqueue", "--branch", "main", "-q"]).success();
    let second = output.stdout_text().trim().to_owned();
    let summary = yard.work();
    assert_eq!((&summary["completed"], &summary["failed"]), (&2.into(), &0.into()));
    let records = yard.shop.records();
    assert_eq!(records.len(), 2);
    for (job, record) in [&first, &second].into_iter().zip(&records) {
        let job = yard.job(job);
        assert_eq!((&job["state"], &job["backup_id"]), (&"completed".into(), &record["id"]));
        assert_eq!(record["status"], "completed");
    }
    assert_eq!(records[0]["name"], "first");
    assert_eq!(records[0]["commit"], yard.shop.commits[0].as_str());
    assert_eq!(records[1]["commit"], yard.shop.commits[1].as_str());
    assert_eq!(yard.shop.pggit(&["worker", "--once", "--json"]).success().json()["completed"], 0);
}

#[test]
fn jobs_in_refs_become_backups() {
    jobs_become_backups(Where::Refs);
}

#[test]
fn jobs_in_postgres_become_backups() {
    jobs_become_backups(Where::Postgres);
}

fn new_jobs_wake_a_worker(place: Where) {
    let mut yard = Yard::new(place);
    yard.shop.sandbox.set("PGGIT_POLL_INTERVAL", "1h");
    yard.shop.sandbox.set("PGGIT_WORKER_ID", "w17");
    let mut worker = yard.start(&[]);
    for _ in 0..3 {
        let id = yard.enqueue(&[]);
        let claimed = worker.wait_for("claimed");
        assert_eq!(claimed["job"], id.as_str());
        assert_eq!(worker.wait_for("completed")["job"], id.as_str());
        assert_eq!(yard.job(&id)["history"][0]["worker"], "w17");
    }
    worker.signal(Signal::TERM);
    worker.wait_for("worker stopping");
    assert_eq!(worker.wait(), 0);
}

#[test]
fn new_jobs_in_refs_wake_a_worker() {
    new_jobs_wake_a_worker(Where::Refs);
}

#[test]
fn new_jobs_in_postgres_wake_a_worker() {
    new_jobs_wake_a_worker(Where::Postgres);
}

#[test]
fn a_service_manager_is_told() {
    let mut yard = Yard::new(Where::Refs);
    let path = yard.shop.sandbox.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    yard.shop.sandbox.set("NOTIFY_SOCKET", &path);
    yard.shop.sandbox.set("WATCHDOG_USEC", "200000");
    let worker = yard.start(&[]);
    let mut heard = Vec::new();
    let mut buffer = [0; 512];
    while !heard.iter().any(|text: &String| text.contains("WATCHDOG=1")) {
        let length = socket.recv(&mut buffer).unwrap();
        heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
    assert!(heard[0].contains("READY=1"), "{heard:?}");
    worker.signal(Signal::TERM);
    loop {
        let length = socket.recv(&mut buffer).unwrap();
        if buffer[..length].starts_with(b"STOPPING=1") {
            break;
        }
    }
    assert_eq!(worker.wait(), 0);
}
