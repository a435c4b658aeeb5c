//! The room `pg` with real servers.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use pggit::pg::{Client, ConnInfo, Environment, Error, NAME_BYTES_MAX, Template};

use super::cluster::{Cluster, Options, Tls, percent_encode};

const SHA1: &str = "0123456789abcdef0123456789abcdef01234567";
const SHA256: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn no_env() -> Environment {
    Environment::from_iter([("HOME", "/nonexistent")])
}

fn info(text: &str) -> ConnInfo {
    ConnInfo::parse(text, &no_env()).expect("valid connection settings")
}

fn try_connect(text: &str) -> Result<Client, Error> {
    Client::connect(&info(text), "git-pggit")
}

#[track_caller]
fn connect(text: &str) -> Client {
    try_connect(text).expect("the server answers")
}

#[track_caller]
fn refused(text: &str) -> Error {
    try_connect(text).expect_err("the server refuses")
}

/// Returns the only value of the only row.
#[track_caller]
fn value(client: &Client, sql: &str) -> String {
    client.query(sql).expect("a valid query")[0][0].clone().expect("not NULL")
}

/// Returns names that have caused faults in other programs.
fn odd_names() -> Vec<String> {
    let odd =
        ["-rf", "a\"b'c", "two\nlines", "Ünï 数", "a b", "%s\\", "$HOME;--", "--help", "=x", "postgres://x"];
    odd.iter().map(|name| format!("{name}{}", std::process::id())).collect()
}

#[test]
fn passwords_come_from_everywhere_and_get_nowhere() {
    let cluster = Options::default().tcp().start();
    cluster.psql("postgres", "create role app login password 's3cret'");
    let server = format!("127.0.0.1:{}/postgres", cluster.port());
    let url = format!("postgresql://app@{server}");

    assert_eq!(value(&connect(&format!("postgresql://app:s3cret@{server}")), "select current_user"), "app");
    let env = Environment::from_iter([("PGPASSWORD", "s3cret")]);
    let with_env = ConnInfo::parse(&url, &env).expect("valid");
    Client::connect(&with_env, "git-pggit").expect("PGPASSWORD lets us in");

    let missing = refused(&url);
    assert!(
        matches!(&missing, Error::AuthFailed { user, detail } if user == "app" && detail == "no password supplied")
    );
    let wrong = refused(&format!("postgresql://app:wr0ng@{server}"));
    assert!(matches!(&wrong, Error::AuthFailed { .. }) && !wrong.retry(), "{wrong}");
    assert!(!format!("{wrong} {wrong:?}").contains("wr0ng"));
    assert_eq!(
        wrong.to_string(),
        "authentication failed for user \"app\": password authentication failed for user \"app\""
    );

    // A server that repeats the password does not get it into our messages.
    let client = connect(&format!("postgresql://app:s3cret@{server}"));
    let error =
        client.execute("do $$ begin raise 'it is s3cret' using hint = 's3cret!', detail = 's3cret?'; end $$");
    let error = error.expect_err("raised");
    assert_eq!(error.to_string(), "it is *** (SQLSTATE P0001)");
    assert!(!format!("{error:?} {client:?}").contains("s3cret"));
}

