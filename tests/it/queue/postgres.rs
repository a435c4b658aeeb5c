//! The queue in PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use pggit::clock::{Clock, System};
use pggit::domain::{BootTime, JobState, Timestamp};
use pggit::pg::{Client, ConnInfo, Environment, Error as PgError};
use pggit::queue::{Error, PostgresQueue, Queue};
use pggit::sql::{self, QueuePrivilege};

use super::suite::{self, Stage, backup, completed, secs};
use crate::cluster::Cluster;

struct Postgres {
    cluster: Arc<Cluster>,
    database: String,
}

struct Ahead;

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        System.now().plus(secs(3600))
    }

    fn uptime(&self) -> BootTime {
        System.uptime()
    }
}

impl Postgres {
    fn new() -> Self {
        let cluster = Cluster::shared();
        let database = cluster.create_database("queue");
        let stage = Self { cluster, database };
        sql::install(&stage.client()).unwrap();
        stage
    }

    fn info(&self) -> ConnInfo {
        ConnInfo::parse(&self.cluster.url(&self.database), &Environment::default()).unwrap()
    }

    fn client(&self) -> Client {
        Client::connect(&self.info(), "test").unwrap()
    }

    fn psql(&self, sql: &str) -> String {
        self.cluster.psql(&self.database, sql)
    }
}

impl Stage for Postgres {
    fn open(&self) -> Box<dyn Queue> {
        Box::new(PostgresQueue::open(self.info(), Arc::new(System)).unwrap())
    }

    fn open_ahead(&self) -> Box<dyn Queue> {
        Box::new(PostgresQueue::open(self.info(), Arc::new(Ahead)).unwrap())
    }

    /// Moves the stored times back, because the clock of the server cannot be changed.
    fn pass(&self, time: Duration) {
        let by = format!("interval '{} s'", time.as_secs());
        let columns = ["lease_expires_at", "next_retry_at", "finished_at", "created_at", "updated_at"];
        let moved: Vec<String> = columns.iter().map(|name| format!("{name} = {name} - {by}")).collect();
        let untold = format!(
            "untold = jsonb_set(untold, '{{until}}', to_jsonb((untold ->> 'until')::timestamptz - {by}))"
        );
        self.psql(&format!("update pggit.jobs set {}, {untold}", moved.join(", ")));
    }

    fn many(&self) -> usize {
        if std::env::var_os("PGGIT_TEST_LONG").is_some() { 5000 } else { 300 }
    }
}

suite::conformance!(Postgres::new());

#[test]
fn it_is_installed_once_whoever_installs_at_the_same_time() {
    let cluster = Cluster::shared();
    let stage = Postgres { database: cluster.create_database("queue"), cluster };
    let refused = PostgresQueue::open(stage.info(), Arc::new(System)).err().unwrap();
    assert!(matches!(refused, Error::Version { installed: 0, needed: 2, .. }), "{refused}");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| sql::install(&stage.client()).unwrap());
        }
    });
    assert_eq!(sql::install(&stage.client()).unwrap(), sql::newest_version());
    stage.psql("insert into pggit.schema_version values (99)");
    let newer = PostgresQueue::open(stage.info(), Arc::new(System)).err().unwrap();
    assert!(matches!(newer, Error::Version { installed: 99, .. }), "{newer}");
}

#[test]
fn roles_can_do_what_they_were_granted_and_nothing_else() {
    let stage = Postgres::new();
    let role = |kind: &str| format!("{kind}_{}", stage.database);
    for (kind, right) in
        [("r", QueuePrivilege::Read), ("e", QueuePrivilege::Enqueue), ("w", QueuePrivilege::Work)]
    {
        stage.psql(&format!("create role {} login", role(kind)));
        sql::grant(&stage.client(), &role(kind), right).unwrap();
    }
    let open = |kind: &str| {
        let url =
            stage.cluster.url(&stage.database).replace("user=postgres", &format!("user={}", role(kind)));
        PostgresQueue::open(ConnInfo::parse(&url, &Environment::default()).unwrap(), Arc::new(System))
            .unwrap()
    };
    let denied = |error: Error| {
        assert!(matches!(error, Error::Pg(pggit::pg::Error::PermissionDenied { .. })), "{error}");
    };
    let (reader, enqueuer, worker) = (open("r"), open("e"), open("w"));
    denied(reader.enqueue(backup("shop")).unwrap_err());
    let id = enqueuer.enqueue(backup("shop")).unwrap().job.id;
    denied(enqueuer.cancel(id).unwrap_err());
    denied(enqueuer.claim(&suite::worker("w")).unwrap_err());
    assert_eq!(reader.list(&pggit::queue::Filter::default()).unwrap().jobs.len(), 1);
    assert_eq!(reader.stats().unwrap().due, 1);
    let claim = worker.claim(&suite::worker("w")).unwrap().unwrap();
    worker.heartbeat(&claim).unwrap();
    let sql = format!(
        "set role {}; select job_id, backup_id, database, kind, state, priority, attempts, max_attempts, \
         next_retry_at, lease_expires_at is not null, worker, last_error from pggit.backup_jobs",
        role("r")
    );
    let backup_id = claim.job.work.backup();
    assert_eq!(stage.psql(&sql), format!("{id}|{backup_id}|shop|backup|in_progress|0|1|3||t|w|"));
    for sql in [
        "update pggit.jobs set state = 'completed'",
        "select key from pggit.claim_keys",
        "select pggit.new_key()",
    ] {
        let sql = format!("set role {}; {sql}", role("w"));
        assert!(!stage.cluster.try_psql(&stage.database, &sql).status.success(), "{sql}");
    }
    // Another worker with the same role can read the fencing token of the claim, but not its key.
    for call in ["end_attempt(id, token, 'completed', null, '', false, false)", "heartbeat(id, token)"] {
        let sql = format!("set role {}; select pggit.{call} is null from pggit.jobs", role("w"));
        assert_eq!(stage.psql(&sql), "t", "{call}");
    }
    worker.heartbeat(&claim).unwrap();
    worker.end(&claim, &completed()).unwrap();
    let dropped = ["r", "e", "w"].map(|kind| format!("drop owned by {0}; drop role {0}", role(kind)));
    stage.psql(&dropped.join("; "));
}

