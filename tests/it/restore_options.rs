//! Options of `git pggit backup restore` for dumps: `--keep-going`, `--no-tablespaces`, `--jobs`. Restores of
//! more objects than a server has locks, and of a part of a dump that cannot be restored as a whole.

use std::sync::Arc;

use serde_json::Value;

use crate::cluster::{Cluster, Options, fresh_dir};
use crate::restore_commit::History;
use crate::sandbox::Output;

/// Adds a materialized view that no restore can refresh, because its function depends on the search path.
fn with_broken_view(history: &History) {
    history.sql(
        "create function ids() returns setof int language sql stable as $$ select id from orders $$; \
         create materialized view broken as select i from ids() i; \
         create table other (a int primary key, b text); insert into other values (1, 'x'), (2, 'y')",
    );
}

fn databases(history: &History) -> String {
    let sql = format!("select count(*) from pg_database where datname like '{}~%'", history.copy());
    history.cluster.psql("postgres", &sql)
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect()
}

fn drop_copy(history: &History) {
    history.cluster.psql("postgres", &format!("drop database {}", history.copy()));
}

#[test]
fn objects_that_cannot_be_restored_are_left_out_on_request() {
    for format in ["custom", "directory", "tar", "plain"] {
        let history = History::new();
        with_broken_view(&history);
        history.sandbox.git(["config", "pggit.shop.format", format]);
        history.backup("one");
        let said = history.restore("one", &[]).fails(13).stderr_text();
        assert!(said.contains("orders"), "{said}");
        assert_eq!(history.copies(), "", "{format}");

        let output = history.restore("one", &["--keep-going", "--json"]).fails(1);
        let restored = output.json();
        let left_out = texts(&restored["left_out"]);
        let expected = "REFRESH MATERIALIZED VIEW public.broken: relation \"orders\" does not exist";
        assert_eq!(left_out, [expected], "{format}");
        let proof = "objects are missing: REFRESH MATERIALIZED VIEW public.broken";
        assert_eq!(
            (&restored["proof"]["level"], &restored["proof"]["text"]),
            (&"none".into(), &proof.into())
        );
        assert_eq!(restored["not_marked"], "objects may be missing (--keep-going)");
        assert_eq!(restored["schema_compared_with"], Value::Null);
        let said = output.stderr_text();
        assert!(
            said.contains(&format!("database {} lacks 1 object(s) of the backup", history.copy())),
            "{said}"
        );
        let copy = history.copy();
        assert_eq!(
            history.cluster.psql(&copy, "select (select count(*) from other), (select count(*) from orders)"),
            "2|100"
        );
        assert_eq!(history.cluster.psql(&copy, "select current_setting('pggit.commit', true) is null"), "t");
        assert_eq!(databases(&history), "0", "no temporary database is left");
        let log = history.pggit(&["backup", "log", "--json"]).success().stdout_text();
        assert!(log.contains("\"objects_missing\": 1") && log.contains(proof), "{log}");
        drop_copy(&history);
        let text = history.restore("one", &["--keep-going"]).fails(1).stderr_text();
        assert!(text.contains(&format!("warning: left out: {expected}")), "{text}");
        assert!(text.contains(&format!("NOT PROVED: {proof}")), "{text}");
        assert!(!text.contains("is not marked"), "{text}");
    }
}