#[test]
fn each_way_to_fail_has_its_own_error() {
    let cluster = Options::default()
        .tcp()
        .setting("max_connections=4")
        .setting("superuser_reserved_connections=1")
        .start();
    cluster.psql("postgres", "create role app login");
    cluster.psql("postgres", "create database closed");
    cluster.psql("postgres", "revoke connect on database closed from public");
    let app =
        |db: &str| format!("host={} port={} user=app dbname={db}", cluster.dir().display(), cluster.port());

    let error = refused(&app("nowhere"));
    assert!(matches!(&error, Error::DatabaseMissing { dbname } if dbname == "nowhere"), "{error}");
    let error = refused(&app("closed"));
    assert!(matches!(&error, Error::PermissionDenied { .. }), "{error}");
    let held: Vec<_> = (0..3).map_while(|_| try_connect(&app("postgres")).ok()).collect();
    let error = refused(&app("postgres"));
    assert!(matches!(&error, Error::TooManyConnections { .. }) && error.retry(), "{error}");

    cluster.stop();
    let error = held[0].execute("select 1").expect_err("the server is gone");
    assert!(matches!(&error, Error::ConnectionLost { .. }) && error.retry(), "{error}");
    let error = held[0].execute("select 1").expect_err("still gone");
    assert!(matches!(&error, Error::ConnectionLost { .. }), "{error}");
    let error = refused(&app("postgres"));
    let target = format!("{}:{}", cluster.dir().display(), cluster.port());
    assert!(
        matches!(&error, Error::Unreachable { target: t, .. } if *t == target) && error.retry(),
        "{error}"
    );
    let error = refused(&format!("host=127.0.0.1 port={} user=app", cluster.port()));
    assert!(matches!(&error, Error::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("onnection refused"), "{error}");
}

#[test]
fn a_terminated_connection_says_why() {
    let cluster = Cluster::shared();
    let client = connect(&cluster.url("postgres"));
    let pid = value(&client, "select pg_catalog.pg_backend_pid()");
    cluster.psql("postgres", &format!("select pg_terminate_backend({pid}, 60000)"));
    let error = client.execute("select 1").expect_err("terminated");
    assert!(matches!(&error, Error::ConnectionLost { .. }), "{error}");
    assert!(error.to_string().contains("terminating connection due to administrator command"), "{error}");
}

#[test]
fn a_silent_server_meets_the_connect_timeout() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let before = Instant::now();
    let error = refused(&format!("host=127.0.0.1 port={port} user=app connect_timeout=1"));
    assert!(matches!(&error, Error::Unreachable { detail, .. } if detail == "timeout expired"), "{error}");
    assert!(before.elapsed() < Duration::from_secs(60));
}

#[test]
fn tls_checks_what_the_mode_promises() {
    let cluster = Options::default().tls(Tls::Signed).start();
    let other = Options::default().tls(Tls::SelfSigned).start();
    for cluster in [&cluster, &other] {
        cluster.psql("postgres", "create role app login password 'pw'");
    }
    let to = |cluster: &Cluster, host: &str, rest: &str| {
        let port = cluster.port();
        format!("host={host} hostaddr=127.0.0.1 port={port} user=app password=pw dbname=postgres {rest}")
    };
    let ssl = "select ssl from pg_catalog.pg_stat_ssl where pid = pg_catalog.pg_backend_pid()";
    let ca = cluster.dir().join("tls/ca.crt").display().to_string();
    let own = other.dir().join("tls/server.crt").display().to_string();

    for (mode, encrypted) in [("disable", "f"), ("allow", "f"), ("prefer", "t"), ("require", "t")] {
        let client = connect(&to(&cluster, "localhost", &format!("sslmode={mode}")));
        assert_eq!(value(&client, ssl), encrypted, "{mode}");
    }
    connect(&to(&cluster, "localhost", &format!("sslmode=verify-full sslrootcert={ca}")));
    connect(&to(&cluster, "elsewhere", &format!("sslmode=verify-ca sslrootcert={ca}")));
    let old = Options::default().tls(Tls::Version1).start();
    old.psql("postgres", "create role app login password 'pw'");
    for mode in ["prefer", "require channel_binding=require"] {
        assert_eq!(value(&connect(&to(&old, "localhost", &format!("sslmode={mode}"))), ssl), "t", "{mode}");
    }
    // Self-signed, with `localhost` only in the common name.
    connect(&to(&other, "localhost", &format!("sslmode=verify-full sslrootcert={own}")));
    connect(&to(&other, "elsewhere", &format!("sslmode=verify-ca sslrootcert={own}")));

    let plain = Options::default().tcp().start();
    for (cluster, host, rest) in [
        (&cluster, "elsewhere", format!("sslmode=verify-full sslrootcert={ca}")),
        (&cluster, "localhost", format!("sslmode=verify-full sslrootcert={own}")),
        (&cluster, "localhost", format!("sslmode=verify-ca sslrootcert={own}")),
        (&cluster, "localhost", format!("sslmode=require sslrootcert={own}")),
        (&other, "elsewhere", format!("sslmode=verify-full sslrootcert={own}")),
        (&other, "localhost", format!("sslmode=verify-full sslrootcert={ca}")),
        (&cluster, "localhost", "sslmode=verify-ca".to_owned()),
        (&cluster, "localhost", "sslmode=verify-full sslrootcert=/nonexistent".to_owned()),
        (&plain, "localhost", "sslmode=require".to_owned()),
    ] {
        let error = refused(&to(cluster, host, &rest));
        assert!(matches!(&error, Error::Tls { .. }) && !error.retry(), "{host} {rest}: {error}");
    }
}

