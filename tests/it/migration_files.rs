//! Running migrations and masks: each file in its own session and transaction, over a connection that the
//! file cannot redirect.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::cluster::fresh_dir;
use crate::restore_commit::History;

fn backed_up() -> History {
    let history = History::new();
    history.backup("first");
    history
}

/// Returns the result of `sql` in the restored database.
fn asked(history: &History, sql: &str) -> String {
    history.cluster.psql(&history.copy(), sql)
}

#[test]
fn a_command_of_psql_is_refused_before_anything_is_restored() {
    let history = backed_up();
    let marker = history.sandbox.path().join("ran");
    let connect = format!("create table a (id int);\n\\connect {}\ndrop table orders;\n", history.database);
    for (sql, refusal) in [
        (connect, ":2: '\\connect' is a psql command"),
        (format!("\\! touch {}\n", marker.display()), ":1: '\\!' is a psql command"),
        ("select 1 \\g /dev/null\n".to_owned(), ":1: '\\g' is a psql command"),
        ("\\restrict abc\n\\unrestrict abc \\! id\n".to_owned(), ":2: '\\unrestrict' is a psql command"),
    ] {
        history.commit("0002_odd.sql", &sql);
        let said = history.restore("HEAD", &[]).fails(12).stderr_text();
        assert!(said.contains(&format!("0002_odd.sql{refusal}")), "{said}");
        let said = history.pggit(&["backup", "plan", "HEAD", "--into", &history.copy()]);
        assert!((said.stdout_text() + &said.stderr_text()).contains(refusal), "{}", said.snapshot());
        assert_eq!(history.copies(), "");
        history.sandbox.git(["reset", "-q", "--hard", "HEAD~1"]);
    }
    assert_eq!(history.sql("select count(*) from orders"), "100", "the live database is unchanged");
    history.sandbox.git(["config", "pggit.shop.maskScript", "mask.sql"]);
    history.sandbox.commit("mask.sql", format!("\\! touch {}\n", marker.display()), "mask");
    let said = history.pggit(&["with", "HEAD", "--", "true"]);
    assert!(said.stderr_text().contains("mask.sql:1: '\\!' is a psql command"), "{}", said.snapshot());
    assert!(!marker.exists());
}

#[test]
fn a_file_that_changes_what_a_backslash_means_in_a_way_that_is_not_seen_is_rolled_back() {
    let history = backed_up();
    let set = "perform set_config('standard_conforming_strings', 'off', false)";
    history.commit("0002_off.sql", &format!("create table a (id int);\ndo $$ begin {set}; end $$;\n"));
    let said = history.restore("HEAD", &[]).fails(12).stderr_text();
    assert!(said.contains("0002_off.sql:2: standard_conforming_strings is changed"), "{said}");
    assert_eq!(history.copies(), "");
    // The setting is allowed for the session only.
    history
        .commit("0002_off.sql", "set standard_conforming_strings = off; select 'it\\'s'; create table a ();");
    history.restore("HEAD", &["--allow-schema-difference"]).success();
}

