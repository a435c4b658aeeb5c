//! Long sessions, roles with few privileges, and databases that cannot be dropped easily.

use pggit::domain::{Digest, Setting};
use pggit::pg::{Client, ConnInfo, Environment, Error as PgError, Table, Template};
use pggit::recovery::{Error, Plan, into_new_database};
use pggit::tools::{Connection, DumpSpec, Programs};

use crate::cluster::{Cluster, Options, bin_dir};
use crate::create::Shop;
use crate::restore_commit::History;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn connect(cluster: &Cluster, database: &str, user: &str) -> Client {
    let text = format!("{} user={user}", cluster.conninfo(database));
    Client::connect(&ConnInfo::parse(&text, &Environment::default()).unwrap(), "test").unwrap()
}

fn value(client: &Client, sql: &str) -> String {
    client.query(sql).unwrap()[0][0].clone().unwrap_or_default()
}

#[test]
fn no_limit_of_the_server_ends_our_sessions() {
    let cluster = Cluster::start();
    let db = cluster.create_database("limited");
    let mut limits = vec![
        ("statement_timeout", "1min"),
        ("lock_timeout", "1s"),
        ("idle_in_transaction_session_timeout", "2s"),
        ("idle_session_timeout", "3s"),
    ];
    if connect(&cluster, &db, "postgres").facts().unwrap().major >= 17 {
        limits.push(("transaction_timeout", "4s"));
    }
    for (name, limit) in &limits {
        cluster.psql("postgres", &format!("alter database {db} set {name} = '{limit}'"));
    }
    cluster.psql("postgres", &format!("alter database {db} set default_transaction_read_only = on"));
    let client = connect(&cluster, &db, "postgres");
    for (name, _) in limits {
        assert_eq!(value(&client, &format!("show {name}")), "0", "{name}");
    }
    assert_eq!(value(&client, "show search_path"), "");
    // Writing works even if transactions are read-only by default.
    client.set_mark(&db, COMMIT).unwrap();
    assert_eq!(client.read_mark().unwrap().as_deref(), Some(COMMIT));
}

#[test]
fn a_database_with_a_subscription_is_dropped() {
    let cluster = Options::default().setting("wal_level=logical").start();
    let db = cluster.create_database("subscriber");
    let admin = connect(&cluster, "postgres", "postgres");
    for force in [false, true] {
        cluster.psql(
            &db,
            "create subscription \"it's one\" connection 'host=nowhere.invalid dbname=x' publication p \
             with (connect = false, slot_name = 'other')",
        );
        admin.drop_database(&db, force).unwrap();
        admin.create_database(&db, &Template::default()).unwrap();
    }
    // A leftover database with a subscription does not block the name.
    let plan = Plan::new("restored", "the-backup", None, Template::default());
    admin.create_database(plan.temporary(), &Template::default()).unwrap();
    admin.set_comment(plan.temporary(), Some("git-pggit: being restored from backup x")).unwrap();
    let sql = "create subscription s connection 'dbname=x' publication p with (connect = false)";
    cluster.psql(plan.temporary(), sql);
    into_new_database::<Error>(admin.conninfo(), &plan, |_, _| Ok(()), &|_| {}).unwrap();
    let left = "select string_agg(datname, ' ') from pg_database where datname like '%pggit%'";
    assert_eq!(value(&admin, left), "");
}

#[test]
fn properties_are_carried_over_whatever_they_are() {
    let cluster = Cluster::start();
    let [from, to] = ["from", "to"].map(|name| cluster.create_database(name));
    cluster.psql("postgres", "create role app");
    for sql in [
        format!("alter database {from} set session_preload_libraries = 'auto_explain'"),
        format!("alter database {from} set search_path = \"$user\", \"Odd, one\", public"),
        format!("alter role app in database {from} set local_preload_libraries = 'x y', 'z'"),
        format!("alter database {from} set temp_tablespaces = ''"),
        format!("alter database {from} set datestyle = 'ISO, DMY'"),
        format!("alter database {from} set auto_explain.log_min_duration = '3s'"),
    ] {
        cluster.psql("postgres", &sql);
    }
    let admin = connect(&cluster, "postgres", "postgres");
    let properties = admin.properties(&from).unwrap();
    assert!(admin.set_properties(&to, &properties).unwrap().is_none());
    assert_eq!(admin.properties(&to).unwrap(), properties);
}