#[test]
fn the_key_of_a_claim_is_in_no_statement_that_the_server_shows() {
    let stage = Postgres::new();
    let queue = stage.open();
    let watched = |claim: &pggit::queue::Claim| {
        let statement = stage.psql(
            "select query from pg_stat_activity where application_name = 'git-pggit queue' \
             and datname = current_database()",
        );
        assert!(statement.contains("pggit."), "{statement}");
        for secret in [claim.key, claim.key + claim.fencing_token] {
            assert!(!statement.contains(&secret.to_string()), "{statement}");
        }
    };
    queue.enqueue(backup("shop")).unwrap();
    queue.enqueue(backup("stats")).unwrap();
    let first = queue.claim(&suite::worker("w")).unwrap().unwrap();
    queue.heartbeat(&first).unwrap();
    watched(&first);
    let (_, second) = queue.end_and_claim(&first, &completed(), &suite::worker("w")).unwrap();
    watched(&first);
    let second = second.unwrap();
    queue.end(&second, &completed()).unwrap();
    watched(&second);
}

#[test]
fn workers_of_the_version_before_lose_their_jobs_and_claim_none() {
    let cluster = Cluster::shared();
    let stage = Postgres { database: cluster.create_database("queue"), cluster };
    let role = format!("old_{}", stage.database);
    let first = include_str!("../../../src/sql/0001_queue.sql");
    stage.client().execute(&format!(
        "create schema pggit; create table pggit.schema_version (version integer primary key, \
         installed_at timestamptz not null default now()); {first}; insert into pggit.schema_version values (1); \
         create role {role} login; grant usage on schema pggit to {role}; \
         grant select on pggit.jobs, pggit.schema_version to {role}; \
         grant execute on all functions in schema pggit to {role}"
    )).unwrap();
    let id = "01a20000-0000-7000-8000-000000000001";
    let work = serde_json::to_string(&backup("shop").work).unwrap();
    stage.psql(&format!(
        "select pggit.enqueue('{id}', 'backup', 'shop', '01a20000-0000-7000-8000-000000000002', null, '{work}', \
         0::int2, null, 5, 0, 0, 'x')"
    ));
    let as_worker = |sql: &str| stage.psql(&format!("set role {role}; {sql}"));
    let claim = "select pggit.claim('old', null, 60)";
    assert!(as_worker(claim).contains(id));
    assert_eq!(sql::install(&stage.client()).unwrap(), 1);
    assert_eq!(
        stage.psql(
            "select count(*) from pggit.jobs join pggit.claim_keys on job_id = id where state = 'in_progress'"
        ),
        "1"
    );
    for call in ["heartbeat(id, token)", "end_attempt(id, token, 'completed', null, '', false, false)"] {
        assert_eq!(as_worker(&format!("select pggit.{call} is null from pggit.jobs")), "t", "{call}");
    }
    stage.pass(secs(120));
    let refused = stage.cluster.try_psql(&stage.database, &format!("set role {role}; {claim}"));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("this worker is older than the queue"), "{said}");
    // The privileges of the role are the same as before.
    let url = stage.cluster.url(&stage.database).replace("user=postgres", &format!("user={role}"));
    let info = ConnInfo::parse(&url, &Environment::default()).unwrap();
    let queue = PostgresQueue::open(info, Arc::new(System)).unwrap();
    let claim = queue.claim(&suite::worker("new")).unwrap().unwrap();
    assert_eq!((claim.job.id.to_string().as_str(), claim.fencing_token), (id, 2));
    queue.heartbeat(&claim).unwrap();
    let (ended, next) = queue.end_and_claim(&claim, &completed(), &suite::worker("new")).unwrap();
    assert!(ended.state == JobState::Completed && next.is_none());
    drop(queue);
    stage.psql(&format!("drop owned by {role}; drop role {role}"));
}