#[test]
fn a_client_certificate_opens_the_door() {
    let cluster = Options::default().tls(Tls::Signed).start();
    let tls = cluster.dir().join("tls");
    let data = cluster.dir().join("data");
    fs::write(data.join("pg_hba.conf"), "local all all trust\nhostssl all all 127.0.0.1/32 cert\n")
        .expect("writable");
    cluster.psql("postgres", "create role app login");
    cluster.psql("postgres", &format!("alter system set ssl_ca_file = '{}'", tls.join("ca.crt").display()));
    cluster.psql("postgres", "select pg_reload_conf()");
    let openssl = |args: &[&str]| {
        let out = std::process::Command::new("openssl")
            .args(args)
            .current_dir(&tls)
            .output()
            .expect("openssl starts");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    openssl(&[&["req"], &key[..], &["-subj", "/CN=app", "-keyout", "app.key", "-out", "app.csr"]].concat());
    let sign = ["x509", "-req", "-in", "app.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"];
    openssl(&[&sign[..], &["-days", "30", "-out", "app.crt"]].concat());
    let path = tls.join("app");
    let text = format!(
        "host=localhost port={} user=app dbname=postgres sslmode=require sslcert={}.crt sslkey={}.key",
        cluster.port(),
        path.display(),
        path.display()
    );
    let mode = |mode| {
        fs::set_permissions(path.with_extension("key"), fs::Permissions::from_mode(mode)).expect("own");
    };
    mode(0o600);
    assert_eq!(value(&connect(&text), "select current_user"), "app");
    mode(0o644);
    let error = refused(&text);
    assert!(matches!(&error, Error::Tls { detail } if detail.contains("others may access")), "{error}");
    let without = text.split(" sslcert").next().expect("a first part").to_owned();
    assert!(try_connect(&without).is_err());
}

#[test]
fn what_we_cannot_keep_is_refused() {
    let cluster = Cluster::shared();
    for setting in
        ["requirepeer=postgres", "require_auth=scram-sha-256", "gssencmode=require", "connect_timeout=x"]
    {
        let error = refused(&format!("{} {setting}", cluster.conninfo("postgres")));
        assert!(matches!(&error, Error::BadConnInfo { .. }), "{setting}: {error}");
    }
}

#[test]
fn facts_are_those_of_the_server() {
    let cluster = Cluster::shared();
    let db = cluster.create_database("facts");
    let client = connect(&cluster.url(&db));
    let facts = client.facts().expect("facts");
    let ask = |sql: &str| cluster.psql(&db, sql);
    assert_eq!(facts.version_num.to_string(), ask("show server_version_num"));
    assert_eq!(facts.version_text, ask("show server_version"));
    assert_eq!(facts.major, facts.version_num / 10_000);
    let system_identifier = ask("select system_identifier from pg_control_system()");
    assert_eq!(facts.system_identifier, Some(system_identifier));
    assert_eq!(facts.timeline, Some(1));
    assert!(!facts.in_recovery && facts.is_superuser && facts.can_read_role_passwords);
    assert_eq!(facts.data_checksums, ask("show data_checksums") == "on");
    assert!(facts.current_lsn.as_deref().is_some_and(|lsn| lsn.contains('/')));
    assert!(facts.database_size_bytes > 1_000_000);
    assert_eq!((facts.encoding.as_str(), facts.collate.as_str(), facts.ctype.as_str()), ("UTF8", "C", "C"));
    assert_eq!(facts.locale_provider.as_deref(), (facts.major >= 15).then_some("libc"));
    assert_eq!(facts.max_connections.to_string(), ask("show max_connections"));
    assert!(facts.notes.is_empty(), "{:?}", facts.notes);
    assert_eq!(value(&client, "select pg_catalog.current_setting('application_name')"), "git-pggit");
}

#[test]
fn facts_that_are_forbidden_are_missing_with_a_note() {
    let cluster = Cluster::start();
    let revoke = "revoke execute on function pg_control_system() from public";
    cluster.psql("postgres", &format!("create role plain login; {revoke}"));
    let client = connect(&format!("{} user=plain", cluster.conninfo("postgres")));
    let facts = client.facts().expect("the other facts");
    assert_eq!((facts.system_identifier, facts.timeline), (None, Some(1)));
    assert!(!facts.is_superuser && !facts.can_read_role_passwords);
    assert_eq!(facts.notes.len(), 1);
}

#[test]
fn a_snapshot_stands_still_and_can_be_shared() {
    let cluster = Cluster::shared();
    let db = cluster.create_database("snapshot");
    cluster.psql(&db, "create table t (n int); insert into t values (1)");
    // The timeout applies only to sessions that begin after this.
    let other = connect(&cluster.url(&db));
    cluster.psql(&db, &format!("alter database \"{db}\" set idle_in_transaction_session_timeout = 1"));
    let client = connect(&cluster.url(&db));
    let snapshot = client.export_snapshot().expect("a snapshot");
    cluster.psql(&db, "insert into t values (2)");

    other.execute("begin isolation level repeatable read").expect("begins");
    other.execute(&format!("set transaction snapshot '{}'", snapshot.id())).expect("the snapshot is shared");
    assert_eq!(value(&other, "select count(*) from public.t"), "1");
    assert_eq!(value(snapshot.client(), "select count(*) from public.t"), "1");
    other.execute("rollback").expect("ends");
    assert_eq!(value(&other, "select count(*) from public.t"), "2");
    client.facts().expect("facts inside the snapshot");
    assert_eq!(client.read_mark().expect("the mark inside the snapshot"), None);
    assert!(client.execute("insert into public.t values (3)").is_err());
    let error = snapshot.finish().expect_err("the transaction was broken");
    assert!(matches!(&error, Error::Query { sqlstate, .. } if sqlstate == "25P02"), "{error}");

    let snapshot = client.export_snapshot().expect("another one");
    assert_eq!(value(&client, "select count(*) from public.t"), "2");
    snapshot.finish().expect("committed");
    let id = client.export_snapshot().expect("a third one").id().to_owned();
    other.execute("begin isolation level repeatable read").expect("begins");
    assert!(other.execute(&format!("set transaction snapshot '{id}'")).is_err(), "dropped with its value");
}

#[test]
fn the_mark_is_of_the_database_alone() {
    let cluster = Cluster::start();
    let db = cluster.create_database("it's \"marked\"");
    let client = connect(&cluster.url(&db));
    let mark = || connect(&cluster.url(&db)).read_mark();
    assert_eq!(mark().expect("readable"), None);
    client.set_mark(&db, SHA1).expect("set");
    assert_eq!(mark().expect("readable").as_deref(), Some(SHA1));
    assert_eq!(cluster.psql(&db, "show pggit.commit"), SHA1);
    client.set_mark(&db, SHA256).expect("set again");
    assert_eq!(mark().expect("readable").as_deref(), Some(SHA256));

    // Settings of the role and of the session are ignored.
    let lies = "1111111111111111111111111111111111111111";
    let quoted = db.replace('"', "\"\"");
    cluster.psql(&db, &format!("alter role postgres set pggit.commit = '{lies}'"));
    cluster.psql(&db, &format!("alter role postgres in database \"{quoted}\" set pggit.commit = '{lies}'"));
    client.execute(&format!("set pggit.commit = '{lies}'")).expect("a session may");
    assert_eq!(client.read_mark().expect("readable").as_deref(), Some(SHA256));
    assert_eq!(connect(&cluster.url("postgres")).read_mark().expect("readable"), None);

    client.clear_mark(&db).expect("cleared");
    assert_eq!(mark().expect("readable"), None);
    client.clear_mark(&db).expect("clearing twice is fine");
    for bad in ["", "abc", "0123456789ABCDEF0123456789abcdef01234567", "'; drop table x; --"] {
        assert!(matches!(client.set_mark(&db, bad), Err(Error::BadMark { .. })), "{bad}");
    }
    cluster.psql(&db, &format!("alter database \"{quoted}\" set \"PGGIT.Commit\" = 'rubbish = x'"));
    assert!(matches!(mark(), Err(Error::BadMark { value, .. }) if value == "rubbish = x"));
    assert!(matches!(client.set_mark("nowhere", SHA1), Err(Error::DatabaseMissing { .. })));
}

#[test]
fn the_mark_needs_a_permission() {
    let cluster = Cluster::start();
    cluster.psql("postgres", "create role owner login");
    cluster.psql("postgres", "create database owned owner owner");
    let client = connect(&format!("{} user=owner", cluster.conninfo("owned")));
    let error = client.set_mark("postgres", SHA1).expect_err("of somebody else");
    assert!(matches!(&error, Error::PermissionDenied { .. }), "{error}");
    assert_eq!(client.read_mark().expect("everybody may read"), None);
    let error = client.set_mark("owned", SHA1).expect_err("needs a grant");
    assert!(
        matches!(&error, Error::PermissionDenied { what, .. } if what.contains("\"pggit.commit\"")),
        "{error}"
    );
    // Before PostgreSQL 15 nobody can grant it, and the minor versions of 14 refuse it to everybody else, too.
    if client.facts().expect("facts").major < 15 {
        return;
    }
    cluster.psql("postgres", "grant set on parameter \"pggit.commit\" to owner");
    client.set_mark("owned", SHA1).expect("granted");
    assert_eq!(client.read_mark().expect("readable").as_deref(), Some(SHA1));
}

#[test]
fn odd_names_are_only_names() {
    let cluster = Cluster::shared();
    let admin = connect(&cluster.url("postgres"));
    for name in odd_names() {
        let renamed = format!("{name}\t'2");
        assert!(!admin.database_exists(&name).expect("a question"), "{name:?}");
        admin.create_database(&name, &Template::default()).expect("created");
        assert!(admin.database_exists(&name).expect("a question"), "{name:?}");
        let again = admin.create_database(&name, &Template::default());
        assert!(matches!(&again, Err(Error::DatabaseExists { dbname }) if *dbname == name));
        for text in [cluster.url(&name), info(&cluster.url("postgres")).with_dbname(&name).without_password()]
        {
            let client = connect(&text);
            assert_eq!(value(&client, "select pg_catalog.current_database()"), name);
        }
        admin.set_comment(&name, Some("it's\n\\ fine")).expect("commented");
        assert_eq!(admin.get_comment(&name).expect("readable").as_deref(), Some("it's\n\\ fine"));
        admin.set_comment(&name, None).expect("comment removed");
        assert_eq!(admin.get_comment(&name).expect("readable"), None);
        admin.rename_database(&name, &renamed).expect("renamed");
        assert!(matches!(admin.drop_database(&name, false), Err(Error::DatabaseMissing { .. })));
        admin.drop_database(&renamed, false).expect("dropped");
    }
    for (name, reason) in [("", "it is empty"), ("a\0b", "it contains a NUL")] {
        let error = admin.create_database(name, &Template::default()).expect_err("no such name");
        assert!(matches!(&error, Error::BadName { reason: r, .. } if *r == reason), "{error}");
    }
    let long = "ü".repeat(NAME_BYTES_MAX / 2 + 1);
    assert!(matches!(admin.create_database(&long, &Template::default()), Err(Error::BadName { .. })));
    assert!(matches!(admin.rename_database("postgres", &long), Err(Error::BadName { .. })));
    assert!(!admin.database_exists("a\0b").expect("a question"));
}

#[test]
fn a_database_in_use_is_not_dropped_without_force() {
    let cluster = Cluster::start();
    let db = cluster.create_database("used");
    let taken = cluster.create_database("taken");
    let admin = connect(&cluster.url("postgres"));
    assert!(
        matches!(admin.rename_database(&db, &taken), Err(Error::DatabaseExists { dbname }) if dbname == taken)
    );
    assert_eq!(admin.connections_to(&db).expect("a number"), 0);
    let user = connect(&cluster.url(&db));
    assert_eq!(admin.connections_to(&db).expect("a number"), 1);
    let error = admin.rename_database(&db, "other").expect_err("in use");
    assert!(
        matches!(&error, Error::DatabaseInUse { dbname, .. } if *dbname == db) && error.retry(),
        "{error}"
    );
    assert!(matches!(admin.drop_database(&db, false), Err(Error::DatabaseInUse { .. })));
    admin.drop_database(&db, true).expect("forced");
    assert!(matches!(user.execute("select 1"), Err(Error::ConnectionLost { .. })));
}

#[test]
fn a_database_is_made_like_another() {
    let cluster = Cluster::start();
    let admin = connect(&cluster.url("postgres"));
    let latin = Template { encoding: Some("LATIN1".to_owned()), ..Template::default() };
    admin.create_database("latin", &latin).expect("created");
    let facts = connect(&cluster.url("latin")).facts().expect("facts");
    assert_eq!(facts.encoding, "LATIN1");
    admin.create_database("copy", &Template::like(&facts)).expect("created");
    let copy = connect(&cluster.url("copy")).facts().expect("facts");
    assert_eq!(Template::like(&copy), Template::like(&facts));
    if facts.major >= 15 {
        let provider = Some("icu".to_owned());
        let icu = Template { provider, locale: Some("de-DE".to_owned()), ..Template::default() };
        admin.create_database("icu", &icu).expect("created");
        let facts = connect(&cluster.url("icu")).facts().expect("facts");
        assert_eq!(facts.locale.as_deref(), Some("de-DE"));
        admin.create_database("icu2", &Template::like(&facts)).expect("created");
    }
}

#[test]
fn names_in_uris_are_decoded() {
    let cluster = Cluster::shared();
    for name in odd_names() {
        let text = format!("postgresql:///{}", percent_encode(&name));
        assert_eq!(info(&text).dbname(), name);
    }
    drop(cluster);
}

#[test]
fn a_question_is_one_query_with_one_answer() {
    let cluster = Cluster::shared();
    let database = cluster.create_database("question");
    let info = ConnInfo::parse(&cluster.conninfo(&database), &Environment::default()).unwrap();
    for (sql, answer) in [
        ("select true", Some(true)),
        ("select false;", Some(false)),
        ("select null::boolean", Some(false)),
        ("select 1", None),
        ("select true, true", None),
        ("select true where false", None),
        ("select true from generate_series(1, 3000)", None),
        ("select $1::boolean", None),
        ("commit", None),
        ("", None),
    ] {
        let client = Client::connect(&info, "test").unwrap();
        client.execute("set statement_timeout = '5s'").unwrap();
        assert_eq!(client.is_true(sql).map_err(|error| error.to_string()), Ok(answer), "{sql}");
    }
    let client = Client::connect(&info, "test").unwrap();
    for sql in ["select true; select false", "select nonsense", "select\0true"] {
        assert!(client.is_true(sql).is_err(), "{sql}");
    }
    assert_eq!(client.is_true("select true").unwrap(), Some(true), "an error does not break the connection");
}
