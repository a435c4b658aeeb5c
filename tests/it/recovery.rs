//! Restoring a backup into a new database.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pggit::pg::{Client, ConnInfo, Environment, Error as PgError, Template};
use pggit::recovery::{DatabaseStep, Error, Plan, into_new_database};

use super::cluster::Cluster;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn admin(cluster: &Cluster) -> ConnInfo {
    let env = Environment::from_iter([("HOME", "/nonexistent")]);
    ConnInfo::parse(&cluster.conninfo("postgres"), &env).expect("valid")
}

fn plan(name: &str) -> Plan {
    Plan::new(name, "the-backup", Some(COMMIT), Template::default())
}

/// Returns the databases whose name contains `part`.
fn databases(cluster: &Cluster, part: &str) -> Vec<String> {
    let sql = format!("select datname from pg_database where strpos(datname, $x${part}$x$) > 0 order by 1");
    cluster.psql("postgres", &sql).lines().map(str::to_owned).collect()
}

fn fill(info: &ConnInfo) -> Result<(), Error> {
    Ok(Client::connect(info, "test")?
        .execute("create table public.t (n int); insert into public.t values (7)")?)
}

fn run(cluster: &Cluster, plan: &Plan) -> Result<Option<String>, Error> {
    into_new_database(&admin(cluster), plan, |_, info| fill(info), &|_| {})
}

/// Returns an odd name that no other test uses.
fn name(what: &str) -> String {
    format!("-it's \"{what}\" ü{}", std::process::id())
}

#[test]
fn the_name_appears_when_everything_is_there() {
    let cluster = Cluster::shared();
    let name = name("whole");
    let seen = RefCell::new(Vec::new());
    let look = |step| seen.borrow_mut().push((step, databases(&cluster, &name)));
    let plan = plan(&name);
    into_new_database::<Error>(&admin(&cluster), &plan, |_, info| fill(info), &look).expect("restored");
    let temporary = vec![plan.temporary().to_owned()];
    let expected = [
        ("recovery.created", temporary.clone()),
        ("recovery.commented", temporary.clone()),
        ("recovery.loaded", temporary),
        ("recovery.renamed", vec![name.clone()]),
    ];
    assert_eq!(*seen.borrow(), expected);
    assert_eq!(cluster.psql(&name, "select n from t"), "7");
    let client = Client::connect(&admin(&cluster).with_dbname(&name), "test").expect("connects");
    assert_eq!(client.read_mark().expect("readable").as_deref(), Some(COMMIT));
    assert_eq!(client.get_comment(&name).expect("readable"), None);

    let error = into_new_database::<Error>(&admin(&cluster), &plan, |_, _| panic!("not loaded"), &|_| {});
    assert!(matches!(error, Err(Error::TargetExists { dbname }) if dbname == name));
}

#[test]
fn a_failed_load_leaves_nothing_and_its_error_comes_back() {
    #[derive(Debug, PartialEq)]
    struct Own(&'static str);
    impl From<Error> for Own {
        fn from(error: Error) -> Self {
            panic!("the error of the load comes back, not {error}")
        }
    }
    let cluster = Cluster::shared();
    let name = name("failed");
    let mut held = None;
    let load = |_: &DatabaseStep, info: &ConnInfo| {
        // A session that stays connected does not prevent the removal.
        held = Client::connect(info, "test").ok();
        Err(Own("mine"))
    };
    let result = into_new_database(&admin(&cluster), &plan(&name), load, &|_| {});
    assert_eq!(result, Err(Own("mine")));
    assert!(held.is_some());
    assert!(databases(&cluster, &name).is_empty());

    let load = |_: &DatabaseStep, _: &ConnInfo| -> Result<(), Error> { panic!("in the middle") };
    let attempt = || into_new_database(&admin(&cluster), &plan(&name), load, &|_| {});
    assert!(catch_unwind(AssertUnwindSafe(attempt)).is_err());
    assert!(databases(&cluster, &name).is_empty());
}

#[test]
fn a_name_taken_meanwhile_is_not_touched() {
    let cluster = Cluster::shared();
    let name = name("raced");
    let quoted = name.replace('"', "\"\"");
    let load = |_: &DatabaseStep, info: &ConnInfo| {
        cluster.psql("postgres", &format!("create database \"{quoted}\""));
        fill(info)
    };
    let error = into_new_database::<Error>(&admin(&cluster), &plan(&name), load, &|_| {});
    assert!(matches!(&error, Err(Error::TargetExists { dbname }) if *dbname == name), "{error:?}");
    assert_eq!(databases(&cluster, &name), [name]);
}

#[test]
fn leftovers_of_a_dead_try_go_and_the_living_stay() {
    let cluster = Cluster::shared();
    let name = name("leftover");
    let plan = plan(&name);
    let client = Client::connect(&admin(&cluster), "test").expect("connects");
    let temporary = plan.temporary();

    // Crashed after its comment was set: the database has data.
    client.create_database(temporary, &Template::default()).expect("created");
    client.set_comment(temporary, Some("git-pggit: being restored from backup x")).expect("commented");
    fill(&admin(&cluster).with_dbname(temporary)).expect("filled");
    run(&cluster, &plan).expect("the leftover is dropped");
    assert_eq!(databases(&cluster, &name), std::slice::from_ref(&name));
    client.drop_database(&name, true).expect("dropped");

    // Crashed before its comment was set: the database is empty.
    client.create_database(temporary, &Template::default()).expect("created");
    run(&cluster, &plan).expect("the empty leftover is dropped");
    client.drop_database(&name, true).expect("dropped");

    // A database of another user.
    client.create_database(temporary, &Template::default()).expect("created");
    fill(&admin(&cluster).with_dbname(temporary)).expect("filled");
    for comment in [None, Some("mine")] {
        client.set_comment(temporary, comment).expect("commented");
        let error = run(&cluster, &plan).expect_err("not ours");
        assert!(matches!(&error, Error::TemporaryTaken { .. }), "{error}");
    }
    assert_eq!(cluster.psql(temporary, "select n from t"), "7");
    client.drop_database(temporary, true).expect("dropped");
}

#[test]
fn two_tries_at_once_do_not_meet() {
    let cluster = Cluster::shared();
    let name = name("twice");
    let load = |_: &DatabaseStep, info: &ConnInfo| {
        let error = run(&cluster, &plan(&name)).expect_err("the other one is at work");
        assert!(matches!(&error, Error::InProgress { dbname } if *dbname == name), "{error}");
        fill(info)
    };
    into_new_database::<Error>(&admin(&cluster), &plan(&name), load, &|_| {}).expect("restored");
    assert_eq!(databases(&cluster, &name), [name]);
}

#[test]
fn bad_names_and_marks_touch_nothing() {
    let cluster = Cluster::start();
    for bad in ["", "a\0b", &"x".repeat(64)] {
        let error = run(&cluster, &plan(bad)).expect_err("no such name");
        assert!(matches!(&error, Error::Pg(PgError::BadName { .. })), "{error}");
    }
    let plan = Plan::new("fine", "b", Some("not a commit"), Template::default());
    let error = run(&cluster, &plan).expect_err("no such commit");
    assert!(matches!(&error, Error::Pg(PgError::BadMark { .. })), "{error}");
    let names = cluster.psql("postgres", "select string_agg(datname, ' ' order by datname) from pg_database");
    assert_eq!(names, "postgres template0 template1");
    run(&cluster, &self::plan(&"x".repeat(63))).expect("the longest name");
}