#[test]
fn without_missing_objects_keep_going_changes_only_the_mark() {
    let history = History::new();
    history.backup("one");
    let plan = history.pggit(&["backup", "plan", "one", "--into", &history.copy(), "--keep-going", "--json"]);
    let plan = plan.success().json();
    let steps: Vec<&str> =
        plan["steps"].as_array().unwrap().iter().map(|step| step["what"].as_str().unwrap()).collect();
    assert!(!steps.iter().any(|step| step.starts_with("mark it")), "{steps:?}");
    assert!(steps.iter().any(|step| step.starts_with("compare its schema")), "{steps:?}");
    let output = history.restore("one", &["--keep-going", "--json"]).success();
    assert_eq!(output.json()["proof"]["level"], "recorded-schema");
    drop_copy(&history);
    let said = history.restore("one", &["--keep-going"]).success().stderr_text();
    assert!(said.contains("nothing is missing") && !said.contains("warning"), "{said}");
    // A migrated database has to be complete, and a physical backup has no objects that fail alone.
    history.commit("0002_items.sql", "create table items (id int primary key);");
    drop_copy(&history);
    let said = history.restore("HEAD", &["--keep-going"]).fails(129).stderr_text();
    assert!(said.contains("cannot be migrated") && said.contains("--no-migrate"), "{said}");
    history.restore("HEAD", &["--keep-going", "--no-migrate"]).success();
    let said = history.restore("one", &["--keep-going", "--table", "orders"]).fails(129).stderr_text();
    assert!(said.contains("--keep-going cannot be used with --table"), "{said}");
    let in_place = history.pggit(&["backup", "restore", "one", "--in-place", "--force", "--keep-going"]);
    assert!(in_place.fails(129).stderr_text().contains("--keep-going cannot be used with --in-place"));
}

#[test]
fn a_part_does_not_need_the_rest_of_the_dump() {
    for format in ["custom", "plain"] {
        let history = History::new();
        with_broken_view(&history);
        history.sandbox.git(["config", "pggit.shop.format", format]);
        history.backup("one");
        let restored = history.restore("one", &["--table", "other", "--json"]).success().json();
        let left_out = texts(&restored["left_out"]);
        assert!(left_out.iter().any(|one| one.contains("public.broken")), "{left_out:?}");
        assert_eq!(history.cluster.psql(&history.copy(), "select count(*) from other"), "2");
        drop_copy(&history);
        history.restore("one", &["--schema", "public"]).success();
        assert_eq!(history.cluster.psql(&history.copy(), "select count(*) from orders"), "100");
        drop_copy(&history);
        let said = history.restore("one", &["--table", "broken"]).fails(13).stderr_text();
        assert!(said.contains("some tables could not be copied") && said.contains("broken"), "{said}");
        assert_eq!(history.copies(), "");
    }
}

#[test]
fn a_table_whose_rows_cannot_be_restored_is_no_part() {
    for format in ["custom", "plain"] {
        let history = History::new();
        history.sql(
            "create table least as select 1 as a; \
             create function fine(int) returns boolean language sql immutable as $$ select $1 > 0 from least $$; \
             create table bad (a int check (fine(a))); insert into bad values (1); \
             create table badly (a int); insert into badly values (1)",
        );
        history.sandbox.git(["config", "pggit.shop.format", format]);
        history.backup("one");
        let said = history.restore("one", &["--table", "bad"]).fails(13).stderr_text();
        assert!(said.contains("some tables could not be copied: \"public\".\"bad\""), "{format}: {said}");
        assert_eq!(history.copies(), "");
        history.restore("one", &["--table", "badly"]).success();
        assert_eq!(history.cluster.psql(&history.copy(), "select count(*) from badly"), "1");
        drop_copy(&history);
        let said = history.restore("one", &["--schema", "public"]).fails(13).stderr_text();
        assert!(said.contains("\"public\".\"bad\""), "{said}");
        let restored = history.restore("one", &["--keep-going", "--json"]).fails(1).json();
        assert_eq!(texts(&restored["left_out"]).len(), 1, "{restored}");
    }
}

/// Restores a backup on another server.
fn elsewhere(history: &History, id: &str, cluster: &Cluster, more: &[&str]) -> Output {
    let server = cluster.url("postgres");
    history.restore(id, &[&["--maintenance-db", &server], more].concat())
}