/// Creates a role that may create databases but not mark them.
fn owner(cluster: &Cluster, database: &str) {
    cluster.psql("postgres", "create role owner login createdb");
    cluster.psql("postgres", &format!("alter database {database} owner to owner"));
    cluster.psql(database, "alter schema public owner to owner");
    cluster.psql(database, "alter table orders owner to owner");
}

#[test]
fn a_role_that_may_not_mark_restores_all_the_same_and_it_is_said() {
    let history = History::on(Cluster::start().into());
    let (cluster, database) = (&history.cluster, &history.database);
    history.backup("first");
    cluster.psql("postgres", "create role owner login createdb");
    let url = history.cluster.url("postgres").replace("user=postgres", "user=owner");
    let output = history
        .restore("first", &["--maintenance-db", &url, "--no-owner", "--no-privileges", "--json"])
        .success();
    assert!(output.json()["not_marked"].as_str().unwrap().contains("pggit.commit"), "{}", output.snapshot());
    assert!(output.stderr_text().contains("is not marked with its commit"), "{}", output.snapshot());
    let copy = connect(cluster, &history.copy(), "postgres");
    assert_eq!(
        (copy.read_mark().unwrap(), value(&copy, "select count(*) from public.orders")),
        (None, "100".into())
    );
    drop(copy);
    // A role that may set the mark gets no warning.
    cluster.psql("postgres", &format!("drop database {}", history.copy()));
    let output = history.restore("first", &["--json"]).success();
    assert_eq!(output.json()["not_marked"], serde_json::Value::Null, "{database}");
}

#[test]
fn guard_puts_a_database_back_that_it_may_not_mark() {
    let history = History::on(Cluster::start().into());
    let (cluster, database) = (&history.cluster, &history.database);
    owner(cluster, database);
    let url = cluster.url(database).replace("user=postgres", "user=owner");
    history.sandbox.git(["config", "pggit.shop.url", &url]);
    let before = history.sandbox.git(["rev-parse", "HEAD"]);
    connect(cluster, database, "postgres").set_mark(database, &before).unwrap();
    let drop = ["psql", "-d", &url, "-c", "drop table orders", "-c", "select 1/0"];
    let output = history.pggit(&[&["backup", "guard", "--"][..], &drop].concat());
    assert_ne!(output.status, 0);
    let said = output.stderr_text();
    assert!(said.contains("is as it was before the migration"), "{said}");
    assert!(said.contains("is not marked with its commit") && said.contains("GRANT SET"), "{said}");
    assert_eq!(history.sql("select count(*) from orders"), "100");
}

#[test]
fn a_leftover_that_is_in_use_does_not_block_its_name() {
    let cluster = Cluster::start();
    let admin = connect(&cluster, "postgres", "postgres");
    let plan = Plan::new("restored", "the-backup", Some(COMMIT), Template::default());
    admin.create_database(plan.temporary(), &Template::default()).unwrap();
    admin.set_comment(plan.temporary(), Some("git-pggit: being restored from backup x")).unwrap();
    let user = connect(&cluster, plan.temporary(), "postgres");
    let mut names = Vec::new();
    let work = |_: &_, info: &ConnInfo| {
        names.push(info.dbname().to_owned());
        Ok(())
    };
    into_new_database::<Error>(admin.conninfo(), &plan, work, &|_| {}).unwrap();
    assert_eq!(names, ["restored~2~pggit"]);
    drop(user);
    assert!(admin.database_exists("restored").unwrap() && admin.database_exists(plan.temporary()).unwrap());
}