#[test]
fn each_file_has_a_session_and_a_transaction_of_its_own() {
    let history = backed_up();
    for (name, sql) in [
        ("0002_type.sql", "create type st as enum ('new'); alter table orders add s st default 'new';"),
        ("0003_value.sql", "alter type st add value 'done';"),
        (
            "0004_use.sql",
            "alter table orders alter s set default 'done'; insert into orders values (101, 'x', 'done');",
        ),
        (
            "0005_path.sql",
            "\\restrict x1\ncreate schema other; set search_path = other; create table a (id int);\n\\unrestrict x1\n",
        ),
        ("0006_public.sql", "create table b (id int);"),
        (
            "0007_later.sql",
            "create table p (id int primary key); create table c (p int references p deferrable initially deferred); \
             insert into c values (1); insert into p values (1);",
        ),
        ("0008_alter.sql", "alter table c add d int;"),
        ("0009_copy.sql", "copy p from stdin;\n2\n3\n\\.\ninsert into p values (4);\n"),
        ("0010_mark.sql", "\u{feff}create table bom (id int);\r\ninsert into bom values (1);\r\n"),
        ("0011_own.sql", "begin;\ncreate table own (id int);\ncommit;\n"),
        (
            "0012_body.sql",
            "create function f() returns int begin atomic; select 1; select case when true then 2 end; end;\n\
             create table last (id int default f())",
        ),
        (
            "0013_alone.sql",
            "-- no-transaction\ndo $$ begin update p set id = 5 where id = 4; commit; end $$;",
        ),
        ("0014_index.sql", "create index concurrently i on p (id);\ncreate index concurrently j on p (id);"),
        (
            "0015_local.sql",
            "set local search_path = other; savepoint s; create table a2 (id int); rollback to s;",
        ),
    ] {
        history.commit(name, sql);
    }
    history.restore("HEAD", &[]).success();
    let tables = "select string_agg(c.oid::regclass::text, ' ' order by relname) from pg_class c \
                  where relname in ('a', 'b', 'bom', 'own', 'last', 'i', 'j', 'a2')";
    assert_eq!(asked(&history, tables), "other.a b bom i j last own");
    assert_eq!(asked(&history, "select string_agg(id::text, ' ' order by id) from p"), "1 2 3 5");
    assert_eq!(asked(&history, "select s from orders where id = 101"), "done");
}

#[test]
fn a_file_leaves_no_transaction_open_and_its_errors_have_a_line() {
    let history = backed_up();
    let fails = |sql: &str, status: i32| {
        history.commit("0002_wrong.sql", sql);
        let said = history.restore("HEAD", &[]).fails(status).stderr_text();
        assert_eq!(history.copies(), "");
        history.sandbox.git(["reset", "-q", "--hard", "HEAD~1"]);
        said
    };
    let said = fails("begin;\ncreate table a (id int);\n", 12);
    assert!(said.contains("0002_wrong.sql:2: a transaction is begun, but not ended"), "{said}");
    let said = fails("select 1;\n\nselect 1,\n  nonsense\nfrom orders;\n", 13);
    assert!(
        said.contains("0002_wrong.sql:4: column \"nonsense\" does not exist (SQLSTATE 42703) in 'select 1, nonsense from orders'"),
        "{said}"
    );
    let said = fails("do $$ begin commit; end $$", 13);
    assert!(said.contains("SQLSTATE 2D000") && said.contains("'-- no-transaction'"), "{said}");
    let said =
        fails("create user mapping for nobody_at_all server far options (user 'u', password 'geheim');", 13);
    assert!(said.contains("'create user mapping for nobody_at_all server far options (user ...'"), "{said}");
    assert!(!said.contains("geheim"), "{said}");
    let said = fails("insert into orders values (1, 'geheim');", 13);
    assert!(said.contains("duplicate key") && !said.contains("geheim"), "{said}");
    let said = fails("copy orders from stdin;\n500\tfine\nx\tgeheim\n\\.\n", 13);
    assert!(said.contains("COPY orders, line 2, column id") && !said.contains("geheim"), "{said}");
    let said = fails("select 1;\ncopy orders to stdout;", 12);
    assert!(said.contains("0002_wrong.sql:2: COPY ... TO stdout"), "{said}");
    history.sandbox.commit("migrations/0002_wrong.sql", b"select '\xe4';", "latin1");
    let said = history.restore("HEAD", &[]).fails(12).stderr_text();
    assert!(said.contains("0002_wrong.sql:1: it is not UTF-8"), "{said}");
}