#[test]
fn a_connection_that_broke_is_made_anew() {
    let stage = Postgres::new();
    let queue = stage.open();
    let mut watch = queue.watch().unwrap();
    queue.enqueue(backup("shop")).unwrap();
    let break_all = || {
        stage.psql(
            "select pg_terminate_backend(pid) from pg_stat_activity \
             where datname = current_database() and pid <> pg_backend_pid()",
        )
    };
    break_all();
    let claim = queue.claim(&suite::worker("w")).unwrap().unwrap();
    break_all();
    queue.heartbeat(&claim).unwrap();
    break_all();
    queue.end(&claim, &completed()).unwrap();
    let waited = loop {
        match watch.wait(secs(20)) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(waited.retry(), "{waited}");
}

#[test]
fn a_schema_of_somebody_else_is_not_used() {
    let cluster = Arc::new(Cluster::start());
    cluster.psql("postgres", "create role mallory login");
    let stage = |sql: &[&str]| {
        let database = cluster.create_database("queue");
        cluster.psql("postgres", &format!("grant create on database {database} to mallory"));
        let stage = Postgres { database, cluster: Arc::clone(&cluster) };
        for sql in sql {
            stage.psql(sql);
        }
        stage
    };
    let foreign = |stage: &Postgres, expected: &str| {
        let refused = sql::install(&stage.client()).unwrap_err();
        assert!(matches!(&refused, PgError::OwnedByOther { what, .. } if what == expected), "{refused}");
        let opened = PostgresQueue::open(stage.info(), Arc::new(System)).err().unwrap();
        assert!(matches!(&opened, Error::Pg(PgError::OwnedByOther { .. })), "{opened}");
    };
    let trap = "create function public.trap() returns trigger language plpgsql as \
        $$begin raise 'ran as %', current_user; end$$; alter function public.trap() owner to mallory";
    let table = "create table pggit.schema_version (version integer primary key, installed_at timestamptz default now())";
    foreign(&stage(&["create schema pggit authorization mallory", table]), "schema pggit");
    foreign(
        &stage(&["create schema pggit", table, "alter table pggit.schema_version owner to mallory"]),
        "relation pggit.schema_version",
    );
    foreign(
        &stage(&[
            "create schema pggit",
            "create function pggit.claim(text, jsonb, integer) returns jsonb language sql as 'select null::jsonb'",
            "alter function pggit.claim owner to mallory",
        ]),
        "function pggit.claim",
    );
    let trigger =
        "create trigger t before insert on pggit.schema_version for each row execute function public.trap()";
    foreign(&stage(&["create schema pggit", table, trap, trigger]), "trigger t on pggit.schema_version");
    // A role that is not a superuser may use a queue that another role has installed.
    let stage = stage(&["create role setter login", "create role plain login"]);
    stage.psql(&format!("grant create on database {} to setter", stage.database));
    let as_role = |role: &str| {
        let url = stage.cluster.url(&stage.database).replace("user=postgres", &format!("user={role}"));
        ConnInfo::parse(&url, &Environment::default()).unwrap()
    };
    let setter = Client::connect(&as_role("setter"), "test").unwrap();
    sql::install(&setter).unwrap();
    sql::grant(&setter, "plain", QueuePrivilege::Work).unwrap();
    let queue = PostgresQueue::open(as_role("plain"), Arc::new(System)).unwrap();
    queue.enqueue(backup("shop")).unwrap();
    assert!(
        PostgresQueue::open(stage.info(), Arc::new(System)).is_err(),
        "a superuser runs nothing of setter"
    );
}

#[test]
fn a_job_that_cannot_be_read_does_not_keep_the_others_waiting() {
    let stage = Postgres::new();
    let queue = stage.open();
    let honest = queue.enqueue(backup("shop")).unwrap().job;
    for number in 10..20 {
        stage.psql(&format!(
            "select pggit.enqueue('01a20000-0000-7000-8000-0000000000{number}', 'verify', 'z{number}', \
             '01a20000-0000-7000-8000-000000000002', null, '{{\"kind\": \"nonsense\"}}', 32767::int2, null, 5, 0, 0, 'x')"
        ));
    }
    let worker = suite::worker("w");
    let claim = queue.claim(&worker).unwrap().expect("the honest one");
    assert_eq!(claim.job.id, honest.id);
    assert_eq!(stage.psql("select count(*) from pggit.jobs where state = 'permanently_failed'"), "10");
    // The same holds when an attempt ends and the next job is claimed with it.
    stage.psql(
        "select pggit.enqueue('01a20000-0000-7000-8000-000000000003', 'verify', 'z', \
         '01a20000-0000-7000-8000-000000000002', null, '{\"kind\": \"nonsense\"}', 32767::int2, null, 5, 0, 0, 'x')",
    );
    let next = queue.enqueue(backup("stats")).unwrap().job;
    let (ended, claimed) = queue.end_and_claim(&claim, &completed(), &worker).unwrap();
    assert_eq!((ended.id, claimed.map(|claim| claim.job.id)), (honest.id, Some(next.id)));
}