#[test]
fn a_leftover_under_any_of_the_temporary_names_is_dropped() {
    let cluster = Cluster::start();
    let admin = connect(&cluster, "postgres", "postgres");
    let ours = Some("git-pggit: being restored from backup x");
    for (name, comment) in [
        ("restored~2~pggit", ours),
        ("restored~3~pggit", Some("of somebody else")),
        ("restored~5~pggit", ours),
    ] {
        admin.create_database(name, &Template::default()).unwrap();
        admin.set_comment(name, comment).unwrap();
    }
    let plan = Plan::new("restored", "the-backup", Some(COMMIT), Template::default());
    into_new_database::<Error>(admin.conninfo(), &plan, |_, _| Ok(()), &|_| {}).unwrap();
    let names =
        "select string_agg(datname, ' ' order by datname) from pg_database where datname ~ '^restored'";
    assert_eq!(value(&admin, names), "restored restored~3~pggit");
}

#[test]
fn long_names_that_begin_alike_are_restored_and_compared() {
    let cluster = Cluster::start();
    let admin = connect(&cluster, "postgres", "postgres");
    let long = |end: &str| format!("{}{end}", "x".repeat(61));
    let inner = |_: &_, _: &ConnInfo| {
        let other = Plan::new(&long("ab"), "b", None, Template::default());
        into_new_database::<Error>(admin.conninfo(), &other, |_, _| Ok(()), &|_| {}).map(drop)
    };
    let plan = Plan::new(&long("aa"), "a", None, Template::default());
    into_new_database::<Error>(admin.conninfo(), &plan, inner, &|_| {}).unwrap();
    assert!(admin.database_exists(&long("aa")).unwrap() && admin.database_exists(&long("ab")).unwrap());
}

#[test]
fn settings_that_only_a_superuser_can_change_are_not_copied_unless_results_depend_on_them() {
    let cluster = Cluster::start();
    let db = cluster.create_database("set");
    let admin = connect(&cluster, "postgres", "postgres");
    let restricted = "select name || '=' || setting from pg_settings where name not like 'log_%' \
        and name not like 'track_%' and context in ('superuser', 'superuser-backend', 'backend')";
    for row in admin.query(restricted).unwrap() {
        let (name, setting) = row[0].as_deref().unwrap().split_once('=').unwrap();
        // Servers built without support for LLVM or lz4 refuse some values.
        let _ = admin.execute(&format!("alter database {db} set {name} = '{setting}'"));
    }
    admin.execute(&format!("alter database {db} set temp_file_limit = '1GB'")).unwrap();
    let kept: Vec<String> =
        admin.database_settings(&db).unwrap().into_iter().map(|setting| setting.name).collect();
    let expected = [
        "allow_in_place_tablespaces",
        "allow_system_table_mods",
        "event_triggers",
        "lo_compat_privileges",
        "session_replication_role",
    ];
    assert!(kept.iter().all(|name| expected.contains(&name.as_str())), "{kept:?}");
    assert!(kept.iter().any(|name| name == "session_replication_role"), "{kept:?}");
}

