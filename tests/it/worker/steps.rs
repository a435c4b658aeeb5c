//! A worker, or its attempt, is killed at each step.

use std::collections::{BTreeMap, BTreeSet};

use rustix::process::Signal;

use super::{Holder, Where, Yard, assert_no_tool, wait_for_attempts};
use crate::automation::Chat;

/// Steps at which a worker can be killed, and the number of attempts of the job then.
const OF_THE_WORKER: &[(&str, u64)] = &[
    ("queue.claimed", 2),
    ("worker.claimed", 2),
    ("worker.started", 2),
    ("worker.beat", 2),
    ("worker.finished", 2),
    ("worker.told-queue", 1),
    ("worker.sent", 1),
];

/// The same for the process of an attempt.
const OF_THE_ATTEMPT: &[(&str, u64)] = &[
    ("job.read", 2),
    ("backup.registered", 2),
    ("store.draft-created", 2),
    ("store.written", 2),
    ("store.published", 2),
    ("backup.published", 2),
    ("backup.completed", 2),
    ("job.done", 2),
];

/// Runs workers until this job is completed.
fn finish(yard: &Yard, id: &str) {
    let began = std::time::Instant::now();
    while yard.job(id)["state"] != "completed" {
        assert!(began.elapsed().as_secs() < 60, "{:#}", yard.job(id));
        yard.work();
    }
}

/// Runs a worker that is killed at this step, which it must reach.
fn die_at(yard: &Yard, step: &str, of_worker: bool) {
    let holder = (step == "worker.beat").then(|| Holder::of(&yard.shop.cluster, &yard.shop.database));
    let mut command = yard.shop.sandbox.pggit_command();
    let command = command.args(["worker", "--once", "--json"]).env("PGGIT_CRASH_AT", step);
    let output = yard.shop.sandbox.output(command);
    match of_worker {
        true => assert_eq!(output.status, -1, "{step}: {}", output.snapshot()),
        false => {
            assert!(output.stderr_text().contains("will be retried"), "{step}: {}", output.snapshot());
        }
    }
    drop(holder);
    wait_for_attempts(yard);
}

fn a_worker_may_be_killed_at_every_step(place: Where) {
    let yard = Yard::new(place);
    let chat = Chat::new();
    yard.config("pggit.webhook", &chat.server.url);
    yard.config("pggit.notifyOn", "all");
    let mut steps = OF_THE_WORKER.to_vec();
    if place == Where::Refs || std::env::var_os("PGGIT_TEST_LONG").is_some() {
        steps.extend(OF_THE_ATTEMPT);
    }
    let mut ids = BTreeMap::new();
    for (step, attempts) in steps {
        let id = yard.enqueue(&[]);
        die_at(&yard, step, OF_THE_WORKER.contains(&(step, attempts)));
        finish(&yard, &id);
        assert_eq!(yard.job(&id)["attempts"], attempts, "{step}");
        ids.insert(id, step);
    }
    // A worker may also be killed while it recovers jobs of crashed workers.
    let id = yard.enqueue(&[]);
    die_at(&yard, "worker.claimed", true);
    die_at(&yard, "queue.rescued", true);
    finish(&yard, &id);
    ids.insert(id, "queue.rescued");
    // The run of one more job sends the pending notification of the previous one.
    yard.work();
    let records = yard.shop.records();
    for record in &records {
        assert_eq!(record["status"], "completed", "{record:#}");
        let completed = record["events"].as_array().unwrap().iter().filter(|it| it["kind"] == "completed");
        assert_eq!(completed.count(), 1, "{record:#}");
    }
    assert_eq!(records.len(), ids.len());
    assert_no_tool(&yard);
    for entry in walkdir::WalkDir::new(yard.shop.backups_dir()).into_iter().flatten() {
        assert!(!entry.file_name().to_string_lossy().contains("partial"), "{}", entry.path().display());
    }
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for message in chat.messages() {
        assert_eq!(message["event"], "success", "{message:#}");
        let text = |name: &str| message[name].as_str().unwrap().to_owned();
        assert!(message["size_bytes"].as_u64().is_some_and(|size| size > 0), "{message:#}");
        told.entry(text("job")).or_default().push(text("id"));
    }
    for (id, step) in &ids {
        let messages = &told[id];
        // The notification may have been sent before the crash, so it is sent again with the same id.
        assert_eq!(messages.len(), if *step == "worker.sent" { 2 } else { 1 }, "{step}");
        assert_eq!(messages.iter().collect::<BTreeSet<_>>().len(), 1, "{step}");
    }
    yard.shop.pggit(&["fsck"]).success();
}

#[test]
fn a_worker_on_refs_may_be_killed_at_every_step() {
    a_worker_may_be_killed_at_every_step(Where::Refs);
}

#[test]
fn a_worker_on_postgres_may_be_killed_at_every_step() {
    a_worker_may_be_killed_at_every_step(Where::Postgres);
}

fn what_kills_its_workers_fails_for_good_and_is_told(place: Where) {
    let yard = Yard::new(place);
    let chat = Chat::new();
    yard.config("pggit.webhook", &chat.server.url);
    yard.config("pggit.shop.maxAttempts", "2");
    let id = yard.enqueue(&[]);
    die_at(&yard, "worker.started", true);
    die_at(&yard, "worker.started", true);
    let worker = yard.start(&[]);
    let messages = chat.wait_for(1);
    worker.signal(Signal::TERM);
    assert_eq!(worker.wait(), 0);
    assert_eq!(messages, ["failure"]);
    let job = yard.job(&id);
    assert_eq!(
        (&job["state"], &job["last_error"]["code"]),
        (&"permanently_failed".into(), &"worker-lost".into())
    );
    assert_eq!(chat.messages()[0]["job"], id.as_str());
    assert_eq!(chat.events(), ["failure"]);
}

#[test]
fn what_kills_its_workers_on_refs_is_told() {
    what_kills_its_workers_fails_for_good_and_is_told(Where::Refs);
}

#[test]
fn what_kills_its_workers_on_postgres_is_told() {
    what_kills_its_workers_fails_for_good_and_is_told(Where::Postgres);
}