#[test]
fn tablespaces_are_left_out_on_request() {
    let history = History::on(Arc::new(Cluster::start()));
    history
        .cluster
        .psql("postgres", &format!("create tablespace \"fa st\" location '{}'", fresh_dir().display()));
    history.sql(
        "create table far (a int primary key using index tablespace \"fa st\") tablespace \"fa st\"; \
         insert into far values (1); create materialized view m tablespace \"fa st\" as select * from far; \
         create table p (a int) partition by list (a) tablespace \"fa st\"; \
         create table p1 partition of p for values in (1)",
    );
    let other = Cluster::start();
    for format in ["custom", "plain"] {
        history.sandbox.git(["config", "pggit.shop.format", format]);
        let id = history.pggit(&["backup", "create"]).success().stdout_text();
        let said = elsewhere(&history, id.trim(), &other, &[]).fails(13).stderr_text();
        assert!(said.contains("fa st") && said.contains("--no-tablespaces"), "{said}");
        let restored =
            elsewhere(&history, id.trim(), &other, &["--no-tablespaces", "--json"]).success().json();
        assert_eq!(restored["proof"]["level"], "recorded-schema", "{restored}");
        assert_eq!(restored["schema_difference"], Value::Null);
        let spaced = "select count(*) from pg_class where relnamespace = 'public'::regnamespace and reltablespace <> 0";
        assert_eq!(
            other.psql(&history.copy(), &format!("select ({spaced}), (select count(*) from m)")),
            "0|1"
        );
        other.psql("postgres", &format!("drop database {}", history.copy()));
    }
    let server = other.url("postgres");
    let with = ["with", "HEAD", "--no-tablespaces", "--maintenance-db", &server, "--"];
    let psql = other.bin().join("psql");
    let said = history.pggit(&[&with[..], &[psql.to_str().unwrap(), "-XAtqc", "select a from far"]].concat());
    assert_eq!(said.success().stdout_text().trim(), "1");
    let said = history.pggit(&["backup", "restore", "latest", "--to", "/d", "--no-tablespaces"]).fails(129);
    assert!(said.stderr_text().contains("--no-tablespaces cannot be used with --to"));
}

#[test]
fn dumps_are_restored_by_parallel_jobs() {
    let history = History::new();
    history.sql(
        "create table items as select g as id from generate_series(1, 1000) g; create index on items (id)",
    );
    let plain = history.sandbox.path().join("plain");
    std::fs::create_dir(&plain).unwrap();
    for (format, more) in
        [("custom", &[][..]), ("directory", &[]), ("custom", &["--output", plain.to_str().unwrap()])]
    {
        history.sandbox.git(["config", "pggit.shop.format", format]);
        let id = history.pggit(&[&["backup", "create"], more].concat()).success().stdout_text();
        let id = id.trim();
        let shown =
            history.pggit(&["backup", "plan", id, "--into", &history.copy(), "--jobs", "3", "--json"]);
        assert!(shown.success().stdout_text().contains("\"--jobs=3\""));
        let restored = history.restore(id, &["--jobs", "3", "--json"]).success().json();
        assert_eq!(restored["proof"]["level"], "recorded-schema");
        assert_eq!(
            history.cluster.psql(&history.copy(), "select count(*), sum(id) from items"),
            "1000|500500"
        );
        drop_copy(&history);
        history.restore(id, &["--jobs", "2", "--table", "items"]).success();
        drop_copy(&history);
        history.restore(id, &["--jobs", "1"]).success();
        drop_copy(&history);
        let staged = history.sandbox.repo().join(".git/pggit");
        let left = walkdir::WalkDir::new(staged).into_iter().flatten();
        let left = left.filter(|entry| entry.file_name().to_string_lossy().starts_with("restore-")).count();
        assert_eq!(left, 0, "the unpacked dump is removed");
    }
    for format in ["plain", "tar"] {
        history.sandbox.git(["config", "pggit.shop.format", format]);
        let id = history.pggit(&["backup", "create"]).success().stdout_text();
        let said = history.restore(id.trim(), &["--jobs", "2"]).fails(129).stderr_text();
        assert!(said.contains(&format!("format {format}")) && said.contains("--jobs"), "{said}");
        assert_eq!(history.copies(), "");
    }
    history.restore("latest", &["--jobs", "0"]).fails(129);
}