#[test]
fn money_is_read_in_the_locale_that_it_was_written_in() {
    let cluster = Cluster::start();
    let admin = connect(&cluster, "postgres", "postgres");
    let template = |locale: &str| Template { monetary: Some(locale.to_owned()), ..Template::default() };
    admin.create_database("known", &template("POSIX")).unwrap();
    let known = connect(&cluster, "known", "postgres");
    assert_eq!(known.facts().unwrap().lc_monetary, "POSIX");
    known.execute("create table public.t (m money[])").unwrap();
    assert!(known.reads_money("POSIX").unwrap() && !known.reads_money("other").unwrap());
    let setting = Setting { role: None, name: "lc_monetary".to_owned(), value: "POSIX".to_owned() };
    admin.reset_in_database("known", &Setting { value: "C".to_owned(), ..setting.clone() }).unwrap();
    assert_eq!(connect(&cluster, "known", "postgres").facts().unwrap().lc_monetary, "POSIX");
    admin.reset_in_database("known", &setting).unwrap();
    assert_ne!(connect(&cluster, "known", "postgres").facts().unwrap().lc_monetary, "POSIX");
    // A locale that the server lacks matters only if there is a column of type money.
    admin.create_database("unknown", &template("xx_YY.nowhere")).unwrap();
    let unknown = connect(&cluster, "unknown", "postgres");
    unknown.execute("create table public.t (n int)").unwrap();
    assert!(unknown.reads_money("xx_YY.nowhere").unwrap());
    unknown.execute("create domain public.price as money; create table public.u (p public.price)").unwrap();
    assert!(!unknown.reads_money("xx_YY.nowhere").unwrap());
}

#[test]
fn a_sum_over_rows_depends_on_nothing_but_the_rows() {
    let cluster = Cluster::start();
    let sum = |db: &str, table: &str| {
        let client = connect(&cluster, db, "postgres");
        client.set_row_format().unwrap();
        client.table_sum(&Table { schema: "public".to_owned(), name: table.to_owned() }).unwrap()
    };
    let [a, b] = ["a", "b"].map(|name| cluster.create_database(name));
    cluster.psql(&a, "create table t (n int, \"M\" money, at timestamptz, i interval, f float8, b bytea)");
    // The second table has another column before the others, another order of columns and rows, and other
    // settings.
    cluster.psql(
        &b,
        "create table t (gone text, b bytea, f float8, at timestamptz, n int, \"M\" money, i interval)",
    );
    cluster.psql(&b, "alter table t drop column gone");
    let rows = |sign: &str| {
        format!(
            "insert into t (n, \"M\", at, i, f, b) select s, s::money, '2026-03-29 01:00Z', '1 day 2:03', 0.1::float8 + 0.2, \
             '\\x00ff' from generate_series(1, 20) as s order by 1 {sign}"
        )
    };
    for (db, sign) in [(&a, "asc"), (&b, "desc")] {
        cluster.psql(db, &rows(sign));
    }
    for setting in [
        "datestyle = 'German'",
        "intervalstyle = 'iso_8601'",
        "timezone = 'Europe/Berlin'",
        "bytea_output = escape",
        "extra_float_digits = 0",
    ] {
        cluster.psql("postgres", &format!("alter database {b} set {setting}"));
    }
    assert_eq!(sum(&a, "t"), sum(&b, "t"));
    assert_eq!((sum(&a, "t").rows, sum(&a, "t").sum.len()), (20, 32));
    cluster.psql(&b, "update t set i = null where n = 3");
    assert_ne!(sum(&a, "t"), sum(&b, "t"));
    // Generated columns do not count, and a table may have no columns.
    cluster.psql(
        &a,
        "create table g (n int, twice int generated always as (n * 2) stored); insert into g values (1)",
    );
    cluster.psql(
        &a,
        "create table h (n int); insert into h values (1); create table e (); insert into e default values",
    );
    assert_eq!(sum(&a, "g"), sum(&a, "h"));
    assert_eq!(sum(&a, "e").rows, 1);
    assert_eq!(sum(&a, "h").sum, format!("{:032x}", Digest::number_of(b"1\n")));
}

