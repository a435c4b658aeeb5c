//! Faults, and the resulting state of the job.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use rustix::process::Signal;

use super::wire::Wire;
use super::{Holder, Where, Yard, assert_no_tool, tools};
use crate::cluster::Cluster;
use crate::create::Shop;

/// Makes a directory of the PostgreSQL programs with a failing pg_dump.
fn broken_pgbin(yard: &Yard) -> std::path::PathBuf {
    let dir = yard.shop.sandbox.path().join("broken");
    fs::create_dir_all(&dir).unwrap();
    for entry in fs::read_dir(crate::cluster::bin_dir()).unwrap().flatten() {
        let _ = std::os::unix::fs::symlink(entry.path(), dir.join(entry.file_name()));
    }
    let dump = dir.join("pg_dump");
    fs::remove_file(&dump).unwrap();
    let real = crate::cluster::bin_dir().join("pg_dump");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *--version*) exec {} --version;; esac\necho 'pg_dump: error: the disk is on fire' >&2\nexit 1\n",
        real.display()
    );
    fs::write(&dump, script).unwrap();
    fs::set_permissions(&dump, fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

fn a_failing_tool_is_tried_again_and_given_up_and_repaired(place: Where) {
    let yard = Yard::new(place);
    yard.config("pggit.shop.maxAttempts", "2");
    yard.config("pggit.pgBinDir", broken_pgbin(&yard).to_str().unwrap());
    let id = yard.enqueue(&[]);
    let mut worker = yard.start(&[]);
    worker.wait_for("will be retried");
    let log = worker.wait_for("failed permanently");
    assert_eq!(log["level"], "ERROR");
    let job = yard.job(&id);
    assert_eq!((&job["state"], &job["attempts"]), (&"permanently_failed".into(), &2.into()));
    assert!(job["last_error"]["message"].as_str().unwrap().contains("the disk is on fire"), "{job:#}");
    assert!(job["history"][1]["output"].as_str().unwrap().contains("the disk is on fire"), "{job:#}");
    assert_eq!(yard.shop.only_record()["status"], "failed");
    yard.shop.sandbox.git(["config", "--unset", "pggit.pgBinDir"]);
    yard.shop.pggit(&["queue", "retry", &id]).success();
    worker.wait_for("completed");
    let record = yard.shop.only_record();
    assert_eq!((&record["status"], &record["id"]), (&"completed".into(), &job["backup_id"]));
    assert_eq!(record["attempt"]["number"], 3);
}

#[test]
fn a_failing_tool_is_tried_again_with_refs() {
    a_failing_tool_is_tried_again_and_given_up_and_repaired(Where::Refs);
}

#[test]
fn a_failing_tool_is_tried_again_with_postgres() {
    a_failing_tool_is_tried_again_and_given_up_and_repaired(Where::Postgres);
}

#[test]
fn a_wrong_password_is_not_tried_again() {
    let yard = Yard::of(Shop::on(Arc::new(Cluster::start())), Where::Refs);
    let cluster = &yard.shop.cluster;
    let hba = cluster.dir().join("data/pg_hba.conf");
    fs::write(hba, "local all bob scram-sha-256\nlocal all all trust\n").unwrap();
    cluster.psql("postgres", "CREATE ROLE bob LOGIN SUPERUSER PASSWORD 'right'");
    cluster.psql("postgres", "SELECT pg_reload_conf()");
    let url = cluster.url(&yard.shop.database).replace("user=postgres", "user=bob");
    yard.config("pggit.shop.url", &url);
    let id = yard.enqueue(&[]);
    let mut command = yard.shop.sandbox.pggit_command();
    let output =
        command.env("PGPASSWORD", "wrong").args(["worker", "--until-idle", "--json"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let job = yard.job(&id);
    assert_eq!((&job["state"], &job["attempts"]), (&"permanently_failed".into(), &1.into()), "{job:#}");
    assert_eq!(job["last_error"]["code"], "database-unreachable");
    assert!(job["last_error"]["message"].as_str().unwrap().contains("password"), "{job:#}");
    assert_eq!(yard.shop.only_record()["status"], "failed");
}

/// Configures a custom tool that runs this script.
fn own_tool(yard: &Yard, script: &str) {
    let path = yard.shop.sandbox.path().join("own");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    yard.config("pggit.tool.own.backup", path.to_str().unwrap());
    yard.config("pggit.shop.tool", "own");
}

#[test]
fn a_tool_of_ones_own_is_tried_again_when_it_says_so() {
    let yard = Yard::new(Where::Refs);
    let marker = yard.shop.sandbox.path().join("busy").display().to_string();
    let answer = r#"{"location":"x:1","size_bytes":1,"stored_bytes":1}"#;
    let script =
        format!("[ -e {marker} ] && echo '{answer}' && exit; touch {marker}; echo later >&2; exit 75");
    own_tool(&yard, &script);
    let id = yard.enqueue(&[]);
    let mut worker = yard.start(&[]);
    worker.wait_for("will be retried");
    worker.wait_for("completed");
    let job = yard.job(&id);
    assert_eq!((&job["state"], &job["attempts"]), (&"completed".into(), &2.into()), "{job:#}");
    assert_eq!(job["history"][0]["error"]["code"], "busy");
}

#[test]
fn a_tool_of_ones_own_that_fails_is_not_tried_again() {
    let yard = Yard::new(Where::Refs);
    own_tool(&yard, "echo no luck >&2; exit 3");
    let id = yard.enqueue(&[]);
    assert_eq!(yard.work()["failed"], 1);
    let job = yard.job(&id);
    assert_eq!((&job["state"], &job["attempts"]), (&"permanently_failed".into(), &1.into()), "{job:#}");
    let error = &job["last_error"];
    assert_eq!((&error["code"], &error["message"]), (&"tool-failed".into(), &"own: no luck".into()));
}

fn a_worker_that_is_killed_is_replaced(place: Where) {
    let yard = Yard::new(place);
    let holder = Holder::of(&yard.shop.cluster, &yard.shop.database);
    let id = yard.enqueue(&[]);
    let worker = yard.start(&[]);
    Holder::wait_for_dump(&yard.shop.cluster, &yard.shop.database);
    worker.signal(Signal::KILL);
    assert_eq!(worker.wait(), -1);
    // The attempt ends with its worker, and is recorded as failed.
    assert_no_tool(&yard);
    let began = std::time::Instant::now();
    while yard.shop.only_record()["status"] != "failed" {
        assert!(began.elapsed().as_secs() < 20, "{:#}", yard.shop.only_record());
    }
    drop(holder);
    let mut worker = yard.start(&[]);
    worker.wait_for("completed");
    let job = yard.job(&id);
    assert_eq!((&job["state"], &job["attempts"]), (&"completed".into(), &2.into()));
    assert_eq!(job["history"][0]["outcome"], "lost");
    let record = yard.shop.only_record();
    assert_eq!((&record["status"], &record["id"]), (&"completed".into(), &job["backup_id"]));
}

#[test]
fn a_worker_that_is_killed_is_replaced_with_refs() {
    a_worker_that_is_killed_is_replaced(Where::Refs);
}

#[test]
fn a_worker_that_is_killed_is_replaced_with_postgres() {
    a_worker_that_is_killed_is_replaced(Where::Postgres);
}

fn a_running_job_can_be_cancelled(place: Where) {
    let yard = Yard::new(place);
    yard.config("pggit.lease", "1h");
    let _holder = Holder::of(&yard.shop.cluster, &yard.shop.database);
    let id = yard.enqueue(&[]);
    let mut worker = yard.start(&[]);
    Holder::wait_for_dump(&yard.shop.cluster, &yard.shop.database);
    yard.shop.pggit(&["queue", "cancel", &id]).success();
    worker.wait_for("cancelled");
    assert_eq!(yard.job(&id)["state"], "cancelled");
    assert_eq!(yard.shop.only_record()["status"], "failed");
    assert_no_tool(&yard);
}

#[test]
fn a_running_job_in_refs_can_be_cancelled() {
    a_running_job_can_be_cancelled(Where::Refs);
}

#[test]
fn a_running_job_in_postgres_can_be_cancelled() {
    a_running_job_can_be_cancelled(Where::Postgres);
}

#[test]
fn a_worker_that_is_told_to_end_hands_back_what_is_not_done() {
    let yard = Yard::new(Where::Refs);
    let holder = Holder::of(&yard.shop.cluster, &yard.shop.database);
    let id = yard.enqueue(&[]);
    let mut worker = yard.start(&["--grace", "0"]);
    Holder::wait_for_dump(&yard.shop.cluster, &yard.shop.database);
    worker.signal(Signal::TERM);
    worker.wait_for("handed back");
    assert_eq!(worker.wait(), 0);
    let job = yard.job(&id);
    assert_eq!((&job["state"], &job["attempts"]), (&"ready".into(), &0.into()));
    assert_no_tool(&yard);
    drop(holder);
    assert_eq!(yard.work()["completed"], 1);
    assert_eq!(yard.shop.only_record()["status"], "completed");
}

#[test]
fn a_worker_that_is_told_to_end_finishes_what_it_can() {
    let yard = Yard::new(Where::Refs);
    let holder = Holder::of(&yard.shop.cluster, &yard.shop.database);
    let id = yard.enqueue(&[]);
    let mut worker = yard.start(&["--grace", "1h"]);
    Holder::wait_for_dump(&yard.shop.cluster, &yard.shop.database);
    worker.signal(Signal::TERM);
    worker.wait_for("worker stopping");
    drop(holder);
    assert_eq!(worker.wait(), 0);
    assert_eq!(yard.job(&id)["state"], "completed");
}

#[test]
fn a_database_that_is_not_configured_any_more_is_said_clearly() {
    let yard = Yard::new(Where::Refs);
    let id = yard.enqueue(&[]);
    yard.shop.pggit(&["database", "add", "other", "--url", "service=other"]).success();
    yard.shop.pggit(&["database", "remove", "shop"]).success();
    assert_eq!(yard.work()["failed"], 1);
    let job = yard.job(&id);
    assert_eq!((&job["state"], &job["attempts"]), (&"permanently_failed".into(), &1.into()));
    let error = &job["last_error"];
    assert_eq!(error["code"], "not-found");
    assert!(error["message"].as_str().unwrap().contains("shop"), "{error}");
}

#[test]
fn an_attempt_that_is_killed_is_recorded_and_tried_again() {
    let yard = Yard::new(Where::Refs);
    let holder = Holder::of(&yard.shop.cluster, &yard.shop.database);
    let id = yard.enqueue(&[]);
    let mut worker = yard.start(&[]);
    Holder::wait_for_dump(&yard.shop.cluster, &yard.shop.database);
    let pid = yard.shop.only_record()["attempt"]["owner"]["pid"].as_i64().unwrap();
    assert_ne!(pid, i64::from(worker.child.id()));
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    worker.wait_for("will be retried");
    assert_eq!(yard.shop.only_record()["status"], "failed");
    drop(holder);
    worker.wait_for("completed");
    let job = yard.job(&id);
    assert_eq!(job["history"][0]["error"]["code"], "killed");
    assert_eq!(yard.shop.only_record()["status"], "completed");
    assert_no_tool(&yard);
}

#[test]
fn a_server_that_goes_away_is_waited_for() {
    let yard = Yard::new(Where::Postgres);
    let mut worker = yard.start(&[]);
    let others =
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'git-pggit queue'";
    for _ in 0..3 {
        yard.shop.cluster.psql("postgres", others);
        let id = yard.enqueue(&[]);
        assert_eq!(worker.wait_for("completed")["job"], id.as_str());
    }
}

#[test]
fn two_workers_of_one_name_do_not_get_in_each_others_way() {
    let mut yard = Yard::new(Where::Postgres);
    yard.shop.sandbox.set("PGGIT_WORKER_ID", "same");
    let ids: Vec<String> = (0..6).map(|_| yard.enqueue(&[])).collect();
    let (_one, _two) = (yard.start(&["-c2"]), yard.start(&["-c2"]));
    for id in &ids {
        let job = yard.wait_for(id, &["completed"]);
        assert_eq!(job["attempts"], 1);
    }
    assert_eq!(yard.shop.records().len(), 6);
}

#[test]
fn a_tool_that_is_killed_is_started_again() {
    let yard = Yard::new(Where::Refs);
    let holder = Holder::of(&yard.shop.cluster, &yard.shop.database);
    let id = yard.enqueue(&[]);
    let mut worker = yard.start(&[]);
    Holder::wait_for_dump(&yard.shop.cluster, &yard.shop.database);
    for pid in tools(&yard) {
        let _ = rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), Signal::KILL);
    }
    worker.wait_for("will be retried");
    drop(holder);
    worker.wait_for("completed");
    let job = yard.job(&id);
    assert_eq!((&job["state"], &job["attempts"]), (&"completed".into(), &2.into()));
    assert_eq!(yard.shop.only_record()["status"], "completed");
}

#[test]
fn a_dump_by_several_processes_ends_with_an_attempt_that_is_killed() {
    let yard = Yard::new(Where::Refs);
    yard.config("pggit.shop.format", "directory");
    yard.config("pggit.shop.jobs", "2");
    let wire = Wire::to(&yard.shop.cluster);
    yard.config("pggit.shop.url", &wire.url(&yard.shop.database));
    let holder = Holder::of(&yard.shop.cluster, &yard.shop.database);
    let id = yard.enqueue(&[]);
    let mut worker = yard.start(&[]);
    Holder::wait_for_dump(&yard.shop.cluster, &yard.shop.database);
    // The connections of the child processes get no response from the server.
    wire.hold(2);
    drop(holder);
    let began = std::time::Instant::now();
    while tools(&yard).len() < 3 {
        assert!(began.elapsed().as_secs() < 60, "pg_dump has no child processes");
    }
    // The worker cannot terminate the child processes.
    worker.signal(Signal::STOP);
    let pid = yard.shop.only_record()["attempt"]["owner"]["pid"].as_i64().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
    assert_no_tool(&yard);
    worker.signal(Signal::CONT);
    worker.wait_for("will be retried");
    worker.wait_for("completed");
    assert_eq!(yard.job(&id)["attempts"], 2);
    assert_eq!(yard.shop.only_record()["status"], "completed");
}

#[test]
fn a_queue_server_that_dies_while_a_job_runs_is_told_when_it_is_back() {
    let yard = Yard::new(Where::Refs);
    let server = Cluster::start();
    yard.config("pggit.queue", &server.url("postgres"));
    yard.config("pggit.lease", "1h");
    yard.shop.pggit(&["queue", "init"]).success();
    let holder = Holder::of(&yard.shop.cluster, &yard.shop.database);
    let id = yard.enqueue(&[]);
    let mut worker = yard.start(&[]);
    Holder::wait_for_dump(&yard.shop.cluster, &yard.shop.database);
    // The server uses asynchronous commit; a checkpoint keeps the acknowledged changes.
    server.psql("postgres", "checkpoint");
    server.stop();
    drop(holder);
    worker.wait_for("could not record the end");
    server.start_again();
    worker.wait_for("completed");
    let job = yard.job(&id);
    assert_eq!((&job["state"], &job["attempts"]), (&"completed".into(), &1.into()));
    let next = yard.enqueue(&[]);
    assert_eq!(worker.wait_for("completed")["job"], next.as_str());
}

#[test]
fn a_network_that_breaks_while_a_job_runs_is_waited_for() {
    let yard = Yard::new(Where::Refs);
    let server = Cluster::start();
    let wire = Wire::to(&server);
    yard.config("pggit.queue", &wire.url("postgres"));
    yard.config("pggit.lease", "1h");
    yard.shop.pggit(&["queue", "init"]).success();
    let holder = Holder::of(&yard.shop.cluster, &yard.shop.database);
    let id = yard.enqueue(&[]);
    let mut worker = yard.start(&[]);
    Holder::wait_for_dump(&yard.shop.cluster, &yard.shop.database);
    wire.cut();
    drop(holder);
    worker.wait_for("could not record the end");
    wire.mend();
    worker.wait_for("completed");
    let job = yard.job(&id);
    assert_eq!((&job["state"], &job["attempts"]), (&"completed".into(), &1.into()));
    assert_eq!(yard.shop.only_record()["status"], "completed");
}

#[test]
fn a_database_that_dies_while_it_is_dumped_is_dumped_when_it_is_back() {
    let yard = Yard::of(Shop::on(Arc::new(Cluster::start())), Where::Refs);
    let (cluster, database) = (&yard.shop.cluster, &yard.shop.database);
    let holder = Holder::of(cluster, database);
    let id = yard.enqueue(&[]);
    let mut worker = yard.start(&[]);
    Holder::wait_for_dump(cluster, database);
    cluster.psql("postgres", "checkpoint");
    cluster.stop();
    worker.wait_for("will be retried");
    assert_eq!(yard.shop.only_record()["status"], "failed");
    cluster.start_again();
    drop(holder);
    worker.wait_for("completed");
    assert_eq!(yard.job(&id)["state"], "completed");
    assert_eq!(yard.shop.only_record()["status"], "completed");
    assert_no_tool(&yard);
}

#[test]
fn a_backup_is_verified_by_a_job() {
    let yard = Yard::new(Where::Refs);
    let backup = yard.enqueue(&[]);
    assert_eq!(yard.work()["completed"], 1);
    let verify = yard.enqueue(&["--verify", "latest", "--how", "checksum"]);
    assert_eq!(yard.work()["completed"], 1);
    let (backup, verify) = (yard.job(&backup), yard.job(&verify));
    assert_eq!((&verify["kind"], &verify["backup_id"]), (&"verify".into(), &backup["backup_id"]));
    assert_eq!(yard.shop.only_record()["verifications"][0]["status"], "passed");
    let directory = yard.shop.backups_dir();
    for entry in walkdir::WalkDir::new(directory).into_iter().flatten() {
        if entry.file_type().is_file() && !entry.file_name().to_string_lossy().ends_with("json") {
            fs::write(entry.path(), "not what was written").unwrap();
        }
    }
    let verify = yard.enqueue(&["--verify", "latest", "--how", "checksum"]);
    assert_eq!(yard.work()["failed"], 1);
    let job = yard.job(&verify);
    assert_eq!((&job["state"], &job["attempts"]), (&"permanently_failed".into(), &1.into()), "{job:#}");
    assert!(job["last_error"]["message"].as_str().unwrap().starts_with("verification failed"), "{job:#}");
}