#[test]
fn files_are_utf8_whatever_the_database_is() {
    let history = History::new();
    let name = &history.database;
    history.cluster.psql("postgres", &format!("drop database {name}"));
    let latin1 =
        format!("create database {name} template template0 encoding 'LATIN1' lc_collate 'C' lc_ctype 'C'");
    history.cluster.psql("postgres", &latin1);
    history.sql("create table orders (id int primary key, note text);");
    history.backup("first");
    history.commit(
        "0002_towns.sql",
        "create table \"Städte\" (n text default 'Köln'); insert into \"Städte\" values ('Zürich');",
    );
    history.restore("HEAD", &[]).success();
    let sql = "select encode(convert_to(relname, 'UTF8'), 'escape') from pg_class where relname like 'St%'";
    assert_eq!(asked(&history, sql), "St\\303\\244dte");
    let sql = "select encode(convert_to(n, 'LATIN1'), 'escape') from U&\"St\\00e4dte\"";
    assert_eq!(asked(&history, sql), "Z\\374rich");
}

#[test]
fn the_settings_of_the_database_count_while_migrations_run() {
    let history = History::new();
    history.migrate("0002_app.sql", "create schema app;");
    let name = history.database.clone();
    for setting in [
        "search_path = app, public",
        "timezone = 'Asia/Tokyo'",
        "app.secret = 'geheim'",
        "statement_timeout = '10min'",
        "default_transaction_read_only = on",
    ] {
        history.cluster.psql("postgres", &format!("alter database {name} set {setting}"));
    }
    history
        .cluster
        .psql("postgres", &format!("alter role postgres in database {name} set datestyle = 'German'"));
    history.backup("first");
    let shown = history.pggit(&["backup", "show", "first", "--json"]).success();
    let settings = shown.json()["postgres"]["settings"].to_string();
    assert!(!shown.stdout_text().contains("geheim"), "{}", shown.snapshot());
    assert_eq!(
        settings,
        "[{\"name\":\"TimeZone\",\"value\":\"Asia/Tokyo\"},{\"name\":\"search_path\",\"value\":\"app, public\"},\
         {\"name\":\"DateStyle\",\"role\":\"postgres\",\"value\":\"German\"}]"
    );
    let sql = "create table in_app (at timestamptz, shown text); \
               insert into in_app values ('2026-01-01 00:00', '2026-01-01'::date::text)";
    history.commit("0003_where.sql", sql);
    let plan = history.pggit(&["backup", "plan", "HEAD", "--into", &history.copy()]).success().stdout_text();
    assert!(
        plan.contains("set TimeZone, search_path, DateStyle in it until the migrations have run"),
        "{plan}"
    );
    history.restore("HEAD", &[]).success();
    assert_eq!(
        asked(&history, "select at at time zone 'UTC', shown from app.in_app"),
        "2025-12-31 15:00:00|01.01.2026"
    );
    let left = format!(
        "select count(*), count(*) filter (where c like 'pggit.commit=%') from pg_db_role_setting s \
         join pg_database d on d.oid = setdatabase, unnest(setconfig) c where datname = '{}'",
        history.copy()
    );
    assert_eq!(asked(&history, &left), "1|1", "they are taken back");
}

#[test]
fn ctrl_c_ends_the_statement() {
    let history = backed_up();
    let fifo = fresh_dir().join("fifo");
    let mode = rustix::fs::Mode::from(0o666);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    fs::set_permissions(&fifo, fs::Permissions::from_mode(0o666)).unwrap();
    let running = format!("copy (select 'running') to program 'cat > {}';", fifo.display());
    history.commit("0002_sleeps.sql", &format!("{running}\nselect pg_sleep(1000);"));
    let mut command = history.sandbox.pggit_command();
    command.args(["backup", "restore", "HEAD", "--into", &history.copy()]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let sleeping = format!(
        "select count(*) from pg_stat_activity where state = 'active' and query like '%pg_sleep(1000)%' \
         and datname like '{}%'",
        history.copy()
    );
    assert_eq!(fs::read_to_string(&fifo).unwrap(), "running\n");
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert_eq!(history.cluster.psql("postgres", &sleeping), "0");
    assert_eq!(history.copies(), "");
}