#[test]
fn a_sum_over_rows_calls_no_function_of_the_owner_of_the_table() {
    let cluster = Cluster::start();
    let db = cluster.create_database("hostile");
    cluster.psql("postgres", "create role mallory login");
    cluster.psql(&db, "create schema m authorization mallory");
    let sql = "create function m.trap(text) returns text immutable language plpgsql as $$ begin \
        if current_user <> 'mallory' then raise 'ran as %', current_user; end if; return $1; end $$; \
        create table m.t (a text); insert into m.t values ('x'); \
        create function m.cast(m.t) returns text language plpgsql as $$ begin return m.trap('x'); end $$; \
        create cast (m.t as text) with function m.cast(m.t); \
        create index on m.t ((m.trap('index') || a)); \
        create statistics m.s on (m.trap('statistics') || a), a from m.t; \
        alter table m.t add check (m.trap('check') || a is not null)";
    connect(&cluster, &db, "mallory").execute(sql).unwrap();
    let client = connect(&cluster, &db, "postgres");
    let table = Table { schema: "m".to_owned(), name: "t".to_owned() };
    assert_eq!(client.table_sum(&table).unwrap().rows, 1);
    // A query of the same row calls the function.
    assert!(client.query("select a from only m.t").is_err());
}

#[test]
fn a_schema_is_written_alike_whatever_is_set_where() {
    let cluster = Cluster::start();
    let [plain, odd] = ["plain", "odd"].map(|name| cluster.create_database(name));
    let sql = "create table \"order\" (at timestamptz default '2026-01-01 00:00Z', b bytea default '\\x00ff', \
        t text default 'a\\b'); create view v as select at > '2026-07-01 00:00Z' as late from \"order\"";
    for db in [&plain, &odd] {
        cluster.psql(db, sql);
    }
    for setting in [
        "timezone = 'Asia/Tokyo'",
        "bytea_output = escape",
        "quote_all_identifiers = on",
        "standard_conforming_strings = off",
        "client_encoding = 'LATIN1'",
        "xmlbinary = hex",
        "datestyle = 'German'",
    ] {
        cluster.psql("postgres", &format!("alter database {odd} set {setting}"));
    }
    let tools = Programs::new(Some(bin_dir().to_owned()))
        .for_server(connect(&cluster, &plain, "postgres").facts().unwrap().major);
    let schema = |db: &str| {
        let spec = DumpSpec::of_schema(&connect(&cluster, db, "postgres"), false).unwrap();
        String::from_utf8(tools.schema_sql(&spec).unwrap()).unwrap()
    };
    assert_eq!(schema(&odd), schema(&plain));
}

#[test]
fn the_environment_does_not_decide_about_the_encoding_of_a_backup() {
    let mut shop = Shop::with_store();
    shop.cluster.psql(&shop.database, "create table \"ümlaut\" (a text default 'ß')");
    shop.sandbox.set("PGCLIENTENCODING", "LATIN1");
    shop.sandbox.set("PGTZ", "Asia/Tokyo");
    let _ = shop.create(&["--name", "odd"]).success();
    let schema = shop.pggit(&["backup", "cat", "odd", "schema"]).success().stdout_text();
    assert!(schema.contains("client_encoding = 'UTF8'") && schema.contains("ümlaut"), "{schema}");
    let copy = shop.new_name();
    let _ = shop.pggit(&["backup", "restore", "odd", "--into", &copy]).success();
    assert_eq!(shop.rows(&copy), shop.rows(&shop.database));
    // An encoding in the URL is ignored too.
    let info = ConnInfo::parse("dbname=x client_encoding=LATIN1", &Environment::default()).unwrap();
    assert!(!Connection::from(&info).conninfo.contains("LATIN1"));
}

#[test]
fn a_permission_for_something_else_is_still_an_error() {
    let cluster = Cluster::start();
    cluster.psql("postgres", "create role nobody login");
    let client = connect(&cluster, "postgres", "nobody");
    let plan = Plan::new("x", "b", Some(COMMIT), Template::default());
    let refused = into_new_database::<Error>(client.conninfo(), &plan, |_, _| Ok(()), &|_| {});
    assert!(matches!(refused, Err(Error::Pg(PgError::PermissionDenied { .. }))), "{refused:?}");
}
