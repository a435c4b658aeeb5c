//! A full disk, an unresponsive queue, and very many jobs.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Where, Yard, assert_no_tool};
use crate::cluster::Cluster;
use crate::tmpfs::Tmpfs;

fn a_full_disk_is_waited_for(place: Where) {
    let Some(disk) = Tmpfs::mount("size=8m") else { return };
    let yard = Yard::new(place);
    let dir = disk.path().join("backups");
    fs::create_dir(&dir).unwrap();
    yard.config("pggit.plainDir", dir.to_str().unwrap());
    // A part of the backup is written before the disk is full.
    disk.leave(8 << 10);
    let id = yard.enqueue(&[]);
    let mut worker = yard.start(&[]);
    worker.wait_for("will be retried");
    let job = yard.job(&id);
    assert!(job["last_error"]["message"].as_str().unwrap().contains("no space left"), "{job:#}");
    disk.make_room();
    worker.wait_for("completed");
    assert_eq!(yard.job(&id)["state"], "completed");
    assert_eq!(yard.shop.only_record()["status"], "completed");
    assert_no_tool(&yard);
    for entry in walkdir::WalkDir::new(disk.path()).into_iter().flatten() {
        assert!(!entry.file_name().to_string_lossy().contains("partial"), "{}", entry.path().display());
    }
}

#[test]
fn a_full_disk_is_waited_for_with_refs() {
    a_full_disk_is_waited_for(Where::Refs);
}

#[test]
fn a_full_disk_is_waited_for_with_postgres() {
    a_full_disk_is_waited_for(Where::Postgres);
}

/// Returns the response of the worker at `address`.
fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[track_caller]
fn wait_until(address: &str, path: &str, words: &str) {
    let began = Instant::now();
    loop {
        let answer = get(address, path);
        if answer.contains(words) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "no {words:?} in {answer}");
        crate::cluster::pause();
    }
}

#[test]
fn a_worker_that_is_stuck_says_so() {
    let mut yard = Yard::new(Where::Refs);
    let server = Cluster::start();
    yard.config("pggit.queue", &server.url("postgres"));
    yard.config("pggit.lease", "1s");
    yard.shop.sandbox.set("PGGIT_POLL_INTERVAL", "1s");
    yard.shop.pggit(&["queue", "init"]).success();
    let mut worker = yard.start_before(&["--listen", "127.0.0.1:0"]);
    let address = worker.wait_for("listening on")["address"].as_str().unwrap().to_owned();
    worker.wait_for("worker started");
    wait_until(&address, "/healthz", "HTTP/1.1 200");
    // The server still accepts connections, but does not answer queries.
    let ours = "select pid from pg_stat_activity where application_name = 'git-pggit queue'";
    let backends: Vec<i32> = server.psql("postgres", ours).lines().map(|pid| pid.parse().unwrap()).collect();
    assert!(!backends.is_empty());
    let signal = |signal| {
        backends.iter().for_each(|pid| kill_process(Pid::from_raw(*pid).unwrap(), signal).unwrap());
    };
    signal(Signal::STOP);
    wait_until(&address, "/healthz", "HTTP/1.1 503");
    wait_until(&address, "/healthz", "the worker has made no progress for");
    signal(Signal::CONT);
    wait_until(&address, "/healthz", "HTTP/1.1 200");
    let id = yard.enqueue(&[]);
    worker.wait_for("completed");
    assert_eq!(yard.job(&id)["state"], "completed");
}

/// Returns the number of jobs for tests with many jobs.
fn many() -> usize {
    if std::env::var_os("PGGIT_TEST_LONG").is_some() { 10_000 } else { 1_000 }
}

/// Adds copies of a waiting job to the queue without a process for each.
fn multiply(yard: &Yard, place: Where, id: &str) {
    if place == Where::Postgres {
        let url = yard.shop.sandbox.git(["config", "pggit.queue"]);
        let database = url.split(['/', '?']).nth(3).unwrap().to_owned();
        let sql = format!(
            "insert into pggit.jobs (id, kind, database, backup_id, work, max_attempts, base_s, cap_s, created_by) \
             select fresh, kind, database, fresh, jsonb_set(work, '{{backup}}', to_jsonb(fresh)), max_attempts, \
             base_s, cap_s, created_by from (select j.*, ('019e0000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid \
             as fresh from pggit.jobs j, generate_series(1, {}) n) as copies",
            many()
        );
        yard.shop.cluster.psql(&database, &sql);
        return;
    }
    let sandbox = &yard.shop.sandbox;
    let template = sandbox.git(["cat-file", "blob", &format!("refs/pggit/jobs/{id}")]);
    let backup = yard.job(id)["backup_id"].as_str().unwrap().to_owned();
    let dir = sandbox.path().join("many");
    fs::create_dir(&dir).unwrap();
    let fresh: Vec<String> = (1..=many()).map(|n| format!("019e0000-0000-7000-8000-{n:012x}")).collect();
    let mut paths = String::new();
    for fresh in &fresh {
        let path = dir.join(fresh);
        fs::write(&path, template.replace(id, fresh).replace(&backup, fresh)).unwrap();
        paths.push_str(&format!("{}\n", path.display()));
    }
    let feed = |arguments: &[&str], input: &str| {
        let file = sandbox.path().join("input");
        fs::write(&file, input).unwrap();
        let mut git = sandbox.command("git");
        let output = sandbox.output(git.args(arguments).stdin(fs::File::open(&file).unwrap()));
        assert_eq!(output.status, 0, "{}", output.snapshot());
        output.stdout_text()
    };
    let blobs = feed(&["hash-object", "-w", "--stdin-paths"], &paths);
    let created = fresh.iter().zip(blobs.lines());
    let created = created.map(|(id, blob)| format!("create refs/pggit/jobs/{id} {blob}\n"));
    feed(&["update-ref", "--stdin"], &created.collect::<String>());
}

/// An urgent job is run at once, even if many jobs are waiting.
fn many_jobs_can_wait(place: Where) {
    let yard = Yard::new(place);
    let first = yard.enqueue(&[]);
    multiply(&yard, place, &first);
    let stats = yard.shop.pggit(&["queue", "stats", "--json"]).success().json();
    assert_eq!(stats["due"], many() + 1);
    let mut worker = yard.start(&[]);
    worker.wait_for("completed");
    let urgent = yard.enqueue(&["--priority", "9"]);
    loop {
        let completed = worker.wait_for("completed");
        if completed["job"] == urgent.as_str() {
            break;
        }
    }
    worker.signal(Signal::TERM);
    assert_eq!(worker.wait(), 0);
    assert_eq!(yard.job(&urgent)["state"], "completed");
    let stats = yard.shop.pggit(&["queue", "stats", "--json"]).success().json();
    let completed = stats["jobs"]["completed"].as_u64().unwrap();
    assert_eq!(completed, yard.shop.records().len() as u64);
    assert_eq!(stats["due"].as_u64().unwrap() + completed, many() as u64 + 2);
}

#[test]
fn many_jobs_can_wait_in_refs() {
    many_jobs_can_wait(Where::Refs);
}

#[test]
fn many_jobs_can_wait_in_postgres() {
    many_jobs_can_wait(Where::Postgres);
}