#[test]
fn jobs_are_for_dumps_in_every_mode() {
    let history = History::on(Arc::new(Cluster::start()));
    history.pggit(&["backup", "create", "--tool", "pg_basebackup", "--name", "whole"]).success();
    for option in [&["--jobs", "2"][..], &["--keep-going"]] {
        let said = history.restore("whole", option).fails(129).stderr_text();
        assert!(said.contains(&format!("{} is only for dumps", option[0])), "{said}");
    }
    let in_place = history.pggit(&["backup", "restore", "whole", "--in-place", "--force", "--jobs", "2"]);
    assert!(in_place.fails(129).stderr_text().contains("--jobs is only for dumps"));
    assert_eq!(
        history.pggit(&["backup", "restore", "list", "--json"]).success().json()["restores"],
        Value::Array(vec![])
    );
    assert_eq!(history.copies(), "");
    // In place of a database, a dump is restored with the options.
    history.backup("dump");
    let options = ["--jobs", "2", "--no-tablespaces"];
    history
        .pggit(&[&["backup", "restore", "dump", "--in-place", "--force"][..], &options].concat())
        .success();
    assert_eq!(history.sql("select count(*) from orders"), "100");
}

#[test]
fn more_objects_than_the_server_has_locks_are_restored() {
    let history = History::new();
    history.sql("do $$ begin for i in 1..600 loop execute format('create table t%s (id int primary key, a text)', i); end loop; end $$");
    let few =
        Options::default().setting("max_locks_per_transaction=10").setting("max_connections=20").start();
    for format in ["custom", "directory", "tar", "plain"] {
        history.sandbox.git(["config", "pggit.shop.format", format]);
        let id = history.pggit(&["backup", "create"]).success().stdout_text();
        let server = few.url("postgres");
        let said = history.restore(id.trim(), &["--maintenance-db", &server, "--json"]).success().json();
        assert_eq!(said["proof"]["level"], "recorded-schema");
        let made = "select count(*) from pg_class where relkind = 'r' and relname ~ '^t[0-9]+$'";
        assert_eq!(few.psql(&history.copy(), made), "600");
        let settings = "select count(*) from pg_db_role_setting s join pg_database d on d.oid = setdatabase, \
                        unnest(setconfig) c where c like 'synchronous_commit%'";
        assert_eq!(few.psql("postgres", settings), "0");
        few.psql("postgres", &format!("drop database {}", history.copy()));
    }
    // The case is one only if one transaction cannot do it.
    let at_once = "begin; do $$ begin for i in 1..600 loop execute format('create table t%s (id int primary key, a text)', i); end loop; end $$";
    let said = String::from_utf8(few.try_psql("postgres", at_once).stderr).unwrap();
    assert!(said.contains("out of shared memory"), "{said}");
}

#[test]
fn a_restore_that_is_killed_in_the_middle_of_the_load_gets_no_name() {
    for format in ["custom", "plain"] {
        let history = History::new();
        let (database, copy) = (&history.database, history.copy());
        // The index is created only after all rows are loaded. While the database `<name>_slow` exists, that
        // does not end.
        history.sql(&format!(
            "create function slow(int) returns int language plpgsql immutable as $$ begin \
             if exists (select from pg_database where datname = '{database}_slow') then perform pg_sleep(600); end if; \
             return $1; end $$; create index on orders (slow(id))"
        ));
        history.sandbox.git(["config", "pggit.shop.format", format]);
        history.backup("one");
        history.cluster.psql("postgres", &format!("create database {database}_slow"));
        let mut command = history.sandbox.pggit_command();
        let mut child = command.args(["backup", "restore", "one", "--into", &copy]).spawn().unwrap();
        let sleeps = format!(
            "exists (select from pg_stat_activity where datname = '{copy}~pggit' and wait_event = 'PgSleep')"
        );
        history.cluster.wait_until("postgres", &format!("select {sleeps}"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(
            history.cluster.psql(&format!("{copy}~pggit"), "select count(*) from orders"),
            "100",
            "{format}"
        );
        assert_eq!(history.copies(), format!("{copy}~pggit"), "{format}: it is half-loaded, and has no name");
        history.cluster.psql("postgres", &format!("drop database {database}_slow"));
        // The server does not notice at once that nobody waits for the index.
        history.restore("one", &[]).success();
        assert_eq!(
            history
                .cluster
                .psql(&copy, "select count(*) from pg_indexes where indexname = 'orders_slow_idx'"),
            "1"
        );
        let end = format!(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = '{copy}~pggit'"
        );
        history.cluster.psql("postgres", &end);
        drop_copy(&history);
        history.restore("one", &[]).success();
        assert_eq!(history.copies(), copy, "{format}: the next restore removes what was left over");
    }
}
